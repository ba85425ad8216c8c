"""A deployed stack is read back from EC2: its rules as sets, what machines are, and what somebody changed by hand."""

from dataclasses import replace

import boto3
import pytest
from aws_deploy import deploy
from provision_aws import emulator
from provision_aws.iam import allowed, policy
from provision_aws.provider import AwsProvider

from provision.packets.sets import PacketSpace
from provision.spi import Stranger
from provision.verify.proof.compare import differences
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet

pytestmark = pytest.mark.lab

STACK = """
version: 1
platform: aws
networks:
  front: {cidr: 10.20.1.0/24, internet: routed}
  back: {cidr: 10.20.2.0/24, internet: nat}
machines:
  web:
    image: micro
    cpus: 2
    memory: 1GiB
    nics: [{network: front, public: true}]
  db:
    image: micro
    cpus: 2
    memory: 1GiB
    disks: {data: {size: 8GiB, keep_on_delete: false}}
    nics: [{network: back}]
isolation:
  policies:
    world-to-web: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443, icmp]}
    web-to-db: {kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432]}
    own: {kind: anti_spoofing, machines: [machine.*]}
    sealed: {kind: disk_encryption, machines: [machine.db]}
    alone: {kind: single_tenancy, machines: [machine.db]}
    cores: {kind: dedicated_cpus, machines: [machine.db], smt: isolate}
    hidden: {kind: memory_encryption, machines: [machine.db]}
    closed: {kind: metadata, machines: [machine.*]}
    apart: {kind: spread, machines: [machine.*]}
    zone: {kind: pack, over: zone, machines: [machine.*]}
"""


@pytest.fixture(scope="module")
def asked(permitted):
    """What is asked of EC2 from the beginning of this module on; gives it as it is now."""
    before = len(permitted)
    return lambda: set(permitted[before:])


@pytest.fixture(scope="module")
def stack(server, asked, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.ENVIRONMENT.items():
            patch.setenv(name, value)
        emulator.reset(server)
        made = deploy({"region": emulator.REGION, "endpointUrl": server}, tmp_path_factory.mktemp("stack"), STACK)
        yield made
        made.session.close()


@pytest.fixture
def ec2(server, stack):
    return boto3.client("ec2", region_name=emulator.REGION, endpoint_url=server)


def told(stack):
    """Differences between the file and the live rules, and what is not understood."""
    stack, space = stack.afresh(), PacketSpace()
    readout = stack.live(space)
    intent = IntentSet(space, Ends(stack.part.stack, stack.part.addresses), stack.part.without)
    found = [str(one) for one in differences(intent, readout)]
    stack.session.close()
    return found, list(readout.unmodelled)


def nic_of(stack, machine):
    return stack.made[f"machines/{machine}/nic-0"]


def first_group(stack, machine):
    return nic_of(stack, machine).inputs["security_group_ids"][0]


def test_what_was_made_lets_pass_what_the_file_says_and_nothing_else(stack):
    assert told(stack) == ([], [])


def test_a_rule_made_by_hand_is_found_and_said_to_be_foreign(stack, ec2):
    group = first_group(stack, "db")
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.20.1.0/24"}]}
    egress = permission | {"IpRanges": [{"CidrIp": "10.20.2.0/24"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    ec2.authorize_security_group_egress(GroupId=first_group(stack, "web"), IpPermissions=[egress])
    try:
        found, _ = told(stack)
        (shown,) = stack.afresh().shown("db", "web-to-db")
    finally:
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
        ec2.revoke_security_group_egress(GroupId=first_group(stack, "web"), IpPermissions=[egress])

    assert any("tcp/22 from" in one and "made by somebody else" in one and "(db)" in one for one in found), found
    assert shown[0][:2] == ("accepted", False)
    assert "is on no record" in shown[0][2]
    assert told(stack) == ([], [])


def test_a_further_group_on_an_interface_is_found(stack, ec2):
    card = nic_of(stack, "web")
    vpc = stack.made["vpc"].id
    (default,) = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    groups = card.inputs["security_group_ids"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=card.id, Groups=[*groups, default["GroupId"]])
    try:
        found, _ = told(stack)
        (shown,) = stack.afresh().shown("web", "world-to-web")
    finally:
        ec2.modify_network_interface_attribute(NetworkInterfaceId=card.id, Groups=groups)

    assert any(default["GroupId"] in one and "(web)" in one for one in found), found  # it lets everything out
    assert shown[0] == ("accepted", False, f"network card 0 is also in {default['GroupId']}")


def test_a_stranger_in_a_group_of_the_stack_is_found(stack, ec2):
    subnet = nic_of(stack, "db").inputs["subnet_id"]
    made = ec2.create_network_interface(SubnetId=subnet, Groups=[first_group(stack, "db")])["NetworkInterface"]
    try:
        _, unmodelled = told(stack)
    finally:
        ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])

    assert any(made["NetworkInterfaceId"] in one and "no machine's of the stack" in one for one in unmodelled)


def test_an_instance_of_others_in_a_subnet_of_the_stack_is_seen_and_nothing_else(stack, ec2):
    """The subnets hold interfaces of the stack's machines and of its NAT gateway, too."""
    machines = list(stack.machines.values())
    see = AwsProvider().strangers
    assert see(stack.session, stack.shared, machines) == []
    subnet = nic_of(stack, "db").inputs["subnet_id"]
    (network,) = (one.name for one in stack.shared if one.id == subnet)
    made = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=subnet)["Instances"][0]
    try:
        assert see(stack.session, stack.shared, machines) == [Stranger(network, f"the instance {made['InstanceId']}")]
        assert {one.network for one in see(stack.session, stack.shared, [])} >= {network}  # then its own are strangers
    finally:
        ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_a_network_acl_that_drops_is_found(stack, ec2):
    subnet = nic_of(stack, "web").inputs["subnet_id"]
    (acl,) = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
    entry = {"NetworkAclId": acl["NetworkAclId"], "RuleNumber": 50, "Egress": False}
    ec2.create_network_acl_entry(
        **entry, Protocol="6", RuleAction="deny", CidrBlock="0.0.0.0/0", PortRange={"From": 443, "To": 443}
    )
    try:
        found, _ = told(stack)
    finally:
        ec2.delete_network_acl_entry(**entry)

    assert any("is stopped, and a policy allows it" in one and "a network ACL drops it" in one for one in found), found


def test_a_check_that_was_switched_off_is_found(stack, ec2):
    card = nic_of(stack, "web").id
    ec2.modify_network_interface_attribute(NetworkInterfaceId=card, SourceDestCheck={"Value": False})
    try:
        (shown,) = stack.afresh().shown("web", "own")
    finally:
        ec2.modify_network_interface_attribute(NetworkInterfaceId=card, SourceDestCheck={"Value": True})

    assert shown[0][:2] == ("accepted", False)


def test_what_is_as_asked_is_accepted(stack):
    own, sealed, zone, packets = stack.afresh().shown("db", "own", "sealed", "zone", "web-to-db")

    assert [shown[0][:2] for shown in (own, sealed, zone, packets)] == [("accepted", True)] * 4
    assert sealed[0][2] == "2 disks encrypted"
    assert own[1] == ("effective", None, "Amazon shows nobody the hosts of its machines")


def test_what_the_emulator_drops_without_a_word_is_not_accepted(stack):
    alone, cores, hidden, apart = stack.afresh().shown("db", "alone", "cores", "hidden", "apart")

    assert alone[0] == ("accepted", False, "tenancy default instead of dedicated or host")
    assert ("accepted", False, "threads per core: nothing that EC2 tells instead of 1") in cores
    assert hidden[0] == ("accepted", False, "AMD SEV-SNP: nothing that EC2 tells instead of enabled")
    assert apart[0] == ("accepted", False, "in no placement group instead of one with the strategy spread")


def test_what_was_asked_of_ec2_for_all_that_is_in_the_policy_of_the_stack(stack, asked):
    allowed_here = allowed(policy(AwsProvider.resource_types, stack.part.graph))

    assert {"ec2:RunInstances", "ec2:CreateNatGateway", "ec2:AttachVolume"} <= asked() & allowed_here
    assert sorted(asked() - {"sts:GetCallerIdentity"} - allowed_here) == []


def test_a_machine_that_is_gone_is_told(stack):
    gone = replace(stack.made["machines/web/instance"], id="i-0123456789abcdef0")
    without = replace(stack, made={**stack.made, "machines/web/instance": gone})

    with pytest.raises(Exception, match="the machine 'web' is not there"):
        told(without)
    with pytest.raises(Exception, match="the machine 'web' is not there"):
        without.afresh().shown("web", "own")
