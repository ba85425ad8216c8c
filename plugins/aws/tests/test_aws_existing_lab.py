"""A stack in a VPC that somebody else made: looked at first, used, and left as it was."""

import time

import boto3
import pytest
from aws_deploy import deploy
from provision_aws import emulator
from provision_aws.conformance_hands import KEY
from provision_aws.provider import AwsProvider

from provision.packets.sets import PacketSpace
from provision.spi import DeleteRequest, Operation

pytestmark = pytest.mark.lab

FILE = """
version: 1
platform: aws
images: {{own: {{sources: {{aws: {{kind: named, name: {image}}}}}}}}}
networks:
  front: {{cidr: 10.20.1.0/24, internet: routed, existing: {{aws: {{subnets: [{subnet}]}}}}}}
  back: {{cidr: 10.20.2.0/24, existing: {{aws: {{vpc: {vpc}}}}}}}
machines:
  web:
    image: micro
    cpus: 2
    memory: 1GiB
    nics: [{{network: front, public: true, existing: {{aws: {{security_groups: [{group}]}}}}}}]
    overrides: {{aws: {{key_name: ops}}}}
  db:
    image: own
    memory: 1GiB
    size: {{aws: m3.large}}
    disks: {{data: {{size: {size}GiB, image: own}}}}
    nics: [{{network: back}}]
isolation:
  services: {{dns: true}}
  policies:
    in: {{kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443]}}
    data: {{kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432]}}
"""


def make(ec2):
    """What somebody has made by hand: a VPC with a way out, and a group without rules."""
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.1.0/24")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    group = ec2.create_security_group(GroupName="clients", Description="clients", VpcId=vpc)["GroupId"]
    listed = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[one["SecurityGroupRuleId"] for one in listed])
    ec2.import_key_pair(KeyName="ops", PublicKeyMaterial=KEY.encode())
    images = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"]
    image, snapshot, size = next(
        (one["ImageId"], disk["Ebs"]["SnapshotId"], disk["Ebs"]["VolumeSize"])
        for one in images
        for disk in one["BlockDeviceMappings"]
        if disk["DeviceName"] == one["RootDeviceName"] and "SnapshotId" in disk.get("Ebs", {})
    )
    return {"vpc": vpc, "subnet": subnet, "group": group, "image": image, "snapshot": snapshot, "size": size}


def told(ec2, names):
    """All that EC2 says of it."""
    return (
        ec2.describe_vpcs(VpcIds=[names["vpc"]])["Vpcs"],
        [_lasting(one) for one in ec2.describe_subnets(SubnetIds=[names["subnet"]])["Subnets"]],
        ec2.describe_security_groups(GroupIds=[names["group"]])["SecurityGroups"],
        ec2.describe_key_pairs(KeyNames=["ops"])["KeyPairs"],
    )


def _lasting(subnet):
    return {key: value for key, value in subnet.items() if key != "AvailableIpAddressCount"}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name: ami-", "name: ami-0", "there is no image ami-0"),
        ("m3.large", "m3.lrge", "there is no instance type 'm3.lrge' in the region eu-central-1"),
        ("m3.large", "m6g.large", "the type m6g.large of machine 'db' lacks the architecture x86_64"),
        ("GiB, image: own", "MiB, image: own", "GiB, and the disk 'data' of machine 'db' 1"),
    ],
)
def test_what_the_file_names_and_is_not_there_is_told_before_anything_is_made(
    server, between, tmp_path, old, new, reason
):
    ec2 = boto3.client("ec2", region_name=emulator.REGION, endpoint_url=server)
    ec2.describe_vpcs()
    text = FILE.format(**make(ec2))
    standing = emulator.standing(server)
    assert text.count(old) == 1

    with pytest.raises(AssertionError, match=reason):  # `deploy` tells what is wrong with a file so
        deploy({"region": emulator.REGION, "endpoint_url": server}, tmp_path, text.replace(old, new))

    assert emulator.standing(server) == standing


def test_a_stack_is_made_in_it_verified_and_taken_away(server, between, tmp_path):
    ec2 = boto3.client("ec2", region_name=emulator.REGION, endpoint_url=server)
    ec2.describe_vpcs()
    names = make(ec2)
    before, standing = told(ec2, names), emulator.standing(server)

    stack = deploy({"region": emulator.REGION, "endpoint_url": server}, tmp_path, FILE.format(**names))

    web = stack.machines["web"].native("ec2:NetworkInterface")
    live = ec2.describe_network_interfaces(NetworkInterfaceIds=[web.id])["NetworkInterfaces"][0]
    assert live["SubnetId"] == names["subnet"]
    assert names["group"] in [one["GroupId"] for one in live["Groups"]]
    instance = stack.machines["web"].native("ec2:Instance").id
    assert ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["KeyName"] == "ops"
    (disk,) = ec2.describe_volumes(VolumeIds=[stack.machines["db"].native("ec2:Volume").id])["Volumes"]
    assert (disk["SnapshotId"], disk["Size"], disk["Encrypted"]) == (names["snapshot"], names["size"], True)
    assert told(ec2, names) == before
    space = PacketSpace()
    readout = stack.live(space)
    planned = AwsProvider().read_rules(stack.rules(space))
    assert readout.unmodelled == planned.unmodelled == ()
    assert readout.connected == planned.connected

    for one in reversed(list(stack.made.values())):
        kind = next(kind for kind in AwsProvider.resource_types if kind.token == one.token)
        inputs = kind.Inputs.model_validate(one.inputs)
        outputs = kind.Outputs.model_validate(one.outputs)
        operation = Operation(urn=one.name, session=stack.session, wait=lambda seconds: bool(time.sleep(seconds)))
        kind().delete(DeleteRequest(operation, one.id, inputs, outputs))
    assert told(ec2, names) == before
    assert emulator.standing(server) == standing
