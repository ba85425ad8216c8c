"""Runs of the engine on one stack, whose events are told as they happen.

Pulumi's Automation API does the same and takes longer to import than the engine to start; what is not a run is left to
it (`provision.host.records`).
"""

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from provision.host.process import EngineCommand
from provision.host.standby.starting import Expected, standing_by

Event: TypeAlias = Mapping[str, Any]
"""An event of the engine (Pulumi's sdk/go/common/apitype/events.go): one key of it says what happened."""

_RUNS = {
    "up": ("up", "--yes", "--skip-preview"),
    "preview": ("preview",),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "preview-refresh": ("refresh", "--preview-only"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
    "preview-destroy": ("destroy", "--preview-only"),
}
# What the Automation API says too: the kind stands in the history, and the second makes flags for programs known.
_KIND = ("--exec-kind", "auto.local")
_WITH_PLAN = {"PULUMI_EXPERIMENTAL": "true"}  # without it the engine does not know plans
_ENVIRONMENT = {"PULUMI_DEBUG_COMMANDS": "true"}
_END = b"\n\0\n"


@dataclass(frozen=True)
class Runs:
    """Runs on one stack.

    Attributes:
        engine: what runs.
        directory: the project's folder.
        environment: of the engine, laid over that of this process.
        stack: Pulumi's name of the stack.
        expected: what a command will most likely ask for, which is started with the engine.
    """

    engine: EngineCommand
    directory: Path
    environment: Mapping[str, str]
    stack: str
    expected: Callable[[str], Expected | None] = lambda command: None

    def run(
        self,
        command: str,
        take: Callable[[Event], None] = lambda event: None,
        *,
        parallel: int | None = None,
        target: Iterable[str] = (),
        replace: Iterable[str] = (),
        plan: Path | None = None,
    ) -> None:
        """Run one operation to its end.

        Args:
            command: which; `preview-` before it changes nothing.
            take: gets every event, in a thread of its own; all of them before this returns.
            parallel: most operations on resources at once.
            target: URNs of the only resources that are looked at; default: all.
            replace: URNs of resources that are made anew.
            plan: a file of the engine's own for what it is going to do: a preview writes it, an update keeps to it.

        Raises:
            provision.host.process.EngineFailed: it failed.
        """
        chosen = [*(("--replace", urn) for urn in replace), *(("--target", urn) for urn in target)]
        if parallel:
            chosen.append(("--parallel", str(parallel)))
        if plan is not None:
            chosen.append(("--save-plan" if command == "preview" else "--plan", str(plan)))
        environment = {**_ENVIRONMENT, **self.environment, **(_WITH_PLAN if plan is not None else {})}
        early = standing_by(self.expected(command), self.directory, {**os.environ, **environment})
        with early as known, _event_log(take) as path:
            self.engine.run(
                [
                    *_RUNS[command],
                    "--suppress-outputs",
                    *(word for pair in chosen for word in pair),
                    *_KIND,
                    "--event-log",
                    str(path),
                    "--stack",
                    self.stack,
                ],
                str(self.directory),
                {**environment, **known},
            )


@contextmanager
def _event_log(take: Callable[[Event], None]) -> Iterator[Path]:
    """A file for the engine to write events to, which are handed on as they come; all have been when this is left."""
    failures: list[Exception] = []
    with tempfile.TemporaryDirectory(prefix="provision-events-") as folder:
        path = Path(folder, "events")
        os.mkfifo(path, 0o600)
        # Open for both: then the reader neither waits for an engine that never opens it, nor takes a pause for the end.
        with open(path, "r+b", buffering=0) as writer, open(path, "rb") as reader:
            thread = threading.Thread(target=_hand_on, args=(reader, take, failures), name="engine-events")
            thread.start()
            try:
                yield path
            finally:
                writer.write(_END)
                thread.join()
    if failures:
        raise failures[0]


def _hand_on(reader: IO[bytes], take: Callable[[Event], None], failures: list[Exception]) -> None:
    """Read to the end whatever happens: the engine would wait for its reader."""
    end = _END.strip(b"\n")
    for line in reader:
        said = line.strip()
        if said == end:
            return
        try:
            event = json.loads(said)
        except ValueError:  # nothing, or an engine that was killed in the middle of a line
            continue
        try:
            take(event)
        except Exception as error:
            failures.append(error)
