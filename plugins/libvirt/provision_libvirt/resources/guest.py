"""A running guest: its power, whether it is ready, and what it printed."""

import contextlib
import re
import time
from typing import Any

import libvirt

from provision.errors import CreatedButUnhealthy, PlatformError
from provision.spi import Cancelled, Operation, Pending
from provision_libvirt.resources.domain_model import DomainInputs, DomainOutputs, Power
from provision_libvirt.resources.leftovers import CONSOLE_SUFFIX, refresh
from provision_libvirt.resources.readiness import ByGuestAgent, ByProbeAgent, Heard, Readiness
from provision_libvirt.session import best_effort, download, explained, file_length, is_absent, is_passing

_REPORT_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.05
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


def stop(domain: Any, operation: Operation, seconds: float) -> None:
    """Ask the guest to shut down, and switch it off when it does not within `seconds`.

    Raises:
        Cancelled: the run was cancelled meanwhile; the guest goes on shutting down by itself.
        libvirt.libvirtError: it cannot be stopped.
    """
    end = time.monotonic() + seconds

    def look() -> Pending | None:
        waiting = domain.isActive() and power(domain) == "running" and time.monotonic() < end
        return Pending("shutting down") if waiting else None

    if seconds > 0:
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
    """Wait until the guest says that it is ready: its probe agent, or cloud-init by its guest agent.

    Raises:
        CreatedButUnhealthy: it is not in time, its set-up failed, it stopped, or the run was cancelled.
        libvirt.libvirtError: the hypervisor did not answer.
    """
    began = time.monotonic()
    end = began + inputs.ready_timeout_s
    if operation.deadline is not None:
        end = min(end, operation.deadline - 1.0)

    def look() -> Pending | Heard:
        """What it said at last."""
        heard = readiness.ask()
        if heard.ready or heard.failed is not None:
            return heard
        if reason := _stopped_because(domain):
            return Heard(reason)
        now = time.monotonic()
        shown = (now - began) // _REPORT_SECONDS * _REPORT_SECONDS
        return heard if now >= end else Pending(f"waiting for the guest ({shown:.0f} s): {heard.state}")

    readiness: Readiness = (
        ByGuestAgent(domain, inputs.name, operation)
        if inputs.ready == "agent"
        else ByProbeAgent(connection, outputs.uuid, operation)
    )
    try:
        heard = operation.wait_until(look, first=_FIRST_PAUSE_SECONDS, longest=readiness.longest_pause)
    except Cancelled:
        heard = Heard("the run was cancelled while it was starting")
    finally:
        readiness.close()
    if heard.ready:
        return
    waited = f"{time.monotonic() - began:.0f} s"
    if heard.failed is None:
        reasons = _reasons(connection, inputs, f"not ready after {waited} (`ready_timeout`): {heard.state}")
    else:
        machine = operation.urn.rpartition("::")[2].rpartition("/")[0]
        reasons = [
            *map(clean, heard.failed),
            "cloud-init runs once in the life of a root disk: mend the stack file, then have the disk made anew: "
            f"PROVISION_ALLOW_DESTROY={machine.rpartition('/')[2]} pulumi up --replace '**::{machine}/root'",
        ]
    raise CreatedButUnhealthy(
        f"the machine '{inputs.name}' is not ready after {waited}: {clean(heard.state)}",
        id=outputs.uuid,
        outputs=outputs.model_dump(),
        reasons=reasons,
    )


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
        size = file_length(volume)
        start = 0 if length is None else max(0, size - length)
        if size == start:
            return ""
        data = download(connection, volume, start, size - start)
    return clean(data.decode(errors="replace"))


def clean(text: str) -> str:
    """Text of a terminal without its control sequences; lines stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))
