"""`provision state`: locks on a stack's state, and operations that a killed run left in it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.host.automation import Workspace
    from provision.host.locks import Lock

SCHEMA = 1
"""Version of the JSON forms; keys are added to them, never renamed or removed."""

_HOLDERS = {
    "runs": "that process runs on this machine",
    "gone": "that process is gone: the lock was left by a run that was killed, and the next run removes it",
    "elsewhere": "from this machine nobody can tell whether that process still runs",
}


@click.group()
def command() -> None:
    """Look at what holds a stack's state, and free it.

    Whatever else there is to do with a state, `pulumi state` and `pulumi stack` do in the stack's folder.
    """


@command.command()
@options.output_format("human", "json")
@options.stack
@options.directory
def locks(directory: Path, stack: str | None, output: str) -> None:
    """Show which runs hold the stack in DIRECTORY, since when, and whether they still go on."""
    workspace = _opened(directory, stack)
    found = workspace.locks()
    if output == "json":
        shown = [
            {
                "user": lock.user,
                "host": lock.host,
                "process": int(lock.pid),
                "since": lock.since.isoformat() if lock.since else None,
                "holder": str(lock.holder),
            }
            for lock in found
        ]
        click.echo(json.dumps(_document(workspace, "locks", shown), indent=2))
        return
    for lock in found:
        click.echo(f"locked by {lock}: {_HOLDERS[lock.holder]}")
    if not found:
        click.echo(f"No run holds the stack '{workspace.stack_name}'.")


@command.command()
@click.option("--force", is_flag=True, help="Also when the run goes on, or may go on elsewhere; it is then in danger.")
@options.stack
@options.directory
def unlock(directory: Path, stack: str | None, force: bool) -> None:
    """Remove the locks of runs that are gone from the stack in DIRECTORY.

    A run whose lock is taken away while it goes on loses what it has not recorded when another one begins.
    """
    workspace = _opened(directory, stack)
    found = workspace.locks()
    if not found:
        click.echo(f"No run holds the stack '{workspace.stack_name}'.")
        return
    if not force:
        _refuse_the_living(found)
    if not workspace.unlock(found, force=force):
        raise click.ClickException("another run has begun meanwhile; its lock was left")
    for lock in found:
        click.echo(f"removed the lock of {lock}")
    click.echo("What that run was doing is shown by `provision state pending`; `provision up` takes it up.")


@command.command()
@options.output_format("human", "json")
@options.stack
@options.directory
def pending(directory: Path, stack: str | None, output: str) -> None:
    """Show what a run that was killed was doing, and what becomes of it."""
    from provision.host.events import name_of
    from provision.host.interrupted import left_in

    workspace = _opened(directory, stack)
    found = [(name_of(urn), urn, doing, then) for urn, doing, then in left_in(workspace.export())]
    if output == "json":
        shown = [{"name": name, "urn": urn, "operation": doing, "next": then} for name, urn, doing, then in found]
        click.echo(json.dumps(_document(workspace, "pending", shown), indent=2))
        return
    for name, _, doing, then in found:
        click.echo(f"{name}: {doing}; {then}")
    if not found:
        click.echo("No operation is pending: every run recorded how it ended.")


def _refuse_the_living(locks: "list[Lock]") -> None:
    from provision.errors import UserError
    from provision.host.locks import Holder

    for lock in locks:
        if lock.holder is not Holder.GONE:
            raise UserError(
                f"the lock of {lock} was left: {_HOLDERS[lock.holder]}",
                "wait for that run, or end it; when it is certainly gone: provision state unlock --force",
            )


def _opened(directory: Path, stack: str | None) -> "Workspace":
    from provision.host.automation import open_workspace

    return open_workspace(directory.resolve(), stack)


def _document(workspace: "Workspace", key: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schema": SCHEMA, "project": workspace.project, "stack": workspace.stack_name, key: found}
