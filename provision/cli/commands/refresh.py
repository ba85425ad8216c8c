"""`provision refresh`."""

from pathlib import Path

import click

from provision.cli import options


@click.command()
@options.run_options
def command(directory: Path, stack: str | None, output: str, parallel: int | None, detailed_exitcode: bool) -> int:
    """Read the live platform back into the state of the stack in DIRECTORY."""
    from provision.cli.run import finish, run
    from provision.host.automation import open_workspace

    workspace = open_workspace(directory.resolve(), stack, create=False)
    result = run(workspace, "refresh", output=output, parallel=parallel)
    return finish(workspace, "refresh", result, output=output, detailed_exitcode=detailed_exitcode)
