"""Traffic between locations: whom the policies of one mean elsewhere, by address, and what cannot be had so.

Two machines at different locations reach each other only where both are on networks with `internet: routed`: there, and
nowhere else, the filters of each hypervisor see the other machine's own address. So a peer elsewhere becomes the
addresses of its NICs on such networks. Until addresses are given, the networks' prefixes stand for them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import product
from typing import TypeVar

from provision.diagnostics import DiagnosticSink
from provision.models import Internet, Machine, Network, Peer, PeerKind, Policy, Stack, TrafficPolicy
from provision.spi import NicAddress, Objection
from provision.translate.instances import instances

Prefix = IPv4Network | IPv6Network
P = TypeVar("P", bound=Peer)
_FAMILIES = (4, 6)


@dataclass(frozen=True, slots=True)
class _Nic:
    """A NIC of a machine instance, and where it is."""

    machine: str
    entry: str
    index: int
    network: str
    location: str


@dataclass(frozen=True, slots=True)
class _End:
    """A machine entry, and the IP versions in which its own address is seen at other locations."""

    entry: str
    location: str
    families: frozenset[int]


@dataclass(frozen=True)
class Layout:
    """A stack in several locations."""

    stack: Stack

    def home(self, thing: Machine | Network) -> str:
        """The location of a machine or network."""
        return self.stack.home(thing.location)

    def check(self, sink: DiagnosticSink) -> None:
        """Report networks whose addresses would lead to two places: prefixes that are routed must be unique."""
        networks = list(self.stack.networks.items())
        for name, network in networks:
            if network.internet is not Internet.ROUTED:
                continue
            for other_name, other in networks:
                if self.home(other) == self.home(network):
                    continue
                for key, one, two in zip(("cidr", "cidr6"), _prefixes(network), _prefixes(other), strict=True):
                    if one is not None and two is not None and one.overlaps(two):
                        sink.error(
                            ("networks", name, key),
                            f"{one} is routed, and overlaps {two} of the network '{other_name}' in another location: "
                            "its addresses would lead to two places",
                            "give it a prefix of its own, or write 'internet: nat' or 'internet: none'",
                        )

    def elsewhere(self, location: str) -> tuple[Prefix, ...]:
        """Prefixes of the networks at other locations to which there is a way."""
        return tuple(
            prefix
            for network in self.stack.networks.values()
            if self.home(network) != location and network.internet is Internet.ROUTED
            for prefix in _prefixes(network)
            if prefix is not None
        )

    def part(self, location: str, addresses: Mapping[str, Sequence[NicAddress]] | None = None) -> Stack:
        """What of the stack is made at a location; with `addresses` of all machines exactly, else with stand-ins."""
        stack = self.stack
        policies = {}
        for name, policy in stack.isolation.policies.items():
            if name not in self._by_location.get(location, ()):
                continue
            policies[name] = self._rewritten(policy, location, addresses)
        mine = {
            "networks": {name: it for name, it in stack.networks.items() if self.home(it) == location},
            "machines": {name: it for name, it in stack.machines.items() if self.home(it) == location},
            "isolation": stack.isolation.model_copy(update={"policies": policies}),
            "sharing": stack.sharing.model_copy(
                update={
                    "pools": {
                        name: pool.model_copy(update={"location": None})
                        for name, pool in stack.sharing.pools.items()
                        if stack.home(pool.location) == location
                    },
                    "shares": {
                        name: share.model_copy(update={"machines": chosen})
                        for name, share in stack.sharing.shares.items()
                        if (chosen := self._here(share.machines, location))
                    },
                }
            ),
        }
        return stack.model_copy(update=mine)

    def seen(self, location: str) -> Stack:
        """The whole stack as packets at a location can meet it: what is there, and what there is a way to."""
        stack = self.stack
        reached = {
            name: it
            for name, it in stack.networks.items()
            if self.home(it) == location or it.internet is Internet.ROUTED
        }
        machines = {
            name: it
            if self.home(it) == location
            else it.model_copy(update={"nics": [nic for nic in it.nics if nic.network in reached]})
            for name, it in stack.machines.items()
        }
        return stack.model_copy(update={"networks": reached, "machines": machines})

    def reached(
        self, location: str, addresses: Mapping[str, Sequence[NicAddress]]
    ) -> dict[str, tuple[NicAddress, ...]]:
        """Of the addresses of all machines those of the stack as `seen` at a location."""
        networks = self.seen(location).networks
        return {name: tuple(nic for nic in nics if nic.network in networks) for name, nics in addresses.items()}

    @cached_property
    def objections(self) -> tuple[tuple[str, Objection], ...]:
        """Policies that allow what cannot get from one location to another, each with where it begins."""
        return tuple(self._objections())

    def _objections(self) -> Iterator[tuple[str, Objection]]:
        for name, policy in self.stack.isolation.policies.items():
            if not isinstance(policy, TrafficPolicy) or not policy.allow:
                continue
            told: set[tuple[str, str]] = set()
            for one, other in product(self._ends(policy.sources), self._ends(policy.destinations)):
                here, there = one.location, other.location
                if here == there or (here, there) in told or one.families & other.families:
                    continue
                told.add((here, there))
                reason = f"it allows traffic from '{one.entry}' in '{here}' to '{other.entry}' in '{there}', and "
                yield (
                    here,
                    Objection(
                        ("isolation", "policies", name),
                        reason + _obstacle(one, other),
                        "put both on networks with 'internet: routed', as the first that lead out of each machine, or "
                        "let the policy speak of machines of one location only",
                    ),
                )

    @property
    def unreachable(self) -> frozenset[str]:
        """Names of policies that are made nowhere: there is no way for any packet that they speak of."""
        made = {name for names in self._by_location.values() for name in names}
        return frozenset(self.stack.isolation.policies) - made

    @cached_property
    def _nics(self) -> tuple[_Nic, ...]:
        return tuple(
            _Nic(instance.name, instance.entry, index, nic.network, self.home(instance.machine))
            for instance in instances(self.stack)
            for index, nic in enumerate(instance.machine.nics)
        )

    @cached_property
    def _locations(self) -> tuple[str, ...]:
        machines = [self.home(it) for it in self.stack.machines.values()]
        return tuple(dict.fromkeys([*machines, *(self.home(it) for it in self.stack.networks.values())]))

    @cached_property
    def _by_location(self) -> Mapping[str, frozenset[str]]:
        """By location, the names of the policies that have anything to do there."""
        found: dict[str, set[str]] = {location: set() for location in self._locations}
        for name, policy in self.stack.isolation.policies.items():
            where = [location for location in self._locations if self._concerns(policy, location)]
            # One that speaks of nobody is everybody's: each platform is asked whether it could enforce it.
            for location in where if where or self._speaks(policy) else self._locations:
                if self._possible(policy, location):
                    found[location].add(name)
        for location, objection in self.objections:
            found[location].add(str(objection.path[2]))
        return {location: frozenset(names) for location, names in found.items()}

    def _speaks(self, policy: Policy) -> bool:
        if isinstance(policy, TrafficPolicy):
            return bool(self._members(policy.sources) or self._members(policy.destinations))
        return any(self._here(policy.machines, location) for location in self._locations)

    def _concerns(self, policy: Policy, location: str) -> bool:
        """Whether it speaks of a machine or network here, by name, label or address."""
        if not isinstance(policy, TrafficPolicy):
            return bool(self._here(policy.machines, location))
        return self._speaks_here([*policy.sources, *policy.destinations], location)

    def _speaks_here(self, peers: Sequence[Peer], location: str) -> bool:
        """Whether peers mean a machine or network here, by name, label or address."""
        if any(nic.location == location for nic in self._members(peers)):
            return True
        own = [prefix for it in self.stack.networks.values() if self.home(it) == location for prefix in _prefixes(it)]
        written = [peer.cidr for peer in peers if peer.cidr is not None]
        return any(one is not None and one.overlaps(two) for one, two in product(own, written) if _alike(one, two))

    def _possible(self, policy: Policy, location: str) -> bool:
        """Whether each side is somebody for whom there is a way from or to here."""
        if not isinstance(policy, TrafficPolicy) or not self._speaks(policy):
            return True
        return all(self._sides(policy, location, None))

    def _rewritten(self, policy: Policy, location: str, addresses: Mapping[str, Sequence[NicAddress]] | None) -> Policy:
        if isinstance(policy, TrafficPolicy):
            if not self._speaks(policy):
                return policy
            sources, destinations = self._sides(policy, location, addresses)
            return policy.model_copy(update={"sources": sources, "destinations": destinations})
        chosen = self._here(policy.machines, location)
        return policy.model_copy(update={"machines": chosen}) if chosen else policy

    def _sides(
        self, policy: TrafficPolicy, location: str, addresses: Mapping[str, Sequence[NicAddress]] | None
    ) -> tuple[list[Peer], list[Peer]]:
        """Both sides of a policy as they are here: somebody elsewhere matters only to somebody who is here."""
        one, other = policy.sources, policy.destinations
        return (
            self._peers(one, location, addresses, abroad=self._speaks_here(other, location)),
            self._peers(other, location, addresses, abroad=self._speaks_here(one, location)),
        )

    def _peers(
        self,
        peers: Sequence[Peer],
        location: str,
        addresses: Mapping[str, Sequence[NicAddress]] | None,
        *,
        abroad: bool,
    ) -> list[Peer]:
        """The peers, with those elsewhere as addresses when they matter (`abroad`), else without."""
        found: dict[Peer, None] = {}
        for peer in peers:
            members = self._members([peer])
            if not members or any(nic.location == location for nic in members):
                found[peer] = None
            for nic in members:
                network = self.stack.networks[nic.network]
                if not abroad or nic.location == location or network.internet is not Internet.ROUTED:
                    continue
                known = _prefixes(network) if addresses is None else _addresses(addresses[nic.machine][nic.index])
                for prefix in known:
                    if prefix is not None:
                        found[Peer(PeerKind.CIDR, cidr=prefix)] = None
        return list(found)

    def _members(self, peers: Sequence[Peer]) -> list[_Nic]:
        """NICs of the machines that peers mean by name, label or network."""
        return [nic for nic in self._nics if any(self._means(peer, nic) for peer in peers)]

    def _means(self, peer: Peer, nic: _Nic) -> bool:
        match peer.kind:
            case PeerKind.MACHINE:
                return peer.name in ("*", nic.entry, nic.machine)
            case PeerKind.NETWORK:
                return peer.name in ("*", nic.network)
            case PeerKind.LABEL:
                things = (self.stack.machines[nic.entry], self.stack.networks[nic.network])
                return any(thing.labels.get(peer.name) == peer.value for thing in things)
            case _:
                return False

    def _here(self, selectors: Sequence[P], location: str) -> list[P]:
        """Selectors that select a machine of a location."""
        machines = {name: it for name, it in self.stack.machines.items() if self.home(it) == location}
        return [
            one
            for one in selectors
            if any(
                one.name in ("*", name) if one.kind is PeerKind.MACHINE else it.labels.get(one.name) == one.value
                for name, it in machines.items()
            )
        ]

    def _ends(self, peers: Sequence[Peer]) -> list[_End]:
        """The machines that peers mean; of those at one location that are reached alike, one."""
        networks: dict[str, set[str]] = {}
        for nic in self._members(peers):
            networks.setdefault(nic.entry, set()).add(nic.network)
        found: dict[tuple[str, frozenset[int]], _End] = {}
        for entry, meant in networks.items():
            families = frozenset(family for family in _FAMILIES if self._exit(entry, family) in meant)
            end = _End(entry, self.home(self.stack.machines[entry]), families)
            found.setdefault((end.location, families), end)
        return list(found.values())

    def _exit(self, entry: str, family: int) -> str | None:
        """The network by which a machine leaves, when its address is seen beyond it."""
        for nic in self.stack.machines[entry].nics:
            network = self.stack.networks[nic.network]
            if _prefixes(network)[family == 6] is not None and network.internet is not Internet.NONE:
                return nic.network if network.internet is Internet.ROUTED else None
        return None


def _obstacle(one: _End, other: _End) -> str:
    for end in (one, other):
        if not end.families:
            return f"'{end.entry}' has no address that is seen elsewhere: its way out is not a routed network"
    return "they have no version of IP in common on routed networks"


def _prefixes(network: Network) -> tuple[Prefix | None, Prefix | None]:
    return network.cidr, network.cidr6


def _addresses(nic: NicAddress) -> list[Prefix]:
    return [ip_network(text) for text in (nic.ipv4, nic.ipv6) if text]


def _alike(one: Prefix | None, two: Prefix) -> bool:
    return one is not None and one.version == two.version
