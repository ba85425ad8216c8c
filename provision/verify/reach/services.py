"""Sets of services: protocols and their ports or ICMP types, as ranges of numbers that can be told to a person.

The packet sets of `provision.packets.sets` decide equality of whole rules; a decision diagram cannot be read back as
ports, and between two given ends a few ranges are all there is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from provision.packets import PROTOCOL_NUMBERS, Protocol, Service
from provision.verify.endpoints import Family

_WIDTH = 16
_LAST = (1 << _WIDTH) - 1
_KNOWN = {number: protocol for protocol, number in PROTOCOL_NUMBERS.items()}
_ICMPS = (Protocol.ICMP, Protocol.ICMPV6)
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ServiceSet:
    """Protocols with their ports, or ICMP types and codes.

    Attributes:
        spans: disjoint ranges in order, none next to another; a number is the protocol's, then 16 bits for the port or
            for type and code (of protocols without any, all of them).
    """

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, services: Iterable[Service]) -> "ServiceSet":
        """All packets of some services."""
        return cls(_joined(sorted(map(_span, services))))

    def __or__(self, other: "ServiceSet") -> "ServiceSet":
        """Services of either."""
        return ServiceSet(_joined(sorted((*self.spans, *other.spans))))

    def __and__(self, other: "ServiceSet") -> "ServiceSet":
        """Services of both."""
        return ServiceSet(tuple(_common(self.spans, other.spans)))

    def __sub__(self, other: "ServiceSet") -> "ServiceSet":
        """Services of this one alone."""
        return ServiceSet(tuple(_common(self.spans, tuple(_gaps(other.spans)))))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.spans)

    def example(self) -> Service:
        """One service of the set: of one port, or of one ICMP type and code; what people know first comes first.

        Raises:
            IndexError: the set is empty.
        """
        known = [first for one in _KNOWN_FIRST for first, _ in (self & one).spans[:1]]
        found = known[0] if known else self.spans[0][0]
        number, rest = found >> _WIDTH, found & _LAST
        protocol = _KNOWN.get(number)
        if protocol is None:
            return Service(Protocol.OTHER, number=number)
        if protocol in _ICMPS:
            return Service(protocol, kind=rest >> 8, code=rest & 255)
        return Service(protocol, rest, rest)

    def words(self, family: Family) -> list[str]:
        """The set as a policy would write it, as far as packets of one version of IP can be of it."""
        if not EVERYTHING[family] - self:
            return ["everything"]
        return list(_written(self & EVERYTHING[family]))


def _span(service: Service) -> Span:
    if service.protocol is Protocol.ANY:
        return 0, (256 << _WIDTH) - 1
    number = service.number if service.protocol is Protocol.OTHER else PROTOCOL_NUMBERS[service.protocol]
    start, first, last = (number or 0) << _WIDTH, 0, _LAST
    if service.has_ports:
        first, last = service.first, service.last
    elif service.kind is not None:
        first = service.kind << 8 | (service.code or 0)
        last = first if service.code is not None else first | 255
    return start | first, start | last


def _joined(ordered: Iterable[Span]) -> tuple[Span, ...]:
    found: list[Span] = []
    for first, last in ordered:
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def _common(some: tuple[Span, ...], others: tuple[Span, ...]) -> Iterator[Span]:
    one, other = 0, 0
    while one < len(some) and other < len(others):
        first, last = max(some[one][0], others[other][0]), min(some[one][1], others[other][1])
        if first <= last:
            yield first, last
        if some[one][1] < others[other][1]:
            one += 1
        else:
            other += 1


def _gaps(spans: tuple[Span, ...]) -> Iterator[Span]:
    start = 0
    for first, last in spans:
        if start < first:
            yield start, first - 1
        start = last + 1
    if start <= (256 << _WIDTH) - 1:
        yield start, (256 << _WIDTH) - 1


@cache
def _whole(protocol: Protocol) -> ServiceSet:
    return ServiceSet.of([Service(protocol)])


def _written(services: ServiceSet) -> Iterator[str]:
    for protocol in (Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ICMPV6):
        own = services & _whole(protocol)
        yield from (_piece(protocol, first & _LAST, last & _LAST) for first, last in own.spans)
        services -= own
    for first, last in services.spans:
        low, high = first >> _WIDTH, last >> _WIDTH
        yield f"protocol/{low}" if low == high else f"protocols {low}-{high}"


def _piece(protocol: Protocol, first: int, last: int) -> str:
    if (first, last) == (0, _LAST):
        return str(protocol)
    if protocol not in _ICMPS:
        return f"{protocol}/{first}" if first == last else f"{protocol}/{first}-{last}"
    low, high = first >> 8, last >> 8
    if first == last:
        return f"{protocol}/{low}.{first & 255}"
    return f"{protocol}/{low}" if low == high else f"{protocol} types {low}-{high}"


_KNOWN_FIRST = tuple(
    ServiceSet.of([Service.parse(text)])
    for text in ("tcp/22", "tcp/443", "tcp/80", "tcp/1-65535", "tcp", "udp/1-65535", "udp", "icmp/8.0", "icmpv6/128.0")
)
_ALL = ServiceSet.of([Service(Protocol.ANY)])
EVERYTHING = {family: _ALL - ServiceSet.of([Service(family.other_echo)]) for family in Family}
"""Every service of one version of IP: the other version's ICMP does not exist in it."""
