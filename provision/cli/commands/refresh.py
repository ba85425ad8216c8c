"""`provision refresh`."""

from pathlib import Path

import click

from provision.cli import options


@click.command()
@options.run_options
def command(
    directory: Path, stack: str | None, output: str, parallel: int | None, detailed_exitcode: bool, events: Path | None
) -> int:
    """Read the live platform back into the state of the stack in DIRECTORY."""
    from provision.cli.run import Session
    from provision.host.automation import open_workspace

    session = Session(open_workspace(directory.resolve(), stack), output, parallel, events=events)
    return session.finish("refresh", detailed_exitcode=detailed_exitcode)
