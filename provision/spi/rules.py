"""Reading native rules back: what a platform's own rules let pass, as sets of connections.

A reader is written from the platform's documentation and not from the translation, so that a mistake in one does not
hide in the other. What it does not understand it names; nothing is assumed of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from provision.spi.graph import ResourceGraph
from provision.spi.support import Capabilities, NicAddress

if TYPE_CHECKING:  # every process of a plugin imports this module, and only verification needs the sets
    from provision.packets.sets import Packet, PacketSet, PacketSpace


@dataclass(frozen=True)
class RulesRequest:
    """What to read.

    Attributes:
        space: makes the sets.
        graph: native resources, as translation made them.
        addresses: per machine instance (`web-0`), its NICs in order.
        capabilities: what the platform said of itself.
    """

    space: "PacketSpace"
    graph: ResourceGraph
    addresses: Mapping[str, Sequence[NicAddress]]
    capabilities: Capabilities


@dataclass(frozen=True)
class Readout:
    """What the rules let pass; each connection is told by its first packet.

    Attributes:
        delivered: first packets that reach the other end, as far as rules decide: those of the machine that sends and
            of the machine that receives.
        connected: those whose answers come back too.
        forged: packets that some machine may send although their source address is not its own.
        host_addresses: addresses of the host beyond the stack's networks, as far as they are known.
        unmodelled: rules that the reader does not understand, in words; they were taken to match nothing.
        explain: which rules let a packet pass, or drop it, in words.
    """

    delivered: "PacketSet"
    connected: "PacketSet"
    forged: "PacketSet"
    host_addresses: tuple[str, ...] = ()
    unmodelled: tuple[str, ...] = ()
    explain: "Callable[[Packet], str]" = field(default=lambda packet: "")


@runtime_checkable
class CanReadRules(Protocol):
    """Without it nothing can be proven about the translation: the evidence *translated* is missing."""

    def read_rules(self, request: RulesRequest) -> Readout:
        """What the native rules of the graph let pass; pure."""
