"""What waits: it is taken by a shim, and takes its place for the engine."""

import contextlib
import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.host.standby import GIVEN

if TYPE_CHECKING:
    import asyncio


def given() -> dict[str, "Standby"]:
    """What this process was started to be, by the names of notes."""
    said = json.loads(os.environ.pop(GIVEN))
    return {
        name: Standby(Path(said["folder"], name), said["life"], asked, hold, answer)
        for name, (asked, hold, answer) in said["ends"].items()
    }


class Standby:
    """One plugin that waits to be taken. Nothing that waits outlives the command that started it."""

    def __init__(self, note: Path, life: int, asked: int, hold: int, answer: int) -> None:
        """Take over what `starting` made.

        Args:
            note: where shims find this plugin.
            life: a pipe that ends with the command.
            asked: a pipe from shims.
            hold: its other end, so that it does not end before a shim has opened it.
            answer: a pipe to shims.
        """
        self._note, self._life = note, life
        self._asked, self._hold, self._answer = asked, hold, answer
        self._ends = [asked, hold, answer]
        self._lock = threading.Lock()
        self._taken = False
        self._left = False

    def belongs_to(self, process: int) -> None:
        """Tell shims that a fork of this process has it."""
        self._write(process, self._asked, self._answer)

    def close(self) -> None:
        """Have nothing more to do with it; a shim that waits for an answer sees the end of the pipe."""
        ends, self._ends = self._ends, []
        for end in ends:
            os.close(end)

    def watch(self) -> None:
        """End this process when the command ends before it was taken; starts a thread."""
        threading.Thread(target=self._watch, daemon=True, name="command-watch").start()

    def wait(self) -> "Caller":
        """Wait until a shim takes this plugin, and do as if the engine had started it.

        Never returns when the command ends before.
        """
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._asked, 65536)
        self._set_taken(True)
        self._ends.remove(self._hold)
        os.close(self._hold)  # from now on the shim alone can write, so that its end is seen
        shim, engine, *arguments = line.decode().split()
        try:
            _become(int(shim))
        except OSError:  # the shim starts the plugin itself when this one says nothing
            os._exit(1)
        return Caller(tuple(arguments), int(shim), int(engine), self._asked, self._answer)

    def release(self) -> None:
        """Let the shim end, and be there for another one."""
        old, (self._asked, self._hold), (other, self._answer) = self._ends, os.pipe(), os.pipe()
        self._ends = [self._asked, self._hold, self._answer]
        try:
            self._write(os.getpid(), self._asked, self._answer)
            self._note.with_name(f"{self._note.name}.taken").unlink()
        except OSError:  # the command is gone, and its folder with it
            os._exit(0)
        say_nothing()
        for end in (*old, other):
            os.close(end)
        self._set_taken(False)

    def _write(self, process: int, asked: int, answer: int) -> None:
        draft = self._note.with_name(f"{self._note.name}.new")
        draft.write_text(f"{process} {asked} {answer}\n")
        draft.replace(self._note)

    def _watch(self) -> None:
        os.read(self._life, 1)  # nobody ever writes
        shutil.rmtree(self._note.parent, ignore_errors=True)  # a command that was killed could not
        with self._lock:
            self._left = True
            if not self._taken:
                os._exit(0)

    def _set_taken(self, taken: bool) -> None:
        with self._lock:
            self._taken = taken
            if self._left and not taken:
                os._exit(0)


@dataclass(frozen=True)
class Caller:
    """The engine that has taken a plugin, and the shim that stands for it there.

    Attributes:
        arguments: what the engine gave the shim.
        shim: its process number.
        engine: that of the engine.
        asked: the pipe from the shim, at its end when the shim is.
        answer: the pipe to the shim.
    """

    arguments: tuple[str, ...]
    shim: int
    engine: int
    asked: int
    answer: int

    def say(self, port: int) -> None:
        """Tell the engine the port."""
        with contextlib.suppress(OSError):  # the shim is gone, which is seen elsewhere
            os.write(self.answer, f"{port}\n".encode())

    def lives(self) -> bool:
        """Whether the engine is still there."""
        try:
            stat = Path(f"/proc/{self.shim}/stat").read_text()
        except OSError:
            return False
        return int(stat.rpartition(")")[2].split()[1]) == self.engine

    def when_gone(self, loop: "asyncio.AbstractEventLoop", ended: "asyncio.Event") -> None:
        """Set `ended` when the shim has ended, which is how the engine ends a plugin."""

        def gone() -> None:
            loop.remove_reader(self.asked)
            ended.set()

        loop.add_reader(self.asked, gone)


def _become(shim: int) -> None:
    """Work where the shim works, in its environment, and write where it writes.

    Raises:
        OSError: it is gone.
    """
    place = Path(f"/proc/{shim}")
    for entry in (place / "environ").read_bytes().split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if name and equals:
            os.environb[name] = value
    os.chdir(os.readlink(place / "cwd"))
    for stream in (1, 2):
        its = os.open(place / "fd" / str(stream), os.O_WRONLY)
        os.dup2(its, stream)
        os.close(its)


def say_nothing() -> None:
    """Give back the streams of the shim, at whose end the engine sees that of a plugin."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
