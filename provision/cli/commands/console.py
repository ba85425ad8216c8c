"""`provision console`."""

import sys
from pathlib import Path

import click

from provision.cli import options
from provision.errors import UserError


@click.command()
@click.argument("machine")
@options.stack
@click.option("-C", "--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), default=".")
@click.option("--log", is_flag=True, help="Print what the machine has said so far, and end.")
def command(machine: str, stack: str | None, directory: Path, log: bool) -> None:
    """Join the console of MACHINE, such as web-0; Ctrl-] leaves it."""
    from provision.cli.deployed import open_deployed
    from provision.spi import HasConsole

    with open_deployed(directory, stack, machine=machine) as deployed:
        target = deployed.machine(machine)
        provider, session = deployed.of(machine)
        if not isinstance(provider, HasConsole):
            raise UserError(f"the platform '{provider.name}' has no console")
        if log:
            click.echo(provider.console_log(session, target), nl=False)
            return
        if not sys.stdin.isatty():
            raise UserError("a console needs a terminal", "use --log to print what the machine has said so far")
        provider.console(session, target)
