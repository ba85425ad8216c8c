"""Switching machines on and off."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from provision.errors import PlatformError
from provision.spi import DeployedMachine, PowerAction, PowerRequest
from provision_openstack.daytwo.machines import server_of
from provision_openstack.errors import explained, server_fault
from provision_openstack.kinds import SERVER
from provision_openstack.reading import Live
from provision_openstack.resources.server_changes import WAYS_UP, act, unlock
from provision_openstack.session import Session

_LOOK_SECONDS = 0.5
_START_SECONDS = 300.0
"""Nova says in seconds whether a server runs, unless its host is very busy."""


def switch_power(session: Session, machine: DeployedMachine, request: PowerRequest) -> bool:
    """Switch a machine and wait until it is so; False when it was so already.

    Nova asks a guest to shut down, for as long as its image or the operators say, and then cuts its power by itself:
    `force` is told to it where it knows that, which is at a restart.

    Raises:
        NotFound: the machine is gone.
        ForeignObject: it does not belong to the stack.
        PlatformError: it is not so in time, or Nova refuses.
    """
    live = server_of(session, machine)
    identity, state = str(live["id"]), SERVER.state(live)
    with explained(f"switching the machine '{machine.name}' {request.action}"), _unlocked(session, live):
        match request.action:
            case PowerAction.ON:
                return _on(session, machine, state, identity, request)
            case PowerAction.OFF:
                return _off(session, machine, state, identity, request)
            case PowerAction.REBOOT:
                if state == "SHUTOFF":
                    return _on(session, machine, state, identity, request)
                request.report("restarting")
                act(session, identity, "reboot", {"type": "HARD" if request.force else "SOFT"})
                _until(session, machine, "ACTIVE", request.timeout + _START_SECONDS)
                return True


def _on(session: Session, machine: DeployedMachine, state: str, identity: str, request: PowerRequest) -> bool:
    if state == "ACTIVE":
        return False
    request.report("starting")
    act(session, identity, WAYS_UP.get(state, "os-start"))
    _until(session, machine, "ACTIVE", _START_SECONDS)
    return True


def _off(session: Session, machine: DeployedMachine, state: str, identity: str, request: PowerRequest) -> bool:
    if state == "SHUTOFF":
        return False
    request.report("shutting down")
    act(session, identity, "os-stop")
    _until(session, machine, "SHUTOFF", request.timeout)
    return True


@contextmanager
def _unlocked(session: Session, live: Live) -> Iterator[None]:
    """A server that the stack has locked is unlocked for a change of its power, and locked again."""
    if not live.get("locked"):
        yield
        return
    unlock(session, str(live["id"]))
    try:
        yield
    finally:
        act(session, str(live["id"]), "lock")


def _until(session: Session, machine: DeployedMachine, wanted: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        live: Any = server_of(session, machine)
        state = SERVER.state(live)
        if state == wanted and live.get("OS-EXT-STS:task_state") is None:
            return
        if state == "ERROR":
            reason, fix = server_fault(live)
            raise PlatformError(f"switching the machine '{machine.name}': {reason}", fix)
        if time.monotonic() >= end:
            raise PlatformError(
                f"the machine '{machine.name}' is {state} after {seconds:g} s, and not yet {wanted}",
                "Nova goes on with it by itself: look again with `provision status`, or give it longer with --timeout",
            )
        time.sleep(_LOOK_SECONDS)
