"""Which pairs of machines to probe when all of them would be too many."""

import sys
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from provision.verify.endpoints import Family
from provision.verify.intent import Intent

MAX_PAIRS = 1600
"""Most ordered pairs of machines that are probed one by one: those of forty machines."""
ALL_PAIRS = sys.maxsize
"""However many there are."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Ordered pairs of machines to probe, how many of `total` they leave out, and the rule that chose them."""

    chosen: tuple[tuple[str, str], ...]
    total: int
    rule: str

    @property
    def left_out(self) -> int:
        """How many pairs are not probed."""
        return self.total - len(self.chosen)

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines that take part, without repeats."""
        return tuple(dict.fromkeys(name for pair in self.chosen for name in pair))


def choose(intent: Intent, names: Sequence[str], limit: int = MAX_PAIRS) -> Pairs:
    """All ordered pairs up to `limit`; above it, one pair of machines for each pair of kinds.

    Two machines are of one kind when they come from the same entry of the file, are on the same networks, and the same
    rules speak of them; when even that gives too many, the entry does not count. What is still above `limit` is cut
    off, and said.
    """
    total = len(names) * (len(names) - 1)
    if total <= limit:
        return Pairs(tuple(permutations(names, 2)), total, "every ordered pair of machines")
    for by_entry, rule in (
        (True, "one pair of machines for each pair of kinds (entry, networks, rules that speak of them)"),
        (False, "one pair of machines for each pair of kinds (networks, rules that speak of them)"),
    ):
        kinds: dict[object, list[str]] = {}
        for name in names:
            kinds.setdefault(kind(intent, name, by_entry=by_entry), []).append(name)
        if len(kinds) ** 2 <= limit:
            return Pairs(tuple(_representatives(list(kinds.values()))), total, rule)
    members = list(kinds.values())[: max(2, int(limit**0.5))]
    return Pairs(tuple(_representatives(members)), total, f"{rule}, of the first {len(members)} kinds only")


def _representatives(kinds: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    for one in kinds:
        for other in kinds:
            if one is not other:
                yield one[0], other[0]
            elif len(one) > 1:
                yield one[0], one[1]


def kind(intent: Intent, name: str, *, by_entry: bool = True) -> Hashable:
    """What machines share that the file treats alike: their entry, their networks, the rules that speak of them."""
    nics = intent.machines[name]
    spoken = tuple((nic.network, *intent.speaking_of(nic, family)) for nic in nics for family in Family)
    return (intent.instances[name].entry if by_entry else "", spoken)
