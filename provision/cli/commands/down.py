"""`provision down`."""

import sys
from pathlib import Path

import click

from provision.cli import options
from provision.errors import UserError


@click.command()
@options.run_options
@options.lock_timeout
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def command(
    directory: Path,
    stack: str | None,
    output: str,
    parallel: int | None,
    detailed_exitcode: bool,
    events: Path | None,
    lock_timeout: float,
    yes: bool,
) -> int:
    """Remove everything that the stack in DIRECTORY made; disks that are to be kept stay."""
    from provision.cli.run import Session
    from provision.host.automation import open_workspace

    if not yes and not sys.stdin.isatty():
        raise UserError("`down` asks before it removes anything, and there is no terminal", "add --yes")
    session = Session(open_workspace(directory.resolve(), stack), output, parallel, events=events, wait=lock_timeout)
    if not yes:
        where = f"stack '{session.workspace.stack_name}' of '{session.workspace.project}'"
        code = session.confirmed("preview-destroy", f"Remove all of this from {where}?")
        if code is not None:
            return code
    return session.finish("destroy", detailed_exitcode=detailed_exitcode)
