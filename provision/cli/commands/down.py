"""`provision down`."""

import sys
from pathlib import Path

import click

from provision.cli import options
from provision.errors import UserError


@click.command()
@options.run_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def command(
    directory: Path, stack: str | None, output: str, parallel: int | None, detailed_exitcode: bool, yes: bool
) -> int:
    """Remove everything that the stack in DIRECTORY made; disks that are to be kept stay."""
    from provision.cli.run import finish, run
    from provision.host.automation import open_workspace

    if not yes and not sys.stdin.isatty():
        raise UserError("`down` asks before it removes anything, and there is no terminal", "add --yes")
    workspace = open_workspace(directory.resolve(), stack, create=False)
    if not yes:
        click.confirm(
            f"Remove everything of stack '{workspace.stack_name}' of '{workspace.project}'?", abort=True, err=True
        )
    result = run(workspace, "destroy", output=output, parallel=parallel)
    return finish(workspace, "destroy", result, output=output, detailed_exitcode=detailed_exitcode)
