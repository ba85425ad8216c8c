"""Run one engine command and report it; shared by preview, up, down and refresh."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from provision.cli.asking import agreed, say
from provision.cli.changes import Change, Changes
from provision.cli.watched import watched
from provision.cli.words import NAMES, failure, is_preview, summary
from provision.errors import POLICY_REFUSED
from provision.host.automation import Workspace
from provision.host.events import Message, ResourceStep
from provision.host.result import Command, RunResult

SCHEMA = 1
"""Version of the JSON form; keys are added to it, never renamed or removed."""


@dataclass
class Session:
    """The runs of one command line on one stack.

    Attributes:
        workspace: the stack.
        output: `human` or `json`.
        parallel: most operations at the same time.
        told: messages that the person has read.
        events: a file that gets a line for everything that happens.
        wait: for how many seconds another run on the stack is waited for.
        replace: what is made anew although the file says nothing else.
    """

    workspace: Workspace
    output: str
    parallel: int | None = None
    told: set[str] = field(default_factory=set)
    events: Path | None = None
    wait: float = 0.0
    replace: Sequence[str] = ()

    def run(
        self, command: Command, *, shown: bool = False, silent: bool = False, plan: Path | None = None
    ) -> tuple[RunResult, Changes]:
        """Run `command`, with its progress when the output is for people or it is to be `shown`, unless `silent`.

        With `plan` a preview writes what the engine is going to do, and an update does nothing else.
        """
        changes = Changes(preview=is_preview(command))
        name = NAMES.get(command, command)
        with watched(self.events, name, self.workspace.project, self.workspace.stack_name) as log:
            if (self.output == "human" or shown) and not silent:
                from provision.cli.progress import Progress

                with Progress(command, changes, self.told) as progress:

                    def show(event: ResourceStep | Message) -> None:
                        log(event)
                        progress(event)

                    return self._operate(command, show, plan), changes

            def take(event: ResourceStep | Message) -> None:
                log(event)
                if isinstance(event, ResourceStep):
                    changes.take(event)

            return self._operate(command, take, plan), changes

    def _operate(
        self, command: Command, tell: Callable[[ResourceStep | Message], None], plan: Path | None
    ) -> RunResult:
        anew = self.replace if command in ("preview", "up") else ()
        return self.workspace.run(command, tell, parallel=self.parallel, plan=plan, wait=self.wait, replace=anew)

    def finish(self, command: Command, *, detailed_exitcode: bool, plan: Path | None = None) -> int:
        """Run `command`, print its outcome, and return the exit code."""
        result, changes = self.run(command, plan=plan)
        return self.report(command, result, changes, detailed_exitcode=detailed_exitcode)

    def confirmed(self, command: Command, question: str) -> int | None:
        """Show what `command` would do and ask; None when it is to be done, else the exit code."""
        planned, changes = self.run(command, shown=True)
        if not planned.succeeded:
            return self.report(command, planned, changes, detailed_exitcode=False)
        if not planned.changed:
            return None
        say(summary(changes, command), err=True)
        if agreed(question):
            return None
        raise click.ClickException("not confirmed: nothing was changed")

    def report(self, command: Command, result: RunResult, changes: Changes, *, detailed_exitcode: bool) -> int:
        """Print an outcome and return the exit code."""
        code = exit_code(result, detailed_exitcode=detailed_exitcode)
        if self.output == "json":
            click.echo(json.dumps(self._document(command, result, changes, code), indent=2))
        elif result.succeeded:
            say(summary(changes, command))
            for name, value in result.outputs.items():
                click.echo(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
        else:
            say(failure(changes, command, interrupted=bool(result.interrupted)), err=True)
        return code

    def _document(self, command: Command, result: RunResult, changes: Changes, code: int) -> dict[str, object]:
        """The outcome as a stable document."""
        interrupted = bool(result.interrupted)
        said = summary(changes, command) if result.succeeded else failure(changes, command, interrupted=interrupted)
        return {
            "schema": SCHEMA,
            "command": NAMES.get(command, command),
            "project": self.workspace.project,
            "stack": self.workspace.stack_name,
            "succeeded": result.succeeded,
            "exit_code": code,
            "summary": said,
            "steps": [_step(change) for change in changes.found],
            "unchanged": changes.unchanged,
            "messages": [{"severity": m.severity, "text": m.text, "urn": m.urn} for m in result.messages],
            "downgraded": result.downgraded,
            "outputs": result.outputs,
        }


def exit_code(result: RunResult, *, detailed_exitcode: bool) -> int:
    """0 fine, 1 failure, 2 changed (when asked for), 3 a policy is refused, 128 + signal when interrupted."""
    if result.succeeded:
        return 2 if detailed_exitcode and result.changed else 0
    if result.interrupted:
        return 128 + result.interrupted
    return 3 if any(m.severity == "error" and m.text.startswith(POLICY_REFUSED) for m in result.messages) else 1


def _step(change: Change) -> dict[str, object]:
    return {
        "op": str(change.action),
        "type": change.type,
        "name": change.name,
        "urn": change.urn,
        "failed": change.failed,
        "loses_data": change.loses_data,
        "kept": change.kept,
        "properties": [
            {"path": item.path, "values": item.values, "replaces": item.replaces} for item in change.properties
        ],
    }
