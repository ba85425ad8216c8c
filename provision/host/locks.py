"""Locks on a stack's state: who holds one, whether that run is still there, and how one that was left is removed.

The engine's backends in a folder, a bucket or a database write a file for each lock. Two runs that begin at the same
moment each see the other's, and both give up; so one that was met by a lock as young as itself tries again.
"""

import contextlib
import enum
import fcntl
import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from pathlib import Path
from urllib.parse import unquote, urlsplit

from provision.errors import EnvironmentProblem, ProvisionError, UserError
from provision.host.engine.places import engine_cache
from provision.host.interrupted import backend_folder, process_runs

_LOCK = re.compile(
    r"(?:(?P<where>\S+): )?created by (?P<user>.+?)@(?P<host>\S+) \(pid (?P<pid>\d+)\)(?: at (?P<since>\S+))?"
)
_TIES = 4
_TIE_SECONDS = (0.3, 2.0)
_POLL_SECONDS = (1.0, 2.0)
_CLOCKS = timedelta(seconds=2)
"""How far clocks may be apart that say which of two runs began first; the engine tells whole seconds."""


class Holder(enum.StrEnum):
    """What is known of the run that made a lock; the values stand in reports, and stay."""

    RUNS = "runs"
    GONE = "gone"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Lock:
    """One lock on a stack.

    Attributes:
        where: its place in the backend; empty when the engine does not say.
        user: whose run made it.
        host: on which machine.
        pid: of the engine there.
        since: when; None when the engine does not say.
    """

    where: str
    user: str
    host: str
    pid: str
    since: datetime | None = None

    @property
    def holder(self) -> Holder:
        """Whether that run still goes on, which can be told on its own machine only."""
        if self.host != socket.gethostname():
            return Holder.ELSEWHERE
        return Holder.RUNS if process_runs(self.pid) else Holder.GONE

    def __str__(self) -> str:
        """Who, and since when."""
        since = f", since {self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"{self.user}@{self.host}, process {self.pid}{since}"


def locks_in(text: str) -> list[Lock]:
    """The locks of which the engine speaks when it refuses a run."""
    return [
        Lock(found["where"] or "", found["user"], found["host"], found["pid"], _time(found["since"]))
        for found in _LOCK.finditer(text)
    ]


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def refusal(locks: Sequence[Lock]) -> UserError:
    """Why a run is not begun, or a lock not removed."""
    who = "; ".join(map(str, locks)) or "another run"
    return UserError(
        f"the stack is locked by {who}",
        "wait for that run to end (`--lock-timeout SECONDS` does); if it is gone for good, remove its lock with "
        "`provision state unlock`",
    )


class Turn:
    """One run's patience with the locks of others.

    Attributes:
        removals: how often it has removed what others left.
    """

    def __init__(self, seconds: float, begun: float) -> None:
        """Wait for so many seconds at most; the run began at that time of the clock."""
        self._begin, self._end = datetime.fromtimestamp(begun, UTC), time.monotonic() + seconds
        self._ties = 0
        self.removals = 0

    def pause(self, locks: Sequence[Lock]) -> float | None:
        """Seconds until it is worth trying again; None when it is not, with these locks in the way."""
        if (left := self._end - time.monotonic()) > 0:
            return min(left, random.uniform(*_POLL_SECONDS))
        if self._ties < _TIES and all(lock.since and lock.since > self._begin - _CLOCKS for lock in locks):
            self._ties += 1
            return random.uniform(*_TIE_SECONDS)  # by chance: else both meet again
        return None


def slept(seconds: float, stopped: Callable[[], bool]) -> bool:
    """Wait, but no longer than until the person has had enough; whether that was the whole time."""
    end = time.monotonic() + seconds
    while not stopped() and (rest := end - time.monotonic()) > 0:
        time.sleep(min(rest, 0.1))
    return not stopped()


@contextlib.contextmanager
def alone(url: str, project: str, stack: str) -> Iterator[None]:
    """Be the only run of this user on this machine that removes locks of a stack.

    Without that a second one, which has seen the same lock, would remove that of the run which came after it.

    Raises:
        EnvironmentProblem: the user's cache cannot be written.
    """
    folder = engine_cache(os.environ).parent / "locks"
    name = blake2s("\0".join((url, project, stack)).encode(), digest_size=12).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("a")
    except OSError as error:
        raise EnvironmentProblem(
            f"{folder / name} cannot be written: {error.strerror}", "set XDG_CACHE_HOME to a folder of yours"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def remove(locks: Sequence[Lock], url: str, look: Callable[[], Sequence[Lock]], remove_all: Callable[[], None]) -> bool:
    """Remove locks, if they are still the same; False when others have come. Call it `alone`.

    Args:
        locks: that are to go.
        url: of the backend.
        look: gives the locks that there are now.
        remove_all: removes all locks of the stack, which is all that the engine can.

    Raises:
        ProvisionError: they cannot be looked at or removed.
    """
    now = look()
    if {lock.where for lock in now} - {lock.where for lock in locks}:
        return False
    if not now:
        return True
    if all(_removed_from_folder(lock, url) for lock in now):
        return True
    remove_all()
    return True


def _removed_from_folder(lock: Lock, url: str) -> bool:
    """Remove one lock of a backend in a folder, and no other."""
    if not url.startswith("file://"):
        return False
    place = backend_folder(url) / "locks"
    file = place / unquote(urlsplit(lock.where).path).partition("/.pulumi/locks/")[2]
    if not file.is_file() or not file.resolve().is_relative_to(place.resolve()):
        return False
    try:
        file.unlink(missing_ok=True)
        Path(f"{file}.attrs").unlink(missing_ok=True)
    except OSError as error:
        raise ProvisionError(f"{file} cannot be removed: {error.strerror}", "look at its permissions") from error
    return True
