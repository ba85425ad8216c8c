"""The score of a verification: how many broken rules and settings it would notice, of all that could be broken."""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from provision.packets.sets import Packet, PacketSet, PacketSpace
from provision.spi import Readout, ResourceGraph, RulesRequest
from provision.verify.proof.compare import ways
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet
from provision.verify.proof.lone import Lone
from provision.verify.proof.planned import Part
from provision.verify.selftest.mutants import Mutant, mutants
from provision.verify.settings import read_settings

MOST = 2000
"""How many breaks are tried unless more are asked for."""


class Fate(enum.StrEnum):
    """What became of a break."""

    MISSED = "missed"
    NARROWER = "narrower"
    BEYOND = "beyond"
    WITHOUT_EFFECT = "without effect"


class Layer(enum.StrEnum):
    """What notices a break; the first that does counts."""

    PROOF = "proof"
    SETTINGS = "settings"
    ACCEPTED = "accepted"
    LIVE_RULES = "live rules"
    EFFECTIVE = "effective"
    PROBES = "probes"


@dataclass(frozen=True)
class Score:
    """The outcome of a self-test.

    Attributes:
        by_layer: broken things that were noticed, by what notices them first.
        missed: those that let something more pass on which the file decides, or break what a policy or share asks for,
            and were not noticed, in words.
        narrower: those that only stop more, and nothing that a policy allows: what they stop is closed anyway.
        beyond: those that open nothing on which the file decides (packets that nobody can send, from or to addresses
            that no machine has) or change one choice that the file leaves open for another.
        without_effect: those after which exactly the same passes: a rule that repeats another, another spelling.
        possible: how many breaks there are; of more than were asked for, as many were tried, evenly spread.
    """

    by_layer: Mapping[str, int] = field(default_factory=dict)
    missed: tuple[str, ...] = ()
    narrower: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()
    possible: int = 0

    @property
    def caught(self) -> int:
        """How many broken things were noticed."""
        return sum(self.by_layer.values())

    @property
    def total(self) -> int:
        """How many broken things should have been noticed."""
        return self.caught + len(self.missed)

    @property
    def tried(self) -> int:
        """How many were tried."""
        return self.total + len(self.narrower) + len(self.beyond) + len(self.without_effect)

    def __add__(self, other: "Score") -> "Score":
        """The score of both together."""
        return Score(
            dict(Counter(self.by_layer) + Counter(other.by_layer)),
            self.missed + other.missed,
            self.narrower + other.narrower,
            self.beyond + other.beyond,
            self.without_effect + other.without_effect,
            self.possible + other.possible,
        )


def score(part: Part, most: int = MOST) -> Score:
    """Break every native rule and setting, one at a time, and count how often it is noticed.

    Args:
        part: what the translation made, and what it is held against.
        most: how many breaks to try.
    """
    bench = Bench(part)
    found: dict[Fate, list[str]] = {fate: [] for fate in Fate}
    layers = Counter[str]()
    possible = list(mutants(part.graph))
    for mutant in spread(possible, most):
        fate = bench.fate(mutant)
        if isinstance(fate, Layer):
            layers[fate] += 1
        else:
            found[fate].append(str(mutant))
    return Score(
        dict(layers),
        tuple(found[Fate.MISSED]),
        tuple(found[Fate.NARROWER]),
        tuple(found[Fate.BEYOND]),
        tuple(found[Fate.WITHOUT_EFFECT]),
        len(possible),
    )


class Bench:
    """Where breaks of one translation are tried."""

    def __init__(self, part: Part) -> None:
        """Prepare what they are held against."""
        self._part = part
        self._space = PacketSpace(len(part.addresses))
        self._right = self._read(part.graph)
        ends = Ends(part.stack, part.everywhere or part.addresses, self._right.host_addresses, part.here)
        self._intent = IntentSet(self._space, ends, part.without)
        self._lone = Lone(self._intent)
        self._said = read_settings([part])
        self._wrong = frozenset(self._said.wrong)

    def fate(self, mutant: Mutant) -> Fate | Layer:
        """What becomes of a break: the layer that notices it, or why none does."""
        now = self._read(mutant.graph)
        if now.unmodelled != self._right.unmodelled or any(found for _, found in ways(self._intent, now, self._lone)):
            return Layer.PROOF
        if mutant.setting:
            said = read_settings([self._part.having(mutant.graph)])
            if not self._wrong.issuperset(said.wrong):
                return Layer.SETTINGS
            if mutant.always and said == self._said:
                return Fate.WITHOUT_EFFECT
            return Fate.BEYOND if mutant.choice else Fate.MISSED
        if _relations(now) == _relations(self._right):
            return Fate.WITHOUT_EFFECT
        more = _gained(now, self._right)
        if more is None:
            return Fate.NARROWER
        return Fate.MISSED if more & (self._intent.judged | self._lone.told) else Fate.BEYOND

    def changed(self, mutant: Mutant) -> PacketSet:
        """Connections that pass with a break and do not without, or the other way round."""
        now = self._read(mutant.graph)
        return now.connected ^ self._right.connected

    def packet(self, packet: Packet) -> PacketSet:
        """The set of one packet."""
        return self._space.only(packet)

    def _read(self, graph: ResourceGraph) -> Readout:
        part = self._part
        return part.reader.read_rules(RulesRequest(self._space, graph, part.addresses, part.capabilities))


def spread(items: Sequence[Mutant], most: int) -> Iterable[Mutant]:
    """At most that many of them, evenly from the first to the last."""
    if len(items) <= most:
        return items
    return (items[index * len(items) // most] for index in range(most))


def _relations(readout: Readout) -> tuple[PacketSet | None, ...]:
    return (
        readout.delivered, readout.connected, readout.single, readout.forged, readout.claimed, readout.overheard
    )  # fmt: skip


def _gained(one: Readout, other: Readout) -> PacketSet | None:
    """What passes by `one` and does not by `other`, in any way; None when nothing does."""
    found: PacketSet | None = None
    for now, before in zip(_relations(one), _relations(other), strict=True):
        if now is not None and before is not None and (more := now - before):
            found = more if found is None else found | more
    return found
