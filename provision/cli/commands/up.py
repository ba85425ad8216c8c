"""`provision up`."""

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
    """Make the platform as the stack file in DIRECTORY says."""
    from provision.cli.run import finish, run
    from provision.host.automation import open_workspace

    if not yes and not sys.stdin.isatty():
        raise UserError(
            "`up` asks before it changes anything, and there is no terminal",
            "look at `provision preview`, then add --yes",
        )
    workspace = open_workspace(directory.resolve(), stack, create=True)
    if not yes:
        planned = run(workspace, "preview", output="human")
        if not planned.succeeded:
            return finish(workspace, "preview", planned, output=output, detailed_exitcode=False)
        from provision.cli.progress import summary

        click.secho(summary(planned, preview=True), bold=True, err=True)
        if not planned.changed:
            return 0
        click.confirm("Make these changes?", abort=True, err=True)
    result = run(workspace, "up", output=output, parallel=parallel)
    return finish(workspace, "up", result, output=output, detailed_exitcode=detailed_exitcode)
