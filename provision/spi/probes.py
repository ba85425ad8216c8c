"""Probes: real packets sent from inside machines, so that isolation is shown and not assumed."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from provision.packets import Protocol as IpProtocol

FRAME_MARK = b"prov#"
"""Begins the mark of a frame, which is 8 hexadecimal digits: both fit behind an ARP packet in the shortest frame."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One packet exchange to try.

    Attributes:
        protocol: tcp, udp, icmp or icmpv6.
        address: where to.
        port: destination port, 0 for ICMP.
        timeout: seconds to wait for an answer.
    """

    protocol: IpProtocol
    address: str
    port: int = 0
    timeout: float = 3.0


class Seen(enum.StrEnum):
    """What came of a probe.

    `OPEN` and `REFUSED` both mean that packets passed in both directions; `TIMEOUT` and `UNREACHABLE` that they did
    not; `FAILED` that the probe itself could not run, which proves nothing.
    """

    OPEN = "open"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    FAILED = "failed"

    @property
    def passed(self) -> bool:
        """Whether packets passed."""
        return self in (Seen.OPEN, Seen.REFUSED)


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of one probe."""

    probe: Probe
    seen: Seen
    detail: str = ""


class ProbeChannel(Protocol):
    """A way to run probes on one machine. Blocking; used from one thread at a time."""

    def listen(self, services: Sequence[tuple[IpProtocol, int]]) -> None:
        """Answer on these ports from now on, beside what already listens there."""

    def run(self, probes: Sequence[Probe]) -> Sequence[Observation]:
        """Run probes, many at once; one observation each, in the same order. Never raises for a single probe."""

    def close(self) -> None:
        """Stop listening and let go of the machine."""


@runtime_checkable
class KnowsAddresses(Protocol):
    """Of the outside peer's channel: without it nothing can be probed from machines towards outside."""

    def addresses(self) -> Sequence[str]:
        """The addresses of the peer by which machines may reach it; a prefix length may follow each."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame, to be sent as it is.

    Attributes:
        card: MAC of the network card that is to send it, whatever the frame itself says.
        data: the frame from its destination on; it carries `FRAME_MARK` and a mark.
    """

    card: str
    data: bytes


@runtime_checkable
class SendsFrames(Protocol):
    """Of a machine's channel: without it nobody tries to send as another, and reports say so."""

    def watch(self) -> None:
        """Note the marks of all frames that arrive from now on, until the channel is closed.

        Raises:
            provision.errors.PlatformError: the machine cannot.
        """

    def transmit(self, frames: Sequence[Frame]) -> Sequence[str]:
        """Send frames in this order; for each, why it could not be sent, empty when it was."""

    def heard(self) -> frozenset[str]:
        """The marks of frames that arrived since `watch`; those that a machine sends itself are none of them."""


@runtime_checkable
class HoldsFlows(Protocol):
    """Of a machine's channel: without it a self-test does not look at connections that are open when a policy goes.

    A listener of a platform whose channels can do so sends back what comes through a connection that stays open.
    """

    def hold(self, probe: Probe) -> Observation:
        """Open a TCP connection and keep it, in place of one that is held already; it ends with the channel."""

    def beat(self, seconds: float) -> Seen:
        """Send something through it; `OPEN` when that comes back in time, `FAILED` when nothing is held."""


@dataclass(frozen=True)
class NativeState:
    """One native resource as Pulumi's state has it; property names are Python's.

    `urn` is empty where nobody knows it.
    """

    token: str
    name: str
    id: str
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    urn: str = ""

    @property
    def stack_id(self) -> str:
        """Identity of the stack that owns it; empty for what no stack owns."""
        return str(self.inputs.get("stack_id") or "")


@dataclass(frozen=True)
class DeployedMachine:
    """A machine of a deployed stack, with its native resources."""

    name: str
    natives: tuple[NativeState, ...]

    def native(self, token: str) -> NativeState | None:
        """The first native resource with this token (`module:Name`)."""
        return next((n for n in self.natives if n.token == token), None)


@runtime_checkable
class CanProbe(Protocol):
    """Without it no evidence of kind *probed* can be had on the platform, and reports say so."""

    def probe_channel(self, session: Any, machine: DeployedMachine) -> ProbeChannel:
        """Open the channel into a running machine.

        Raises:
            provision.errors.PlatformError: the machine is not there or has no channel.
        """

    def outside_channel(self, session: Any) -> ProbeChannel | None:
        """A probing peer beyond the stack's networks, None when there is none."""


@runtime_checkable
class HasConsole(Protocol):
    """Without it `provision console` says that the platform has none."""

    def console(self, session: Any, machine: DeployedMachine) -> None:
        """Join the terminal to the machine's console until the person leaves it with Ctrl-]."""

    def console_log(self, session: Any, machine: DeployedMachine) -> str:
        """What the machine has printed so far; empty when it is not kept."""
