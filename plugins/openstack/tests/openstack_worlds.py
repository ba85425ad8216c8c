"""Random small networks in Neutron, told as a graph and as a cloud, and what Neutron would do with one packet of them.

`passes` looks at one packet at a time, by the words of the Networking guide, and shares nothing with the readers.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st
from provision_openstack.config import OpenStackConfig
from provision_openstack.resources import (
    AddressGroup,
    FloatingIp,
    Network,
    Port,
    Router,
    RouterInterface,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    Subnet,
)

from provision.spi import Capabilities, DeployedMachine, GraphBuilder, NativeState, NicAddress, Output, RulesRequest

GROUPS = ("red", "green", "blue")
MACHINES = {"one": ("front", 10), "two": ("front", 20), "three": ("back", 10)}
RANGES = {"front": ("10.0.1.0/24", "fd00:0:0:1::/64"), "back": ("10.0.2.0/24", "fd00:0:0:2::/64")}
OWN = {
    name: (str(ip_network(RANGES[net][0])[last]), str(ip_network(RANGES[net][1])[last]))
    for name, (net, last) in MACHINES.items()
}
FAR = {4: ("198.51.100.7", "169.254.169.254"), 6: ("2001:db8::7",)}
CIDRS = {4: ("0.0.0.0/0", "10.0.1.0/28", "10.0.2.10/32", "198.51.100.0/24"), 6: ("::/0", "fd00::/48", "2001:db8::/32")}
PAIRS = ("10.0.1.10/32", "10.0.1.99/32", "198.51.100.7/32")
_NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "47": 47}


def _packets(family):
    here = [own[family == 6] for own in OWN.values()]
    icmp = (1, (8 << 8, 8 << 8 | 1, 13 << 8)) if family == 4 else (58, (128 << 8,))
    for one in (*here, *FAR[family]):
        for other in (*here, *FAR[family]):
            if one != other and (one in here or other in here):
                for protocol, ports in ((6, (21, 22, 80, 81)), (17, (22,)), icmp, (47, (0,))):
                    yield from ((one, other, protocol, 40000, port) for port in ports)


PACKETS = [*_packets(4), *_packets(6)]

_ported = st.tuples(st.sampled_from(["tcp", "udp"]), st.sampled_from([0, 22, 40000]), st.sampled_from([40000, 65535]))
_few = st.tuples(st.just("tcp"), st.sampled_from([0, 22, 80]), st.just(80))
_traffic = {
    4: st.one_of(
        st.sampled_from([(None, None, None), ("47", None, None), ("tcp", None, None)]),
        _ported,
        _few,
        st.sampled_from([("icmp", None, None), ("icmp", 8, None), ("icmp", 8, 0), ("icmp", 0, None)]),
    ),
    6: st.one_of(st.sampled_from([(None, None, None), ("ipv6-icmp", None, None), ("icmp", 128, 0)]), _ported, _few),
}


@st.composite
def _rules(draw):
    family = draw(st.sampled_from([4, 4, 6]))
    peers = [("all", None), *(("group", name) for name in GROUPS), *(("cidr", one) for one in CIDRS[family])]
    peer = draw(st.one_of(st.sampled_from(peers), st.just(("set", CIDRS[family][1:]))))
    return (
        draw(st.sampled_from(GROUPS)),
        draw(st.sampled_from(["ingress", "egress"])),
        family,
        draw(_traffic[family]),
        peer,
    )


@dataclass
class World:
    """What there is.

    Attributes:
        rules: group, direction, IP version, traffic, peer.
        groups: of each machine; None without port security.
        pairs: by machine, ranges that it may use beside its own addresses.
        stateless: groups.
        joined: networks that the router is on.
        gateway: whether it has one.
        hides: whether it hides machines.
        public: machines with a floating IP address.
    """

    rules: list
    groups: dict
    pairs: dict = field(default_factory=dict)
    stateless: set = field(default_factory=set)
    joined: tuple = ("front", "back")
    gateway: bool = True
    hides: bool = False
    public: set = field(default_factory=set)


OPEN = [
    (group, way, family, (None, None, None), ("all", None))
    for group in GROUPS
    for way in ("ingress", "egress")
    for family in (4, 6)
]


@st.composite
def worlds(draw):
    return World(
        draw(st.lists(_rules(), max_size=8)) + draw(st.lists(st.sampled_from(OPEN), max_size=4, unique=True)),
        {name: draw(st.one_of(st.sets(st.sampled_from(GROUPS)), st.none())) for name in MACHINES},
        {name: draw(st.lists(st.sampled_from(PAIRS), max_size=1)) for name in MACHINES},
        draw(st.sets(st.sampled_from(GROUPS), max_size=1)),
        draw(st.sampled_from([(), ("front",), ("front", "back")])),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sets(st.sampled_from(sorted(MACHINES)))),
    )


# --- one packet at a time


def passes(world, packet):
    """Whether its first packet gets there, were there a floating IP address; and whether a connection comes of it."""
    source, destination, *_ = packet
    first = _filtered(world, source, "egress", packet) and _filtered(world, destination, "ingress", packet)
    delivered = first and _way(world, packet, could=True)
    answered = all(_answered(world, one, way, packet) for one, way in ((source, "egress"), (destination, "ingress")))
    return delivered, delivered and _way(world, packet, could=False) and answered


def machine(address):
    return next((name for name, own in OWN.items() if address in own), None)


def _filtered(world, address, direction, packet, *, only=None):
    name = machine(address)
    if name is None or world.groups[name] is None:
        return True
    other = packet[1] if direction == "egress" else packet[0]
    return any(
        group in (world.groups[name] if only is None else only)
        and way == direction
        and family == ip_address(other).version
        and _meant(traffic, packet)
        and _peer(world, kind, value, other)
        for group, way, family, traffic, (kind, value) in world.rules
    )


def _peer(world, kind, value, other):
    if kind == "group":
        inside = [name for name, groups in world.groups.items() if groups is not None and value in groups]
        lent = [pair for name in inside for pair in world.pairs.get(name, ())]
        return machine(other) in inside or any(ip_address(other) in ip_network(pair) for pair in lent)
    ranges = {"all": ["0.0.0.0/0", "::/0"], "cidr": [value], "set": value}[kind]
    return any(ip_address(other) in ip_network(one) for one in ranges)


def _meant(traffic, packet):
    protocol, first, last = traffic
    _, destination, number, _, port = packet
    if protocol is None:
        return True
    if protocol == "icmp" and ip_address(destination).version == 6:
        protocol = "ipv6-icmp"
    if _NUMBERS[protocol] != number:
        return False
    if number in (1, 58):
        return first in (None, port >> 8) and last in (None, port & 255)
    return first is None or first <= port <= last


def _answered(world, address, direction, packet):
    name = machine(address)
    groups = None if name is None else world.groups[name]
    if groups is None or not groups & world.stateless:
        return True
    if _filtered(world, address, direction, packet, only=groups - world.stateless):
        return True
    source, destination, protocol, from_port, port = packet
    icmp = {8 << 8: 0, 8 << 8 | 1: 1, 13 << 8: 14 << 8, 128 << 8: 129 << 8}
    answer = icmp[port] if protocol in (1, 58) else 0 if protocol == 47 else from_port
    back = (destination, source, protocol, port, answer)
    return _filtered(world, address, "egress" if direction == "ingress" else "ingress", back)


def _way(world, packet, *, could):
    source, destination, *_ = packet
    one, other = machine(source), machine(destination)
    if one and other:
        nets = {MACHINES[one][0], MACHINES[other][0]}
        if len(nets) == 1 or nets <= set(world.joined):
            return True
        # Otherwise each is somewhere beyond for the other, as far as routers tell.
        return _leaves(world, one) or _enters(world, other, source, could=could)
    if one:
        return ip_address(destination).is_link_local or _leaves(world, one)
    return _enters(world, other, source, could=could)


def _leaves(world, name):
    return world.gateway and MACHINES[name][0] in world.joined


def _enters(world, name, source, *, could):
    if not _leaves(world, name):
        return False
    return could or ip_address(source).version == 6 or not world.hides or name in world.public


# --- the same, told


def addresses():
    """What the stack file gives the machines."""
    return {
        name: (NicAddress(MACHINES[name][0], f"02:00:00:00:00:{number:02x}", *OWN[name]),)
        for number, name in enumerate(MACHINES)
    }


def as_graph(world, space):
    made = GraphBuilder()
    groups = {
        name: made.add(SecurityGroup, name, {"name": name, "stateful": name not in world.stateless}) for name in GROUPS
    }
    for number, (group, direction, family, (protocol, first, last), (kind, value)) in enumerate(world.rules):
        remote = {}
        if kind == "group":
            remote = {"remote_group_id": groups[value].output("id")}
        elif kind == "cidr":
            remote = {"remote_ip_prefix": value}
        elif kind == "set":
            listed = made.add(AddressGroup, f"set-{number}", {"addresses": list(value)})
            remote = {"remote_address_group_id": listed.output("id")}
        inputs = {"security_group_id": groups[group].output("id"), "direction": direction, "ethertype": f"IPv{family}"}
        inputs |= {"protocol": protocol, "port_range_min": first, "port_range_max": last}
        made.add(SecurityGroupRule, f"rule-{number}", inputs | remote)
    external = {"external_network_id": "ext", "enable_snat": world.hides} if world.gateway else {}
    router = made.add(Router, "router", external)
    for name, ranges in RANGES.items():
        network = made.add(Network, f"networks/{name}", {})
        for family, cidr in zip((4, 6), ranges, strict=True):
            inputs = {"network_id": network.output("id"), "cidr": cidr}
            subnet = made.add(Subnet, f"networks/{name}/subnet-v{family}", inputs)
            if name in world.joined:
                ends = {"router_id": router.output("id"), "subnet_id": subnet.output("id")}
                made.add(RouterInterface, f"networks/{name}/router-v{family}", ends)
    for name, (given,) in addresses().items():
        secured = world.groups[name] is not None
        inputs = {
            "network_id": Output(f"networks/{given.network}", "id"),
            "fixed_ips": [{"ip_address": given.ipv4}, {"ip_address": given.ipv6}],
            "mac_address": given.mac,
            "port_security_enabled": secured,
        }
        if secured:
            inputs["security_group_ids"] = [groups[one].output("id") for one in sorted(world.groups[name])]
            inputs["allowed_address_pairs"] = [{"ip_address": one} for one in world.pairs.get(name, ())]
        port = made.add(Port, f"machines/{name}/nic-0/port", inputs)
        if name in world.public:
            made.add(FloatingIp, f"machines/{name}/public", {"floating_network_id": "x", "port_id": port.output("id")})
        made.add(Server, f"machines/{name}/server", {"nics": [{"port_id": port.output("id")}]})
    return RulesRequest(space, made.build(), addresses(), Capabilities("openstack"))


class Cloud:
    """The same as Neutron's API tells it; stands for a session and its reader."""

    def __init__(self, world):
        self.reader = self
        self.config = OpenStackConfig()
        self.asked = []
        self.found = {
            "ports": [*(self._port(world, name) for name in MACHINES), *self._interfaces(world)],
            "security_groups": [{"id": name, "stateful": name not in world.stateless} for name in GROUPS],
            "security_group_rules": [self._rule(number, *rule) for number, rule in enumerate(world.rules)],
            "address_groups": [
                {"id": f"set-{number}", "addresses": list(rule[-1][1])}
                for number, rule in enumerate(world.rules)
                if rule[-1][0] == "set"
            ],
            "subnets": [{"network_id": name, "cidr": cidr} for name, ranges in RANGES.items() for cidr in ranges],
            "routers": [
                {"id": "router", "external_gateway_info": {"enable_snat": world.hides} if world.gateway else None}
            ],
            "floatingips": [{"id": f"fip-{name}", "port_id": f"port-{name}"} for name in sorted(world.public)],
        }

    def all(self, kind, query):
        self.asked.append(kind.many)
        return [one for one in self.found[kind.many] if all(self._is(one, *pair) for pair in query.items())]

    def _is(self, one, name, values):
        there = one.get(name)
        return bool(set(there) & set(values)) if isinstance(there, list) else there in values

    def machines(self):
        """As the state has them."""
        inputs = {name: {"stack_id": "s", "nics": [{"port_id": f"port-{name}"}]} for name in MACHINES}
        return [
            DeployedMachine(name, (NativeState("compute:Server", name, f"id-{name}", {}, inputs[name]),))
            for name in MACHINES
        ]

    def _port(self, world, name):
        (given,) = addresses()[name]
        return {
            "id": f"port-{name}",
            "device_id": f"id-{name}",
            "network_id": given.network,
            "mac_address": given.mac,
            "fixed_ips": [{"ip_address": given.ipv4}, {"ip_address": given.ipv6}],
            "security_groups": sorted(world.groups[name] or ()),
            "port_security_enabled": world.groups[name] is not None,
            "allowed_address_pairs": [
                {"ip_address": one.removesuffix("/32"), "mac_address": given.mac}
                for one in world.pairs.get(name, ())
                if world.groups[name] is not None
            ],
        }

    def _interfaces(self, world):
        for name in world.joined:
            yield {
                "id": f"router-on-{name}",
                "device_id": "router",
                "device_owner": "network:router_interface",
                "network_id": name,
                "fixed_ips": [],
            }

    def _rule(self, number, group, direction, family, traffic, peer):
        protocol, first, last = traffic
        kind, value = peer
        return {
            "id": f"rule-{number}",
            "security_group_id": group,
            "direction": direction,
            "ethertype": f"IPv{family}",
            "protocol": protocol,
            "port_range_min": first,
            "port_range_max": last,
            "remote_ip_prefix": value if kind == "cidr" else None,
            "remote_group_id": value if kind == "group" else None,
            "remote_address_group_id": f"set-{number}" if kind == "set" else None,
            "description": "",
        }
