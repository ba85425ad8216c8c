"""`provision up`."""

import sys
from pathlib import Path

import click

from provision.cli import options
from provision.errors import UserError


@click.command()
@options.run_options
@options.allow_destroy
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def command(
    directory: Path,
    stack: str | None,
    output: str,
    parallel: int | None,
    detailed_exitcode: bool,
    allow_destroy: tuple[str, ...],
    yes: bool,
) -> int:
    """Make the platform as the stack file in DIRECTORY says."""
    from provision.cli.run import Session
    from provision.host.automation import open_workspace

    if not yes and not sys.stdin.isatty():
        raise UserError(
            "`up` asks before it changes anything, and there is no terminal",
            "look at `provision preview`, then add --yes",
        )
    workspace = open_workspace(directory.resolve(), stack, create=True, allow_destroy=allow_destroy)
    session = Session(workspace, output, parallel)
    if not yes:
        code = session.confirmed("preview", "Make these changes?")
        if code is not None:
            return code
    return session.finish("up", detailed_exitcode=detailed_exitcode)
