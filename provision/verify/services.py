"""Which ports to probe: those that policies name, their neighbours, and some that nobody names."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from provision.models import Stack, TrafficPolicy
from provision.packets import Protocol, Service

MAX_POINTS = 64
"""Most ports probed on each machine because policies name them; what is above is counted, never hidden."""

_FIRST_CONTROL = 47_111


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a stack's policies give to probe.

    Attributes:
        points: first and last ports of every named service, each as a service of one port.
        ranges: every named service with ports, without those that mean all ports.
        control: a port that no policy names; listened on, so that a leak shows.
        quiet: another one; never listened on, so that a probe which always says "open" is found out.
        unprobeable: named services that no probe can send: other protocols and ICMP messages that are no echo.
        dropped: ports above the limit.
    """

    points: tuple[Service, ...]
    ranges: tuple[Service, ...]
    control: int
    quiet: int
    unprobeable: tuple[Service, ...]
    dropped: int

    @property
    def controls(self) -> tuple[Service, ...]:
        """The control port over each transport."""
        return tuple(Service(protocol, self.control, self.control) for protocol in (Protocol.TCP, Protocol.UDP))

    def neighbours(self, services: Iterable[Service]) -> Iterator[Service]:
        """The ports just outside of services, without those that another service names as an end."""
        known = set(self.points)
        for service in services:
            for port in (service.first - 1, service.last + 1):
                point = Service(service.protocol, port, port)
                if 0 < port < 65536 and point not in known:
                    known.add(point)
                    yield point


def catalogue(stack: Stack) -> Catalogue:
    """The ports of a stack, in the order in which the file names them."""
    named = list(dict.fromkeys(_named(stack)))
    ranges = [service for service in named if service.has_ports and not service.all_ports]
    points = list(
        dict.fromkeys(
            Service(service.protocol, port, port)
            for service in ranges
            for port in (service.first, service.last)
            if port > 0
        )
    )
    control = _free(ranges, _FIRST_CONTROL)
    return Catalogue(
        tuple(points[:MAX_POINTS]),
        tuple(ranges),
        control,
        _free(ranges, control - 1),
        tuple(service for service in named if not _probeable(service)),
        max(0, len(points) - MAX_POINTS),
    )


def _named(stack: Stack) -> Iterator[Service]:
    for policy in stack.isolation.policies.values():
        if isinstance(policy, TrafficPolicy):
            yield from policy.allow
            yield from policy.deny


def _probeable(service: Service) -> bool:
    if service.protocol is Protocol.OTHER:
        return False
    echo = {Protocol.ICMP: 8, Protocol.ICMPV6: 128}.get(service.protocol)
    return echo is None or service.kind in (None, echo)


def _free(ranges: Sequence[Service], start: int) -> int:
    """The first port at or below `start` that is neither named nor next to one that is."""
    return next(
        (port for port in range(start, 1024, -1) if not any(r.first - 1 <= port <= r.last + 1 for r in ranges)),
        start,
    )
