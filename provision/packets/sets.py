"""Sets of packets, exactly: unions, differences and equality of rules are decided on the packets that they mean.

A packet is a row of bits: IP version, protocol, ports (or ICMP type and code), source and destination address. A set of
packets is a Boolean function of those bits, held as a binary decision diagram (the library OxiDD): two sets are equal
exactly when their diagrams are the same, however they were written down.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

from oxidd.bcdd import BCDDFunction, BCDDManager

from provision.packets.service import PROTOCOL_NUMBERS, Protocol, Service

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

_NODES = 1 << 24
_CACHE = 1 << 20
_CACHES = (14, 23)  # bits of the smallest and the largest cache: the latter takes 130 MiB and a fifth of a second
_CACHE_OF_ADDRESS = 1 << 10
_MOST_KNOWN = 1 << 18


class Field(Enum):
    """A part of a packet: its name, first bit and width. What few rules speak of stands last."""

    FAMILY = ("family", 0, 1)
    PROTOCOL = ("protocol", 1, 8)
    DESTINATION_PORT = ("destination port", 9, 16)
    SOURCE = ("source", 25, 128)
    DESTINATION = ("destination", 153, 128)
    SOURCE_PORT = ("source port", 281, 16)

    @property
    def start(self) -> int:
        """Number of its first, most significant bit."""
        return self.value[1]

    @property
    def width(self) -> int:
        """Number of its bits."""
        return self.value[2]


_BITS = sum(field.width for field in Field)


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, by which a set can be shown to a person."""

    family: int
    protocol: int
    source: Address
    destination: Address
    source_port: int = 0
    destination_port: int = 0

    @property
    def service(self) -> Service:
        """What it asks for: the destination port, the ICMP type and code, or the protocol."""
        known = {number: protocol for protocol, number in PROTOCOL_NUMBERS.items()}.get(self.protocol)
        if known in (Protocol.TCP, Protocol.UDP):
            return Service(known, self.destination_port, self.destination_port)
        if known is not None:
            return Service(known, kind=self.destination_port >> 8, code=self.destination_port & 255)
        return Service(Protocol.OTHER, number=self.protocol)


class PacketSet:
    """A set of packets of one `PacketSpace`; `==` is equality of sets."""

    __slots__ = ("_function", "_space")

    def __init__(self, space: "PacketSpace", function: BCDDFunction) -> None:
        """Made by a `PacketSpace`."""
        self._space = space
        self._function = function

    def __and__(self, other: "PacketSet") -> "PacketSet":
        """Packets of both."""
        return PacketSet(self._space, self._function & other._function)

    def __or__(self, other: "PacketSet") -> "PacketSet":
        """Packets of either."""
        return PacketSet(self._space, self._function | other._function)

    def __sub__(self, other: "PacketSet") -> "PacketSet":
        """Packets of this one alone."""
        return PacketSet(self._space, other._function.imp_strict(self._function))

    def __xor__(self, other: "PacketSet") -> "PacketSet":
        """Packets of exactly one of them."""
        return PacketSet(self._space, self._function ^ other._function)

    def __invert__(self) -> "PacketSet":
        """All other packets."""
        return PacketSet(self._space, ~self._function)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same packets."""
        return isinstance(other, PacketSet) and self._function == other._function

    def __le__(self, other: "PacketSet") -> bool:
        """Whether all packets are of `other` too."""
        return not self - other

    def __bool__(self) -> bool:
        """Whether there is any packet in it."""
        return self._function.satisfiable()

    def __hash__(self) -> int:
        """As of equal sets."""
        return hash(self._function)

    @property
    def size(self) -> int:
        """How many nodes the diagram has: what it costs, not how many packets there are."""
        return self._function.node_count()

    def example(self) -> Packet | None:
        """One packet of the set, None of the empty one."""
        cube = self._function.pick_cube()
        return None if cube is None else self._space.packet(cube)


class PacketSpace:
    """All packets; sets of one space can be compared with each other."""

    def __init__(self, addresses: int | None = None) -> None:
        """Start with no sets.

        Args:
            addresses: about how many addresses the sets will speak of, None when nobody knows. The library keeps what
                it worked out in a table of a fixed size: a small one is made at once, and only one that holds all makes
                a second proof after an edit quick.
        """
        cache = _CACHE
        if addresses is not None:
            cache = 1 << min(max((addresses * _CACHE_OF_ADDRESS - 1).bit_length(), _CACHES[0]), _CACHES[1])
        self._manager = BCDDManager(_NODES, cache, 1)
        self._manager.add_vars(_BITS)
        self._bits = [self._manager.var(number) for number in range(_BITS)]
        self._of = {field: self._bits[field.start : field.start + field.width] for field in Field}
        self.none = PacketSet(self, self._manager.false())
        self.all = PacketSet(self, self._manager.true())
        self.kept: dict[Any, Any] = {}
        """What those that make sets of this space keep for a second time; a key of their own keeps them apart."""
        self._known: dict[tuple[Field, tuple[Prefix, ...]], PacketSet] = {}  # the same are asked for again and again
        self._families = {6: PacketSet(self, self._bits[0]), 4: PacketSet(self, ~self._bits[0])}

    def union(self, sets: Iterable[PacketSet]) -> PacketSet:
        """Packets of any of them; of many, two by two, so that each is looked at a few times only."""
        found = list(sets)
        while len(found) > 1:
            pairs = [one | other for one, other in zip(found[::2], found[1::2], strict=False)]
            found = pairs + found[2 * len(pairs) :]
        return found[0] if found else self.none

    def only(self, packet: Packet) -> PacketSet:
        """The set of one packet."""
        return (
            self.prefixes(Field.SOURCE, [ip_network(packet.source)])
            & self.prefixes(Field.DESTINATION, [ip_network(packet.destination)])
            & self.protocol(packet.protocol)
            & self.between(Field.SOURCE_PORT, packet.source_port, packet.source_port)
            & self.between(Field.DESTINATION_PORT, packet.destination_port, packet.destination_port)
        )

    @cached_property
    def followers(self) -> PacketSet:
        """Packets that open no connection: ICMP answers, errors, neighbour discovery, ICMP in the wrong IP version.

        Types by RFC 792, RFC 4443 and RFC 4861.
        """
        four, six = self.protocol(1), self.protocol(58)
        answers = self.union(self.icmp(kind) for kind in (0, 3, 4, 5, 11, 12, 14, 16, 18))
        answers6 = self.union(self.icmp(kind) for kind in (1, 2, 3, 4, 129, 133, 134, 135, 136, 137, 140))
        return (four & (answers | self.family(6))) | (six & (answers6 | self.family(4)))

    def family(self, version: int) -> PacketSet:
        """Packets of IPv4 or IPv6."""
        return self._families[version]

    def protocol(self, number: int) -> PacketSet:
        """Packets of one protocol, by IANA's number."""
        return self.between(Field.PROTOCOL, number, number)

    def between(self, field: Field, first: int, last: int) -> PacketSet:
        """Packets whose `field` is in a range, both ends included."""
        return self._union(field, _blocks(first, last, field.width))

    def icmp(self, kind: int, code: int | None = None) -> PacketSet:
        """Packets with an ICMP type and code, of whichever of the two ICMPs."""
        first = kind << 8 | (code or 0)
        return self.between(Field.DESTINATION_PORT, first, first if code is not None else first | 255)

    def prefixes(self, field: Field, prefixes: Iterable[Prefix]) -> PacketSet:
        """Packets whose source or destination is in one of the prefixes."""
        key = (field, tuple(prefixes))
        found = self._known.get(key)
        if found is None:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = self._prefixes(*key)
        return found

    def _prefixes(self, field: Field, prefixes: Sequence[Prefix]) -> PacketSet:
        found = self.none
        for version in (4, 6):
            blocks = [
                (int(one.network_address) << (128 - one.max_prefixlen), one.prefixlen)
                for one in prefixes
                if one.version == version
            ]
            if blocks:
                found |= self._union(field, blocks) & self.family(version)
        return found

    def service(self, service: Service) -> PacketSet:
        """Packets of a service; ICMP exists in its own version of IP only."""
        match service.protocol:
            case Protocol.ANY:
                return self.all
            case Protocol.OTHER:
                return self.protocol(service.number or 0)
        found = self.protocol(PROTOCOL_NUMBERS[service.protocol])
        if service.has_ports:
            return found & self.between(Field.DESTINATION_PORT, service.first, service.last)
        found &= self.family(4 if service.protocol is Protocol.ICMP else 6)
        return found if service.kind is None else found & self.icmp(service.kind, service.code)

    def answers(self, service: Service) -> PacketSet:
        """Packets that answer those of a service; of ICMP, whose answers have types of their own, none."""
        match service.protocol:
            case Protocol.ANY:
                return self.all
            case Protocol.ICMP | Protocol.ICMPV6:
                return self.none
            case Protocol.TCP | Protocol.UDP:
                ports = self.between(Field.SOURCE_PORT, service.first, service.last)
                return self.protocol(PROTOCOL_NUMBERS[service.protocol]) & ports
        return self.service(service)

    def packet(self, bits: Sequence[bool | None]) -> Packet:
        """The packet of some bits; those that do not matter are taken as zero."""

        def number(field: Field, width: int | None = None) -> int:
            value = 0
            for bit in bits[field.start : field.start + (width or field.width)]:
                value = value << 1 | bool(bit)
            return value

        six = bool(bits[0])
        make, width = (IPv6Address, 128) if six else (IPv4Address, 32)
        return Packet(
            6 if six else 4,
            number(Field.PROTOCOL),
            make(number(Field.SOURCE, width)),
            make(number(Field.DESTINATION, width)),
            number(Field.SOURCE_PORT),
            number(Field.DESTINATION_PORT),
        )

    def _union(self, field: Field, blocks: Iterable[tuple[int, int]]) -> PacketSet:
        """Values of a field by blocks: a first value, and how many leading bits are fixed. Linear in their number."""
        ordered = sorted(blocks)
        if len(ordered) == 1:
            return PacketSet(self, self._block(field, *ordered[0]))
        starts = [first for first, _ in ordered]
        bits, top = self._of[field], field.width - 1
        true, false = self._manager.true(), self._manager.false()

        def build(low: int, high: int, depth: int) -> BCDDFunction:
            if low >= high:
                return false
            if ordered[low][1] <= depth:
                return true
            if high - low == 1:
                return self._block(field, *ordered[low], depth)
            bit = 1 << (top - depth)
            middle = bisect_left(starts, (starts[low] & -(bit << 1)) | bit, low, high)
            ones, zeros = build(middle, high, depth + 1), build(low, middle, depth + 1)
            return ones if ones == zeros else bits[depth].ite(ones, zeros)

        return PacketSet(self, build(0, len(ordered), 0))

    def _block(self, field: Field, first: int, length: int, depth: int = 0) -> BCDDFunction:
        """Values with the leading bits of `first`, from bit `depth` to bit `length`."""
        bits, top = self._of[field], field.width - 1
        found = self._manager.true()
        for number in range(length - 1, depth - 1, -1):
            bit = bits[number]
            found = bit & found if first >> (top - number) & 1 else bit.imp_strict(found)
        return found


def _blocks(first: int, last: int, width: int) -> Iterator[tuple[int, int]]:
    """The fewest aligned blocks that make up a range."""
    while first <= last:
        size = min(first & -first or 1 << width, 1 << (last - first + 1).bit_length() - 1)
        yield first, width - size.bit_length() + 1
        first += size
