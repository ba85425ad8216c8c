"""`provision verify`."""

import sys
from pathlib import Path

import click

from provision.cli import options


@click.command()
@click.option(
    "--static", is_flag=True, help="Send nothing: prove that the native rules, as `up` would make them, say the same."
)
@options.output_format("human", "json", "markdown")
@options.stack
@options.directory
def command(directory: Path, stack: str | None, output: str, static: bool) -> int:
    """Send real packets between the machines of the stack in DIRECTORY and compare with its policies.

    What packets cannot show is looked at elsewhere: native rules are proven, what the platform records is read
    back, and what its host applies is looked at, for every policy and every share.

    With --static nothing needs to be deployed: the native rules are read back as sets of packets and compared
    with the file; every difference is named by a packet.

    Exits with 3 when what is seen differs from what the stack file says.
    """
    return _prove(directory, stack, output) if static else _probe(directory, stack, output)


def _probe(directory: Path, stack: str | None, output: str) -> int:
    from rich.console import Console

    from provision.cli.deployed import open_deployed
    from provision.cli.planned import configuration, load_configured
    from provision.verify import as_json, human, markdown, verify

    with open_deployed(directory, stack) as deployed:
        loaded = load_configured(
            directory, deployed.workspace, configuration(deployed.workspace), deployed.stack.platform
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


def _prove(directory: Path, stack: str | None, output: str) -> int:
    from provision.cli.planned import prove_configured
    from provision.verify.proof import as_json, lines, markdown, summary

    proof = prove_configured(directory, stack)
    if output == "json":
        click.echo(as_json(proof))
    elif output == "markdown":
        click.echo(markdown(proof), nl=False)
    else:
        for line in lines(proof):
            click.secho(line, fg="red")
        click.secho(summary(proof), bold=True, fg="green" if proof.holds else "red")
    return 0 if proof.holds else 3
