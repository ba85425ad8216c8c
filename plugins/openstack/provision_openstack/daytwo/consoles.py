"""Consoles: what machines have printed, and the address of a console in a browser."""

import sys
from dataclasses import dataclass
from typing import Any

from provision.errors import PlatformError
from provision.spi import DeployedMachine, LogPiece
from provision_openstack.daytwo.machines import server_of
from provision_openstack.errors import ApiError, explain, explained
from provision_openstack.kinds import SERVER
from provision_openstack.session import Session

_MARK_BYTES = 512
_ASKED = (("vnc", "novnc"), ("spice", "spice-html5"))
"""Protocols of consoles in a browser, and their types in Nova."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading stopped: how far in what Nova kept then, and the bytes before it, by which the place is found."""

    offset: int
    mark: bytes


def read_log(session: Session, machine: DeployedMachine, position: Position | None = None) -> LogPiece:
    """What the machine printed since `position`, None: all that Nova keeps, which are the last 100 KiB or so.

    Raises:
        NotFound: the machine is gone.
        ForeignObject: it does not belong to the stack.
        PlatformError: Nova keeps no log of it.
    """
    return piece(console_log(session, machine).encode(), position)


def piece(kept: bytes, position: Position | None) -> LogPiece:
    """What of a log is new since `position`; its beginning may have been forgotten meanwhile."""
    begin = 0 if position is None else _after(kept, position)
    lost = position is not None and begin < 0
    moved = Position(len(kept), kept[-_MARK_BYTES:])
    return LogPiece(kept[max(0, begin) :], moved, lost and bool(position and position.offset))


def _after(kept: bytes, position: Position) -> int:
    """Where what follows `position` begins; -1 when the place is not kept any more."""
    if not position.mark:
        return 0
    found = kept.rfind(position.mark, 0, position.offset)
    return found + len(position.mark) if found >= 0 else -1


def console_log(session: Session, machine: DeployedMachine) -> str:
    """What the machine has printed so far.

    Raises:
        NotFound: the machine is gone.
        ForeignObject: it does not belong to the stack.
        PlatformError: Nova keeps no log of it.
    """
    live = server_of(session, machine)
    path = f"/servers/{live['id']}/action"
    doing = f"reading the console log of '{machine.name}'"
    try:
        answer = session.compute.post(path, {"os-getConsoleOutput": {}}, version=SERVER.version)
    except ApiError as error:
        if error.status in (404, 409):
            why = "Nova has none while a server is not on a host" if error.status == 409 else "this cloud keeps none"
            raise PlatformError(
                f"{doing}: {error.text}", f"{why}; `provision status` says how the machine is"
            ) from None
        raise explain(doing, error) from None
    return str(answer.get("output") or "")


def console(session: Session, machine: DeployedMachine) -> None:
    """Say where the machine's console is: Nova gives screens, which a terminal cannot show.

    Raises:
        NotFound: the machine is gone.
        ForeignObject: it does not belong to the stack.
        PlatformError: the cloud has no consoles.
    """
    live = server_of(session, machine)
    address = _address(session, str(live["id"]), machine.name)
    sys.stdout.write(
        f"Open the console of '{machine.name}' in a browser, within some minutes; whoever has this address has the "
        f"machine's screen and keyboard:\n{address}\n"
    )
    sys.stdout.flush()


def _address(session: Session, identity: str, name: str) -> str:
    doing = f"opening the console of '{name}'"
    refused: ApiError | None = None
    for protocol, kind in _ASKED:
        asked = {"remote_console": {"protocol": protocol, "type": kind}}
        try:
            answer: Any = session.compute.post(f"/servers/{identity}/remote-consoles", asked, version=SERVER.version)
        except ApiError as error:
            if error.status == 400:  # of a type that this cloud does not have
                refused = error
                continue
            with explained(doing):
                raise
        return str(answer["remote_console"]["url"])
    text = refused.text if refused is not None else "no answer"
    raise PlatformError(f"{doing}: {text}", f"read what it has printed with `provision logs {name}`")
