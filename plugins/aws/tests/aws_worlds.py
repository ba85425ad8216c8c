"""Random small networks on EC2, told as a graph and as an account, and what EC2 would do with one packet of them.

`passes` looks at one packet at a time, by the words of the VPC User Guide, and shares nothing with the readers.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from aws_graphs import Graphs
from hypothesis import strategies as st

GROUPS = ("red", "green", "blue")
MACHINES = {"one": ("front", 10), "two": ("front", 20), "three": ("back", 10)}
ADDRESSES = {name: f"10.0.{1 if subnet == 'front' else 2}.{last}" for name, (subnet, last) in MACHINES.items()}
FAR = ("198.51.100.7", "203.0.113.9")
CIDRS = ("0.0.0.0/0", "10.0.0.0/16", "10.0.1.0/28", "10.0.2.10/32", "198.51.100.0/24", "128.0.0.0/1")
PORTS = (21, 22, 23, 80, 81, 40000)
PACKETS = [
    (one, other, protocol, 40000, port)
    for one in (*ADDRESSES.values(), *FAR)
    for other in (*ADDRESSES.values(), *FAR)
    for protocol, ports in ((6, PORTS), (17, (22, 80)), (1, (8 << 8, 8 << 8 | 1, 13 << 8)), (47, (0,)))
    for port in ports
    if one != other and (one in ADDRESSES.values() or other in ADDRESSES.values())
]
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "47": 47}

_traffic = st.one_of(
    st.just(("-1", None, None)),
    st.just(("47", None, None)),
    st.tuples(st.sampled_from(["tcp", "udp"]), st.sampled_from([0, 22, 80]), st.sampled_from([80, 81, 65535])),
    st.sampled_from([("icmp", -1, -1), ("icmp", 8, -1), ("icmp", 8, 0), ("icmp", 0, -1)]),
)
_peers = st.one_of(st.sampled_from([("group", name) for name in GROUPS]), st.sampled_from([("cidr", c) for c in CIDRS]))
_WAYS = ("ingress", "egress")
_rules = st.tuples(st.sampled_from(GROUPS), st.sampled_from(_WAYS), _traffic, _peers)
_entries = st.tuples(st.booleans(), st.booleans(), _traffic, st.sampled_from(CIDRS))
_routes = st.sampled_from([None, "internet", "nat"])


@dataclass
class World:
    rules: list
    groups: dict
    public: dict
    checked: dict
    routes: dict
    destination: str
    acls: dict = field(default_factory=dict)

    def subnet(self, name):
        return MACHINES[name][0]


@st.composite
def worlds(draw, acls=False):
    everything = [(out, True, ("-1", None, None), "0.0.0.0/0") for out in (True, False)]
    rest = st.sampled_from([[], everything, everything[:1], everything[1:]])
    entries = st.one_of(st.none(), st.builds(list.__add__, st.lists(_entries, max_size=3), rest))
    open_ = [(group, way, ("-1", None, None), ("cidr", "0.0.0.0/0")) for group in GROUPS for way in _WAYS]
    return World(
        draw(st.lists(_rules, max_size=8)) + draw(st.lists(st.sampled_from(open_), max_size=4, unique=True)),
        {name: draw(st.sets(st.sampled_from(GROUPS), min_size=1)) for name in MACHINES},
        {name: draw(st.booleans()) for name in MACHINES},
        {name: draw(st.booleans()) for name in MACHINES},
        {"front": draw(st.sampled_from([None, "internet"])), "back": draw(_routes)},
        draw(st.sampled_from(["0.0.0.0/0", "198.51.100.0/24"])),
        {name: draw(entries) if acls else None for name in ("front", "back")},
    )


# --- one packet at a time


def passes(world, packet):
    """Whether its first packet gets there, and whether the answers come back."""
    source, destination, protocol, from_port, port = packet
    first = _groups(world, source, "egress", packet) and _groups(world, destination, "ingress", packet)
    first = first and _way(world, packet) and _crosses(world, packet)
    if protocol == 1:
        answer = {8 << 8: 0, 8 << 8 | 1: 1, 13 << 8: 14 << 8}[port]
        back = (destination, source, 1, 0, answer)
    else:
        back = (destination, source, protocol, port, from_port)
    return first, first and _crosses(world, back)


def _machine(address):
    return next((name for name, own in ADDRESSES.items() if own == address), None)


def _groups(world, address, direction, packet):
    name = _machine(address)
    if name is None:
        return True
    other = packet[1] if direction == "egress" else packet[0]
    for group, way, traffic, (kind, peer) in world.rules:
        if group not in world.groups[name] or way != direction or not _meant(traffic, packet):
            continue
        if kind == "cidr" and ip_address(other) in ip_network(peer):
            return True
        if kind == "group" and _machine(other) and peer in world.groups[_machine(other)]:
            return True
    return False


def _meant(traffic, packet):
    protocol, first, last = traffic
    _, _, number, _, port = packet
    if protocol == "-1":
        return True
    if _PROTOCOLS[protocol] != number:
        return False
    if protocol == "icmp":
        return first in (-1, port >> 8) and last in (-1, port & 255)
    return first is None or first <= port <= last


def _way(world, packet):
    source, destination, protocol, *_ = packet
    one, other = _machine(source), _machine(destination)
    if one and other:
        return True
    name, far = (one, destination) if one else (other, source)
    target = world.routes[world.subnet(name)]
    if target is None or ip_address(far) not in ip_network(world.destination):
        return False
    if target == "internet":
        return True
    return one is not None and world.routes["front"] == "internet" and protocol in (6, 17, 1)


def _crosses(world, packet):
    source, destination, *_ = packet
    here, there = ((world.subnet(_machine(one)) if _machine(one) else None) for one in (source, destination))
    if here == there:
        return True
    return _acl(world, here, True, destination, packet) and _acl(world, there, False, source, packet)


def _acl(world, subnet, egress, far, packet):
    entries = world.acls.get(subnet) if subnet else None
    if entries is None:
        return True
    for out, allow, traffic, cidr in entries:
        if out == egress and ip_address(far) in ip_network(cidr) and _meant(traffic, packet):
            return allow
    return False


# --- the same, told


def as_graph(world):
    graphs = Graphs()
    groups = {name: graphs.group(name) for name in GROUPS}
    for group, direction, (protocol, first, last), (kind, peer) in world.rules:
        peer = {kind: groups[peer] if kind == "group" else peer}
        graphs.rule(groups[group], direction, protocol, first, last, **peer)
    for name, (subnet, last) in MACHINES.items():
        own = [groups[group] for group in sorted(world.groups[name])]
        more = {"associate_public_ip_address": world.public[name], "source_dest_check": world.checked[name]}
        graphs.machine(name, subnet, last, own, **more)
    for subnet, target in world.routes.items():
        if target is not None:
            graphs.table(subnet, **{target: world.destination})
    return graphs


class Account:
    """The same as EC2's describing calls tell it; stands for a session and its reader."""

    def __init__(self, world):
        self.found = {
            "Instances": [self._instance(world, name) for name in MACHINES],
            "SecurityGroupRules": [self._rule(number, *rule) for number, rule in enumerate(world.rules)],
            "NetworkInterfaces": [],
            "Subnets": [
                {"SubnetId": name, "VpcId": "vpc-1", "CidrBlock": f"10.0.{number}.0/24"}
                for number, name in enumerate(("front", "back"), 1)
            ],
            "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}],
            "RouteTables": [self._table(world, name) for name in ("front", "back")],
            "NatGateways": [{"NatGatewayId": "nat-1", "SubnetId": "front", "VpcId": "vpc-1", "State": "available"}],
            "NetworkAcls": [self._acl(world, name) for name in ("front", "back")],
        }
        self.reader = self

    def all(self, kind, filters):
        (asked,) = filters
        names = {"instance-id": "InstanceId", "group-id": "GroupId", "subnet-id": "SubnetId", "vpc-id": "VpcId"}
        return [one for one in self.found[kind.answer] if one.get(names[asked["Name"]], "vpc-1") in asked["Values"]]

    def _instance(self, world, name):
        nic = {
            "NetworkInterfaceId": f"eni-{name}",
            "SubnetId": world.subnet(name),
            "PrivateIpAddress": ADDRESSES[name],
            "Groups": [{"GroupId": group} for group in sorted(world.groups[name])],
            "SourceDestCheck": world.checked[name],
            "Attachment": {"DeviceIndex": 0},
        }
        if world.public[name]:
            nic["Association"] = {"PublicIp": "192.0.2.1"}
        return {
            "InstanceId": f"i-{name}",
            "NetworkInterfaces": [nic],
            "MetadataOptions": {"HttpEndpoint": "disabled"},
            "State": {"Name": "running"},
        }

    def _rule(self, number, group, direction, traffic, peer):
        protocol, first, last = traffic
        kind, value = peer
        rule = {
            "SecurityGroupRuleId": f"sgr-{number}",
            "GroupId": group,
            "IsEgress": direction == "egress",
            "IpProtocol": protocol,
            "FromPort": -1 if first is None else first,
            "ToPort": -1 if last is None else last,
        }
        return rule | ({"CidrIpv4": value} if kind == "cidr" else {"ReferencedGroupInfo": {"GroupId": value}})

    def _table(self, world, subnet):
        target = {"internet": {"GatewayId": "igw-1"}, "nat": {"NatGatewayId": "nat-1"}}.get(world.routes[subnet])
        routes = [{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}]
        if target:
            routes.append({"DestinationCidrBlock": world.destination, "State": "active", **target})
        return {"VpcId": "vpc-1", "Routes": routes, "Associations": [{"SubnetId": subnet, "Main": False}]}

    def _acl(self, world, subnet):
        entries = world.acls.get(subnet)
        told = [(number, *entry) for number, entry in enumerate(entries or (), 100)]
        if entries is None:
            told = [(100, egress, True, ("-1", None, None), "0.0.0.0/0") for egress in (True, False)]
        told += [(32767, egress, False, ("-1", None, None), "0.0.0.0/0") for egress in (True, False)]
        return {
            "NetworkAclId": f"acl-{subnet}",
            "Associations": [{"SubnetId": subnet}],
            "Entries": [self._entry(*entry) for entry in told],
        }

    def _entry(self, number, egress, allow, traffic, cidr):
        protocol, first, last = traffic
        entry = {
            "RuleNumber": number,
            "Egress": egress,
            "RuleAction": "allow" if allow else "deny",
            "Protocol": str(_PROTOCOLS.get(protocol, protocol)),
            "CidrBlock": cidr,
        }
        if protocol == "icmp":
            entry["IcmpTypeCode"] = {"Type": first, "Code": last}
        elif first is not None:
            entry["PortRange"] = {"From": first, "To": last}
        return entry
