"""What somebody writes who has boto3 and an afternoon: machines in a subnet, each with an interface of its own.

The yardstick of aws_calls.py, and nothing of the project is imported.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_ANY = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
_WEB = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]


def tagged(kind: str, name: str) -> list[dict[str, Any]]:
    """Tags of an object."""
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, {"Key": "plain", "Value": "yes"}]}]


def make(ec2: Any, zone: str, image: str, addresses: list[str], threads: int) -> list[str]:
    """A VPC, a subnet, a group with two rules, and a machine with an interface for each address; their ids."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", "plain"))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.0.0.0/16", AvailabilityZone=zone, TagSpecifications=tagged("subnet", "plain")
    )["Subnet"]["SubnetId"]
    group = ec2.create_security_group(
        GroupName="plain", Description="plain", VpcId=vpc, TagSpecifications=tagged("security-group", "plain")
    )["GroupId"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=_ANY)
    rules = tagged("security-group-rule", "plain")
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=_WEB, TagSpecifications=rules)
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=_WEB, TagSpecifications=rules)

    def one(address: str) -> str:
        nic = ec2.create_network_interface(
            SubnetId=subnet,
            PrivateIpAddress=address,
            Groups=[group],
            TagSpecifications=tagged("network-interface", address),
        )["NetworkInterface"]["NetworkInterfaceId"]
        made = ec2.run_instances(
            ImageId=image,
            InstanceType="m5.large",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": nic}],
            MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1},
            TagSpecifications=tagged("instance", address),
        )
        return str(made["Instances"][0]["InstanceId"])

    with ThreadPoolExecutor(max_workers=threads) as pool:
        machines = list(pool.map(one, addresses))
    while not all(state == "running" for state in states(ec2, vpc)):
        time.sleep(1)
    return machines


def states(ec2: Any, vpc: str) -> list[str]:
    """How the machines of a VPC are, page by page."""
    found: list[str] = []
    more: dict[str, str] = {}
    while True:
        answer = ec2.describe_instances(Filters=[{"Name": "vpc-id", "Values": [vpc]}], MaxResults=1000, **more)
        found += [one["State"]["Name"] for kept in answer["Reservations"] for one in kept["Instances"]]
        if not answer.get("NextToken"):
            return found
        more = {"NextToken": answer["NextToken"]}
