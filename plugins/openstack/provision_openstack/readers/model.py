"""What decides on packets in Neutron, wherever it was read: ports, their groups, and routers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from provision.packets.sets import Prefix

NUMBERS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6-encap": 41, "ipv6-route": 43,
    "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59,
    "ipv6-opts": 60, "ospf": 89, "vrrp": 112, "pgm": 113, "sctp": 132, "udplite": 136,
}  # fmt: skip
"""Names that Neutron knows (Networking API, "Create security group rule"), with IANA's numbers."""

WITH_PORTS = (6, 17, 33, 132, 136)
_MOST = {True: 65535, False: 255}
_EVERYBODY: Mapping[int, Prefix] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


class NotUnderstood(ValueError):
    """Something that has no meaning here; the message says what."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets of one IP version and protocol, as rules name them.

    Attributes:
        family: 4 or 6.
        protocol: IANA's number; None for all.
        first: first port, or the ICMP type; None for all.
        last: last port, or the ICMP code; None for all.
    """

    family: int
    protocol: int | None = None
    first: int | None = None
    last: int | None = None

    @property
    def has_ports(self) -> bool:
        """Whether the protocol has ports."""
        return self.protocol in WITH_PORTS

    @classmethod
    def of(cls, ethertype: str, protocol: str | None, first: int | None, last: int | None) -> "Traffic":
        """As Neutron writes it.

        Raises:
            NotUnderstood: the numbers have no meaning together.
        """
        family = {"IPv4": 4, "IPv6": 6}.get(ethertype)
        if family is None:
            raise NotUnderstood(f"the ethertype '{ethertype}'")
        number = _number(family, protocol)
        if number is None:
            if (first, last) != (None, None):
                raise NotUnderstood(f"the ports {first} to {last} of every protocol")
            return cls(family)
        if (first, last) == (None, None):
            return cls(family, number)
        ported = number in WITH_PORTS
        if not ported and number not in (1, 58):
            raise NotUnderstood(f"the ports {first} to {last} of protocol {number}")
        if first is None or not 0 <= first <= _MOST[ported] or not 0 <= (last or 0) <= _MOST[ported]:
            raise NotUnderstood(f"the ports, or ICMP type and code, {first} to {last}")
        if ported and (last is None or first > last):
            raise NotUnderstood(f"the ports {first} to {last}")
        return cls(family, number, first, last)

    def __str__(self) -> str:
        """In words."""
        name = {number: name for name, number in NUMBERS.items()}.get(self.protocol or 0, f"protocol {self.protocol}")
        name = "all traffic" if self.protocol is None else name
        if self.first is not None and self.has_ports:
            name += f"/{self.first}" + ("" if self.first == self.last else f"-{self.last}")
        elif self.first is not None:
            name += f" type {self.first}" + ("" if self.last is None else f" code {self.last}")
        return f"{name} over IPv{self.family}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a security group.

    Attributes:
        name: what people find it by.
        egress: whether it is about packets that leave.
        traffic: which packets.
        prefixes: addresses of the peer; those of everybody when a rule names no peer.
        group: or the group whose ports are the peer; empty when there is none.
        foreign: whether somebody else than the stack made it.
    """

    name: str
    egress: bool
    traffic: Traffic
    prefixes: tuple[Prefix, ...] = ()
    group: str = ""
    foreign: bool = False

    @classmethod
    def about(
        cls, name: str, direction: str, traffic: Traffic, prefixes: Iterable[Prefix] | None, group: str
    ) -> "Rule":
        """A rule with its peer: a group, or prefixes; None for everybody.

        Raises:
            NotUnderstood: the direction, or a prefix of another IP version.
        """
        if direction not in ("ingress", "egress"):
            raise NotUnderstood(f"the direction '{direction}'")
        found = (_EVERYBODY[traffic.family],) if prefixes is None and not group else tuple(prefixes or ())
        return cls(name, direction == "egress", traffic, found, group)

    def __str__(self) -> str:
        """In words."""
        told = [str(one) for one in self.prefixes]
        peer = self.group or ", ".join(told[:3]) + ("…" if len(told) > 3 else "")
        way = f"to {peer}" if self.egress else f"from {peer}"
        return f"{self.name}: {self.traffic} {way}" + (", made by somebody else" if self.foreign else "")


@dataclass(frozen=True, slots=True)
class Pair:
    """What a port may use beside its own addresses (allowed address pairs).

    Attributes:
        prefix: addresses.
        own_mac: whether with the port's own hardware address alone.
    """

    prefix: Prefix
    own_mac: bool = True


@dataclass(frozen=True)
class Card:
    """A port of a machine.

    Attributes:
        machine: whose.
        name: what people find it by.
        network: where it is.
        own: its addresses.
        groups: its security groups.
        secured: port security: whether it is held to its addresses and groups.
        pairs: what it may use beside its addresses.
        public: whether it has a floating IP address.
    """

    machine: str
    name: str
    network: str
    own: tuple[Prefix, ...]
    groups: frozenset[str]
    secured: bool = True
    pairs: tuple[Pair, ...] = ()
    public: bool = False

    @property
    def lent(self) -> tuple[Prefix, ...]:
        """Addresses of its pairs."""
        return tuple(pair.prefix for pair in self.pairs)


@dataclass
class Router:
    """A router.

    Attributes:
        networks: which it joins.
        leads_out: whether it has a gateway, or routes of its own, to what lies beyond.
        hides: whether machines go out under its own IPv4 address, so that over IPv4 nobody gets in to them.
    """

    networks: set[str] = field(default_factory=set)
    leads_out: bool = False
    hides: bool = True


@dataclass
class Network:
    """Everything that decides on the packets of a stack.

    Attributes:
        cards: the ports of its machines.
        rules: by group.
        stateless: groups that let answers pass by rules alone.
        members: by group, addresses of ports in it that are no machine's of the stack.
        ranges: by network, its subnets.
        routers: by name or id.
        absent: addresses that the stack file gives to machines, and that they do not have.
        unmodelled: what is not understood, in words.
    """

    cards: list[Card] = field(default_factory=list)
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    stateless: set[str] = field(default_factory=set)
    members: dict[str, list[Prefix]] = field(default_factory=dict)
    ranges: dict[str, list[Prefix]] = field(default_factory=dict)
    routers: dict[str, Router] = field(default_factory=dict)
    absent: list[Prefix] = field(default_factory=list)
    unmodelled: dict[str, None] = field(default_factory=dict)

    def odd(self, text: str) -> None:
        """Name something that is not understood."""
        self.unmodelled[text] = None

    def joined(self) -> Iterator[frozenset[str]]:
        """Networks between which there is a way, in groups."""
        left = {name: {name} for name in dict.fromkeys([*self.ranges, *(card.network for card in self.cards)])}
        for router in self.routers.values():
            together = set[str]().union(*(left[name] for name in router.networks if name in left))
            for name in together:
                left[name] = together
        yield from dict.fromkeys(frozenset(one) for one in left.values())


def own_of(name: str, given: Iterable[str | None], real: Iterable[str], found: Network) -> tuple[Prefix, ...]:
    """Addresses of a port, held against what the file gives it.

    Args:
        name: what people find the port by.
        given: what the file says.
        real: what it has.
        found: told of what is other.
    """
    wanted = [ip_network(one) for one in given if one is not None]
    there = [ip_network(one) for one in real]
    found.absent += [one for one in wanted if one not in there]
    for one in there:
        if one not in wanted:
            found.odd(f"{name} has the address {one.network_address}, of which the file knows nothing")
    return tuple(one for one in wanted if one in there)


def _number(family: int, protocol: str | None) -> int | None:
    if protocol is None or protocol == "any":
        return None
    number = int(protocol) if protocol.isdigit() else NUMBERS.get(protocol)
    if number is None or not 0 < number <= 255:  # drivers differ about what 0 means
        raise NotUnderstood(f"the protocol '{protocol}'")
    # Of IPv6 both mean ICMPv6 (Networking API, "icmpv6 and icmp are deprecated").
    return 58 if number == 1 and family == 6 and protocol == "icmp" else number
