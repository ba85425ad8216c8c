"""`provision plugin`: make, list, show and check provider plugins."""

from pathlib import Path

import click

from provision.cli import options


@click.group()
def command() -> None:
    """Make, list, show and check provider plugins."""


@command.command(name="list")
@options.output_format("human", "json")
def list_(output: str) -> None:
    """All installed plugins, with what is wrong with those that cannot be used.

    A broken plugin is a warning here: it disturbs no other. `plugin show` of it fails.
    """
    from provision.cli.commands.plugin import listing

    listing.show(listing.installed(), output)


@command.command()
@click.argument("name")
@click.option("--type", "token", metavar="TOKEN", help="Details of one resource type or function: module:Name.")
@click.option("--live", is_flag=True, help="Ask the platform itself what it can do.")
@click.option("--config", "settings", metavar="KEY=VALUE", multiple=True, help="Setting to reach the platform with.")
@click.option(
    "--permissions", "--iam", "permitted", is_flag=True, help="The least that must be allowed on the platform, as JSON."
)
@click.option(
    "--stack",
    "directory",
    type=click.Path(path_type=Path, exists=True),
    help="With --permissions: for the stack in this folder alone.",
)
@options.output_format("human", "json", "markdown")
def show(
    name: str,
    token: str | None,
    live: bool,
    settings: tuple[str, ...],
    permitted: bool,
    directory: Path | None,
    output: str,
) -> None:
    """What the plugin NAME enforces, with which evidence, and its resource types and settings.

    Answers are those for a platform that lacks nothing; with --live for the one that the settings lead to. With
    --permissions it is told what whoever runs `provision` must be allowed there, such as an IAM policy.
    """
    if directory is not None and not permitted:
        raise click.UsageError("--stack says for which stack permissions are told; give --permissions too")
    if permitted:
        from provision.cli.commands.plugin import permissions

        permissions.run(name, directory)
        return
    from provision.cli.commands.plugin import describing

    describing.run(name, token, live=live, settings=settings, output=output)


@command.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to make [default: provision-NAME].",
)
def new(name: str, directory: Path | None) -> None:
    """Make a small, complete plugin distribution for a platform NAME.

    It works at once, with folders as machines, and has tests, types, a workflow for CI and a README.
    """
    from provision.cli.commands.plugin import making

    making.run(name, directory)


@command.command()
@click.argument("name")
@click.option("--only", metavar="PATTERN", help="Only checks whose name matches, such as 'create*'.")
@options.output_format("human", "json", "junit")
def check(name: str, only: str | None, output: str) -> int:
    """Run the conformance kit on the installed plugin NAME; exit 1 when a check fails.

    The plugin's own suite is found by its entry point in the group provision.conformance. A plugin without one is
    checked as far as that goes without samples.
    """
    from provision.cli.commands.plugin import checking

    return checking.run(name, only, output)
