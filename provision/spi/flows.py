"""Traffic as a list of what passes, for platforms whose rules can only allow.

`flows` compiles a stack's policies: what denies is taken out of what comes after it, decided on sets of machines,
prefixes and services, so that no order is left. What no list of that kind can say is an objection.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from math import inf

from provision.models import (
    NoInternetPolicy,
    Peer,
    PeerIsolationPolicy,
    PeerKind,
    Posture,
    Stack,
    TrafficPolicy,
)
from provision.packets import ANY_SERVICE, Protocol, Service
from provision.packets.prefixes import Prefix, common, without
from provision.packets.special import NOT_PUBLIC, NOT_UNICAST, PUBLIC
from provision.spi.support import Decision, NicAddress, Objection, enforced

Key = tuple[str, int]
"""A network interface: its machine instance and its place there."""

BOTH = frozenset({4, 6})
EVERYTHING: tuple[Prefix, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_SPECIAL = tuple(one for one in NOT_PUBLIC if one not in NOT_UNICAST)  # no machine has an address of those
_INTERNET = without(PUBLIC, _SPECIAL)


@dataclass(frozen=True, slots=True)
class End:
    """One network interface of the stack, with all that policies can know of it."""

    machine: str
    entry: str
    index: int
    address: NicAddress

    @property
    def key(self) -> Key:
        """What it is called in flows."""
        return self.machine, self.index

    @property
    def network(self) -> str:
        """The network that it is on."""
        return self.address.network

    def ip(self, family: int) -> str | None:
        """Its address of IP version 4 or 6."""
        return self.address.ipv4 if family == 4 else self.address.ipv6


@dataclass(frozen=True, slots=True)
class Side:
    """Who is at one end of a flow.

    Attributes:
        name: the peer as a person wrote it; empty when a part of it was taken away.
        nics: interfaces of the stack.
        prefixes: addresses beyond the stack. They may hold addresses of its networks: those do not count.
    """

    name: str
    nics: frozenset[Key] = frozenset()
    prefixes: tuple[Prefix, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return bool(self.nics or self.prefixes)

    def common(self, other: "Side") -> "Side":
        """Who is in both."""
        return self._renamed(self.nics & other.nics, common(self.prefixes, other.prefixes))

    def without(self, other: "Side") -> "Side":
        """Who is not in the other."""
        return self._renamed(self.nics - other.nics, without(self.prefixes, other.prefixes))

    def _renamed(self, nics: frozenset[Key], prefixes: tuple[Prefix, ...]) -> "Side":
        same = nics == self.nics and set(prefixes) == set(without(self.prefixes, ()))
        return self if same else Side("", nics, prefixes)


@dataclass(frozen=True, slots=True)
class Flow:
    """Connections that pass: from any of `source` to any of `destination`, of any of `services`.

    Attributes:
        policy: by which policy; empty by default.
        families: IP versions.
    """

    policy: str
    source: Side
    destination: Side
    services: tuple[Service, ...]
    families: frozenset[int] = BOTH


@dataclass(frozen=True)
class Compiled:
    """All flows of a stack, and what cannot be said as flows."""

    flows: tuple[Flow, ...]
    objections: tuple[Objection, ...]


def ends(stack: Stack, addresses: Mapping[str, Sequence[NicAddress]]) -> tuple[End, ...]:
    """Every network interface of the stack, in the order of the file."""
    return tuple(
        End(name, entry, index, address)
        for entry, machine in stack.machines.items()
        for name in machine.names(entry)
        for index, address in enumerate(addresses.get(name, ()))
    )


def flows(
    stack: Stack,
    nics: Sequence[End],
    decisions: Mapping[str, Decision],
    elsewhere: Iterable[Prefix] = (),
) -> Compiled:
    """What passes by the policies of the stack.

    Args:
        stack: what the file says.
        nics: its network interfaces.
        decisions: what becomes of each policy; one that was downgraded does not count.
        elsewhere: prefixes of the stack's networks at other locations, which are not `outside`.
    """
    return _Compiler(stack, nics, decisions, tuple(elsewhere)).compiled()


class Parts:
    """The interfaces of a stack, by what people call them."""

    def __init__(self, everyone: Iterable[End]) -> None:
        """Know all of them, in the order of the file."""
        self._by_entry: dict[str, set[Key]] = {}
        self._by_machine: dict[str, set[Key]] = {}
        for end in everyone:
            self._by_entry.setdefault(end.entry, set()).add(end.key)
            self._by_machine.setdefault(end.machine, set()).add(end.key)

    def of(self, nics: Iterable[Key]) -> Iterator[tuple[str, frozenset[Key]]]:
        """Some of them as whole entries of the file, whole machines, and single interfaces, each with a name."""
        left = set(nics)
        for entry, held in self._by_entry.items():
            if held <= left:
                left -= held
                yield f"machine.{entry}", frozenset(held)
        for machine in dict.fromkeys(name for name, _ in sorted(left)):
            held = self._by_machine[machine]
            if held <= left:
                left -= held
                yield f"machine.{machine}", frozenset(held)
        for machine, index in sorted(left):
            yield f"nic.{machine}.{index}", frozenset({(machine, index)})


@dataclass(frozen=True, slots=True)
class _Denied:
    flow: Flow
    same_network: str = ""


class _Compiler:
    def __init__(
        self,
        stack: Stack,
        nics: Sequence[End],
        decisions: Mapping[str, Decision],
        elsewhere: tuple[Prefix, ...],
    ) -> None:
        self.stack = stack
        self.nics = nics
        self.elsewhere = elsewhere
        self.objections: list[Objection] = []
        self.policies = list(enforced(stack, decisions))
        own = [prefix for net in stack.networks.values() for prefix in (net.cidr, net.cidr6) if prefix is not None]
        self.own: tuple[Prefix, ...] = tuple(own)
        self.entries = {end.entry for end in nics}

    def compiled(self) -> Compiled:
        denied = [*self._apart(), *self._closed()]
        found: list[Flow] = []
        for allows, flow in self._ordered():
            if not allows:
                denied.append(_Denied(flow))
                continue
            found += self._left(flow, denied)
        if self.stack.isolation.default is Posture.ALLOW:
            every = Side("machine.*", frozenset(end.key for end in self.nics))
            beyond = self._beyond("outside", EVERYTHING)
            for source, destination in ((every, every), (every, beyond), (beyond, every)):
                found += self._left(Flow("", source, destination, (ANY_SERVICE,)), denied)
        return Compiled(tuple(found), tuple(dict.fromkeys(self.objections)))

    def _ordered(self) -> Iterator[tuple[bool, Flow]]:
        """Each peer with each, in the order in which policies decide: a deny before an allow of the same order."""
        traffic: list[tuple[float, bool, int, str, TrafficPolicy]] = []
        for position, (name, policy) in enumerate(self.policies):
            if isinstance(policy, TrafficPolicy):
                order = inf if policy.order is None else float(policy.order)
                traffic += [(order, allows, position, name, policy)
                            for allows in (False, True) if (policy.allow if allows else policy.deny)]  # fmt: skip
        traffic.sort(key=lambda item: item[:3])
        for _, allows, _, name, policy in traffic:
            services = tuple(dict.fromkeys(policy.allow if allows else policy.deny))
            for source, first in (item for peer in policy.sources for item in self._sides(peer)):
                for target, second in (item for peer in policy.destinations for item in self._sides(peer)):
                    if first & second and source and target and (source.nics or target.nics):
                        yield allows, Flow(name, source, target, services, first & second)

    def _closed(self) -> Iterator[_Denied]:
        internet = Side("internet", prefixes=_INTERNET)
        for name, policy in self.policies:
            if isinstance(policy, NoInternetPolicy):
                held = self._selected(policy.machines)
                for pair in ((held, internet), (internet, held)):
                    yield _Denied(Flow(name, *pair, (ANY_SERVICE,)))

    def _apart(self) -> Iterator[_Denied]:
        for name, policy in self.policies:
            if isinstance(policy, PeerIsolationPolicy):
                held = self._selected(policy.machines)
                for network in self.stack.networks:
                    here = Side("", frozenset(e.key for e in self.nics if e.network == network and e.key in held.nics))
                    if len(here.nics) > 1:
                        yield _Denied(Flow(name, here, here, (ANY_SERVICE,)), network)

    def _selected(self, selectors: Sequence[Peer]) -> Side:
        return Side("", frozenset(end.key for end in self.nics if any(self._names(peer, end) for peer in selectors)))

    # --- peers

    def _names(self, peer: Peer, end: End) -> bool:
        match peer.kind:
            case PeerKind.MACHINE:
                return peer.name in ("*", end.entry, end.machine)
            case PeerKind.LABEL:
                return self.stack.machines[end.entry].labels.get(peer.name) == peer.value
            case _:
                return False

    def _on(self, peer: Peer, end: End) -> bool:
        match peer.kind:
            case PeerKind.NETWORK:
                return peer.name in ("*", end.network)
            case PeerKind.LABEL:
                return self.stack.networks[end.network].labels.get(peer.name) == peer.value
            case _:
                return False

    def _sides(self, peer: Peer) -> Iterator[tuple[Side, frozenset[int]]]:
        match peer.kind:
            case PeerKind.OUTSIDE:
                yield self._beyond("outside", EVERYTHING), BOTH
            case PeerKind.INTERNET:
                yield self._beyond("internet", _INTERNET), BOTH
            case PeerKind.CIDR if peer.cidr is not None:
                yield self._written(str(peer), peer.cidr), frozenset({peer.cidr.version})
            case _:
                held = frozenset(end.key for end in self.nics if self._names(peer, end) or self._on(peer, end))
                yield Side(str(peer), held), BOTH

    def _beyond(self, name: str, prefixes: tuple[Prefix, ...]) -> Side:
        return Side(name, prefixes=without(prefixes, self.elsewhere))

    def _written(self, name: str, prefix: Prefix) -> Side:
        """A prefix: whatever has such an address, be it a machine or beyond the stack."""
        held = frozenset(end.key for end in self.nics if _inside(end.ip(prefix.version), prefix))
        return Side(name, held, () if not without([prefix], self.own) else (prefix,))

    # --- what denies

    def _left(self, flow: Flow, denied: Sequence[_Denied]) -> list[Flow]:
        left = [flow]
        for hole in denied:
            left = [part for one in left for part in self._taken(one, hole)]
        return [one for one in left if one.services]

    def _taken(self, flow: Flow, hole: _Denied) -> Iterator[Flow]:
        deny = hole.flow
        families = flow.families & deny.families
        sources, targets = flow.source.common(deny.source), flow.destination.common(deny.destination)
        touched = sources and targets and (sources.nics or targets.nics)
        if not families or not touched or not any(overlap(a, b) for a in flow.services for b in deny.services):
            yield flow
            return
        if flow.families - families:
            yield replace(flow, families=flow.families - families)
        flow = replace(flow, families=families)
        for part in (
            replace(flow, source=flow.source.without(deny.source)),
            replace(flow, source=sources, destination=flow.destination.without(deny.destination)),
        ):
            if part.source and part.destination and (part.source.nics or part.destination.nics):
                yield part
        services: list[Service] = list(flow.services)
        for gone in deny.services:
            services = [left for one in services for left in self._less(one, gone, flow, deny)]
        if services:
            yield replace(flow, source=sources, destination=targets, services=tuple(services))

    def _less(self, service: Service, gone: Service, flow: Flow, deny: Flow) -> Sequence[Service]:
        left = service_without(service, gone)
        if left is None:
            what = f"policy '{flow.policy}' allows" if flow.policy else "by 'default: allow' there passes"
            self.objections.append(
                Objection(
                    ("isolation", "policies", deny.policy),
                    f"{what} '{service}', and '{service}' without '{gone}' is no service that a rule could name: rules "
                    "here can only allow",
                    "write which services are allowed, such as tcp/443, instead of all",
                )
            )
            return ()
        return left


def _inside(text: str | None, prefix: Prefix) -> bool:
    if text is None:
        return False
    address = type(prefix.network_address)(text)
    return address in prefix


def overlap(one: Service, other: Service) -> bool:
    """Whether some packet is of both services."""
    if Protocol.ANY in (one.protocol, other.protocol):
        return True
    return (
        (one.protocol, one.number) == (other.protocol, other.number)
        and one.first <= other.last
        and other.first <= one.last
        and (None in (one.kind, other.kind) or one.kind == other.kind)
        and (None in (one.code, other.code) or one.code == other.code)
    )


def service_without(service: Service, gone: Service) -> Sequence[Service] | None:
    """What is left of a service without another one; None when no few services say it."""
    if not overlap(service, gone):
        return (service,)
    if gone.covers(service):
        return ()
    if not service.has_ports:
        return None
    parts = ((service.first, gone.first - 1), (gone.last + 1, service.last))
    return tuple(replace(service, first=first, last=last) for first, last in parts if first <= last)


def families_of(service: Service) -> frozenset[int]:
    """IP versions that the service exists in: `icmp` is IPv4's and `icmpv6` is IPv6's alone."""
    return {Protocol.ICMP: frozenset({4}), Protocol.ICMPV6: frozenset({6})}.get(service.protocol, BOTH)
