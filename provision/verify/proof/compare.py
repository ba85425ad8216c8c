"""Intent and native rules as sets: whether they are the same, and a packet in words for each difference."""

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from provision.loader.collector import collector_paused
from provision.models import Stack
from provision.packets.sets import Field, Packet, PacketSet, PacketSpace
from provision.spi import CanReadRules, Capabilities, Evidence, NicAddress, Readout, ResourceGraph, RulesRequest
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet
from provision.verify.proof.lone import Lone

MOST = 20
"""How many differences are named."""
_UNBOUND = "no rule for ARP holds it to its own"


class Way(enum.StrEnum):
    """How rules can differ from the file."""

    LEAK = "passes, and no policy allows it"
    HALF = "passes the rules of one of its two ends, and no policy allows it"
    STRAY = "arrives alone, and no policy allows it"
    GAP = "is stopped, and a policy allows it"
    FORGERY = "can be sent with an address that is not the sender's own"
    OVERHEARD = "is handed to a machine that it is not for"
    CLAIM = "can claim, in address resolution, to have"


@dataclass(frozen=True, slots=True)
class Difference:
    """One packet on which the file and the native rules do not agree.

    Attributes:
        way: how they differ.
        packet: an example.
        source: who sends it.
        destination: to whom.
        rules: the native rules that decide on it.
    """

    way: Way
    packet: Packet
    source: str
    destination: str
    rules: str

    def __str__(self) -> str:
        """In one sentence."""
        packet = self.packet
        if self.way is Way.CLAIM:
            return f"{packet.source} ({self.source}) {self.way} {packet.destination} ({self.destination}): {self.rules}"
        return (
            f"{packet.service} from {packet.source} ({self.source}) to {packet.destination} ({self.destination}) "
            f"{self.way}: {self.rules}"
        )


@dataclass(frozen=True)
class Proof:
    """The outcome.

    Attributes:
        differences: an example of each kind of difference between each pair of ends, up to a bound.
        unmodelled: native rules that were not understood.
        machines: how many machines it is about.
        policies: how many policies.
        kind: what it is evidence of.
    """

    differences: tuple[Difference, ...]
    unmodelled: tuple[str, ...]
    machines: int
    policies: int
    kind: Evidence = Evidence.TRANSLATED

    @property
    def holds(self) -> bool:
        """Whether the native rules are proven to let pass what the file allows, and nothing else."""
        return not self.differences and not self.unmodelled


def prove(
    stack: Stack,
    addresses: Mapping[str, Sequence[NicAddress]],
    graph: ResourceGraph,
    capabilities: Capabilities,
    reader: CanReadRules,
    *,
    without: Iterable[str] = (),
    most: int = MOST,
    everywhere: Mapping[str, Sequence[NicAddress]] | None = None,
    here: frozenset[str] | None = None,
) -> Proof:
    """Compare what the file says with the native rules of a translation.

    Args:
        stack: what the file says.
        addresses: per machine instance, its NICs in order.
        graph: what the translation made.
        capabilities: with which it was made.
        reader: the platform's own reader of its rules.
        without: names of policies that were downgraded.
        most: how many differences to name.
        everywhere: of a stack in several locations, the NICs of all machines that `stack` has.
        here: and the networks of the location that the graph is made for.
    """
    with collector_paused():
        space = PacketSpace(len(addresses))
        readout = reader.read_rules(RulesRequest(space, graph, addresses, capabilities))
        ends = Ends(stack, everywhere or addresses, readout.host_addresses, here)
        found = differences(IntentSet(space, ends, without), readout)
        return Proof(tuple(islice(found, most)), readout.unmodelled, len(addresses), len(stack.isolation.policies))


def differences(intent: IntentSet, readout: Readout, lone: Lone | None = None) -> Iterator[Difference]:
    """Every kind of difference, an example for each pair of ends; `lone` is that of the intent when it is there."""
    for way, found in ways(intent, readout, lone or Lone(intent)):
        yield from _examples(intent.space, intent.ends, way, found, readout)


def ways(intent: IntentSet, readout: Readout, lone: Lone) -> Iterator[tuple[Way, PacketSet]]:
    """For every way in which rules can differ from the file, the packets that do."""
    space, ends = intent.space, intent.ends
    wrong = intent.judged - intent.allowed
    hosts = space.prefixes(Field.SOURCE, ends.hosts)
    # One-way datagrams need no answer to do harm. Of what machines may answer, lone packets that the platform tells by
    # address and port alone are no connection.
    datagrams = (space.protocol(17) | (space.protocol(6) & intent.near[Field.SOURCE])) - hosts
    leaks = (readout.connected | (readout.delivered & datagrams)) & wrong
    yield Way.LEAK, leaks
    if readout.single is not None:
        yield Way.HALF, (readout.single & wrong) - leaks
    yield Way.STRAY, (readout.delivered & lone.told) - lone.allowed - leaks
    yield Way.GAP, (intent.judged & intent.allowed & intent.routed) - readout.connected
    yield Way.FORGERY, readout.forged
    if readout.overheard is not None:
        yield Way.OVERHEARD, readout.overheard
    if readout.claimed is not None:
        yield Way.CLAIM, readout.claimed


def _examples(space: PacketSpace, ends: Ends, way: Way, found: PacketSet, readout: Readout) -> Iterator[Difference]:
    while (packet := found.example()) is not None:
        rules = _UNBOUND if way is Way.CLAIM else readout.explain(packet)
        yield Difference(way, packet, ends.name(packet.source), ends.name(packet.destination), rules)
        same = ends.like(packet.source), ends.like(packet.destination)
        found -= space.prefixes(Field.SOURCE, same[0]) & space.prefixes(Field.DESTINATION, same[1])
