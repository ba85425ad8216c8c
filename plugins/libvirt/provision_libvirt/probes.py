"""Probes from inside machines and from the peer beyond their networks, over the agent of the micro image."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from provision.errors import EnvironmentProblem, PlatformError
from provision.packets import Protocol
from provision.spi import DeployedMachine, Frame, Observation, Probe, ProbeChannel, Seen
from provision_libvirt.micro import client as agent
from provision_libvirt.micro.transport import ChannelTransport, SocketTransport
from provision_libvirt.resources.domain import Domain
from provision_libvirt.session import Session

_READY_SECONDS = 60.0
_OUTSIDE_WINDOW = 64  # it probes every machine; its agent carries 128 at a time, of all who verify with it
_SEEN = {
    agent.State.OPEN: Seen.OPEN,
    agent.State.REFUSED: Seen.REFUSED,
    agent.State.TIMEOUT: Seen.TIMEOUT,
    agent.State.UNREACHABLE: Seen.UNREACHABLE,
    agent.State.ERROR: Seen.FAILED,
}


def probe_channel(session: Session, machine: DeployedMachine) -> ProbeChannel:
    """Open the channel into a running machine, taking it from whoever holds it.

    Raises:
        PlatformError: the machine has no channel, does not run or does not answer.
    """
    native = machine.native(Domain.token)
    if native is None:
        raise PlatformError(f"the machine '{machine.name}' has no domain on the hypervisor")
    if not native.outputs.get("probe_channel", False):
        raise PlatformError(
            f"the machine '{machine.name}' has no probe agent", "use the built-in image `micro` to probe from inside"
        )
    stack = ExitStack()
    try:
        connection = stack.enter_context(session.own())
        transport = ChannelTransport(connection, native.id)
        stack.callback(transport.close)
        client = agent.ProbeClient(transport)
        client.wait(_READY_SECONDS)
    except agent.ProbeFailure as failure:
        stack.close()
        raise PlatformError(f"no probes from the machine '{machine.name}': {failure}") from None
    except BaseException:
        stack.close()
        raise
    return AgentChannel(client, machine.name, stack)


def outside_channel(session: Session) -> ProbeChannel | None:
    """The peer beyond the stack's networks, None when none is configured.

    Raises:
        EnvironmentProblem: it is configured but does not answer.
    """
    if not session.config.outside_socket:
        return None
    stack = ExitStack()
    try:
        transport = SocketTransport(Path(session.config.outside_socket))
        stack.callback(transport.close)
        client = agent.ProbeClient(transport, window=_OUTSIDE_WINDOW)
        client.wait(_READY_SECONDS)
    except agent.ProbeFailure as failure:
        stack.close()
        raise EnvironmentProblem(
            f"the outside peer does not answer: {failure}",
            "start the private hypervisor again (`provision lab start`), or unset provision-libvirt:outsideSocket",
        ) from None
    return AgentChannel(client, "outside", stack)


class AgentChannel:
    """A `ProbeChannel` over the probe agent of a machine or peer."""

    def __init__(self, client: agent.ProbeClient, name: str, held: ExitStack) -> None:
        """Use `client`; `held` is what to let go of in the end."""
        self._client = client
        self._name = name
        self._held = held

    def listen(self, services: Sequence[tuple[Protocol, int]]) -> None:
        """Answer on these ports, where nothing else does.

        Raises:
            PlatformError: the agent cannot open them.
        """
        with self._explained():
            for protocol in ("tcp", "udp"):
                ports = [port for kind, port in services if kind == protocol]
                failed = self._client.listen(_ported(protocol), ports) if ports else {}
                if refused := {port: why for port, why in failed.items() if "in-use" not in why}:
                    raise PlatformError(f"'{self._name}' cannot listen on {protocol} {refused}")

    def run(self, probes: Sequence[Probe]) -> Sequence[Observation]:
        """Run all at once; a probe that could not run is reported as such."""
        observations: list[Observation | None] = [None] * len(probes)
        known: list[tuple[int, agent.Probe]] = []
        for position, probe in enumerate(probes):
            try:
                known.append((position, _translated(probe)))
            except ValueError as error:
                observations[position] = Observation(probe, Seen.FAILED, str(error))
        try:
            answers = self._client.run([probe for _, probe in known])
        except agent.ProbeFailure as failure:
            answers = [agent.Answer(agent.State.ERROR, str(failure))] * len(known)
        for (position, _), answer in zip(known, answers, strict=True):
            observations[position] = Observation(probes[position], _SEEN[answer.state], answer.detail)
        return [observation for observation in observations if observation is not None]

    def addresses(self) -> Sequence[str]:
        """The addresses by which the machine or peer may be reached.

        Raises:
            PlatformError: the agent does not answer.
        """
        with self._explained():
            return [address for nic in self._client.addresses() for address in nic.addresses]

    def watch(self) -> None:
        """Note the marks of frames that arrive from now on.

        Raises:
            PlatformError: the agent does not answer, or cannot.
        """
        with self._explained():
            self._client.watch()

    def transmit(self, frames: Sequence[Frame]) -> Sequence[str]:
        """Send frames as they are; why one could not be sent.

        Raises:
            PlatformError: the agent does not answer, or cannot.
        """
        with self._explained():
            return self._client.transmit([(frame.card, frame.data) for frame in frames])

    def heard(self) -> frozenset[str]:
        """The marks of frames that arrived.

        Raises:
            PlatformError: the agent does not answer.
        """
        with self._explained():
            return self._client.heard()

    def hold(self, probe: Probe) -> Observation:
        """Open a TCP connection that stays."""
        try:
            answer = self._client.hold(_translated(probe))
        except (agent.ProbeFailure, ValueError) as error:
            return Observation(probe, Seen.FAILED, str(error))
        return Observation(probe, _SEEN[answer.state], answer.detail)

    def beat(self, seconds: float) -> Seen:
        """Whether something comes back through it."""
        try:
            return _SEEN[self._client.beat(seconds).state]
        except agent.ProbeFailure:
            return Seen.FAILED

    def burn(self, seconds: float) -> None:
        """Keep all processors of the machine busy.

        Raises:
            PlatformError: the agent does not answer, or cannot.
        """
        with self._explained():
            self._client.burn(seconds)

    def read(self, disk: str, size: int, seconds: float) -> agent.Reads:
        """Read from a disk (`vda`) as fast as the machine can.

        Raises:
            PlatformError: the agent does not answer, or cannot.
        """
        with self._explained():
            return self._client.read(disk, size, seconds)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except agent.ProbeFailure as failure:
            raise PlatformError(f"the probe agent of '{self._name}' failed: {failure}") from None

    def close(self) -> None:
        """Close the listeners and let go of the machine."""
        with contextlib.suppress(agent.ProbeFailure):
            self._client.unlisten_all()
        self._held.close()


def _ported(protocol: str) -> Literal["tcp", "udp"]:
    return "tcp" if protocol == "tcp" else "udp"


def _translated(probe: Probe) -> agent.Probe:
    """The agent's form of a probe; an ICMP probe follows the family of its address.

    Raises:
        ValueError: the agent has no such probe.
    """
    address = ip_address(probe.address.partition("%")[0])
    if probe.protocol in (Protocol.TCP, Protocol.UDP):
        return agent.Probe(_ported(probe.protocol), probe.address, probe.port, probe.timeout)
    wanted = {4: Protocol.ICMP, 6: Protocol.ICMPV6}[address.version]
    if probe.protocol != wanted:
        raise ValueError(f"no probe of {probe.protocol} to an IPv{address.version} address")
    return agent.Probe("icmp", probe.address, None, probe.timeout)
