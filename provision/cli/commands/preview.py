"""`provision preview`."""

from pathlib import Path

import click

from provision.cli import options


@click.command()
@options.run_options
@options.allow_destroy
def command(
    directory: Path,
    stack: str | None,
    output: str,
    parallel: int | None,
    detailed_exitcode: bool,
    allow_destroy: tuple[str, ...],
) -> int:
    """Show what `up` would change in the stack in DIRECTORY; nothing is changed."""
    from provision.cli.run import Session
    from provision.host.automation import open_workspace

    workspace = open_workspace(directory.resolve(), stack, create=True, allow_destroy=allow_destroy)
    session = Session(workspace, output, parallel)
    return session.finish("preview", detailed_exitcode=detailed_exitcode)
