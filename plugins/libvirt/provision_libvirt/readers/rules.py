"""One rule of a packet filter as a set of connections.

Written from libvirt's description of its filters ("Network Filters") and the kernel rules that libvirt was seen to
make, without any code of the translation.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Any

from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix

NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "igmp": 2, "esp": 50, "ah": 51, "sctp": 132, "udplite": 136}
FRAMES = {"mac", "arp", "ip", "ipv6"}
ANSWERS = {4: {8: 0, 13: 14, 15: 16, 17: 18}, 6: {128: 129, 139: 140}}
_ATTRIBUTES = {
    *(f"{side}{part}" for side in ("src", "dst") for part in ("ipaddr", "ipmask", "portstart", "portend")),
    *(f"{side}{part}" for side in ("src", "dst") for part in ("ipfrom", "ipto")),
    "srcmacaddr", "arpsrcmacaddr", "arpsrcipaddr", "protocol", "type", "typeend", "code", "match", "state",
}  # fmt: skip
_OTHER = {"src": "dst", "dst": "src"}
_FIELDS = {"src": Field.SOURCE, "dst": Field.DESTINATION}
_PORTS = {"src": Field.SOURCE_PORT, "dst": Field.DESTINATION_PORT}


@lru_cache(1 << 16)
def _network(text: str) -> Prefix:
    return ip_network(text, strict=False)


@dataclass(frozen=True)
class Gate:
    """Where packets are looked at.

    Attributes:
        frames: which of the two layers.
        way: `out` for what the guest sends, `in` for what it gets.
        answer: whether the packet answers a connection; sets tell a connection by its first packet all the same.
        later: whether it is a further packet of the end that opened the connection.
        forged: whether it comes from another hardware address than the NIC's own.
    """

    frames: bool
    way: str
    answer: bool
    later: bool = False
    forged: bool = False

    @property
    def holder(self) -> Field:
        """Which end of the connection has the NIC: its opener sends the first packet and gets the answers."""
        return Field.SOURCE if (self.way == "out") is not self.answer else Field.DESTINATION


def not_understood(rule: Mapping[str, Any]) -> str | None:
    """What of a rule has no meaning here, None when all has."""
    element: str = rule["protocol"]
    base = element.removesuffix("-ipv6")
    attributes = rule.get("attributes", {})
    odd = sorted(set(attributes) - _ATTRIBUTES) or (sorted(attributes) if element == "mac" else [])
    if element not in FRAMES and base != "all" and base not in NUMBERS:
        return f"the element '{element}'"
    if odd:
        return f"the attribute '{odd[0]}'"
    if sum(f"{side}{part}" in attributes for side in ("src", "dst") for part in ("ipaddr", "ipfrom")) > 1 and any(
        key.endswith("ipfrom") for key in attributes
    ):
        return "a range beside another address"
    if any(attributes.get(f"{part}macaddr", "$MAC") != "$MAC" for part in ("src", "arpsrc")):
        return "another NIC's address"
    if element in FRAMES and "type" in attributes and attributes.get("protocol") not in ("icmpv6", "58"):
        return "a type of something that is no ICMP"
    if "RELATED" in attributes.get("state", "") and base not in ("icmp", "icmpv6"):
        return "what is related to a connection and no error"
    try:
        Shape.of(rule)
    except (KeyError, ValueError, TypeError):
        return "an address that is none"
    return None if rule["action"] in ("accept", "drop") else f"the action '{rule['action']}'"


@dataclass(frozen=True)
class Shape:
    """What rules have in common that differ in one address alone.

    Attributes:
        action: `accept` or `drop`.
        direction: `in`, `out` or `inout`.
        element: the protocol element.
        followed: whether connections are followed.
        side: of which end the address is (`src` or `dst`), empty when there is none.
        attributes: all others.
    """

    action: str
    direction: str
    element: str
    followed: bool
    side: str
    attributes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> "tuple[Shape, tuple[Prefix, ...]]":
        """The shape of a rule, and its address if it has one."""
        attributes = dict(rule.get("attributes", {}))
        ranged = next((side for side in ("src", "dst") if f"{side}ipfrom" in attributes), "")
        if ranged:
            first, last = (ip_address(attributes.pop(f"{ranged}{end}")) for end in ("ipfrom", "ipto"))
            found: tuple[Prefix, ...] = tuple(summarize_address_range(first, last))
            return cls._made(rule, ranged, attributes), found
        side = next((side for side in ("src", "dst") if f"{side}ipaddr" in attributes), "")
        address = attributes.pop(f"{side}ipaddr", "")
        if address:
            address += "/" + attributes.pop(f"{side}ipmask", "128" if ":" in address else "32")
        return cls._made(rule, side, attributes), (_network(address),) if address else ()

    @classmethod
    def _made(cls, rule: Mapping[str, Any], side: str, attributes: Mapping[str, str]) -> "Shape":
        return cls(
            rule["action"],
            rule["direction"],
            rule["protocol"],
            rule.get("statematch", True),
            side,
            tuple(sorted(attributes.items())),
        )

    @property
    def negated(self) -> bool:
        """Whether the rule matches what it does not describe."""
        return ("match", "no") in self.attributes


@dataclass(frozen=True)
class Matcher:
    """Makes sets of rules."""

    space: PacketSpace

    def match(self, gate: Gate, shape: Shape, prefixes: Sequence[Prefix]) -> PacketSet | None:
        """Connections whose packet at the gate such a rule matches with any of `prefixes`; None when it never does."""
        if gate.frames is not (shape.element in FRAMES):
            return None
        attributes = dict(shape.attributes)
        own_way = shape.direction in (gate.way, "inout")
        negated = attributes.pop("match", "yes") == "no"
        wanted = attributes.pop("state", None)
        if gate.frames:
            if not own_way:
                return None
            swapped = gate.answer
            if gate.forged and "srcmacaddr" in attributes:
                return self._family(shape.element) if negated else None
        else:
            state = "ESTABLISHED" if gate.answer or gate.later else "NEW"
            if "type" in attributes or wanted is not None:
                if not own_way or (shape.direction == "inout" and "type" in attributes):
                    return None  # libvirt leaves typed rules out when their direction is `inout`
                if wanted is not None and state not in wanted.split(","):
                    return None
            elif shape.action == "accept" and shape.followed:
                # Turned into "new and established, of the first packet's way" and "established, of the answers' way".
                first = own_way and shape.direction != "inout"
                if (first and gate.answer) or (not own_way and not gate.answer):
                    return None
            # A rule of the other direction is applied to the packet with its ends exchanged.
            swapped = gate.answer is own_way
        made = self._element(shape.element)
        if made is None:
            return None
        if shape.side:
            where = _OTHER[shape.side] if swapped else shape.side
            made &= self.space.prefixes(_FIELDS[where], prefixes)
        made &= self._rest(attributes, swapped, gate.answer, 6 if "6" in shape.element else 4)
        return self._family(shape.element) - made if negated else made

    def _family(self, element: str) -> PacketSet:
        if element == "mac":
            return self.space.all
        return self.space.family(6 if element.endswith("v6") else 4)

    def _element(self, element: str) -> PacketSet | None:
        if element == "arp":
            return None
        found = self._family(element)
        name = element.removesuffix("-ipv6")
        return found if element in FRAMES or name == "all" else found & self.space.protocol(NUMBERS[name])

    def _rest(self, attributes: Mapping[str, str], swapped: bool, answer: bool, family: int) -> PacketSet:
        space = self.space
        found = space.all
        if "protocol" in attributes:
            named = attributes["protocol"]
            found &= space.protocol(int(named) if named.isdigit() else NUMBERS[named])
        for side in ("src", "dst"):
            where = _OTHER[side] if swapped else side
            if f"{side}ipaddr" in attributes:  # the second address of a rule with two
                mask = attributes.get(f"{side}ipmask", "128" if family == 6 else "32")
                prefix = ip_network(f"{attributes[f'{side}ipaddr']}/{mask}", strict=False)
                found &= space.prefixes(_FIELDS[where], [prefix])
            if f"{side}portstart" in attributes:
                first = int(attributes[f"{side}portstart"])
                found &= space.between(_PORTS[where], first, int(attributes.get(f"{side}portend", first)))
        if "type" in attributes:
            first = int(attributes["type"])
            kinds: Iterable[int] = range(first, int(attributes.get("typeend", first)) + 1)
            if answer:
                asked = {reply: request for request, reply in ANSWERS[family].items()}
                kinds = [asked.get(kind, kind) for kind in kinds if kind not in ANSWERS[family]]
            code = int(attributes["code"]) if "code" in attributes else None  # answers repeat it
            found &= space.union(space.icmp(kind, code) for kind in kinds)
        return found
