"""What libvirt makes of packet filters, from its documented format and the kernel rules that it was seen to make.

Knows nothing of how the filters were translated: it takes native filters and says what becomes of one packet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from ipaddress import ip_address, ip_network
from typing import Any

from provision.spi import Output, ResourceGraph

_NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "igmp": 2, "esp": 50, "ah": 51, "sctp": 132, "udplite": 136}
_LAYER2 = {"mac", "arp", "ip", "ipv6"}


@dataclass(frozen=True)
class Packet:
    family: int
    src: str
    dst: str
    protocol: int
    sport: int = 0
    dport: int = 0
    kind: int = 0
    mac: str = ""
    state: str = "NEW"
    direction: str = "ORIGINAL"

    def answer(self) -> "Packet":
        kinds = {8: 0, 128: 129}
        return replace(
            self, src=self.dst, dst=self.src, sport=self.dport, dport=self.sport, mac="",
            kind=kinds.get(self.kind, self.kind), state="ESTABLISHED", direction="REPLY",
        )  # fmt: skip


@dataclass(frozen=True)
class Nic:
    """A NIC and its rules, all references followed."""

    mac: str
    rules: tuple[Mapping[str, Any], ...]
    isolated: bool = False

    @cached_property
    def framed(self) -> Mapping[int, list[Mapping[str, Any]]]:
        """The rules for frames that are of use to a packet, by its family."""
        usual = [rule for rule in self.rules if rule["protocol"] in _LAYER2]
        return {
            family: [rule for rule in usual if rule["protocol"] in ("mac", "ip" if family == 4 else "ipv6")]
            for family in (4, 6)
        }

    @cached_property
    def _forwarding(self) -> list["_Forwarding"]:
        return [_Forwarding(rule) for rule in self.rules if rule["protocol"] not in _LAYER2]

    @cached_property
    def _forwarded(self) -> dict[tuple[int, int], list["_Forwarding"]]:
        return {}

    def forwarded(self, family: int, protocol: int) -> list["_Forwarding"]:
        """The rules for what is forwarded that are of use to such packets."""
        found = self._forwarded.get((family, protocol))
        if found is None:
            found = [rule for rule in self._forwarding if rule.family == family and rule.protocol in (None, protocol)]
            self._forwarded[family, protocol] = found
        return found


def nic_of(graph: ResourceGraph, domain: str, index: int) -> Nic:
    nodes = {node.name: node for node in graph.nodes}
    nic = nodes[domain].inputs["nics"][index]
    found = list(_flat(nodes, nic["filter"]))
    return Nic(nic["mac"], tuple(sorted(found, key=lambda rule: rule["priority"])), nic.get("isolated", False))


def _flat(nodes: Mapping[str, Any], name: Output) -> Iterator[Mapping[str, Any]]:
    inputs = nodes[name.node].inputs
    yield from inputs.get("rules", ())
    for reference in inputs.get("references", ()):
        yield from _flat(nodes, reference["filter"])


def frame_passes(nic: Nic, packet: Packet, way: str) -> bool:
    """ebtables on the NIC: `out` is what the guest sends, `in` what it is sent."""
    for rule in nic.framed[packet.family]:
        if rule["direction"] in (way, "inout") and _frame_matches(nic, rule, packet):
            return bool(rule["action"] == "accept")
    return True


def _frame_matches(nic: Nic, rule: Mapping[str, Any], packet: Packet) -> bool:
    element, attributes = rule["protocol"], rule.get("attributes", {})
    if element == "mac":
        return not attributes
    tests = []
    if "srcmacaddr" in attributes:
        tests.append(packet.mac == attributes["srcmacaddr"].replace("$MAC", nic.mac))
    if "protocol" in attributes:
        named = attributes["protocol"]
        tests.append(packet.protocol == (int(named) if named.isdigit() else _NUMBERS[named]))
    tests += _addresses(attributes, packet) + _ports(attributes, packet)
    if "type" in attributes:
        last = int(attributes.get("typeend", attributes["type"]))
        tests.append(int(attributes["type"]) <= packet.kind <= last)
    matched = all(tests)
    return not matched if attributes.get("match") == "no" else matched


class _Forwarding:
    """A rule for what is forwarded, read once."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        element: str = rule["protocol"]
        name = element.removesuffix("-ipv6")
        self.family = 6 if element.endswith("-ipv6") or element == "icmpv6" else 4
        self.protocol = None if name == "all" else _NUMBERS[name]
        self.direction = rule["direction"]
        self.accepts = bool(rule["action"] == "accept")
        self.state_match = rule.get("statematch", True)
        self.attributes = dict(rule.get("attributes", {}))
        self.negated = self.attributes.pop("match", "yes") == "no"
        wanted = self.attributes.pop("state", None)
        self.states = None if wanted is None else wanted.split(",")
        self.typed = "type" in self.attributes

    def matches(self, packet: Packet, way: str) -> bool:
        own_way = self.direction in (way, "inout")
        if self.typed and self.direction == "inout":
            return False  # libvirt leaves these rules out
        if self.states is not None or self.typed:
            if not own_way or (self.states is not None and packet.state not in self.states):
                return False
            if self.states is None and self.state_match and packet.state not in ("NEW", "ESTABLISHED"):
                return False
            shown = packet
        else:
            shown = packet if own_way else _mirrored(packet)
            if self.accepts and self.state_match:
                if own_way and self.direction != "inout" and packet.direction != "ORIGINAL":
                    return False
                if not own_way and packet.direction != "REPLY":
                    return False
                if packet.state == "RELATED":
                    return False
        tests = _addresses(self.attributes, shown) + _ports(self.attributes, shown)
        if self.typed:
            tests.append(packet.kind == int(self.attributes["type"]))
        return not all(tests) if self.negated else all(tests)


def forward_passes(nic: Nic, packet: Packet, way: str) -> bool:
    """iptables on the NIC, for what is forwarded (or, with `out`, goes to the hypervisor)."""
    for rule in nic.forwarded(packet.family, packet.protocol):
        if rule.matches(packet, way):
            return rule.accepts
    return True


def _mirrored(packet: Packet) -> Packet:
    return replace(packet, src=packet.dst, dst=packet.src, sport=packet.dport, dport=packet.sport)


def _addresses(attributes: Mapping[str, str], packet: Packet) -> list[bool]:
    found = []
    for side, address in (("src", packet.src), ("dst", packet.dst)):
        if f"{side}ipaddr" in attributes:
            mask = attributes.get(f"{side}ipmask", "32" if packet.family == 4 else "128")
            found.append(_within(address, f"{attributes[f'{side}ipaddr']}/{mask}"))
        if f"{side}ipfrom" in attributes:
            first, last = (ip_address(attributes[f"{side}{end}"]) for end in ("ipfrom", "ipto"))
            found.append(first <= ip_address(address) <= last)
    return found


@cache
def _within(address: str, prefix: str) -> bool:
    return ip_address(address) in ip_network(prefix)


def _ports(attributes: Mapping[str, str], packet: Packet) -> list[bool]:
    found = []
    for side, port in (("src", packet.sport), ("dst", packet.dport)):
        if f"{side}portstart" in attributes:
            first = int(attributes[f"{side}portstart"])
            found.append(first <= port <= int(attributes.get(f"{side}portend", first)))
    return found
