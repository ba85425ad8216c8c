"""Run one engine command and report it; shared by preview, up, down and refresh."""

import json

import click

from provision.errors import POLICY_REFUSED
from provision.host.automation import UNCHANGED_OPS, Command, Message, ResourceStep, RunResult, Workspace


def run(workspace: Workspace, command: Command, *, output: str, parallel: int | None = None) -> RunResult:
    """Run `command`, showing progress when the output is for people."""
    if output != "human":
        return workspace.run(command, parallel=parallel)
    from provision.cli.progress import Progress

    with Progress(preview=command == "preview") as progress:
        return workspace.run(command, progress, parallel=parallel)


def finish(workspace: Workspace, command: Command, result: RunResult, *, output: str, detailed_exitcode: bool) -> int:
    """Print the outcome and return the exit code."""
    if output == "json":
        click.echo(json.dumps(as_json(workspace, command, result), indent=2))
    elif result.succeeded:
        from provision.cli.progress import summary

        click.secho(summary(result, preview=command == "preview"), bold=True)
        if command == "up":
            for name, value in workspace.outputs().items():
                click.echo(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
    else:
        done = any(step.phase == "done" and step.op not in UNCHANGED_OPS for step in result.steps)
        kept = "what was finished is recorded; run it again to go on from there" if done else "nothing was changed"
        click.secho(f"{command} failed: {kept}.", bold=True, err=True)
    if not result.succeeded:
        return 3 if any(POLICY_REFUSED in m.text for m in result.messages) else 1
    return 2 if detailed_exitcode and result.changed else 0


def as_json(workspace: Workspace, command: Command, result: RunResult) -> dict[str, object]:
    """The outcome as a stable document."""
    phase = "started" if command == "preview" else "done"
    steps = [s for s in result.steps if s.phase in (phase, "failed") and s.op not in ("same", "read")]
    return {
        "command": command,
        "project": workspace.project,
        "stack": workspace.stack_name,
        "succeeded": result.succeeded,
        "changes": result.changes,
        "steps": [_step(s) for s in steps],
        "messages": [_message(m) for m in result.messages if not m.ephemeral and m.severity != "debug"],
        "outputs": workspace.outputs() if command == "up" and result.succeeded else {},
    }


def _step(step: ResourceStep) -> dict[str, object]:
    return {
        "op": step.op,
        "type": step.type,
        "name": step.name,
        "urn": step.urn,
        "failed": step.phase == "failed",
        "paths": list(step.paths),
    }


def _message(message: Message) -> dict[str, str]:
    return {"severity": message.severity, "text": message.text, "urn": message.urn}
