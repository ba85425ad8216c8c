"""The console log of a machine, piece by piece, also across files that virtlogd begins anew."""

from dataclasses import dataclass
from typing import Any

import libvirt

from provision.errors import PlatformError
from provision.spi import DeployedMachine, LogPiece
from provision_libvirt.daytwo.machines import native_of
from provision_libvirt.resources.finding import POOL
from provision_libvirt.resources.leftovers import CONSOLE_SUFFIX, is_console_log, refresh
from provision_libvirt.session import Session, download, explained, file_length

_MARK_BYTES = 256
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading stopped: how far in the newest file, and the bytes before it, by which that file is known again."""

    offset: int
    mark: bytes


class _Moved(Exception):
    """A file was renamed or cut while it was read."""


def read_log(session: Session, machine: DeployedMachine, position: Position | None = None) -> LogPiece:
    """What the machine printed since `position`, None: all that is kept.

    Raises:
        PlatformError: its console is not kept, or the pool is gone.
    """
    native = native_of(machine)
    if not native.outputs.get("console_path"):
        raise PlatformError(
            f"the console of '{machine.name}' is not kept",
            "set `console_log: true` in the stack file, then `provision up`",
        )
    pool_name, name = str(native.outputs["pool"]), str(native.outputs["name"])
    doing = f"reading the console log of '{machine.name}'"
    with session.own() as connection:
        pool = POOL.named(connection, pool_name)
        if pool is None:
            raise PlatformError(
                f"{doing}: the pool '{pool_name}' is gone", "run `provision refresh`, then `provision up`"
            )
        for _ in range(_TRIES):
            try:
                with explained(doing):
                    return _piece(connection, pool, name, position)
            except _Moved:
                continue
    raise PlatformError(f"{doing}: its files change faster than they can be read", "run it again")


def _piece(connection: Any, pool: Any, name: str, position: Position | None) -> LogPiece:
    if position is not None:
        newest = _volume(pool, f"{name}{CONSOLE_SUFFIX}")
        data = None if newest is None else _after(connection, newest, position)
        if data is not None:
            return LogPiece(data, _moved_on(position, data))
    refresh(pool)
    files = sorted((v for v in pool.listAllVolumes() if is_console_log(v.name(), name)), key=_age)
    parts: list[bytes] = []
    lost = position is not None
    for volume in files:  # the newest first, until the one in which reading stopped
        rest = None if position is None else _after(connection, volume, position)
        if rest is not None:
            parts.append(rest)
            lost = False
            break
        parts.append(_bytes(connection, volume, 0, file_length(volume)))
    newest_size = len(parts[0]) if files else 0
    if position is not None and len(parts) == 1 and not lost:
        return LogPiece(parts[0], _moved_on(position, parts[0]))
    mark = parts[0][-_MARK_BYTES:] if files else b""
    data = b"".join(reversed(parts))
    return LogPiece(
        data, Position(newest_size, mark) if files else position, lost and bool(position and position.offset)
    )


def _age(volume: Any) -> int:
    """0 for the file that is written now, 1 for `….0`, 2 for `….1`."""
    number = str(volume.name()).rpartition(".")[2]
    return int(number) + 1 if number.isdigit() else 0


def _after(connection: Any, volume: Any, position: Position) -> bytes | None:
    """What follows `position` in a file, None when it is not the one in which reading stopped."""
    size, start = file_length(volume), position.offset - len(position.mark)
    if size < position.offset:
        return None
    data = _bytes(connection, volume, start, size - start)
    return data[len(position.mark) :] if data.startswith(position.mark) else None


def _moved_on(position: Position, data: bytes) -> Position:
    return Position(position.offset + len(data), (position.mark + data)[-_MARK_BYTES:]) if data else position


def _bytes(connection: Any, volume: Any, start: int, length: int) -> bytes:
    data = download(connection, volume, start, length) if length else b""
    if len(data) != length:
        raise _Moved
    return data


def _volume(pool: Any, name: str) -> Any | None:
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise
