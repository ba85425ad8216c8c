"""`provision exec`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.daytwo import of_machine
from provision.errors import ProvisionError

if TYPE_CHECKING:
    from provision.spi import CommandResult

_NOT_RUN = 255


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that the command may take.",
)
@of_machine
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
def command(machine: str, words: tuple[str, ...], stack: str | None, directory: Path, timeout: float) -> int:
    """Run COMMAND in MACHINE by the guest's agent, such as `provision exec web-0 -- uname -r`.

    No shell takes part, unless COMMAND is one: `sh -c 'cd /srv && ls'`. It has no input. Its output comes when it has
    ended, on standard output and standard error as it wrote it.

    Exits as COMMAND did: with 128 and the number of a signal that ended it, and with 255 when it could not be run, or
    did not end in time.
    """
    from provision.cli.daytwo import able
    from provision.cli.deployed import open_deployed
    from provision.spi import CanExecute

    words = words[1:] if words[0] == "--" else words
    if not words:
        raise click.UsageError("Missing argument 'COMMAND...'.")
    if words[0].startswith("-"):
        raise click.UsageError(f"No such command: '{words[0]}'. Options stand before MACHINE.")
    try:
        with open_deployed(directory, stack, machine=machine) as deployed:
            plugin, session = deployed.of(machine)
            provider = able(plugin, CanExecute, "cannot run commands in machines")  # type: ignore[type-abstract]
            result = provider.execute(session, deployed.machine(machine), words, timeout)
    except ProvisionError as error:
        error.exit_code = _NOT_RUN
        raise
    _show(result)
    return result.exit_code


def _show(result: "CommandResult") -> None:
    from provision.cli.terminal_text import shown

    for data, stream in ((result.out, sys.stdout), (result.err, sys.stderr)):
        if stream.isatty():
            stream.write(shown(data))
        else:
            stream.buffer.write(data)
        stream.flush()
    if result.truncated:
        click.secho("(the output was too long: its end is missing)", dim=True, err=True)
