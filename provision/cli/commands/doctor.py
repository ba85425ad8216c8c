"""`provision doctor`."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace

import click

from provision.cli import options
from provision.errors import PluginError, ProvisionError
from provision.spi import Finding


@click.command()
@options.output_format("human", "json")
def command(output: str) -> int:
    """Say what is found, what is missing and how to get it."""
    from provision.cli.words import plural

    findings = [*_guarded("Pulumi engine", _engine()), *_guarded("plugins", _plugins())]
    missing = sum(finding.ok is False for finding in findings)
    if output == "json":
        document = {"succeeded": not missing, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(document, indent=2))
    else:
        for finding in findings:
            _show(finding)
        said = f"{plural(missing, 'thing')} missing or broken" if missing else "everything that is needed is there"
        click.secho(said, bold=True)
    return 1 if missing else 0


def _show(finding: Finding) -> None:
    mark, color = {True: ("ok", "green"), False: ("missing", "red"), None: ("note", "yellow")}[finding.ok]
    click.secho(f"{mark:<8}", fg=color, nl=False)
    click.echo(f"{finding.subject}: {finding.detail}")
    if finding.fix and finding.ok is not True:
        click.echo(f"        fix: {finding.fix}")


def _guarded(subject: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings up to the first that fails: a doctor must not fall ill of what it looks at."""
    try:
        yield from findings
    except ProvisionError as error:
        yield Finding(subject, False, error.summary, error.fix)
    except Exception as error:
        yield Finding(subject, False, f"cannot be looked at: {type(error).__name__}: {error}", "report this")


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
    problems: list[PluginError] = []
    for executable in plugin_executables(problems):
        shim = pulumi_home() / "plugins" / executable.folder_name / executable.file_name
        there, subject = shim.exists(), f"engine plugin {executable.file_name}"
        yield Finding(subject, there, str(shim) if there else "not set up", "run `provision setup`")
    for problem in problems:
        yield Finding("engine plugins", False, problem.summary, problem.fix)


def _plugins() -> Iterator[Finding]:
    from provision.spi import registry

    for entry in registry.installed():
        yield from _guarded(f"plugin {entry.name}", _plugin(entry.name))


def _plugin(name: str) -> Iterator[Finding]:
    from provision.spi import HasDoctor, registry

    plugin = registry.load(name)
    yield Finding(f"plugin {name}", True, f"version {plugin.version}")
    if isinstance(plugin, HasDoctor):
        for finding in plugin.diagnose(plugin.Config()):  # each says `account` or `roles` of its own platform
            yield replace(finding, subject=f"{name}, {finding.subject}" if finding.subject != name else name)
    else:
        plugin.disconnect(plugin.connect(plugin.Config()))
        yield Finding(name, True, "answers")
