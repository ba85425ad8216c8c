"""What the filters of all NICs together let pass at a gate, made of parts that are kept for a second reading."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix
from provision_libvirt.readers.contents import Content, Filters, Kept, Nic
from provision_libvirt.readers.rules import Gate, Matcher

Levels = Mapping[tuple[int, str], PacketSet]
"""What rules match, by priority and action."""
_BRANCHES = 32


@dataclass
class Layers:
    """The filters of one graph as sets."""

    filters: Filters

    @property
    def _space(self) -> PacketSpace:
        return self.filters.request.space

    @property
    def _kept(self) -> Kept:
        return self.filters.kept

    @cached_property
    def _leaves(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Filters with their users, as numbers, in heaps by their names: one more filter changes one heap."""
        heaps = 1
        while heaps * _BRANCHES < len(self.filters.users):
            heaps *= 2
        found: list[list[tuple[int, int]]] = [[] for _ in range(heaps)]
        for name, (users, _) in self.filters.users.items():
            found[crc32(name.encode()) % heaps].append((self.filters.contents[name].number, users))
        return tuple(tuple(sorted(heap)) for heap in found)

    @cached_property
    def _parts(self) -> Mapping[tuple[int, int], tuple[Content, tuple[Prefix, ...]]]:
        return {
            (self.filters.contents[name].number, users): (self.filters.contents[name], prefixes)
            for name, (users, prefixes) in self.filters.users.items()
        }

    def passing(self, gate: Gate) -> PacketSet:
        """What a gate lets pass, of connections whose holder of the NIC is a machine of the stack."""
        key = ("passing", gate, self._leaves)
        if key not in self._kept:
            self._kept[key] = decided(self._space, self._levels(gate, self._leaves))
        found: tuple[PacketSet, tuple[int, ...]] = self._kept[key]
        for priority in found[1]:
            told = f"rules of priority {priority} that accept and drop the same packets"
            self.filters.unmodelled[told] = None
        return found[0]

    def _levels(self, gate: Gate, heaps: tuple[tuple[tuple[int, int], ...], ...]) -> Levels:
        key = ("levels", gate, heaps)
        if key not in self._kept:
            if len(heaps) == 1:
                parts: Iterable[Levels] = [self._held(gate, *part) for part in heaps[0]]
            else:
                size = max(1, len(heaps) // _BRANCHES)
                parts = [self._levels(gate, heaps[i : i + size]) for i in range(0, len(heaps), size)]
            self._kept[key] = together(self._space, parts)
        found: Levels = self._kept[key]
        return found

    def _held(self, gate: Gate, content: int, users: int) -> Levels:
        """What a filter matches of the connections of the NICs that it is on."""
        key = ("held", gate, content, users)
        if key not in self._kept:
            rules, prefixes = self._parts[content, users]
            held = self._prefixes(gate.holder, ("users", users), prefixes)
            self._kept[key] = {level: held & made for level, made in self.matched(gate, rules).items()}
        found: Levels = self._kept[key]
        return found

    def matched(self, gate: Gate, content: Content) -> Levels:
        """What the rules of a filter match, whoever has it."""
        key = ("matched", gate, content.number)
        if key not in self._kept:
            matcher, found = Matcher(self._space), dict[tuple[int, str], list[PacketSet]]()
            for priority, number, shape, prefixes in content.alike:
                part = ("match", gate, number)
                if part not in self._kept:
                    self._kept[part] = matcher.match(gate, shape, prefixes)
                made = self._kept[part]
                if made is not None:
                    found.setdefault((priority, shape.action), []).append(made)
            self._kept[key] = {level: self._space.union(sets) for level, sets in found.items()}
        made_before: Levels = self._kept[key]
        return made_before

    def of_nic(self, gate: Gate, nic: Nic) -> PacketSet:
        """What a gate lets pass at one NIC, whatever addresses there are."""
        standing = self.filters.standing(nic)
        key = ("nic", gate, standing)
        if key not in self._kept:
            own, *shared = (self.filters.contents[name] for name in nic.reached)
            below = ("shared", gate, standing[1])
            if below not in self._kept:
                self._kept[below] = together(self._space, [self.matched(gate, content) for content in shared])
            levels = together(self._space, [self._kept[below], self.matched(gate, own)])
            self._kept[key] = decided(self._space, levels)[0]
        found: PacketSet = self._kept[key]
        return found

    def beside(self, gate: Gate, nic: Nic, spared: PacketSet, before: int | None = None) -> PacketSet:
        """What a gate lets pass at one NIC by filters that it shares with others, but for `spared`.

        Args:
            gate: where.
            nic: whose own filter does not count.
            spared: packets that do not matter.
            before: count what is accepted by rules of a lower priority alone.
        """
        key = ("beside", gate, self.filters.beside(nic), spared, before)
        if key not in self._kept:
            levels = together(
                self._space, [self.matched(gate, self.filters.contents[name]) for name in nic.reached[1:]]
            )
            if before is not None:
                levels = {level: made for level, made in levels.items() if level[0] < before}
                levels = {**levels, (before, "drop"): self._space.all}
            self._kept[key] = decided(self._space, levels)[0] - spared
        found: PacketSet = self._kept[key]
        return found

    def addresses(self, field: Field, nics: Sequence[Nic]) -> PacketSet:
        """Packets from, or to, some NICs."""
        numbers = tuple(nic.number for nic in nics)
        return self._prefixes(field, ("nics", numbers), [one for nic in nics for one in nic.own])

    def _prefixes(self, field: Field, what: Hashable, prefixes: Sequence[Prefix]) -> PacketSet:
        key = ("prefixes", field, what)
        if key not in self._kept:
            self._kept[key] = self._space.prefixes(field, prefixes)
        found: PacketSet = self._kept[key]
        return found


def together(space: PacketSpace, parts: Iterable[Levels]) -> Levels:
    """What rules of several filters match."""
    found: dict[tuple[int, str], list[PacketSet]] = {}
    for part in parts:
        for level, made in part.items():
            found.setdefault(level, []).append(made)
    return {level: space.union(sets) for level, sets in found.items()}


def decided(space: PacketSpace, levels: Levels) -> tuple[PacketSet, tuple[int, ...]]:
    """What passes rules by priority, and priorities at which some packets are both accepted and dropped.

    Drops beside accepts of the same priority have the last word.
    """
    found, undecided = space.all, []
    for priority in sorted({priority for priority, _ in levels}, reverse=True):
        accepted, dropped = (levels.get((priority, action), space.none) for action in ("accept", "drop"))
        if accepted & dropped:
            undecided.append(priority)
        found = (found | accepted) - dropped
    return found, tuple(undecided)
