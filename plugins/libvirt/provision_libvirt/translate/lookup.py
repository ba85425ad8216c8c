"""Finding NICs and policies without asking every one about every other: what keeps translation linear."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from provision.models import TrafficPolicy
from provision.spi.flows import End
from provision.spi.peers import PeerSet


@dataclass(frozen=True)
class SidedPolicy:
    """A traffic policy with its peers sorted by what they are."""

    name: str
    policy: TrafficPolicy
    sources: PeerSet
    destinations: PeerSet

    def own(self, direction: str) -> PeerSet:
        """The side of which a NIC is a member when the policy's filter for `direction` is on it."""
        return self.sources if direction == "out" else self.destinations

    def peers(self, direction: str) -> PeerSet:
        """The other side: whom the policy's filter for `direction` speaks of."""
        return self.destinations if direction == "out" else self.sources


class Places:
    """Every NIC of the stack, by what policies name it by."""

    def __init__(self, places: Iterable[End]) -> None:
        """Sort the NICs once."""
        self._by_name: dict[str, list[tuple[int, End]]] = defaultdict(list)
        self._by_network: dict[str, list[tuple[int, End]]] = defaultdict(list)
        self._networks_by_name: dict[str, set[str]] = defaultdict(set)
        for item in enumerate(places):
            place = item[1]
            self._by_network[place.network].append(item)
            for name in {place.entry, place.machine}:
                self._by_name[name].append(item)
                self._networks_by_name[name].add(place.network)

    @property
    def networks(self) -> Iterable[str]:
        """Networks that have a NIC."""
        return self._by_network

    def at(self, network: str) -> Iterator[End]:
        """NICs on a network, in the order of the file."""
        return (place for _, place in self._by_network.get(network, ()))

    def named(self, side: PeerSet) -> Iterator[End]:
        """NICs of the machines that `side` names, in the order of the file."""
        found = {position: place for name in side.entries for position, place in self._by_name.get(name, ())}
        return (found[position] for position in sorted(found))

    def on(self, side: PeerSet, network: str, family: int) -> bool:
        """Whether `side` has a member on the network."""
        if network not in self._by_network:
            return False
        if network in side.networks or any(network in self._networks_by_name.get(n, ()) for n in side.entries):
            return True
        return bool(side.prefixes) and any(side.holds(place, family) for _, place in self._by_network[network])


@dataclass
class Policies:
    """The traffic policies of the stack, by the NICs that they may be about."""

    policies: Sequence[SidedPolicy]
    _by_name: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _by_network: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _by_prefix: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Sort the policies once."""
        for position, policy in enumerate(self.policies):
            for one in (policy.sources, policy.destinations):
                for name in one.entries:
                    self._by_name[name].add(position)
                for network in one.networks:
                    self._by_network[network].add(position)
                if one.prefixes:
                    self._by_prefix.add(position)

    def about(self, place: End) -> Iterator[SidedPolicy]:
        """Policies that may be about the NIC, in the order of the file."""
        nothing: set[int] = set()
        named = self._by_name.get(place.entry, nothing) | self._by_name.get(place.machine, nothing)
        found = named | self._by_network.get(place.network, nothing) | self._by_prefix
        return (self.policies[position] for position in sorted(found))
