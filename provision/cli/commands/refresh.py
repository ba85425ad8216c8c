"""`provision refresh`."""

from pathlib import Path

import click

from provision.cli import options


@click.command()
@options.run_options
@options.lock_timeout
def command(
    directory: Path,
    stack: str | None,
    output: str,
    parallel: int | None,
    detailed_exitcode: bool,
    events: Path | None,
    lock_timeout: float,
) -> int:
    """Read the live platform back into the state of the stack in DIRECTORY."""
    from provision.cli.mending import mend_left
    from provision.cli.run import Session
    from provision.host.automation import open_workspace

    workspace = open_workspace(directory.resolve(), stack)
    mend_left(workspace, directory)
    session = Session(workspace, output, parallel, events=events, wait=lock_timeout)
    return session.finish("refresh", detailed_exitcode=detailed_exitcode)
