"""What a change of a stack file opens and closes: two relations held against each other, for ends with names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from provision.models import Stack
from provision.spi import NicAddress
from provision.verify.endpoints import OUTSIDE, Endpoint, EndpointKind, Family
from provision.verify.intent import Intent
from provision.verify.reach.answers import Reach
from provision.verify.reach.ends import Class, all_ends, classes
from provision.verify.reach.services import ServiceSet

INTERNET = "internet"
PRIVATE = "outside, not the internet"
_MOST_NAMES = 5
_Key = tuple[object, ...]
_Way = tuple[str, str, bool, bool, bool]
"""Sender, receiver, whether it is opened, and whether each end is fresh."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Services that pass now and did not before, or the other way round.

    Attributes:
        source: who sends: entries of the file, `host`, `outside`, `internet` or a prefix.
        destination: who receives.
        services: as a policy would write them.
        by: policies that let them pass: those of now for what is opened, those of before for what is closed.
        opened: whether they pass now.
        fresh_source: whether the sender did not exist before, or does not any more.
        fresh_destination: the same of the receiver.
    """

    source: str
    destination: str
    services: tuple[str, ...]
    by: tuple[str, ...]
    opened: bool
    fresh_source: bool = False
    fresh_destination: bool = False


@dataclass(frozen=True)
class View:
    """One of two states of a stack: what its file said, its addresses, and policies that are not enforced."""

    stack: Stack
    addresses: Mapping[str, Sequence[NicAddress]]
    without: frozenset[str] = frozenset()


def difference(before: View | None, after: View) -> list[Crossing]:
    """What passes in one state and not in the other; ends without a way are not spoken of.

    Args:
        before: what was; None when nothing was.
        after: what is to be.
    """
    return _Comparison(before or View(Stack(version=1), {}), after).crossings()


class _Comparison:
    def __init__(self, before: View, after: View) -> None:
        self._intents = [Intent(view.stack, view.addresses, view.without) for view in (before, after)]
        self._reaches = [Reach(intent) for intent in self._intents]
        prefixes = _prefixes(self._intents)
        self._named = sorted(_named(self._intents), key=lambda one: -one.prefixlen)
        self._ends: list[dict[_Key, Endpoint]] = [
            {_identity(end): end for end in all_ends(intent, prefixes)} for intent in self._intents
        ]
        self._sizes: dict[str, int] = {}
        for intent in self._intents:
            counts: dict[str, int] = {}
            for instance in intent.instances.values():
                counts[instance.entry] = counts.get(instance.entry, 0) + 1
            self._sizes |= {name: max(count, self._sizes.get(name, 0)) for name, count in counts.items()}

    def crossings(self) -> list[Crossing]:
        old, new = self._ends
        found: dict[_Way, _Sum] = {}
        both = classes((new.get(key) or old[key] for key in dict.fromkeys((*new, *old))), self._alike)
        named = [(group, self._name(group)) for group in both]
        for source, source_name in named:
            for destination, destination_name in named:
                pair = source.pair(destination)
                if pair is None or EndpointKind.MACHINE not in (pair[0].kind, pair[1].kind):
                    continue
                for family in Family:
                    self._pair(pair, family, (source_name, destination_name), found)
        rows: dict[tuple[str, tuple[str, ...], tuple[str, ...], bool, bool, bool], list[str]] = {}
        for (sender, receiver, opened, fresh_sender, fresh), total in found.items():
            rows.setdefault((receiver, total.words(), tuple(total.by), opened, fresh_sender, fresh), []).append(sender)
        return [Crossing(_together(sources), *row) for row, sources in rows.items()]

    def _pair(
        self,
        pair: tuple[Endpoint, Endpoint],
        family: Family,
        names: tuple[str, str],
        found: "dict[_Way, _Sum]",
    ) -> None:
        parts = []
        fresh = [False, False]
        for ends, reach in zip(self._ends, self._reaches, strict=True):
            here = [ends.get(_identity(end)) for end in pair]
            source, destination = here
            fresh = [before or end is None for before, end in zip(fresh, here, strict=True)]
            answer = reach.between(source, destination, family) if source and destination else None
            parts.append(answer.parts if answer is not None and answer.routed else ())
        before, after = parts
        if before == after:
            return
        for opened, some, others in ((True, after, before), (False, before, after)):
            known = ServiceSet()
            for _, services in others:
                known |= services
            for why, services in some:
                if more := services - known:
                    key = (*names, opened, fresh[0], fresh[1])
                    found.setdefault(key, _Sum()).add(why, more, family)

    def _alike(self, end: Endpoint) -> object:
        key = _identity(end)
        return tuple(
            reach.alike(ends[key]) if key in ends else None
            for ends, reach in zip(self._ends, self._reaches, strict=True)
        )

    def _name(self, group: Class) -> str:
        first = group.members[0]
        if first.kind is EndpointKind.HOST:
            return f"host ({', '.join(end.network for end in group.members)})"
        if first.kind is EndpointKind.OUTSIDE:
            names = dict.fromkeys(map(self._outside, group.members))
            if OUTSIDE in names:
                return OUTSIDE if INTERNET in names else PRIVATE
            return _listed([*names])
        return _listed(self._machines(group))

    def _outside(self, end: Endpoint) -> str:
        address = end.ipv4 or end.ipv6
        assert address is not None
        prefix = next((one for one in self._named if address in one), None)
        return str(prefix) if prefix is not None else INTERNET if address.is_global else OUTSIDE

    def _machines(self, group: Class) -> list[str]:
        by_entry: dict[str, list[Endpoint]] = {}
        for end in group.members:
            by_entry.setdefault(self._entry(end), []).append(end)
        found = []
        for entry, ends in by_entry.items():
            alone = len(self._nics(ends[0])) < 2
            where = "" if alone else f" ({ends[0].network})"
            if len(ends) == self._sizes.get(entry):
                found.append(f"{entry}{where}")
            else:
                found += [f"{end.name}{where}" for end in ends]
        return found

    def _entry(self, end: Endpoint) -> str:
        return next(intent.instances[end.name].entry for intent in self._intents[::-1] if end.name in intent.instances)

    def _nics(self, end: Endpoint) -> Sequence[Endpoint]:
        return next(intent.machines[end.name] for intent in self._intents[::-1] if end.name in intent.machines)


@dataclass
class _Sum:
    """Services of one line, and what lets them pass."""

    found: dict[Family, ServiceSet] = field(default_factory=dict)
    by: dict[str, None] = field(default_factory=dict)

    def add(self, why: str, services: ServiceSet, family: Family) -> None:
        self.found[family] = self.found.get(family, ServiceSet()) | services
        self.by[why] = None

    def words(self) -> tuple[str, ...]:
        words = {family: services.words(family) for family, services in self.found.items()}
        said = dict.fromkeys(word for found in words.values() for word in found)
        return tuple(said) if "everything" not in said else ("everything",)


def _identity(end: Endpoint) -> _Key:
    """What an end is in both states: a machine's NIC, the host on a network, or an address of the world."""
    if end.kind is EndpointKind.OUTSIDE:
        return (end.kind, end.ipv4, end.ipv6)
    return (end.kind, end.name, end.network, end.nic)


def _named(intents: Iterable[Intent]) -> set[IPv4Network | IPv6Network]:
    """Prefixes that policies name, but for whole worlds."""
    sides = (side for intent in intents for rule in intent.rules for side in (rule.sources, rule.destinations))
    return {one for side in sides for one in side.prefixes if one.prefixlen}


def _prefixes(intents: Sequence[Intent]) -> set[IPv4Network | IPv6Network]:
    networks = (network for intent in intents for network in intent.stack.networks.values())
    own = {one for network in networks for one in (network.cidr, network.cidr6) if one is not None}
    return own | _named(intents)


def _together(sources: Sequence[str]) -> str:
    """Senders of one line; the internet and all else outside are the outside."""
    if INTERNET in sources and PRIVATE in sources:
        sources = [OUTSIDE, *(one for one in sources if one not in (INTERNET, PRIVATE))]
    return _listed(sources)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
