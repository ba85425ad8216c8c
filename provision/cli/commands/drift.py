"""`provision drift`."""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.errors import EnvironmentProblem, UserError

if TYPE_CHECKING:  # imported when the command runs
    from provision.cli.drifting import Adopted, Report
    from provision.spi import ResourceGraph


@click.command()
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is drift.")
@click.option("--adopt", is_flag=True, help="Write into the stack file what its `drift:` wants to take over.")
@click.option("-y", "--yes", is_flag=True, help="With --adopt: do not ask; needed without a terminal.")
@options.output_format("human", "json", "markdown", "sarif", "junit")
@options.events
@options.stack
@options.directory
def command(
    directory: Path,
    stack: str | None,
    output: str,
    events: Path | None,
    detailed_exitcode: bool,
    adopt: bool,
    yes: bool,
) -> int:
    """Show what was changed outside of the stack in DIRECTORY since it was deployed; nothing is changed.

    Every resource is read back and compared with what is recorded; besides, where the platform shows them, the
    rules and settings that isolate the machines are compared with the stack file, whoever made them. What the file
    wants to be left alone (`drift:`) is told of and counts for nothing.

    With --adopt the stack file, or the overlay of the stack, is changed where it wants to take over what is real; the
    change is shown first.

    Exits with 3 when something that isolates machines is not as it should be, and with 1 when a part could not be
    looked at.
    """
    from provision.cli import drifting
    from provision.cli.changes import Changes
    from provision.cli.deployed import open_deployed
    from provision.cli.planned import configuration, load_configured
    from provision.cli.run import exit_code
    from provision.cli.watched import watched
    from provision.host.events import Message, ResourceStep
    from provision.host.project import names
    from provision.loader.editing import Draft
    from provision.spi import registry
    from provision.verify.evidence import gather

    if adopt and not yes and not sys.stdin.isatty():
        raise UserError(
            "`drift --adopt` asks before it changes a file, and there is no terminal",
            "look at `provision drift`, then add --yes",
        )
    done = None
    with (
        watched(events, "drift", *names(directory, stack), here=True) as log,
        open_deployed(directory, stack, partly=True) as deployed,
    ):
        workspace, made = deployed.workspace, deployed.stack
        changes = Changes(preview=True)
        quiet: list[ResourceStep] = []

        def take(event: ResourceStep | Message) -> None:
            log(event)
            if isinstance(event, ResourceStep):
                changes.take(event)
                if event.ignored:
                    quiet.append(event)

        ran = workspace.run("preview-refresh", take)
        if not ran.succeeded:
            for message in ran.messages:
                click.echo(f"{message.severity}: {message.text}", err=True)
            return exit_code(ran, detailed_exitcode=False)
        config, platform = configuration(workspace), made.platform if made.has_default else None
        loaded = load_configured(directory, workspace, config, platform)
        away = {location: error.summary for location, error in deployed.away.items()}
        places = dict(deployed.reached or {"": (deployed.provider, deployed.session)})
        gathered = gather(loaded, made, places, away) if made.machines else None
        types = {
            f"provision-{one.platform}:{kind.token}": kind
            for one in made.locations.values()
            for kind in registry.load(one.platform).resource_types
        }
        others = drifting.strangers(made, places)
        project, name = workspace.project, workspace.stack_name
        report = drifting.collected(project, name, loaded, changes, gathered, types, quiet, others)
        if adopt:
            reals = drifting.to_adopt(loaded, drifting.with_quiet(changes, quiet, types), types)

            def translate(draft: Draft) -> "ResourceGraph":
                wanted = load_configured(directory, workspace, config, platform, draft.texts)
                return drifting.graph_of(wanted, made, places)

            done = drifting.adopted(Draft(directory, workspace.stack_name), loaded, reals, translate)
    _show(report, output, directory)
    if done is not None:
        _save(done, yes)
    return report.exit_code if detailed_exitcode or report.exit_code != 2 else 0


def _show(report: "Report", output: str, directory: Path) -> None:
    from provision.cli import drifting
    from provision.cli.repository import root_of

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


def _save(done: "Adopted", yes: bool) -> None:
    """Show what would be written into the stack file, and write it once that is agreed to."""
    from provision.cli.asking import agreed

    for line in (*done.diff(), *done.sentences()):
        click.echo(line, err=True)
    if not done.taken:
        nothing = "Nothing to adopt; what a refresh has recorded already, `provision preview` shows."
        click.echo("Nothing was adopted." if done.refused else nothing, err=True)
        return
    files = ", ".join(done.files)
    if not yes and not agreed(f"Write this into {files}?"):
        raise click.ClickException("not confirmed: nothing was changed")
    try:
        done.draft.save()
    except OSError as error:
        raise EnvironmentProblem(f"{files} cannot be written: {error.strerror}", "make it writable") from error
    click.echo(f"Written into {files}. `provision refresh` records what is there; then nothing is to change.", err=True)
