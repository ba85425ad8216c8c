"""What is there already is referred to instead of being made, and held against the file before the first call."""

import copy

import pytest
from aws_planning import PROVIDER, SCOPE, planned, refused, warned

from provision.packets.sets import PacketSpace
from provision.spi import RulesRequest

OPEN_ACL = [[100, True, True, None, None, None, "0.0.0.0/0"], [100, False, True, None, None, None, "0.0.0.0/0"]]
THERE = {
    "vpcs": {
        "vpc-1": {
            "ranges": ["10.20.0.0/16"],
            "ranges6": [],
            "dns": True,
            "gateway": "igw-1",
            "groups": {"sg-8": "urn:a::groups/machine.web", "sg-9": "urn:a::groups/machine.db"},
            "subnets": {"subnet-1": ["10.20.1.0/24", ""], "subnet-9": ["10.20.9.0/24", ""]},
        }
    },
    "subnets": {
        "subnet-1": {
            "vpc": "vpc-1",
            "zone": "us-east-2b",
            "cidr": "10.20.1.0/24",
            "cidr6": "",
            "public": False,
            "ways": [[["0.0.0.0/0"], "INTERNET"]],
            "acl": OPEN_ACL,
            "unclear": [],
        }
    },
    "taken": {"subnet-1": {"10.20.1.77": ""}},
    "groups": {"sg-1": {"vpc": "vpc-1", "rules": 0}, "sg-2": {"vpc": "vpc-1", "rules": 1}},
    "keys": ["ops"],
}
FILE = """
networks:
  front: {cidr: 10.20.1.0/24, internet: routed, existing: {aws: {subnets: [subnet-1]}}}
  back: {cidr: 10.20.2.0/24, existing: {aws: {vpc: vpc-1}}}
machines:
  web: {image: micro, memory: 1GiB, nics: [{network: front, public: true, existing: {aws: {security_groups: [sg-1]}}}]}
  db: {image: micro, memory: 1GiB, nics: [{network: back}], overrides: {aws: {key_name: ops}}}
isolation:
  services: {dns: true}
  policies:
    in: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443]}
    data: {kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432]}
"""


def there(**changes):
    """What was found, with parts of it otherwise: `subnets__subnet-1__cidr=…`."""
    made = copy.deepcopy(THERE)
    for path, value in changes.items():
        *steps, last = [one.replace("_", "-") for one in path.split("__")]
        place = made
        for step in steps:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return made


def of_type(nodes, token):
    return sorted(name for name, node in nodes.items() if node.type.token == token)


def test_what_is_there_is_not_made_and_its_ids_stand_in_what_is():
    nodes = planned(FILE, existing=THERE)
    assert not of_type(nodes, "ec2:Vpc")
    assert not of_type(nodes, "ec2:InternetGateway")
    assert of_type(nodes, "ec2:Subnet") == ["networks/back/subnet"]
    assert nodes["networks/back/subnet"].inputs["vpc_id"] == "vpc-1"
    card = nodes["machines/web/nic-0"].inputs
    assert card["subnet_id"] == "subnet-1"
    assert [str(one) for one in card["security_group_ids"]][-1] == "sg-1"
    assert {node.inputs["vpc_id"] for name, node in nodes.items() if name.startswith("groups/") and "vpc_id" in
            node.inputs} == {"vpc-1"}  # fmt: skip
    asked = nodes["machines/web/instance"].inputs["requirements"]
    assert asked["availability_zone"] == "us-east-2b"


def test_the_graph_is_proven_with_what_was_seen_of_it():
    space = PacketSpace()
    graph, told, addresses = planned(FILE, existing=THERE, whole=True)
    read = PROVIDER.read_rules(RulesRequest(space, graph, addresses, told))
    assert read.unmodelled == ()
    graph, told, addresses = planned(FILE, existing=there(subnets__subnet_1__acl=OPEN_ACL[:1]), whole=True)
    closed = PROVIDER.read_rules(RulesRequest(space, graph, addresses, told))
    assert closed.connected <= read.connected
    assert not read.connected <= closed.connected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subnets__subnet_1": None}, "there is no subnet subnet-1 in the region"),
        ({"subnets__subnet_1__cidr": "10.20.1.0/25"}, "subnet-1 has the range 10.20.1.0/25, and the file says"),
        ({"subnets__subnet_1__ways": []}, "the way out of subnet-1 over IPv4 is none"),
        ({"subnets__subnet_1__vpc": "vpc-2"}, "it is in vpc-1, and other networks of the stack in vpc-2"),
        ({"vpcs__vpc_1": None}, "there is no VPC vpc-1 in the region"),
        ({"vpcs__vpc_1__dns": False}, "the name server of vpc-1 does not answer"),
        ({"vpcs__vpc_1__ranges": ["10.20.1.0/24"]}, "10.20.2.0/24 is not in vpc-1"),
        ({"vpcs__vpc_1__subnets": {"subnet-9": ["10.20.2.128/25", ""]}}, "overlaps with 10.20.2.128/25 of subnet-9"),
        ({"taken__subnet_1": {f"10.20.1.{last}": "" for last in range(4, 255)}}, "is somebody else's in subnet-1"),
        ({"groups__sg_1": None}, "there is no security group sg-1 in the region"),
        ({"groups__sg_1__rules": 1}, "sg-1 has 1 rules, by which more would pass than the file allows"),
        ({"groups__sg_1__vpc": "vpc-2"}, "sg-1 is of vpc-2"),
        ({"keys": []}, "there is no key pair 'ops' in the region"),
    ],
)
def test_what_does_not_agree_with_the_file_is_refused(changes, reason):
    said = refused(FILE, existing=there(**changes))
    assert any(reason in one for one in said), said


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (", existing: {aws: {vpc: vpc-1}}", "", "other networks of the stack are in a VPC that is there already"),
        ("{cidr: 10.20.2.0/24, ", "{cidr: 10.20.2.0/24, internet: nat, ", "the range where NAT gateways stand"),
        ("{cidr: 10.20.2.0/24, ", "{cidr: 10.20.2.0/24, cidr6: 'fd00:1::/64', ", "which /64 of the VPC is free"),
        ("front: {cidr: 10.20.1.0/24, ", "front: {cidr: 10.20.1.0/24, cidr6: 'fd00:2::/64', ", "subnet-1 has no IPv6"),
        ("subnets: [subnet-1]", "subnets: [subnet-1, subnet-1]", "`subnets` names one twice"),
        ("{vpc: vpc-1}", "{}", "name `subnets`, or the `vpc`"),
        ("{vpc: vpc-1}", "{network: lan}", "network: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_referred_to_is_refused(old, new, reason):
    assert FILE.count(old) == 1
    said = refused(FILE.replace(old, new), existing=THERE)
    assert any(reason in one for one in said), said


def test_addresses_of_the_stack_itself_are_not_in_the_way():
    own = f"urn:pulumi:{SCOPE.stack}::{SCOPE.project}::provision-aws:ec2:NetworkInterface::machines/web/nic-0"
    held = {f"10.20.1.{last}": own for last in range(4, 255)}
    assert "machines/web/instance" in planned(FILE, existing=there(taken__subnet_1=held))


def test_where_nobody_looked_the_file_is_believed():
    nodes = planned(FILE)
    assert nodes["machines/web/nic-0"].inputs["subnet_id"] == "subnet-1"


def test_a_group_of_others_counts_for_the_quota():
    limits = {"groups_per_interface": 1, "rules_per_group": 60}
    said = refused(FILE, existing=THERE, limits=limits)
    assert any("1 groups of the stack and 1 others, and the account allows 1" in one for one in said), said


def test_groups_that_interrupted_runs_left_are_told():
    twice = {"sg-8": "urn:a::groups/machine.web", "sg-9": "urn:a::groups/machine.web", "sg-7": "urn:a::groups/other"}
    said = warned(FILE, existing=there(vpcs__vpc_1__groups=twice))
    assert any(one.startswith("sg-8, sg-9 in vpc-1 are all marked as groups/machine.web") for one in said), said
    assert not any("sg-" in one for one in warned(FILE, existing=THERE))
