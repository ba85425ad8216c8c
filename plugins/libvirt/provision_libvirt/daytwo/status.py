"""How machines are, all asked at once."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import libvirt

from provision.spi import DeployedMachine, MachineStatus, NativeState, RunState
from provision_libvirt.daytwo.machines import is_own
from provision_libvirt.hostview import HostView, host_view
from provision_libvirt.resources.domain import Domain
from provision_libvirt.resources.xml_tuning import QUOTA_PERIOD_US
from provision_libvirt.session import Session, explained

_WANTED_STATS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
)
_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED_USER: "somebody paused it",
    libvirt.VIR_DOMAIN_PAUSED_SAVE: "it is being saved",
    libvirt.VIR_DOMAIN_PAUSED_DUMP: "it is being dumped",
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: "disk error: the hypervisor's disk may be full",
    libvirt.VIR_DOMAIN_PAUSED_WATCHDOG: "its watchdog fired",
    libvirt.VIR_DOMAIN_PAUSED_FROM_SNAPSHOT: "it was reverted to a snapshot",
    libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN: "it is shutting down",
    libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT: "a snapshot is being made",
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: "the guest crashed",
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: "it is being started",
}
_STOPPED = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: "the guest shut down",
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: "it was switched off",
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: "its emulator crashed",
    libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED: "it was moved to another hypervisor",
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: "it was saved to a file",
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: "its emulator did not start",
    libvirt.VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT: "it was reverted to a snapshot of a stopped machine",
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: "it ended while libvirt was away",
}


def machine_status(session: Session, machines: Sequence[DeployedMachine]) -> Mapping[str, MachineStatus]:
    """How each machine is, by name.

    Raises:
        PlatformError: the hypervisor does not answer.
    """
    with session.own() as connection, explained("asking how the machines are"):
        wanted = {native.id for machine in machines if (native := machine.native(Domain.token)) and is_own(native)}
        domains = [domain for domain in connection.listAllDomains() if domain.UUIDString() in wanted]
        # Whatever is busy with a long job must not hold up all the others.
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        told = connection.domainListGetStats(domains, _WANTED_STATS, flags) if domains else []
        found = {domain.UUIDString(): (domain.name(), stats) for domain, stats in told}
    view = host_view(session.config.uri)
    return {machine.name: _status(machine.native(Domain.token), found, view) for machine in machines}


def _status(
    native: NativeState | None, found: Mapping[str, tuple[str, Mapping[str, Any]]], view: HostView | None
) -> MachineStatus:
    if native is None:
        return MachineStatus(RunState.GONE, "it was never made to the end")
    given = native.inputs
    quota, cap = given.get("cpu_quota_us"), given.get("memory_limit_mib")
    wanted = RunState.STOPPED if given.get("power") == "stopped" else RunState.RUNNING
    granted: dict[str, Any] = {
        "wanted": wanted,
        "granted_cpus": int(given.get("online_vcpus") or given.get("vcpus", 1)),
        "granted_memory_mib": int(given.get("balloon_mib") or given["memory_mib"]) if "memory_mib" in given else None,
        "cpu_cap": int(quota) / QUOTA_PERIOD_US if quota else None,
        "memory_cap_mib": int(cap) if cap else None,
    }
    if native.id not in found:
        return MachineStatus(RunState.GONE, "it is not on the hypervisor any more", **granted)
    name, stats = found[native.id]
    state, why = _state(int(stats.get("state.state", 0)), int(stats.get("state.reason", 0)))
    if state is RunState.STOPPED:
        return MachineStatus(state, why if wanted is RunState.RUNNING else "", **granted)
    used, time = stats.get("balloon.rss"), stats.get("cpu.time")
    return MachineStatus(
        state,
        why,
        uptime=None if view is None else _uptime(view, name),
        cpu_seconds=None if time is None else int(time) / 1e9,
        memory_mib=None if used is None else int(used) // 1024,
        **granted,
    )


def _state(state: int, reason: int) -> tuple[RunState, str]:
    if state in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED):
        return RunState.RUNNING, ""
    if state == libvirt.VIR_DOMAIN_SHUTDOWN:
        return RunState.RUNNING, "it is shutting down"
    if state == libvirt.VIR_DOMAIN_PAUSED:
        return RunState.PAUSED, _PAUSED.get(reason, "")
    if state == libvirt.VIR_DOMAIN_PMSUSPENDED:
        return RunState.PAUSED, "the guest put itself to sleep"
    return RunState.STOPPED, "it crashed" if state == libvirt.VIR_DOMAIN_CRASHED else _STOPPED.get(reason, "")


def _uptime(view: HostView, domain: str) -> float | None:
    """Seconds since its process was started; None when that cannot be seen."""
    process = view.emulator(domain)
    if process is None:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = int((process / "stat").read_text().rpartition(")")[2].split()[19])
        now = float((process.parent / "uptime").read_text().split()[0])
        return max(0.0, now - ticks / os.sysconf("SC_CLK_TCK"))
    return None
