"""What a run does, as lines of JSON in a file while it happens, for whoever watches over pipelines."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import click

from provision.errors import EnvironmentProblem
from provision.host.events import Message, ResourceStep
from provision.host.told import NativeCall, Retry, Told

SCHEMA = 1
"""Version of the lines; keys are added to them, never renamed or removed."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a command's work, after its end.

    Attributes:
        name: what was done.
        parts: to how many machines, or whatever it is done to.
        begun: when, in seconds since 1970.
        seconds: how long it took.
    """

    name: str
    parts: int
    begun: float
    seconds: float


Happening = ResourceStep | Message | Told | Phase
Write = Callable[[Happening], None]


def _nothing(event: Happening) -> None:
    """What is written when nobody wants it."""


@contextmanager
def event_log(path: Path | None, command: str) -> Iterator[Write]:
    """Add a line to the file for every event that is given, and one each for the begin and the end of the run.

    When a disk gets full meanwhile the run goes on, and a person is told that events are missing.

    Raises:
        EnvironmentProblem: the file cannot be written when the run begins.
    """
    if path is None:
        yield _nothing
        return
    begun: dict[str, float] = {}
    failures: list[OSError] = []

    def line(kind: str, **said: Any) -> None:
        if failures:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = json.dumps({"schema": SCHEMA, "time": now, "command": command, "kind": kind, **said}) + "\n"
        rest = text.encode()
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            failures.append(error)

    def write(event: Happening) -> None:
        if isinstance(event, Message):
            line("message", severity=event.severity, text=event.text, urn=event.urn)
            return
        if isinstance(event, Phase):
            line("phase", text=event.name, parts=event.parts, seconds=round(event.seconds, 3))
            return
        if isinstance(event, NativeCall):
            took = round(event.seconds, 6)
            line("call", call=event.name, urn=event.urn, seconds=took, failure=event.failure or None)
            return
        if isinstance(event, Retry):
            line(
                "retry", op=event.operation, urn=event.urn, attempt=event.attempt, wait=round(event.seconds, 3),
                failure=event.failure,
            )  # fmt: skip
            return
        seconds = None
        if event.phase == "started":
            begun[event.urn] = time.monotonic()
        elif event.urn in begun:
            seconds = round(time.monotonic() - begun.pop(event.urn), 3)
        line(
            "step", phase=event.phase, op=event.op, type=event.type, name=event.name, urn=event.urn, seconds=seconds,
            properties=[change.path for change in event.changes],
        )  # fmt: skip

    start = time.monotonic()
    with _opened(path) as file:
        line("begin")
        if failures:
            raise _unwritable(path, failures[0])
        try:
            yield write
        finally:
            line("end", seconds=round(time.monotonic() - start, 3))
            if failures:
                click.echo(f"warning: {path} lacks events: {failures[0].strerror}", err=True)


def _opened(path: Path) -> FileIO:
    try:
        return FileIO(path, "a")  # line by line: a run that is killed has told what it did
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(f"{path} cannot be written: {error.strerror}", "choose another file with --events")
