"""What groups of ports there are, and which rules each has: from flows, still without any native resource.

A connection passes when the rules of both its ends let it, so each flow between machines stands in the groups of both.
Peers within the stack are referred to by their group; what a person wrote as a prefix is one, machines or not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_network

from provision.models import NoHostAccessPolicy, Stack
from provision.packets import Service
from provision.packets.prefixes import Prefix, without
from provision.packets.special import LINK_LOCAL
from provision.spi import Capabilities, Decision, NicAddress, Objection, enforced
from provision.spi.cloud.grouping import NAMED, Group, Groups, memberships
from provision.spi.flows import End, Flow, Key, Side, ends, families_of, flows
from provision.spi.peers import selected
from provision_openstack.translate.answers import Answers
from provision_openstack.translate.networks import gateway

_WORDS = ("outside", "internet")
_STATELESS = ".stateless"
"""How a group is called beside one that has the same rules, and ports that need stateful groups."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Peers of one IP version by their addresses.

    Attributes:
        prefixes: what they may have.
        word: what a person would call all of it; empty for prefixes that stand in rules themselves.
    """

    prefixes: tuple[Prefix, ...]
    word: str = ""


Peer = str | Ranges
"""Name of a group, or ranges."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one group lets in or out, in one IP version."""

    direction: str
    service: Service
    family: int
    peer: Peer


@dataclass(frozen=True)
class Planned:
    """All groups of a stack, and what stands against them.

    Attributes:
        groups: by name.
        objections: what no rules can say.
        stateless: names of the groups that track no connections.
    """

    groups: Mapping[str, Group[Rule]]
    objections: tuple[Objection, ...]
    stateless: frozenset[str]

    @cached_property
    def memberships(self) -> Mapping[Key, list[str]]:
        """By interface, its groups."""
        return memberships(self.groups)


def plan(
    stack: Stack,
    addresses: Mapping[str, Sequence[NicAddress]],
    decisions: Mapping[str, Decision],
    elsewhere: Iterable[Prefix] = (),
    hosts: Iterable[Prefix] = (),
) -> Planned:
    """Groups and rules for what the policies of a stack let pass.

    Args:
        stack: what the file says.
        addresses: per machine instance, its NICs in order.
        decisions: what becomes of each policy; one that was downgraded does not count.
        elsewhere: prefixes of the stack's networks at other locations.
        hosts: prefixes of the cloud's own hosts, which are not `outside`.
    """
    nics = ends(stack, addresses)
    compiled = flows(stack, nics, decisions, elsewhere)
    made = _Plan(stack, nics, decisions, tuple(hosts))
    for flow in compiled.flows:
        made.add(flow)
    answers = Answers(stack, {end.key: end for end in nics})
    found = tuple(dict.fromkeys((*compiled.objections, *answers.objections(compiled.flows))))
    groups = _parted(made.groups.made, answers.loose)
    return Planned(groups, found, frozenset(name for name, one in groups.items() if one.nics & answers.loose))


def _parted(groups: Mapping[str, Group[Rule]], loose: frozenset[Key]) -> Mapping[str, Group[Rule]]:
    """Groups none of which has interfaces of both kinds: Neutron lets a port have the one kind or the other."""
    mixed = {name for name, group in groups.items() if group.nics & loose and group.nics - loose}
    if not mixed:
        return groups
    found: dict[str, Group[Rule]] = {}
    for name, group in groups.items():
        rules: dict[Rule, list[str]] = {}
        for rule, said in group.rules.items():
            rules[rule] = said
            if isinstance(rule.peer, str) and rule.peer in mixed:
                rules[replace(rule, peer=f"{rule.peer}{_STATELESS}")] = said
        if name not in mixed:
            found[name] = Group(name, group.nics, rules)
            continue
        found[name] = Group(name, group.nics - loose, rules)
        found[f"{name}{_STATELESS}"] = Group(f"{name}{_STATELESS}", group.nics & loose, rules)
    return found


class _Plan:
    def __init__(
        self, stack: Stack, nics: Sequence[End], decisions: Mapping[str, Decision], hosts: tuple[Prefix, ...]
    ) -> None:
        self.groups = Groups[Rule](nics)
        self._ends = {end.key: end for end in nics}
        own = [one for net in stack.networks.values() for one in (net.cidr, net.cidr6) if one is not None]
        self._own = (*own, *hosts)
        self._hosts = (*_routers(stack), *hosts)
        self._closed = _without_hosts(stack, decisions)

    def add(self, flow: Flow) -> None:
        """Let a flow pass at those of its ends that are machines."""
        for service in flow.services:
            for family in sorted(flow.families & families_of(service)):
                for direction, members, others in (
                    ("egress", flow.source, flow.destination),
                    ("ingress", flow.destination, flow.source),
                ):
                    if not self._have(members.nics, family):
                        continue
                    for peer in self._peers(others, family, members):
                        for group in self.groups.of(members):
                            group.add(Rule(direction, service, family, peer), flow.policy)

    def _have(self, nics: Iterable[Key], family: int) -> bool:
        return any(self._ends[key].ip(family) is not None for key in nics)

    # --- peers

    def _peers(self, side: Side, family: int, members: Side) -> Iterator[Peer]:
        if (written := _prefix(side)) is not None:
            hosts = self._hosts if self._closed & members.nics else ()
            left = without([written], (*LINK_LOCAL, *hosts))
            yield from (Ranges((one,)) for one in left if one.version == family)
            return
        if self._have(side.nics, family):
            yield from (group.name for group in self.groups.of(side) if self._have(group.nics, family))
        prefixes = tuple(one for one in without(side.prefixes, (*self._own, *LINK_LOCAL)) if one.version == family)
        if prefixes:
            word = side.name if side.name in _WORDS else "some"
            yield Ranges(prefixes, word if len(prefixes) > 1 else "")


def _prefix(side: Side) -> Prefix | None:
    """The prefix that a side was written as; it then holds all machines that have such addresses."""
    if side.name in ("", *_WORDS) or side.name.startswith(NAMED):
        return None
    return ip_network(side.name)


def _routers(stack: Stack) -> Iterator[Prefix]:
    """Addresses of the cloud's own routers on the stack's networks."""
    for network in stack.networks.values():
        for family in (4, 6):
            address = gateway(network, family)
            if address is not None:
                yield ip_network(address)


def hosts_of(capabilities: Capabilities) -> tuple[Prefix, ...]:
    """Prefixes of the cloud's own hosts, as far as somebody told."""
    return tuple(ip_network(one) for one in capabilities.facts.get("host_prefixes") or ())


def _without_hosts(stack: Stack, decisions: Mapping[str, Decision]) -> frozenset[Key]:
    """Interfaces of machines that must not reach the cloud's own hosts."""
    entries = set[str]()
    for _, policy in enforced(stack, decisions):
        if isinstance(policy, NoHostAccessPolicy):
            entries |= set(selected(stack, policy.machines))
    return frozenset(
        (name, index)
        for entry in entries
        for name in stack.machines[entry].names(entry)
        for index in range(len(stack.machines[entry].nics))
    )
