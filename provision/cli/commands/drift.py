"""`provision drift`."""

import json
from importlib.metadata import version
from pathlib import Path

import click

from provision.cli import options


@click.command()
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is drift.")
@options.output_format("human", "json", "markdown", "sarif", "junit")
@options.stack
@options.directory
def command(directory: Path, stack: str | None, output: str, detailed_exitcode: bool) -> int:
    """Show what was changed outside of the stack in DIRECTORY since it was deployed; nothing is changed.

    Every resource is read back and compared with what is recorded; besides, where the platform shows them, the
    rules and settings that isolate the machines are compared with the stack file, whoever made them.

    Exits with 3 when something that isolates machines is not as it should be, and with 1 when a part could not be
    looked at.
    """
    from provision.cli import drifting
    from provision.cli.changes import Changes
    from provision.cli.deployed import open_deployed
    from provision.cli.planned import configuration, load_configured
    from provision.cli.repository import root_of
    from provision.cli.run import exit_code
    from provision.host.events import Message, ResourceStep
    from provision.spi import registry
    from provision.verify.evidence import gather

    with open_deployed(directory, stack, partly=True) as deployed:
        workspace, made = deployed.workspace, deployed.stack
        changes = Changes(preview=True)

        def take(event: ResourceStep | Message) -> None:
            if isinstance(event, ResourceStep):
                changes.take(event)

        ran = workspace.run("preview-refresh", take)
        if not ran.succeeded:
            for message in ran.messages:
                click.echo(f"{message.severity}: {message.text}", err=True)
            return exit_code(ran, detailed_exitcode=False)
        loaded = load_configured(
            directory, workspace, configuration(workspace), made.platform if made.has_default else None
        )
        away = {location: error.summary for location, error in deployed.away.items()}
        places = dict(deployed.reached or {"": (deployed.provider, deployed.session)})
        gathered = gather(loaded, made, places, away) if made.machines else None
        types = {
            f"provision-{one.platform}:{kind.token}": kind
            for one in made.locations.values()
            for kind in registry.load(one.platform).resource_types
        }
        report = drifting.collected(workspace.project, workspace.stack_name, loaded, changes, gathered, types)
    match output:
        case "json":
            click.echo(json.dumps(drifting.as_data(report), indent=2))
        case "markdown":
            click.echo(drifting.markdown(report), nl=False)
        case "sarif":
            sarif = drifting.as_sarif(report, version("provision"), root_of(directory.absolute()))
            click.echo(json.dumps(sarif, indent=2))
        case "junit":
            click.echo(drifting.as_junit(report), nl=False)
        case _:
            for line in drifting.human(report):
                click.echo(line)
    return report.exit_code if detailed_exitcode or report.exit_code != 2 else 0
