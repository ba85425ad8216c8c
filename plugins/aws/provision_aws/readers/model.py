"""What decides on packets in a VPC, wherever it was read: interfaces, their groups, and what surrounds subnets."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from provision.packets.sets import Address, Prefix

NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
ALL_PROTOCOLS = "-1"


class NotUnderstood(ValueError):
    """Something that has no meaning here; the message says what."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets of one protocol, as rules name them.

    Attributes:
        protocol: IANA's number; None for all.
        first: first port, or the ICMP type; None for all.
        last: last port, or the ICMP code; None for all.
    """

    protocol: int | None = None
    first: int | None = None
    last: int | None = None

    @property
    def has_ports(self) -> bool:
        """Whether the protocol has ports."""
        return self.protocol in (6, 17)

    @classmethod
    def of(cls, protocol: str, first: int | None, last: int | None) -> "Traffic":
        """As EC2 writes it (EC2 API Reference, IpPermission).

        Raises:
            NotUnderstood: the numbers have no meaning together.
        """
        if protocol == ALL_PROTOCOLS:
            return cls()
        number = NUMBERS.get(protocol) if not protocol.isdigit() else int(protocol)
        if number is None or number > 255:
            raise NotUnderstood(f"the protocol '{protocol}'")
        if number in (6, 17):
            if first is None or last is None or not 0 <= first <= last <= 65535:
                raise NotUnderstood(f"the ports {first} to {last}")
            return cls(number, first, last)
        if number in (1, 58):
            kind, code = (None if value in (None, -1) else value for value in (first, last))
            if kind is None and code is not None:
                raise NotUnderstood(f"the ICMP code {code} of every type")
            return cls(number, kind, code)
        return cls(number)  # "traffic on all ports, regardless of any ports you specify"

    def __str__(self) -> str:
        """In words."""
        if self.protocol is None:
            return "all traffic"
        name = {number: name for name, number in NUMBERS.items()}.get(self.protocol, f"protocol {self.protocol}")
        if self.first is None:
            return name
        if not self.has_ports:
            return f"{name} type {self.first}" + ("" if self.last is None else f" code {self.last}")
        return f"{name}/{self.first}" + ("" if self.first == self.last else f"-{self.last}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a security group.

    Attributes:
        name: what people find it by.
        egress: whether it is about packets that leave.
        traffic: which packets.
        prefixes: addresses of the peer.
        known: addresses of the peer as the stack file has them, where those that EC2 gives are not known yet.
        left_out: addresses, as the stack file has them, that `prefixes` do not mean.
        group: or the group whose members are the peer; empty when there is none.
        foreign: whether somebody else than the stack made it.
    """

    name: str
    egress: bool
    traffic: Traffic
    prefixes: tuple[Prefix, ...] = ()
    known: tuple[Prefix, ...] = ()
    left_out: frozenset[Prefix] = frozenset()
    group: str = ""
    foreign: bool = False

    def __str__(self) -> str:
        """In words."""
        told = [str(one) for one in (*self.prefixes, *self.known)]
        peer = self.group or ", ".join(told[:3]) + ("…" if len(told) > 3 else "")
        way = f"to {peer}" if self.egress else f"from {peer}"
        return f"{self.name}: {self.traffic} {way}" + (", made by somebody else" if self.foreign else "")


@dataclass(frozen=True, slots=True)
class AclEntry:
    """One entry of a network ACL; the lowest number that matches decides."""

    number: int
    egress: bool
    allow: bool
    traffic: Traffic
    prefix: Prefix


class Target(enum.Enum):
    """Where a route leads."""

    INTERNET = "an internet gateway"
    NAT = "a NAT gateway"
    EGRESS_ONLY = "an egress-only gateway"
    ENDPOINT = "an endpoint of an Amazon service"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Way:
    """One route of a table; that within the VPC is not told."""

    prefixes: tuple[Prefix, ...]
    target: Target


@dataclass(frozen=True)
class Surroundings:
    """What a subnet is surrounded by.

    Attributes:
        vpc: its VPC.
        ways: routes of its table.
        acl: entries of its network ACL; None when that lets everything pass.
    """

    vpc: str
    ways: tuple[Way, ...] = ()
    acl: tuple[AclEntry, ...] | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """An address of an interface.

    Attributes:
        known: as the stack file has it, by which sets tell it.
        real: as EC2 gave it; None when that is not known yet, as IPv6 addresses of a VPC that is not made.
    """

    known: Address
    real: Address | None


@dataclass(frozen=True)
class Card:
    """A network interface of a machine.

    Attributes:
        machine: whose.
        name: what people find it by.
        subnet: where it is.
        own: its addresses.
        groups: its security groups.
        checked: whether packets that are not from or to its own addresses are dropped.
        public: whether it has a public IPv4 address.
        metadata: IP versions over which its machine can ask the metadata service.
    """

    machine: str
    name: str
    subnet: str
    own: tuple[Own, ...]
    groups: frozenset[str]
    checked: bool = True
    public: bool = False
    metadata: frozenset[int] = frozenset()


@dataclass
class Network:
    """Everything that decides on the packets of a stack.

    Attributes:
        cards: the interfaces of its machines.
        rules: by group.
        members: by group, addresses of interfaces in it that are not the stack's.
        subnets: by name.
        ranges: by VPC, its ranges as far as they are known.
        absent: addresses that the stack file gives to machines, and that they do not have.
        silent: addresses at which Amazon keeps what takes no part in connections: the VPC's router, and reserves.
        unmodelled: what is not understood, in words.
    """

    cards: list[Card] = field(default_factory=list)
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    members: dict[str, list[Prefix]] = field(default_factory=dict)
    subnets: dict[str, Surroundings] = field(default_factory=dict)
    ranges: Mapping[str, tuple[Prefix, ...]] = field(default_factory=dict)
    absent: list[Prefix] = field(default_factory=list)
    silent: set[Prefix] = field(default_factory=set)
    unmodelled: dict[str, None] = field(default_factory=dict)

    def reserve(self, subnet: Prefix) -> None:
        """The first four addresses of a subnet, and the last, are Amazon's (VPC User Guide, "Subnet sizing")."""
        first, last = int(subnet.network_address), int(subnet.broadcast_address)
        self.silent |= {ip_network(subnet.network_address + more) for more in range(4) if first + more <= last}
        self.silent.add(ip_network(subnet.broadcast_address))

    def odd(self, text: str) -> None:
        """Name something that is not understood."""
        self.unmodelled[text] = None
