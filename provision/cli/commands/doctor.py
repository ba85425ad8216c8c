"""`provision doctor`."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from provision.cli import options
from provision.errors import ProvisionError
from provision.spi import Finding


@click.command()
@options.output_format("human", "json")
def command(output: str) -> int:
    """Say what is found, what is missing and how to get it."""
    findings = [*_engine(), *_plugins()]
    if output == "json":
        click.echo(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        for finding in findings:
            _show(finding)
    missing = sum(f.ok is False for f in findings)
    if output == "human":
        click.secho("everything is there" if not missing else f"{missing} missing or broken", bold=True)
    return 1 if missing else 0


def _show(finding: Finding) -> None:
    mark, color = {True: ("ok", "green"), False: ("missing", "red"), None: ("note", "yellow")}[finding.ok]
    click.secho(f"{mark:<8}", fg=color, nl=False)
    click.echo(f"{finding.subject}: {finding.detail}")
    if finding.fix and finding.ok is not True:
        click.echo(f"        fix: {finding.fix}")


def _engine() -> Iterator[Finding]:
    from provision.host.engine import pulumi_home, survey_engines
    from provision.host.setup import plugin_executables

    yield Finding("Python", True, f"{sys.version.split()[0]} at {sys.executable}")
    survey = survey_engines()
    for skipped in survey.findings:
        yield Finding("Pulumi engine", None, f"passed over {skipped.path}: {skipped.problem}", "remove or update it")
    if survey.engine:
        yield Finding("Pulumi engine", True, f"{survey.engine.version} at {survey.engine.path}")
    else:
        yield Finding("Pulumi engine", False, "not found", "run `provision setup`")
    for executable in plugin_executables():
        shim = pulumi_home() / "plugins" / executable.folder_name / executable.file_name
        yield Finding(
            f"engine plugin {executable.file_name}",
            shim.exists(),
            str(shim) if shim.exists() else "not set up",
            "run `provision setup`",
        )


def _plugins() -> Iterator[Finding]:
    from provision.spi import HasDoctor, registry

    for entry in registry.installed():
        try:
            plugin = registry.load(entry.name)
        except ProvisionError as error:
            yield Finding(f"plugin {entry.name}", False, error.summary, error.fix)
            continue
        yield Finding(f"plugin {entry.name}", True, f"version {plugin.version}")
        if isinstance(plugin, HasDoctor):
            yield from plugin.diagnose(plugin.Config())
