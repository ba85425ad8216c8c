"""How machines are, all asked at once."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from provision.spi import DeployedMachine, MachineStatus, NativeState, RunState
from provision_openstack.daytwo.machines import is_own
from provision_openstack.errors import explained, server_fault
from provision_openstack.kinds import SERVER
from provision_openstack.reading import Live
from provision_openstack.resources.server import Server
from provision_openstack.session import Session

_WITH_FLAVORS = "2.47"
"""From this microversion on a server shows what its flavor is, instead of its id."""

_PAGE = 1000

_POWERED: Mapping[int, RunState] = {1: RunState.RUNNING, 3: RunState.PAUSED, 7: RunState.PAUSED}
"""Nova's power states (API reference, "Servers"); all others are off."""

_WHY: Mapping[str, str] = {
    "BUILD": "it is being made",
    "PAUSED": "somebody paused it",
    "SUSPENDED": "somebody suspended it",
    "RESCUE": "somebody started its rescue system",
    "SHELVED": "somebody shelved it",
    "SHELVED_OFFLOADED": "somebody shelved it",
    "SOFT_DELETED": "somebody removed it; operators can bring it back",
    "RESIZE": "it is being resized",
    "VERIFY_RESIZE": "its resize waits to be confirmed: run `provision up`",
    "REVERT_RESIZE": "its resize is being taken back",
    "REBOOT": "it is restarting",
    "HARD_REBOOT": "it is restarting",
    "REBUILD": "it is being rebuilt",
    "MIGRATING": "it is moving to another host",
    "UNKNOWN": "its host does not answer",
}


def machine_status(session: Session, machines: Sequence[DeployedMachine]) -> Mapping[str, MachineStatus]:
    """How each machine is, by name: one question for all of them, a page at a time.

    Raises:
        PlatformError: Nova does not answer.
    """
    with explained("asking how the machines are"):
        version = _WITH_FLAVORS if session.compute.offers(_WITH_FLAVORS) else SERVER.version
        pages = session.compute.pages("/servers/detail", "servers", {"limit": str(_PAGE)}, version=version)
        live = {str(one["id"]): one for one in pages}
    return {machine.name: _status(machine.native(Server.token), live) for machine in machines}


def _status(native: NativeState | None, there: Mapping[str, Live]) -> MachineStatus:
    if native is None:
        return MachineStatus(RunState.GONE, "it was never made to the end")
    wanted = RunState.STOPPED if native.inputs.get("power") == "stopped" else RunState.RUNNING
    live = there.get(native.id)
    if live is None or SERVER.is_gone(live):
        return MachineStatus(RunState.GONE, "it is not in the cloud any more", wanted)
    if not is_own(native, live):
        return MachineStatus(RunState.GONE, "the server with its id is not the stack's", wanted)
    flavor: Mapping[str, Any] = live.get("flavor") or {}
    state, why = _state(live)
    return MachineStatus(
        state,
        why,
        wanted,
        addresses=_addresses(live),
        granted_cpus=flavor.get("vcpus"),
        granted_memory_mib=flavor.get("ram"),
    )


def _state(live: Live) -> tuple[RunState, str]:
    status = SERVER.state(live)
    state = _POWERED.get(int(live.get("OS-EXT-STS:power_state") or 0), RunState.STOPPED)
    if status == "SUSPENDED":  # its memory is on the host's disk, and Nova says that it is off
        state = RunState.PAUSED
    if status == "ERROR":
        return state, server_fault(live)[0]
    return state, _WHY.get(status, "")


def _addresses(live: Live) -> tuple[str, ...]:
    """Those of its ports, IPv4 before IPv6, then floating ones."""
    found = [
        (one.get("OS-EXT-IPS:type") == "floating", ipaddress.ip_address(one["addr"]))
        for some in (live.get("addresses") or {}).values()
        for one in some
    ]
    return tuple(str(one) for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].version, int(pair[1]))))
