"""A running guest: its power, whether it is ready, and what it printed."""

import contextlib
import re
import time
from typing import Any

import libvirt

from provision.errors import CreatedButUnhealthy, PlatformError
from provision.spi import Cancelled, Operation, Pending
from provision_libvirt.micro.client import ProbeClient, ProbeFailure
from provision_libvirt.micro.transport import ChannelTransport
from provision_libvirt.resources.domain_model import DomainInputs, DomainOutputs, Power
from provision_libvirt.resources.leftovers import CONSOLE_SUFFIX, refresh
from provision_libvirt.session import best_effort, download, explained, is_absent, is_passing

_SHUTDOWN_SECONDS = 30.0
# What is sent before the guest listens waits for it, so an answer comes at once however long this is; a guest that
# never listens must not be sent much.
_PING_SECONDS = 2.0
_HEED_SECONDS = 0.2
_REPORT_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 0.4
_TAIL_BYTES = 4096
_TAIL_LINES = 20
# Terminal sequences (ECMA-48) and control characters, which must not reach a person's terminal.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: "of a disk error: the hypervisor's disk may be full",
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: "it crashed",
    libvirt.VIR_DOMAIN_PAUSED_WATCHDOG: "its watchdog fired",
    libvirt.VIR_DOMAIN_PAUSED_USER: "somebody paused it",
}


def power(domain: Any) -> Power:
    """The state of a domain in the words of its inputs.

    Raises:
        libvirt.libvirtError: it cannot be read.
    """
    state = domain.state()[0]
    if state in (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PMSUSPENDED):
        return "paused"
    return "running" if domain.isActive() else "stopped"


def stop(domain: Any, operation: Operation) -> None:
    """Ask the guest to shut down, and switch it off when it does not within half a minute.

    Raises:
        Cancelled: the run was cancelled meanwhile; the guest goes on shutting down by itself.
        libvirt.libvirtError: it cannot be stopped.
    """
    end = time.monotonic() + _SHUTDOWN_SECONDS

    def look() -> Pending | None:
        waiting = domain.isActive() and power(domain) == "running" and time.monotonic() < end
        return Pending("shutting down") if waiting else None

    with best_effort():
        domain.shutdown()
        operation.wait_until(look, longest=0.5)
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def wait_ready(
    operation: Operation, connection: Any, domain: Any, inputs: DomainInputs, outputs: DomainOutputs
) -> None:
    """Wait until the guest's probe agent says that it is ready.

    Raises:
        CreatedButUnhealthy: it is not in time, the guest stopped, or the run was cancelled.
        libvirt.libvirtError: the hypervisor did not answer.
    """
    began = time.monotonic()
    end = began + inputs.ready_timeout_s
    if operation.deadline is not None:
        end = min(end, operation.deadline - 1.0)

    def look() -> Pending | str | None:
        """Why it will not be ready, None once it is."""
        state, ready = agent.ask()
        if ready:
            return None
        if reason := _stopped_because(domain):
            return reason
        now = time.monotonic()
        shown = (now - began) // _REPORT_SECONDS * _REPORT_SECONDS
        return state if now >= end else Pending(f"waiting for the guest ({shown:.0f} s): {state}")

    with _Agent(connection, outputs.uuid, operation) as agent:
        try:
            state = operation.wait_until(look, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
        except Cancelled:
            state = "the run was cancelled while it was starting"
    if state is None:
        return
    waited = f"{time.monotonic() - began:.0f} s"
    raise CreatedButUnhealthy(
        f"the machine '{inputs.name}' is not ready after {waited}: {state}",
        id=outputs.uuid,
        outputs=outputs.model_dump(),
        reasons=_reasons(connection, inputs, f"not ready after {waited} (`ready_timeout`): {state}"),
    )


class _Heedful:
    """A channel on which nobody waits after the run was cancelled."""

    def __init__(self, transport: ChannelTransport, operation: Operation) -> None:
        self._transport = transport
        self._operation = operation
        self.send = transport.send
        self.close = transport.close

    def receive(self, seconds: float) -> bytes:
        """What arrived within `seconds`, b"" for nothing."""
        end = time.monotonic() + seconds
        while not self._operation.cancelled():
            left = end - time.monotonic()
            data = self._transport.receive(max(0.0, min(_HEED_SECONDS, left)))
            if data or left <= _HEED_SECONDS:
                return data
        raise ConnectionError("the run was cancelled")


class _Agent:
    """Asks a guest's probe agent how it is, through a channel that is opened again when it breaks."""

    def __init__(self, connection: Any, uuid: str, operation: Operation) -> None:
        self._connection = connection
        self._uuid = uuid
        self._operation = operation
        self._client: ProbeClient | None = None

    def __enter__(self) -> "_Agent":
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def ask(self) -> tuple[str, bool]:
        """What the guest does, in words, and whether it is ready."""
        try:
            if self._client is None:
                transport = _Heedful(ChannelTransport(self._connection, self._uuid), self._operation)
                self._client = ProbeClient(transport, grace_seconds=_PING_SECONDS)
        except ProbeFailure as failure:
            return str(failure), False
        try:
            ready = self._client.ping().ready
        except ProbeFailure as failure:
            if isinstance(failure.__cause__, ConnectionError):
                self._hang_up()
            return "its probe agent does not answer", False
        return ("it is ready" if ready else "it is still configuring itself"), ready

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _stopped_because(domain: Any) -> str:
    """Why the guest does not run any more, empty when it does."""
    try:
        state, reason = domain.state()
    except libvirt.libvirtError as error:
        if is_passing(error):
            raise
        return f"it is gone: {error}" if is_absent(error) else f"the hypervisor does not say how it is: {error}"
    if state == libvirt.VIR_DOMAIN_PAUSED and reason in _PAUSED:
        return f"it is paused because {_PAUSED[reason]}"
    if state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED):
        return "it switched itself off" if state == libvirt.VIR_DOMAIN_SHUTOFF else "it crashed"
    return ""


def _reasons(connection: Any, inputs: DomainInputs, last: str) -> list[str]:
    reasons = [last]
    if not inputs.console_log:
        return [*reasons, "its console is not kept (console_log)"]
    with contextlib.suppress(libvirt.libvirtError, PlatformError):
        text = console_text(connection, inputs.pool, inputs.name, _TAIL_BYTES)
        lines = [line for line in text.splitlines() if line.strip()]
        if lines:
            return [*reasons, "the end of its console:", *(f"  {line}" for line in lines[-_TAIL_LINES:])]
    return [*reasons, "it has printed nothing on its console"]


def console_text(connection: Any, pool_name: str, machine: str, length: int | None = None) -> str:
    """The last `length` bytes (None: all) that a machine printed on its console, without terminal control.

    Raises:
        provision.errors.PlatformError: the pool is not there or cannot be read.
    """
    with explained(f"reading the console of '{machine}'"):
        pool = connection.storagePoolLookupByName(pool_name)
        refresh(pool)
        try:
            volume = pool.storageVolLookupByName(f"{machine}{CONSOLE_SUFFIX}")
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
                return ""
            raise
        size = int(volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2])
        start = 0 if length is None else max(0, size - length)
        if size == start:
            return ""
        data = download(connection, volume, start, size - start)
    return clean(data.decode(errors="replace"))


def clean(text: str) -> str:
    """Text of a terminal without its control sequences; lines stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))
