"""Reading native rules back: what a platform's own rules let pass, as sets of connections.

A reader is written from the platform's documentation and not from the translation, so that a mistake in one does not
hide in the other. What it does not understand it names; nothing is assumed of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from provision.spi.graph import ResourceGraph
from provision.spi.probes import DeployedMachine
from provision.spi.support import Capabilities, Evidence, NicAddress

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
        forged: packets that some machine may send although their source address, or the hardware address that they
            come from, is not its own.
        host_addresses: addresses of the host beyond the stack's networks, as far as they are known.
        unmodelled: rules that the reader does not understand, in words; they were taken to match nothing.
        explain: which rules let a packet pass, or drop it, in words.
        single: connections that the rules of one of their two ends would let pass by themselves; None when ends have no
            rules of their own, or nobody looked.
        claimed: addresses that a machine may claim in address resolution (ARP) although they are not its own, or for
            another hardware address than its own: from the machine's address to the one claimed; None when nobody
            looked.
        overheard: packets that some machine gets although they are for another's address; None when nobody looked.
        kind: what live rules are evidence of: *effective* where the host was looked at, *accepted* where only the
            platform's API tells them.
    """

    delivered: "PacketSet"
    connected: "PacketSet"
    forged: "PacketSet"
    host_addresses: tuple[str, ...] = ()
    unmodelled: tuple[str, ...] = ()
    explain: "Callable[[Packet], str]" = field(default=lambda packet: "")
    single: "PacketSet | None" = None
    claimed: "PacketSet | None" = None
    overheard: "PacketSet | None" = None
    kind: Evidence = Evidence.EFFECTIVE


@runtime_checkable
class CanReadRules(Protocol):
    """Without it nothing can be proven about the translation: the evidence *translated* is missing."""

    def read_rules(self, request: RulesRequest) -> Readout:
        """What the native rules of the graph let pass; pure."""


@dataclass(frozen=True)
class LiveRulesRequest:
    """What to read of the live platform.

    Attributes:
        space: makes the sets.
        machines: of the stack, as the state has them.
        addresses: per machine instance (`web-0`), its NICs in order.
    """

    space: "PacketSpace"
    machines: Sequence[DeployedMachine]
    addresses: Mapping[str, Sequence[NicAddress]]


@runtime_checkable
class CanReadLiveRules(Protocol):
    """Without it nobody sees what the rules of the live platform, whoever made them, come to together for packets."""

    def read_live_rules(self, session: Any, request: LiveRulesRequest) -> Readout | str:
        """What the rules that the platform applies now let pass; `Readout.kind` says how that is known.

        Gives a sentence when they cannot be seen, which says why. Nothing is changed.

        Raises:
            provision.errors.ProvisionError: a machine is not there, or the platform does not answer.
        """
