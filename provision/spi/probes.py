"""Probes: real packets sent from inside machines, so that isolation is shown and not assumed."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from provision.packets import Protocol as IpProtocol


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
