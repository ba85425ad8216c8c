"""`provision status`."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.errors import ProvisionError, RetriableError, UserError

if TYPE_CHECKING:  # rich is needed when the command runs
    from rich.console import RenderableType

    from provision.cli.deployed import Deployed, Part
    from provision.cli.machine_table import Away, Row
    from provision.spi import MachineStatus

_LOOK_SECONDS = 0.5
_ENDLESS = 1000


@click.command()
@options.output_format("human", "json")
@click.option("-w", "--watch", "live", is_flag=True, help="Keep showing it on the terminal; q ends.")
@click.option(
    "--interval", type=click.FloatRange(0.2), default=2.0, show_default=True, help="Seconds between two looks."
)
@options.stack
@click.argument("what", metavar="[DIRECTORY|MACHINE]", default=".")
def command(what: str, stack: str | None, output: str, live: bool, interval: float) -> int:
    """Show the machines of the stack in DIRECTORY as they are now, beside what they were given.

    With the name of a MACHINE only that one is shown, of the stack in this folder.

    First stands what the guest has, then what the machine uses: how many CPUs it keeps busy, and what memory it takes
    of the platform, its emulator included; `of` is the most that a policy of sharing lets it use.

    Of a stack in several locations, those that cannot be reached are named, and the machines of the others shown.

    Exits with 1 when a machine is gone, or should run and does not, or when a location cannot be reached; with --watch
    that is 0.
    """
    from provision.cli.deployed import open_deployed

    if live and (output == "json" or not sys.stdout.isatty()):
        raise UserError(
            "--watch shows a table on a terminal", "without one, call `provision status --format json` when it suits"
        )
    directory, machine = (Path(what), None) if Path(what).is_dir() else (Path(), what)
    with open_deployed(directory, stack, partly=True) as deployed:
        if machine is not None:
            deployed.machine(machine)
        look = _Look(deployed, machine)
        if live:
            from provision.cli.watching import watch

            watch(look.live, interval)
            return 0
        look.rows()
        time.sleep(_LOOK_SECONDS)
        return _show(deployed, *look.rows(), output)


def _show(deployed: "Deployed", found: "Sequence[Row]", away: "Sequence[Away]", output: str) -> int:
    from provision.cli.machine_table import document, exit_code, table

    if output == "json":
        import json

        click.echo(json.dumps(document(deployed.stack, found, away), indent=2))
    elif found or away:
        from rich.console import Console

        # Nothing is cut or broken for a program that reads it.
        console = Console() if sys.stdout.isatty() else Console(width=_ENDLESS)
        console.print(table(found, console.width, away))
    else:
        click.echo("The stack has no machines.")
    return exit_code(found, away)


class _Look:
    """Looks at all machines, or at `only` one of them, and remembers the look before."""

    def __init__(self, deployed: "Deployed", only: str | None) -> None:
        self._deployed = deployed
        self._only = only
        self._before: Mapping[str, MachineStatus] | None = None
        self._at = 0.0

    def rows(self) -> "tuple[Sequence[Row], Sequence[Away]]":
        """What is seen now, and the locations at which nothing can be seen.

        Raises:
            ProvisionError: nothing can be seen at all.
        """
        from provision.cli.machine_table import Away, rows
        from provision.translate import at_once

        parts, unreached = self._deployed.parts()
        if self._only is not None:
            own = self._deployed.machine(self._only)
            parts = [replace(part, machines=[own]) for part in parts if own in part.machines]
            unreached = {at: why for at, why in unreached.items() if own in self._deployed.machines_at(at)}
        seen = at_once(_status, parts)
        lost = {p.location: one for p, one in zip(parts, seen, strict=True) if isinstance(one, ProvisionError)}
        lost.update(unreached)
        if len(lost) == len(parts) + len(unreached):
            raise next(iter(lost.values()))
        now = {name: status for one in seen if not isinstance(one, ProvisionError) for name, status in one.items()}
        now, at = {name: now[name] for name in self._deployed.stack.machines if name in now}, time.monotonic()
        found = rows(self._deployed.stack, now, self._before, at - self._at)
        self._before, self._at = now, at
        return found, [
            Away(name, tuple(one.name for one in self._deployed.machines_at(name)), error.summary, error.fix)
            for name, error in lost.items()
        ]

    def live(self) -> "RenderableType":
        """The table with a line that says how to end; what is expected to pass does not end it."""
        from rich.console import Group
        from rich.text import Text

        try:
            body = _table(*self.rows())
        except RetriableError as error:
            body = Text(error.summary, "red")
        return Group(body, Text(f"{time.strftime('%H:%M:%S')}  q ends", "dim"))


def _table(found: "Sequence[Row]", away: "Sequence[Away]") -> "RenderableType":
    from provision.cli.machine_table import table

    return table(found, get_terminal_size().columns, away)


def _status(part: "Part") -> "Mapping[str, MachineStatus] | ProvisionError":
    """How the machines of one location are, or why that cannot be told."""
    from provision.cli.daytwo import able
    from provision.spi import HasStatus

    try:
        provider = able(part.provider, HasStatus, "does not tell how machines are")  # type: ignore[type-abstract]
        return provider.machine_status(part.session, part.machines)
    except ProvisionError as error:
        return error
