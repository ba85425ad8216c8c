"""Where nobody has been nothing is looked for; what an interrupted run left is found all the same."""

import time

import boto3
import pytest
from provision_aws import emulator
from provision_aws.config import AwsConfig
from provision_aws.resources import SecurityGroup, Subnet, Vpc
from provision_aws.session import Session

from provision.spi import CreateRequest, Operation

pytestmark = pytest.mark.lab

STACK = "ab" * 16


@pytest.fixture
def process(between):
    """Begins another process of the plugin; gives what makes a resource in it."""
    sessions = []

    def begin():
        session = Session(AwsConfig.model_validate(between.config))
        sessions.append(session)

        def make(kind, name, **inputs):
            operation = Operation(
                urn=f"urn:pulumi:dev::shop::provision-aws:{kind.token}::{name}",
                session=session,
                wait=lambda seconds: bool(time.sleep(seconds)),
            )
            wanted = kind.Inputs.model_validate({"stack_id": STACK, "name": name, **inputs})
            return kind().create(CreateRequest(operation, wanted))

        return make

    yield begin
    for one in sessions:
        one.close()


@pytest.fixture
def ec2(server, between):
    made = boto3.client("ec2", region_name=emulator.REGION, endpoint_url=server)
    made.describe_vpcs()
    return made


def vpc(make):
    return make(Vpc, "vpc", cidr_block="10.1.0.0/16")


def subnet(make, vpc_id):
    zone = f"{emulator.REGION}a"
    return make(Subnet, "subnet", vpc_id=vpc_id, cidr_block="10.1.1.0/24", availability_zone=zone)


def test_the_first_run_looks_twice_whatever_it_makes(process, ec2, between):
    make = process()
    made = vpc(make)
    subnet(make, made.id)
    group = make(SecurityGroup, "group", vpc_id=made.id, group_name="group")
    looks = {name: count for name, count in between.calls.items() if name.startswith("Describe")}
    assert looks == {"DescribeVpcs": 1, "DescribeTags": 1}
    listed = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group.id]}])
    assert listed["SecurityGroupRules"] == []
    assert group.outputs.found_rules == []


def test_a_group_in_a_vpc_with_ipv6_is_empty_too(process, ec2, between):
    make = process()
    made = make(Vpc, "vpc", cidr_block="10.1.0.0/16", amazon_provided_ipv6=True)
    group = make(SecurityGroup, "group", vpc_id=made.id, group_name="group")
    assert between.calls["RevokeSecurityGroupEgress"] == 1
    listed = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group.id]}])
    assert listed["SecurityGroupRules"] == []


def test_a_group_in_a_vpc_of_which_nothing_is_known_is_empty_too(process, ec2, between):
    made = ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
    group = process()(SecurityGroup, "group", vpc_id=made, group_name="group")
    listed = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group.id]}])
    assert listed["SecurityGroupRules"] == []


def test_what_the_run_before_left_is_taken_up(process, ec2):
    make = process()
    first = subnet(make, vpc(make).id)
    make = process()  # nothing of it was written down
    again = vpc(make)
    assert subnet(make, again.id).id == first.id
    assert len(ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [again.id]}])["Subnets"]) == 1


def test_what_was_left_in_somebody_elses_vpc_is_found_though_a_new_one_is_made(process, ec2):
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    left = subnet(process(), other)
    make = process()  # by now the file speaks of a VPC of the stack's own
    made = vpc(make)
    assert subnet(make, made.id).id != left.id
    assert ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [other]}])["Subnets"] == []
