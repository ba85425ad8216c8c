"""Bringing a server that is there in line with what is wanted."""

from typing import Any

from provision.errors import PlatformError
from provision.spi import Operation, Pending
from provision_openstack.errors import server_fault
from provision_openstack.kinds import PORT, SERVER
from provision_openstack.ownership import METADATA_KEY, Owner
from provision_openstack.reading import Live
from provision_openstack.resources.roots import settle_root
from provision_openstack.resources.server_model import ServerInputs
from provision_openstack.session import Session

WAYS_UP = {
    "SHUTOFF": "os-start",
    "PAUSED": "unpause",
    "SUSPENDED": "resume",
    "RESCUE": "unrescue",
    "SHELVED": "unshelve",
    "SHELVED_OFFLOADED": "unshelve",
}
"""Actions that lead towards a running server, by its state."""


def after_creation(operation: Operation, live: Live, inputs: ServerInputs) -> bool:
    """What the call that makes a server cannot say.

    Raises:
        ApiError: Nova refuses.
        PlatformError: it failed.
    """
    identity = str(live["id"])
    settle_root(operation, live, inputs, fresh=True)
    if inputs.power == "stopped":
        switch(operation, identity, "stopped")
    if inputs.locked:
        act(operation.session, identity, "lock")
    return inputs.power == "stopped" or inputs.locked


def bring_in_line(operation: Operation, live: Live, inputs: ServerInputs, ports: list[str]) -> bool:
    """Change what differs; whether anything was changed. A locked server is unlocked for that, and locked again.

    Raises:
        ApiError: Nova refuses.
        PlatformError: it failed.
    """
    session: Session = operation.session
    identity = str(live["id"])
    wanted_ports = [nic.port_id for nic in inputs.nics]
    metadata = dict(inputs.metadata)
    if inputs.stack_id:
        metadata[METADATA_KEY] = Owner(inputs.stack_id, operation.urn).mark
    changes_flavor = inputs.flavor_id is not None and live["flavor"]["id"] != inputs.flavor_id
    half_done = SERVER.state(live) == "VERIFY_RESIZE"
    switches = (power_of(live) == "running") != (inputs.power == "running")
    differs = (
        (live.get("metadata") or {}) != metadata
        or set(ports) != set(wanted_ports)
        or changes_flavor
        or half_done
        or switches
    )
    grown = settle_root(operation, live, inputs, fresh=False)
    if not differs and bool(live.get("locked")) == inputs.locked:
        return grown
    session.touched(identity)
    if live.get("locked") and (differs or not inputs.locked):
        unlock(session, identity)
    if (live.get("metadata") or {}) != metadata:
        session.compute.put(f"/servers/{identity}/metadata", {"metadata": metadata}, version=SERVER.version)
    if half_done:
        confirm(operation, identity)
    if changes_flavor:
        resize(operation, identity, str(inputs.flavor_id))
    _interfaces(operation, identity, ports, wanted_ports)
    if switches:
        switch(operation, identity, inputs.power)
    if inputs.locked and (differs or not live.get("locked")):
        act(session, identity, "lock")
    return True


def power_of(live: Live) -> str:
    """`running` or `stopped`; what is paused or kept away does not run."""
    return "running" if SERVER.state(live) in ("ACTIVE", "VERIFY_RESIZE") else "stopped"


def act(session: Session, identity: str, action: str, how: Any = None) -> None:
    """Have Nova do something with a server.

    Raises:
        ApiError: it refuses.
    """
    session.touched(identity)
    session.compute.post(f"/servers/{identity}/action", {action: how}, version=SERVER.version)
    session.reader.forget(SERVER, identity)


def unlock(session: Session, identity: str) -> None:
    """Let a server be changed again.

    Raises:
        ApiError: Nova refuses, such as when an administrator locked it.
    """
    act(session, identity, "unlock")


def resize(operation: Operation, identity: str, flavor_id: str) -> None:
    """Give a server another flavor, and confirm that; it is restarted.

    Raises:
        ApiError: Nova refuses.
        PlatformError: it failed.
    """
    act(operation.session, identity, "resize", {"flavorRef": flavor_id})

    def look(live: Live) -> "Pending | str":
        state = SERVER.state(live)
        if state == "VERIFY_RESIZE":
            return "confirm"
        if state in ("ACTIVE", "SHUTOFF") and live.get("OS-EXT-STS:task_state") is None:
            if live["flavor"]["id"] == flavor_id:
                return "done"
            raise PlatformError(
                f"the server {identity} could not be resized, and runs as before",
                "hosts may lack room for the flavor: `openstack server event list` says what happened",
            )
        return Pending(f"the server is resized ({state})")

    if _until(operation, identity, look) == "confirm":
        confirm(operation, identity)


def confirm(operation: Operation, identity: str) -> None:
    """Say that a resized server is to stay as it is now.

    Raises:
        ApiError: Nova refuses.
        PlatformError: it failed.
    """
    act(operation.session, identity, "confirmResize")

    def look(live: Live) -> "Pending | str":
        state = SERVER.state(live)
        return "done" if state in ("ACTIVE", "SHUTOFF") else Pending(f"the resize is confirmed ({state})")

    _until(operation, identity, look)


def switch(operation: Operation, identity: str, wanted: str) -> None:
    """Start or stop a server, and wait until it is so.

    Raises:
        ApiError: Nova refuses.
        PlatformError: it failed.
    """
    session: Session = operation.session
    asked: set[str] = set()

    def look(live: Live) -> "Pending | str":
        state, task = SERVER.state(live), live.get("OS-EXT-STS:task_state")
        if state == ("ACTIVE" if wanted == "running" else "SHUTOFF") and task is None:
            return "done"
        action = WAYS_UP.get(state) if wanted == "running" else ("os-stop" if state == "ACTIVE" else WAYS_UP.get(state))
        if task is None and action is not None and state not in asked:
            asked.add(state)
            act(session, identity, action)
        return Pending(f"the server is {state}{f' ({task})' if task else ''}")

    _until(operation, identity, look)


def _interfaces(operation: Operation, identity: str, now: list[str], wanted: list[str]) -> None:
    session: Session = operation.session
    path = f"/servers/{identity}/os-interface"
    fewer = [port for port in now if port not in wanted]
    leaving = [session.reader.look(PORT, port) or {} for port in fewer]
    for port in fewer:
        session.compute.delete(f"{path}/{port}", version=SERVER.version)
    for port in wanted:
        if port not in now:
            session.touched(port)
            session.compute.post(path, {"interfaceAttachment": {"port_id": port}}, version=SERVER.version)
    if fewer:
        session.touched(*fewer)

        def gone() -> "Pending | bool":
            there = {str(port["id"]) for port in session.reader.all(PORT, {"device_id": identity})}
            shown = _hardware_addresses(session.reader.look(SERVER, identity) or {})  # Nova remembers them for longer
            left = there & set(fewer) or shown & {str(port.get("mac_address")) for port in leaving}
            return Pending("interfaces are taken away") if left else True

        operation.wait_until(gone)


def _hardware_addresses(live: Live) -> set[str]:
    return {str(one.get("OS-EXT-IPS-MAC:mac_addr")) for some in (live.get("addresses") or {}).values() for one in some}


def _until(operation: Operation, identity: str, look: Any) -> str:
    session: Session = operation.session

    def watched() -> "Pending | str":
        live = session.reader.watch(SERVER, identity)
        if live is None:
            raise PlatformError(
                f"the server {identity} is gone", "`provision refresh`, then run again: it is made anew"
            )
        if SERVER.state(live) == "ERROR":
            reason, fix = server_fault(live)
            raise PlatformError(f"changing the server {identity}: {reason}", fix)
        seen: Pending | str = look(live)
        return seen

    with session.reader.watching(SERVER, identity):
        return operation.wait_until(watched)
