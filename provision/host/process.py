"""The engine as a process: started and interrupted by us alone."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from provision.host.engine import Engine

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOCKED = ("[409] Conflict: Another update is currently in progress.", "the stack is currently locked by")


@dataclass(frozen=True)
class Said:
    """What a command of the engine printed, and its exit code."""

    stdout: str
    stderr: str
    code: int

    def __str__(self) -> str:
        """All of it."""
        return f"\n code: {self.code}\n stdout: {self.stdout}\n stderr: {self.stderr}"


class EngineFailed(Exception):
    """A command of the engine ended with a code that is not zero; its text is all that it said."""

    def __init__(self, said: Said) -> None:
        """It said that."""
        super().__init__(str(said))
        self.said = said

    @property
    def locked(self) -> bool:
        """Whether it failed because another run holds the stack."""
        return is_locked(self.said.stderr)


def is_locked(text: str) -> bool:
    """Whether the engine says that another run holds the stack."""
    return any(words in text for words in _LOCKED)


class EngineCommand:
    """Runs the engine in a process group of its own.

    A terminal's Ctrl-C goes to a whole process group, a `kill` to one process; so that the engine gets each interrupt
    exactly once in both cases, it gets none from the terminal and every one from us.
    """

    def __init__(self, engine: Engine) -> None:
        """Run `engine`."""
        self.engine = engine
        self._running: subprocess.Popen[str] | None = None

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> Said:
        """Run one engine command to its end.

        Raises:
            EngineFailed: it failed.
        """
        said: tuple[list[str], list[str]] = ([], [])

        def read(stream: IO[str], lines: list[str], tell: Callable[[str], object] | None) -> None:
            for line in stream:
                lines.append(line.rstrip())
                if tell:
                    tell(lines[-1])

        with subprocess.Popen(
            [self.engine.path, "--non-interactive", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
            encoding="utf-8",
            errors="replace",
            process_group=0,
        ) as process:
            self._running = process
            assert process.stdout is not None
            assert process.stderr is not None
            readers = [
                threading.Thread(target=read, args=(process.stdout, said[0], on_output)),
                threading.Thread(target=read, args=(process.stderr, said[1], on_error)),
            ]
            try:
                for reader in readers:
                    reader.start()
                for reader in readers:
                    reader.join()
                process.wait()
            except BaseException:
                process.send_signal(signal.SIGINT)
                raise
            finally:
                self._running = None
        result = Said("\n".join(said[0]), "\n".join(said[1]), process.returncode)
        if result.code != 0:
            raise EngineFailed(result)
        return result

    @contextmanager
    def interruptible(self, tell: Callable[[int, signal.Signals], None]) -> Iterator[None]:
        """Hand interrupts on to the engine, which ends in order; `tell` gets how many there were, and the signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        count = 0

        def handle(number: int, frame: object) -> None:
            nonlocal count
            count += 1
            if self._running is not None:
                self._running.send_signal(signal.SIGINT)
            tell(count, signal.Signals(number))

        before = {number: signal.signal(number, handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
