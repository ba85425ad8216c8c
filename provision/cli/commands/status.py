"""`provision status`."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.errors import RetriableError, UserError

if TYPE_CHECKING:  # rich is needed when the command runs
    from rich.console import RenderableType

    from provision.cli.deployed import Deployed
    from provision.cli.machine_table import Row
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
@options.directory
def command(directory: Path, stack: str | None, output: str, live: bool, interval: float) -> int:
    """Show the machines of the stack in DIRECTORY as they are now, beside what they were given.

    First stands what the guest has, then what the machine uses: how many CPUs it keeps busy, and what memory it takes
    of the platform, its emulator included; `of` is the most that a policy of sharing lets it use.

    Exits with 1 when a machine is gone, or should run and does not; with --watch that is 0.
    """
    from provision.cli.deployed import open_deployed

    if live and (output == "json" or not sys.stdout.isatty()):
        raise UserError(
            "--watch shows a table on a terminal", "without one, call `provision status --format json` when it suits"
        )
    with open_deployed(directory, stack) as deployed:
        look = _Look(deployed)
        if live:
            from provision.cli.watching import watch

            watch(look.live, interval)
            return 0
        look.rows()
        time.sleep(_LOOK_SECONDS)
        return _show(deployed, look.rows(), output)


def _show(deployed: "Deployed", found: "Sequence[Row]", output: str) -> int:
    from provision.cli.machine_table import document, exit_code, table

    if output == "json":
        import json

        click.echo(json.dumps(document(deployed.stack, found), indent=2))
    elif found:
        from rich.console import Console

        # Nothing is cut or broken for a program that reads it.
        console = Console() if sys.stdout.isatty() else Console(width=_ENDLESS)
        console.print(table(found, console.width))
    else:
        click.echo("The stack has no machines.")
    return exit_code(found)


class _Look:
    """Looks at all machines, and remembers the look before."""

    def __init__(self, deployed: "Deployed") -> None:
        from provision.cli.daytwo import able
        from provision.spi import HasStatus

        self._deployed = deployed
        self._parts = [
            (able(provider, HasStatus, "does not tell how machines are"), session, machines)  # type: ignore[type-abstract]
            for provider, session, machines in deployed.parts()
        ]
        self._before: Mapping[str, MachineStatus] | None = None
        self._at = 0.0

    def rows(self) -> "Sequence[Row]":
        from provision.cli.machine_table import rows
        from provision.translate import at_once

        seen = at_once(lambda part: part[0].machine_status(*part[1:]), self._parts)
        now = {name: status for one in seen for name, status in one.items()}
        now, at = {name: now[name] for name in self._deployed.stack.machines if name in now}, time.monotonic()
        found = rows(self._deployed.stack, now, self._before, at - self._at)
        self._before, self._at = now, at
        return found

    def live(self) -> "RenderableType":
        """The table with a line that says how to end; what is expected to pass does not end it."""
        from rich.console import Group
        from rich.text import Text

        from provision.cli.machine_table import table

        try:
            body = table(self.rows(), get_terminal_size().columns)
        except RetriableError as error:
            body = Text(error.summary, "red")
        return Group(body, Text(f"{time.strftime('%H:%M:%S')}  q ends", "dim"))
