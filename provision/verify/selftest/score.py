"""The score of a verification: how many broken rules it would notice, of all that could be broken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provision.packets.sets import PacketSet, PacketSpace
from provision.spi import Readout, ResourceGraph, RulesRequest
from provision.verify.proof.compare import differences
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet
from provision.verify.proof.planned import Part
from provision.verify.selftest.mutants import Mutant, mutants

MOST = 500
"""How many breaks are tried unless more are asked for."""


@dataclass(frozen=True)
class Score:
    """The outcome of a self-test.

    Attributes:
        caught: broken things that were noticed: a difference was named, or a rule was not understood.
        missed: those that let something more pass on which the file decides, and were not noticed, in words.
        beyond: those that were not noticed and open nothing on which the file decides: they stop what no policy speaks
            of, or let pass what nobody in the file sends, such as packets from addresses that no machine has.
        without_effect: those after which exactly the same passes: a rule that repeats another, another spelling.
        possible: how many breaks there are; of more than were asked for, as many were tried, evenly spread.
    """

    caught: int
    missed: tuple[str, ...]
    beyond: tuple[str, ...]
    without_effect: tuple[str, ...]
    possible: int

    @property
    def total(self) -> int:
        """How many broken things should have been noticed."""
        return self.caught + len(self.missed)

    @property
    def tried(self) -> int:
        """How many were tried."""
        return self.total + len(self.beyond) + len(self.without_effect)

    def __add__(self, other: "Score") -> "Score":
        """The score of both together."""
        return Score(
            self.caught + other.caught,
            self.missed + other.missed,
            self.beyond + other.beyond,
            self.without_effect + other.without_effect,
            self.possible + other.possible,
        )


def score(part: Part, most: int = MOST) -> Score:
    """Break every native rule, one at a time, and count how often the proof notices.

    Args:
        part: what the translation made, and what it is held against.
        most: how many breaks to try.
    """
    space = PacketSpace()

    def read(broken: ResourceGraph) -> Readout:
        return part.reader.read_rules(RulesRequest(space, broken, part.addresses, part.capabilities))

    right = read(part.graph)
    ends = Ends(part.stack, part.everywhere or part.addresses, right.host_addresses, part.here)
    intent = IntentSet(space, ends, part.without)
    caught, missed, beyond, without_effect = 0, [], [], []
    possible = list(mutants(part.graph))
    for mutant in _spread(possible, most):
        now = read(mutant.graph)
        if now.unmodelled != right.unmodelled or next(differences(intent, now), None) is not None:
            caught += 1
        elif _same(now, right):
            without_effect.append(str(mutant))
        elif not _gained(now, right) & intent.judged:
            beyond.append(str(mutant))
        else:
            missed.append(str(mutant))
    return Score(caught, tuple(missed), tuple(beyond), tuple(without_effect), len(possible))


def _spread(items: Sequence[Mutant], most: int) -> Iterable[Mutant]:
    """At most that many of them, evenly from the first to the last."""
    if len(items) <= most:
        return items
    return (items[index * len(items) // most] for index in range(most))


def _same(one: Readout, other: Readout) -> bool:
    return (one.delivered, one.connected, one.forged) == (other.delivered, other.connected, other.forged)


def _gained(one: Readout, other: Readout) -> PacketSet:
    """What passes by `one` and does not by `other`."""
    return (one.delivered - other.delivered) | (one.connected - other.connected) | (one.forged - other.forged)
