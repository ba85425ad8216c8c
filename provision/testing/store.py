"""The in-memory platform itself: its objects, the calls it got, and the faults that a test has laid for it.

With a path, the store is a JSON file that processes share, so that a test can watch a plugin which a real engine runs.
"""

import fcntl
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Effect = Literal["fail", "retry", "unhealthy", "slow", "starting", "defect", "kill-before", "kill-after"]
MUTATING = frozenset({"create", "update", "delete"})


@dataclass(frozen=True)
class StoredObject:
    """One object of the platform.

    Attributes:
        id: identity on the platform.
        kind: token of its resource type.
        name: name on the platform, unique within its kind.
        marker: whose it is; empty for an object that nobody marked.
        properties: everything else, by Python name, secrets in the clear as any platform has them.
    """

    id: str
    kind: str
    name: str
    marker: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call that reached the platform."""

    operation: str
    kind: str
    name: str
    urn: str = ""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        operation: `create`, `read`, `update`, `delete` or `connect`.
        effect: `fail`, `retry` (a failure that passes), `unhealthy`, `slow` (before anything is changed), `starting`
            (slow after the object was made; servers only), `defect` (an exception that no plugin may raise),
            `kill-before` and `kill-after` the object is stored (the process ends as by `kill -9`).
        kind: only for this token; empty for all.
        name: only for this native name; empty for all.
        times: how often it happens.
        seconds: how long `slow` and `starting` take.
        text: the reason that `unhealthy` gives, or a lasting line that `starting` leaves.
    """

    operation: str
    effect: Effect
    kind: str = ""
    name: str = ""
    times: int = 1
    seconds: float = 0.0
    text: str = ""


@dataclass
class _Data:
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[dict[str, str]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    serial: int = 0


class Store:
    """Objects, calls and faults; safe from several threads and, with a path, from several processes."""

    def __init__(self, path: Path | None = None) -> None:
        """Keep everything in the file `path`, or in memory alone."""
        self._path = path
        self._lock = threading.RLock()
        self._memory = _Data()

    @property
    def identity(self) -> str:
        """Which store it is, however its path is written; empty for one that only this process has."""
        return "" if self._path is None else str(self._path.resolve())

    def objects(self, kind: str = "") -> list[StoredObject]:
        """All objects, or those of one kind, in the order they were made."""
        with self._data() as data:
            found = [StoredObject(**item) for item in data.objects.values()]
        return [item for item in found if kind in ("", item.kind)]

    def get(self, kind: str, identity: str) -> StoredObject | None:
        """The object of that identity."""
        return next((item for item in self.objects(kind) if item.id == identity), None)

    def named(self, kind: str, name: str) -> StoredObject | None:
        """The object of that name."""
        return next((item for item in self.objects(kind) if item.name == name), None)

    def put(self, stored: StoredObject) -> None:
        """Make or replace an object."""
        with self._data(write=True) as data:
            data.objects[stored.id] = asdict(stored)

    def remove(self, identity: str) -> None:
        """Remove an object, if it is there."""
        with self._data(write=True) as data:
            data.objects.pop(identity, None)

    def new_id(self, prefix: str) -> str:
        """An identity that was never given before."""
        with self._data(write=True) as data:
            data.serial += 1
            return f"{prefix}-{data.serial:06d}"

    def record(self, call: Call) -> None:
        """Note a call."""
        with self._data(write=True) as data:
            data.calls.append(asdict(call))

    def calls(self) -> list[Call]:
        """Every call so far, in order."""
        with self._data() as data:
            return [Call(**item) for item in data.calls]

    def mutations(self) -> list[Call]:
        """The calls that change something."""
        return [call for call in self.calls() if call.operation in MUTATING]

    def forget_calls(self) -> None:
        """Begin counting anew."""
        with self._data(write=True) as data:
            data.calls.clear()

    def inject(self, *faults: Fault) -> None:
        """Lay faults; each happens `times` times to the calls that it fits."""
        with self._data(write=True) as data:
            data.faults.extend(asdict(fault) for fault in faults)

    def take_fault(self, operation: str, kind: str, name: str, *effects: Effect) -> Fault | None:
        """The next fault of one of `effects` that fits, which is then used up by one."""
        with self._data(write=True) as data:
            for item in data.faults:
                fits = item["operation"] == operation and item["kind"] in ("", kind) and item["name"] in ("", name)
                if fits and item["effect"] in effects and item["times"] > 0:
                    item["times"] -= 1
                    return Fault(**item)
        return None

    @contextmanager
    def _data(self, write: bool = False) -> Iterator[_Data]:
        with self._lock:
            if self._path is None:
                yield self._memory
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                data = _Data(**json.loads(self._path.read_text())) if self._path.exists() else _Data()
                yield data
                if write:
                    # Replaced at once, so that a process which is killed here leaves the old store or the new one.
                    scratch = self._path.with_suffix(".new")
                    scratch.write_text(json.dumps(asdict(data), indent=1))
                    scratch.replace(self._path)


def kill_self() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
