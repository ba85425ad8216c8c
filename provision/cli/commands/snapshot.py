"""`provision snapshot`."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli import options
from provision.cli.daytwo import of_machine
from provision.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.spi import DeployedMachine, HasSnapshots, Snapshot

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


@click.group(name="snapshot")
def command() -> None:
    """Keep machines as they are now, and bring them back.

    A snapshot holds all disks and, of a machine that runs, its memory. It lives in the machine's disks and goes with
    them; it is no backup.
    """


@command.command()
@of_machine
@click.argument("name", required=False)
def create(machine: str, name: str | None, stack: str | None, directory: Path) -> None:
    """Keep MACHINE as it is now, under NAME or the time; a guest that runs stands still meanwhile."""
    from rich.console import Console

    wanted = name or datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    if not _NAME.fullmatch(wanted):
        raise UserError(
            f"'{wanted}' cannot be the name of a snapshot", "use up to 63 letters, digits, `-`, `_` and `.`"
        )
    with _opened(directory, stack, machine) as (provider, session, target):
        with Console(stderr=True).status(f"making a snapshot of {machine}"):
            made = provider.create_snapshot(session, target, wanted)
        click.echo(f"{machine} is kept as '{made.name}' ({made.state}).")


@command.command("list")
@options.output_format("human", "json")
@of_machine
def list_(machine: str, stack: str | None, directory: Path, output: str) -> None:
    """List the snapshots of MACHINE, oldest first."""
    with _opened(directory, stack, machine) as (provider, session, target):
        found = provider.list_snapshots(session, target)
    if output == "json":
        click.echo(json.dumps([{**asdict(item), "created": item.created.isoformat()} for item in found], indent=2))
    elif found:
        _print(found)
    else:
        click.echo(f"{machine} has no snapshots.")


@command.command()
@of_machine
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def revert(machine: str, name: str, stack: str | None, directory: Path, yes: bool) -> None:
    """Bring MACHINE back to the snapshot NAME; what it wrote since is lost.

    Its isolation and limits stay as the last `up` made them. Asks before.
    """
    from rich.console import Console

    from provision.cli.asking import agreed, say

    if not yes and not sys.stdin.isatty():
        raise UserError("`snapshot revert` asks before, and there is no terminal", "add --yes")
    with _opened(directory, stack, machine) as (provider, session, target):
        kept = next((item for item in provider.list_snapshots(session, target) if item.name == name), None)
        if kept is not None and not yes:
            say(f"{machine} goes back to {_time(kept)} ({kept.state}): what its guest wrote since is lost.", err=True)
            if not agreed("Revert?"):
                raise click.ClickException("not confirmed: nothing was changed")
        with Console(stderr=True).status(f"bringing {machine} back"):
            provider.revert_snapshot(session, target, name)
        click.echo(f"{machine} is as it was{f' at {_time(kept)}' if kept else ''}.")


@command.command()
@of_machine
@click.argument("name")
def delete(machine: str, name: str, stack: str | None, directory: Path) -> None:
    """Delete the snapshot NAME of MACHINE; the machine stays as it is."""
    with _opened(directory, stack, machine) as (provider, session, target):
        provider.delete_snapshot(session, target, name)
    click.echo(f"The snapshot '{name}' of {machine} is deleted.")


@contextmanager
def _opened(directory: Path, stack: str | None, machine: str) -> "Iterator[tuple[HasSnapshots, Any, DeployedMachine]]":
    from provision.cli.daytwo import able
    from provision.cli.deployed import open_deployed
    from provision.spi import HasSnapshots

    with open_deployed(directory, stack, machine=machine) as deployed:
        plugin, session = deployed.of(machine)
        provider = able(plugin, HasSnapshots, "has no snapshots")  # type: ignore[type-abstract]
        yield provider, session, deployed.machine(machine)


def _print(found: "Sequence[Snapshot]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("snapshot", "made", "state", "based on"):
        table.add_column(title, overflow="fold")
    for item in found:
        table.add_row(f"{item.name}{' (now)' if item.current else ''}", _time(item), item.state, item.parent or "-")
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


def _time(snapshot: "Snapshot") -> str:
    return snapshot.created.astimezone().strftime("%Y-%m-%d %H:%M:%S")
