"""Runs of the engine on one stack, whose events are told as they happen.

Pulumi's Automation API does the same and takes longer to import than the engine to start; what is not a run is left to
it (`provision.host.records`).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from provision.host.listening import listening
from provision.host.operations import operations
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
_PARALLEL = "PULUMI_PARALLEL"
"""How many operations the engine runs at a time: plugins have a say, and whoever sets it the last word."""


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
        expected = self.expected(command)
        environment = {**_ENVIRONMENT, **self.environment, **(_WITH_PLAN if plan is not None else {})}
        if expected is not None and _PARALLEL not in os.environ:
            environment[_PARALLEL] = str(max(int(environment.get(_PARALLEL, 0)), operations(expected.platforms)))
        early = standing_by(expected, self.directory, {**os.environ, **environment})
        with early as known, listening(take, "events") as path:
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
