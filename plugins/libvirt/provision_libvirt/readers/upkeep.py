"""What a NIC needs beside its connections, and what it may claim to be: address resolution and errors.

ARP (RFC 826) carries addresses of its own, which no set of IP packets can tell. Neighbour discovery (RFC 4861) asks by
multicast, from addresses of one link. Errors (RFC 792, RFC 4443) belong to a connection without being of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from provision.packets.sets import Field, PacketSet, Prefix
from provision_libvirt.readers.contents import Content, Filters, Nic
from provision_libvirt.readers.rules import FRAMES, NUMBERS

_ELSEWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}  # for documentation (RFC 5737, RFC 3849): nobody's
_NODE, _ASKED = "fe80::1", "ff02::1:ff00:1"


@dataclass(frozen=True)
class Frame:
    """One packet as rules see it.

    Attributes:
        element: `arp`, `ip` or `ipv6`.
        source: its address; of ARP, the one that is claimed; None: one that no rule names.
        destination: its address.
        protocol: number.
        kind: ICMP type.
        state: of the connection; `UNTRACKED` for neighbour discovery, which the kernel does not follow.
        own: whether it comes from the NIC's hardware address.
        claimed: of ARP, whether it claims that hardware address too.
    """

    element: str
    source: str | None = None
    destination: str | None = None
    protocol: int = 0
    kind: int = 0
    state: str = "UNTRACKED"
    own: bool = True
    claimed: bool = True


def _discovery(source: str) -> tuple[Frame, Frame]:
    return (
        Frame("ipv6", source, _ASKED, 58, 135),
        Frame("ipv6", source, _NODE, 58, 136),
    )


def _errors(family: int, kind: int) -> Frame:
    element, number = ("ip", 1) if family == 4 else ("ipv6", 58)
    return Frame(element, _ELSEWHERE[family], _ELSEWHERE[family], number, kind, "RELATED")


@dataclass
class Upkeep:
    """Looks at the NICs of one graph."""

    filters: Filters

    def lame(self, field: Field) -> PacketSet:
        """Packets from, or to, addresses whose NIC cannot hold a connection, whatever other rules say."""
        return self.filters.request.space.prefixes(field, self._lame)

    @cached_property
    def _lame(self) -> tuple[Prefix, ...]:
        found: list[Prefix] = []
        for nic in self.filters.nics:
            if nic.reached:
                key = ("lame", nic.number, self.filters.standing(nic), *(self._gateway(nic, one) for one in (4, 6)))
                if key not in self.filters.kept:
                    self.filters.kept[key] = [one for one in nic.own if self._missing(nic, one)]
                found += self.filters.kept[key]
        return tuple(found)

    def why(self, address: Any) -> str:
        """What the NIC with an address lacks, empty when it lacks nothing."""
        for nic in self.filters.nics:
            for prefix in nic.own:
                if nic.reached and address in prefix and (missing := self._missing(nic, prefix)):
                    return f"{nic.machine} {missing}"
        return ""

    def claimed(self) -> PacketSet:
        """Addresses that NICs may claim in ARP though they are not theirs: from the NIC's own to the one claimed."""
        found = []
        for nic in self.filters.nics:
            if not nic.reached:
                continue
            key = ("claimed", nic.number, self.filters.standing(nic))
            if key not in self.filters.kept:
                self.filters.kept[key] = self._claimed(nic)
            if self.filters.kept[key]:
                found.append(self.filters.kept[key])
        return self.filters.request.space.union(found)

    def _claimed(self, nic: Nic) -> PacketSet:
        space = self.filters.request.space
        own = next((str(one.network_address) for one in nic.own if one.version == 4), None)
        rules = list(self._rules(nic, True, "out", "arp"))
        named = {rule.get("attributes", {}).get("arpsrcipaddr") for rule in rules} | {own}
        found = space.none
        for source in (None, *sorted(one for one in named if one is not None)):
            frames = [Frame("arp", source, own=mac, claimed=told) for mac in (True, False) for told in (True, False)]
            wrong = frames[1:] if source is not None and source == own else frames
            if any(self._passes(rules, frame) for frame in wrong):
                others = space.prefixes(Field.DESTINATION, [ip_network(one) for one in sorted(named - {None})])  # type: ignore[type-var,arg-type]
                whom = (
                    space.family(4) - others
                    if source is None
                    else space.prefixes(Field.DESTINATION, [ip_network(source)])
                )
                found |= whom & (space.prefixes(Field.SOURCE, [ip_network(own)]) if own else space.all)
        return found

    def _missing(self, nic: Nic, prefix: Any) -> str:
        """What is stopped that the NIC needs, in words; empty when all that it needs passes."""
        key = ("missing", str(prefix), self.filters.standing(nic), self._gateway(nic, prefix.version))
        if key not in self.filters.kept:
            self.filters.kept[key] = next(self._lacks(nic, prefix), "")
        found: str = self.filters.kept[key]
        return found

    def _lacks(self, nic: Nic, prefix: Any) -> Iterator[str]:
        own, family = str(prefix.network_address), prefix.version
        needs: list[tuple[str, bool, str, Frame]] = []
        if family == 4:
            arp = Frame("arp", own)
            needs += [("may not say who it is in ARP", True, "out", arp),
                      ("hears no ARP", True, "in", Frame("arp", own=False, claimed=False))]  # fmt: skip
        else:
            for frames in (True, False):
                needs += [("may not take part in neighbour discovery", frames, "out", one) for one in _discovery(_NODE)]
                needs += [("hears no neighbour discovery", frames, "in", _heard(one)) for one in _discovery(_NODE)]
        error = _errors(family, 3 if family == 4 else 1)
        needs += [("may not tell errors", False, "out", error), ("hears no errors", False, "in", _heard(error))]
        router = self._gateway(nic, family)
        for kind in () if router is None else (3,) if family == 4 else (1, 2, 3, 4):
            said = Frame(error.element, router, own, error.protocol, kind, own=False)
            needs.append(("hears no errors of its router", True, "in", said))
        for what, frames, way, frame in needs:
            if not self._passes(list(self._rules(nic, frames, way, frame.element)), frame):
                yield what

    def _gateway(self, nic: Nic, family: int) -> str | None:
        """The hypervisor's address on the NIC's network, when packets leave the network by it."""
        own = self._routers.get(nic.native.get("network") and getattr(nic.native["network"], "node", None), {})
        return own.get(family)

    @cached_property
    def _routers(self) -> Mapping[Any, Mapping[int, str]]:
        return {
            node.name: {
                family: node.inputs[key]["address"]
                for family, key in ((4, "ipv4"), (6, "ipv6"))
                if node.inputs.get(key) is not None
            }
            for node in self.filters.nodes.values()
            if node.type.token == "network:Network" and node.inputs.get("mode") != "isolated"
        }

    def _rules(self, nic: Nic, frames: bool, way: str, element: str) -> Iterator[Mapping[str, Any]]:
        """Rules of a layer and way that may match a packet of `element`."""
        for name in nic.reached:
            content = self.filters.contents[name]
            key = ("chosen", content.number, frames, way, element)
            if key not in self.filters.kept:
                self.filters.kept[key] = _chosen(content, frames, way, element)
            yield from self.filters.kept[key]

    def _passes(self, rules: Sequence[Mapping[str, Any]], frame: Frame) -> bool:
        """Whether rules let a packet pass: the first that matches decides, and of one priority a drop."""
        best = None
        for rule in rules:
            rank = (rule.get("priority", 500), rule["action"] != "drop")
            if (best is None or rank < best) and _matches(rule, frame):
                best = rank
        return best is None or best[1]


def _heard(frame: Frame) -> Frame:
    return Frame(frame.element, frame.source, frame.destination, frame.protocol, frame.kind, frame.state, own=False)


def _chosen(content: Content, frames: bool, way: str, element: str) -> tuple[Mapping[str, Any], ...]:
    six = element == "ipv6"
    return tuple(
        rule
        for rule in content.rules
        if rule["direction"] in (way, "inout")
        and (rule["protocol"] in FRAMES) is frames
        and (rule["protocol"] in (element, "mac") if frames else ("6" in rule["protocol"]) is six and _beside(rule))
        and (
            frames or rule["direction"] != "inout" or "type" not in rule.get("attributes", {})
        )  # libvirt leaves it out
    )


def _beside(rule: Mapping[str, Any]) -> bool:
    """Whether a rule that follows connections may match a packet that is of none.

    Libvirt has others look at connections, and at first packets and further ones alone.
    """
    looks = rule["action"] == "accept" and rule.get("statematch", True) and "state" not in rule.get("attributes", {})
    return not looks and rule["protocol"].removesuffix("-ipv6") in ("all", "icmp", "icmpv6")


def _matches(rule: Mapping[str, Any], frame: Frame) -> bool:
    attributes = dict(rule.get("attributes", {}))
    negated = attributes.pop("match", "yes") == "no"
    element = rule["protocol"].removesuffix("-ipv6")
    if rule["protocol"] not in FRAMES:
        if element != "all" and NUMBERS[element] != frame.protocol:
            return False
        wanted = attributes.pop("state", None)
        if wanted is not None and frame.state not in wanted.split(","):
            return False
    return all(_holds(name, value, attributes, frame) for name, value in attributes.items()) is not negated


_address, _network = lru_cache(1 << 14)(ip_address), lru_cache(1 << 14)(ip_network)


def _holds(name: str, value: str, attributes: Mapping[str, str], frame: Frame) -> bool:
    match name:
        case "srcmacaddr":
            return frame.own
        case "arpsrcmacaddr":
            return frame.claimed
        case "arpsrcipaddr":
            return frame.source == value
        case "srcipaddr" | "dstipaddr":
            side = name.removesuffix("ipaddr")
            address = frame.source if side == "src" else frame.destination
            mask = attributes.get(f"{side}ipmask", "128" if ":" in value else "32")
            return address is not None and _address(address) in _network(f"{value}/{mask}", strict=False)
        case "protocol":
            return (int(value) if value.isdigit() else NUMBERS[value]) == frame.protocol
        case "type":
            return int(value) <= frame.kind <= int(attributes.get("typeend", value))
        case "code":
            return value == "0"
        case "srcipmask" | "dstipmask" | "typeend":
            return True
        case _:
            return False  # ports and ranges: of none of these packets
