"""Processes of a lab: none outlives it, whatever ends it."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None)
_GRACE = 3.0
_LONG_GRACE = 20.0
"""Seconds to come to an end by themselves: services, and those that must not be cut off, such as the database."""


class Processes:
    """The processes that one keeper started; they end with it."""

    def __init__(self, directory: Path, logs: Path) -> None:
        """Record them in `directory`."""
        self._record = directory / "processes.json"
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._owner = os.getpid()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start one, in a process group of its own."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self._end_with_owner,
            )
        self._save()

    def _end_with_owner(self) -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._owner:  # it has ended already
            os._exit(1)

    def alive(self, name: str) -> bool:
        """Whether it runs."""
        return name in self._running and self._running[name].poll() is None

    def dead(self) -> list[str]:
        """Names of those that have ended by themselves."""
        return [name for name in self._running if not self.alive(name)]

    def stop(self, *names: str, grace: float = _LONG_GRACE) -> None:
        """End some, all at the same time; those that do not end in `grace` seconds are killed."""
        chosen = {name: self._running.pop(name) for name in names if name in self._running}
        for process in chosen.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        end = time.monotonic() + grace
        for process in chosen.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            _kill_group(process.pid)
            process.wait()
        self._save()

    def stop_all(self, last: Sequence[str]) -> None:
        """End all; `last` name those that others need to come to an end."""
        self.stop(*[name for name in self._running if name not in last], grace=_GRACE)
        for name in last:
            self.stop(name)

    def _save(self) -> None:
        known = {name: [process.pid, begun(process.pid)] for name, process in self._running.items()}
        partial = self._record.with_suffix(".new")
        partial.write_text(json.dumps(known))
        partial.replace(self._record)


def pids(directory: Path) -> dict[str, int]:
    """Processes of a lab that run."""
    try:
        known = json.loads((directory / "processes.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: pid for name, (pid, when) in known.items() if when and begun(pid) == when}


def sweep(directory: Path) -> None:
    """End what an earlier lab in this folder left."""
    for pid in pids(directory).values():
        _kill_group(pid)
    (directory / "processes.json").unlink(missing_ok=True)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def begun(pid: int) -> str:
    """When a process began, in ticks since the machine did: another one with the same id began later (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
