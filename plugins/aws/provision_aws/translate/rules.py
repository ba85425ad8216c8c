"""What groups of machines there are, and which rules each has: from flows, still without any native resource.

A connection passes when the rules of both its ends let it, so each flow between machines stands in the groups of both.
Peers within the stack are referred to by their group, never listed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Network, ip_network

from provision.packets import Protocol, Service
from provision.packets.prefixes import Prefix, without
from provision.spi import Objection
from provision.spi.cloud.grouping import Group, Groups, memberships
from provision.spi.flows import Compiled, End, Flow, Key, Side, families_of, overlap

CLOSED = "closed"
"""The group of machines that no policy speaks of: it has no rules."""

_AMAZONS = IPv6Network("2000::/3")
"""Where the prefixes lie that Amazon gives."""

_LISTED = 4
"""More prefixes than this stand in a prefix list."""

_VPC_HOLES = 56
"""Entries that a /56 more to leave out costs at most."""


@dataclass(frozen=True, slots=True)
class PeerList:
    """A prefix list: what it holds, and whether the VPC's own IPv6 range is left out of that."""

    prefixes: tuple[Prefix, ...]
    without_own: bool = False

    @property
    def most(self) -> int:
        """How many entries it may come to."""
        return len(self.prefixes) + (_VPC_HOLES if self.without_own else 0)

    @property
    def family(self) -> int:
        """IP version."""
        return self.prefixes[0].version


Peer = str | Prefix | PeerList
"""Name of a group, a prefix, or a prefix list."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a group."""

    direction: str
    service: Service
    peer: Peer

    @property
    def weight(self) -> int:
        """How much of a group's quota it takes: a prefix list counts as many rules as it may hold entries."""
        return self.peer.most if isinstance(self.peer, PeerList) else 1

    @property
    def families(self) -> tuple[int, ...]:
        """IP versions in which it counts."""
        if isinstance(self.peer, str):
            return (4, 6)
        return (self.peer.family if isinstance(self.peer, PeerList) else self.peer.version,)


def divided(group: Group[Rule], limit: int) -> list[dict[Rule, list[str]]]:
    """The rules of a group, divided where they pass the quota of one security group."""
    made: list[tuple[dict[Rule, list[str]], dict[tuple[str, int], int]]] = []
    for rule, said in group.rules.items():
        keys = [(rule.direction, family) for family in rule.families]
        with_room = (part for part in made if all(part[1][key] + rule.weight <= limit for key in keys))
        part = next(with_room, None)
        if part is None:
            part = ({}, defaultdict(int))
            made.append(part)
        part[0][rule] = said
        for key in keys:
            part[1][key] += rule.weight
    return [rules for rules, _ in made] or [{}]


@dataclass(frozen=True)
class Planned:
    """All groups of a stack, and what stands against them."""

    groups: Mapping[str, Group[Rule]]
    objections: tuple[Objection, ...]
    limits: Mapping[str, int]

    @cached_property
    def parts(self) -> Mapping[str, list[dict[Rule, list[str]]]]:
        """By group, its rules in security groups."""
        return {name: divided(group, self.limits["rules_per_group"]) for name, group in self.groups.items()}

    @cached_property
    def memberships(self) -> Mapping[Key, list[str]]:
        """By interface, its groups."""
        return memberships(self.groups)

    def count(self, key: Key) -> int:
        """How many security groups an interface has."""
        return sum(len(self.parts[name]) for name in self.memberships.get(key, ()))


def plan(
    compiled: Compiled,
    nics: Sequence[End],
    own: Iterable[Prefix],
    limits: Mapping[str, int],
    hidden: frozenset[str] = frozenset(),
) -> Planned:
    """Groups and rules for the flows of a stack, within the account's quotas where that can be.

    Args:
        compiled: what passes.
        nics: all interfaces of the stack.
        own: prefixes of its networks.
        limits: the account's quotas.
        hidden: networks whose machines go out by a NAT gateway.
    """
    apart: set[str] = set()
    while True:
        made = _Plan(compiled, nics, tuple(own), limits, frozenset(apart), hidden).made()
        crowded = [end.key for end in nics if made.count(end.key) > limits["groups_per_interface"]]
        if not crowded:
            return made
        sizes = {name: len(group.nics) for name, group in made.groups.items()}
        names = {name for key in crowded for name in made.memberships[key] if not name.startswith(("machine.", "nic."))}
        names |= {name for key in crowded for name in made.memberships[key] if name == "machine.*"}
        if not names - apart:
            return Planned(made.groups, (*made.objections, *_crowded(made, nics, limits)), limits)
        apart.add(min(names - apart, key=lambda name: (sizes[name], name)))


def _crowded(made: Planned, nics: Sequence[End], limits: Mapping[str, int]) -> Iterator[Objection]:
    most, seen = limits["groups_per_interface"], set[str]()
    for end in nics:
        count = made.count(end.key)
        if count <= most or end.entry in seen:
            continue
        seen.add(end.entry)
        names = made.memberships[end.key]
        weights = {name: sum(rule.weight for rule in made.groups[name].rules) for name in names}
        said = ", ".join(f"{name} ({weights[name]} rules)" for name in names)
        policies = sorted({p for name in names for rules in made.groups[name].rules.values() for p in rules if p})
        yield Objection(
            ("isolation", "policies", policies[-1]) if policies else ("isolation", "default"),
            f"a network card of machine '{end.machine}' would need {count} security groups, and the account allows "
            f"{most}: {said}; a group takes {limits['rules_per_group']} rules each way",
            "select its machines by fewer different peers, write ranges of ports instead of single ones and 'outside' "
            "instead of 'internet', or ask AWS for higher quotas ('Security groups per network interface', "
            "'Inbound or outbound rules per security group')",
        )


class _Plan:
    def __init__(
        self,
        compiled: Compiled,
        nics: Sequence[End],
        own: tuple[Prefix, ...],
        limits: Mapping[str, int],
        apart: frozenset[str],
        hidden: frozenset[str],
    ) -> None:
        self.flows = compiled.flows
        self.own = own
        self.limits = limits
        self.apart = apart
        self.hidden = hidden
        self.ends = {end.key: end for end in nics}
        self.objections = list(compiled.objections)
        self.groups = Groups[Rule](nics)

    def made(self) -> Planned:
        for flow in self.flows:
            for service in flow.services:
                families = flow.families & families_of(service)
                if families:
                    self._inside(flow, service, families)
                    self._beyond(flow, service, families)
        return Planned(self.groups.made, tuple(dict.fromkeys(self.objections)), self.limits)

    # --- groups

    def _groups(self, side: Side) -> list[Group[Rule]]:
        return self.groups.of(side, self.apart)

    # --- rules

    def _inside(self, flow: Flow, service: Service, families: frozenset[int]) -> None:
        possible = self._families(flow.source.nics) & self._families(flow.destination.nics)
        if not possible & families:
            return
        sources, targets = self._groups(flow.source), self._groups(flow.destination)
        if possible & families_of(service) <= families:
            for source in sources:
                for target in targets:
                    source.add(Rule("egress", service, target.name), flow.policy)
                    target.add(Rule("ingress", service, source.name), flow.policy)
            return
        if families != {4}:
            self.objections.append(
                Objection(
                    _path(flow),
                    "a prefix of IPv6 alone stands for machines of the stack, which EC2 gives other addresses of IPv6, "
                    "and rules that refer to machines mean IPv4 too",
                    "name the machines (machine.NAME, label.KEY=VALUE) instead of the prefix",
                )
            )
            return
        for group in targets:
            for prefix in self._addresses(flow.source.nics):
                group.add(Rule("ingress", service, prefix), flow.policy)
        for group in sources:
            for prefix in self._addresses(flow.destination.nics):
                group.add(Rule("egress", service, prefix), flow.policy)

    def _families(self, nics: Iterable[Key]) -> set[int]:
        return {family for key in nics for family in (4, 6) if self.ends[key].ip(family) is not None}

    def _addresses(self, nics: Iterable[Key]) -> list[Prefix]:
        return [ip_network(str(self.ends[key].ip(4))) for key in sorted(nics) if self.ends[key].ip(4) is not None]

    def _beyond(self, flow: Flow, service: Service, families: frozenset[int]) -> None:
        for direction, members, peers in (
            ("ingress", flow.destination, flow.source),
            ("egress", flow.source, flow.destination),
        ):
            if not members.nics or not peers.prefixes:
                continue
            for family in sorted(families & self._families(members.nics)):
                prefixes = tuple(one for one in peers.prefixes if one.version == family)
                if not prefixes:
                    continue
                if direction == "egress" and family == 4:
                    self._carried(flow, service)
                narrow = direction == "ingress" and self._meets(flow, service, family)
                for peer in self._peers(prefixes, narrow=narrow):
                    for group in self._groups(Side(members.name, members.nics)):
                        group.add(Rule(direction, service, peer), flow.policy)

    def _carried(self, flow: Flow, service: Service) -> None:
        """NAT gateways carry TCP, UDP and ICMP alone (VPC User Guide, "NAT gateways")."""
        if service.protocol not in (Protocol.ANY, Protocol.OTHER):
            return
        on = (self.ends[key].network for key in sorted(flow.source.nics))
        network = next((name for name in on if name in self.hidden), None)
        if network is not None:
            self.objections.append(
                Objection(
                    _path(flow),
                    f"'{service}' from network '{network}' to beyond the stack passes a NAT gateway, which carries "
                    "tcp, udp and icmp alone",
                    "write 'allow: [tcp, udp, icmp]' for what goes beyond the stack, or 'internet: routed' for the "
                    "network",
                )
            )

    def _peers(self, prefixes: tuple[Prefix, ...], *, narrow: bool) -> Iterator[Peer]:
        """Prefixes one by one, or as lists that one group has room for."""
        six = prefixes[0].version == 6
        if narrow and not six:
            prefixes = without(prefixes, self.own)
        own = narrow and six and any(one.overlaps(_AMAZONS) for one in prefixes if isinstance(one, IPv6Network))
        if len(prefixes) <= _LISTED and not own:
            yield from prefixes
            return
        room = self.limits["rules_per_group"]
        for group in self._chunks(prefixes, max(1, room - _VPC_HOLES) if own else room):
            yield PeerList(group, without_own=own)

    @staticmethod
    def _chunks(prefixes: tuple[Prefix, ...], size: int) -> Iterator[tuple[Prefix, ...]]:
        for start in range(0, len(prefixes), size):
            yield prefixes[start : start + size]

    def _meets(self, flow: Flow, service: Service, family: int) -> bool:
        """Whether machines of the stack would get in by a prefix that is meant for others.

        They would when rules of their own let them out to prefixes with the receiver's address in it, and no policy
        allows what then passes.
        """
        for other in self.flows:
            if not other.source.nics or family not in other.families:
                continue
            met = [one for one in other.services if overlap(one, service) and family in families_of(one)]
            if met and self._cross(other, flow, family) and not self._allowed(other, flow, service, family):
                return True
        return False

    def _cross(self, out: Flow, into: Flow, family: int) -> bool:
        senders, receivers = out.source.nics, into.destination.nics
        if len({machine for machine, _ in senders | receivers}) < 2:
            return False
        return self._reached(receivers, out.destination.prefixes, family) and self._reached(
            senders, into.source.prefixes, family
        )

    def _reached(self, nics: Iterable[Key], prefixes: Sequence[Prefix], family: int) -> bool:
        """Whether some of the interfaces may have an address in the prefixes."""
        wanted = [one for one in prefixes if one.version == family]
        if family == 6:  # nobody knows which prefix they are given
            amazons = any(isinstance(one, IPv6Network) and one.overlaps(_AMAZONS) for one in wanted)
            return amazons and any(self.ends[key].ip(6) is not None for key in nics)
        return any(one.overlaps(prefix) for one in self._addresses(nics) for prefix in wanted)

    def _allowed(self, out: Flow, into: Flow, service: Service, family: int) -> bool:
        return any(
            out.source.nics <= flow.source.nics
            and into.destination.nics <= flow.destination.nics
            and family in flow.families
            and any(one.covers(service) for one in flow.services)
            for flow in self.flows
        )


def _path(flow: Flow) -> tuple[str, ...]:
    return ("isolation", "policies", flow.policy) if flow.policy else ("isolation", "default")


def permission(service: Service) -> dict[str, object]:
    """A service as EC2's rules name it."""
    match service.protocol:
        case Protocol.ANY:
            return {"ip_protocol": "-1"}
        case Protocol.OTHER:
            return {"ip_protocol": str(service.number)}
        case Protocol.TCP | Protocol.UDP:
            return {"ip_protocol": service.protocol.value, "from_port": service.first, "to_port": service.last}
        case _:
            kind = -1 if service.kind is None else service.kind
            code = -1 if service.code is None else service.code
            return {"ip_protocol": service.protocol.value, "from_port": kind, "to_port": code}
