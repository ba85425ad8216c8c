"""`provision verify`."""

import sys
from pathlib import Path

import click

from provision.cli import options


@click.command()
@options.output_format("human", "json", "markdown")
@options.stack
@options.directory
def command(directory: Path, stack: str | None, output: str) -> int:
    """Send real packets between the machines of the stack in DIRECTORY and compare with its policies.

    Exits with 3 when what is seen differs from what the stack file says.
    """
    from pydantic import SecretStr
    from rich.console import Console

    from provision.cli.deployed import open_deployed
    from provision.loader import load
    from provision.verify import as_json, human, markdown, verify

    with open_deployed(directory, stack) as deployed:
        config = {
            key: SecretStr(item.value) if item.secret else item.value
            for key, item in deployed.workspace.config().items()
        }
        project = f"{deployed.workspace.project}:"
        loaded = load(
            directory,
            overlay=deployed.workspace.stack_name,
            values={key.removeprefix(project): value for key, value in config.items() if key.startswith(project)},
            platform=deployed.stack.platform,
        )
        with Console(stderr=True).status("probing") as status:

            def progress(phase: str, done: int, total: int) -> None:
                status.update(f"{phase}: {done} of {total}")

            report = verify(loaded, deployed.stack, deployed.provider, deployed.session, progress)
    if output == "json":
        click.echo(as_json(report))
    elif output == "markdown":
        click.echo(markdown(report))
    else:
        Console(soft_wrap=not sys.stdout.isatty()).print(human(report))
    return report.exit_code
