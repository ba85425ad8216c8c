"""Stateless groups: what comes back must be let through as anything else is, and rules know no port that it comes from.

So nothing is added for answers: a rule for them would let pass what no policy says. A connection over a stateless group
is refused, unless policies let all that may answer it pass by themselves.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from provision.models import Internet, Stack
from provision.packets import Protocol, Service
from provision.packets.prefixes import Prefix, without
from provision.packets.special import LINK_LOCAL
from provision.spi import Objection
from provision.spi.flows import EVERYTHING, End, Flow, Key, Side, families_of
from provision_openstack.translate.overrides import stateless
from provision_openstack.translate.referring import PLATFORM

_ANSWERS = {8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140}
"""By type of ICMP, the type that answers it (RFC 792, 950, 4443, 4620)."""


def answer_to(service: Service) -> Service:
    """All that may answer: whoever asks chooses its own port, and rules know no other than that asked for."""
    if service.has_ports:
        return Service(service.protocol)
    if service.protocol in (Protocol.ICMP, Protocol.ICMPV6) and service.kind is not None:
        return replace(service, kind=_ANSWERS.get(service.kind, service.kind), code=None)
    return service


@dataclass(frozen=True)
class Answers:
    """Looks for what comes back.

    Attributes:
        stack: what the file says.
        ends: interfaces of the stack, by key.
    """

    stack: Stack
    ends: Mapping[Key, End]

    @cached_property
    def stateless(self) -> frozenset[str]:
        """Networks without tracked connections."""
        return stateless(self.stack)

    @property
    def loose(self) -> frozenset[Key]:
        """Interfaces whose groups are stateless."""
        return self._on(self.stateless)

    def _on(self, networks: Collection[str]) -> frozenset[Key]:
        return frozenset(key for key, end in self.ends.items() if end.network in networks)

    @cached_property
    def _own(self) -> list[Prefix]:
        """Prefixes of the stack's networks: addresses in them that no interface has do not count."""
        networks = self.stack.networks.values()
        return [one for net in networks for one in (net.cidr, net.cidr6) if one is not None]

    @cached_property
    def _pairs(self) -> list[tuple[Side, Side]]:
        """Interfaces with stateless groups, each with all for which there may be a way from there."""
        closed = {
            name
            for name, net in self.stack.networks.items()
            if net.internet is Internet.NONE and PLATFORM not in net.existing
        }
        joined = set(self.stack.networks) - closed
        return [
            (
                Side("", self._on({name})),
                Side("", self._on({name})) if name in closed else Side("", self._on({name, *joined}), EVERYTHING),
            )
            for name in sorted(self.stateless)
        ]

    def objections(self, flows: Sequence[Flow]) -> Iterator[Objection]:
        """Flows over stateless groups that nothing may answer."""
        if not self.loose:
            return
        for flow in flows:
            for service in flow.services:
                for family in sorted(flow.families & families_of(service)):
                    if (part := next(self._unanswered(flow, service, family, flows), None)) is not None:
                        yield self._objection(flow, service, part)
                        break

    def _unanswered(
        self, flow: Flow, service: Service, family: int, flows: Sequence[Flow]
    ) -> Iterator[tuple[Side, Side]]:
        """Who may ask whom over a stateless group, and gets no answer."""
        answer = answer_to(service)
        source, target = self._in(flow.source, family), self._in(flow.destination, family)
        left = [
            (source.common(one), target.common(other))
            for loose, others in self._pairs
            for one, other in ((loose, others), (others, loose))
        ]
        for back in flows:
            if family in back.families and any(one.covers(answer) for one in back.services):
                left = [
                    part
                    for one, other in left
                    for part in (
                        (one.without(back.destination), other),
                        (one.common(back.destination), other.without(back.source)),
                    )
                ]
        # Nobody needs a network to reach itself.
        return ((one, other) for one, other in left if one and other and not (len(one.nics) == 1 and one == other))

    def _in(self, side: Side, family: int) -> Side:
        """The part of a side that has addresses of an IP version."""
        nics = frozenset(key for key in side.nics if self.ends[key].ip(family) is not None)
        beyond = without(side.prefixes, (*self._own, *LINK_LOCAL))
        return Side(side.name, nics, tuple(one for one in beyond if one.version == family))

    def _objection(self, flow: Flow, service: Service, part: tuple[Side, Side]) -> Objection:
        held = (part[0].nics | part[1].nics) & self.loose
        network = min(self.ends[key].network for key in held)
        answer = answer_to(service)
        back = f"'{answer}' from {self._said(part[1])} to {self._said(part[0])}"
        return Objection(
            ("isolation", "policies", flow.policy)
            if flow.policy
            else ("networks", network, "overrides", PLATFORM, "stateless_groups"),
            f"the groups of '{network}' are stateless, and nothing lets the answers to '{service}' back: {back}",
            f"allow '{answer}' both ways, as all of it then passes; or remove 'stateless_groups' of '{network}'",
        )

    def _said(self, side: Side) -> str:
        if not side.nics:
            return side.name if side.name else ", ".join(map(str, side.prefixes[:2]))
        machine, index = min(side.nics)
        return f"'{machine}'" if index == 0 else f"network card {index} of '{machine}'"
