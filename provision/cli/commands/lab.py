"""`provision lab`."""

import json
import shlex
from typing import Any

import click

from provision.cli import options
from provision.cli.messages import note
from provision.errors import PluginError, UserError


@click.group()
def command() -> None:
    """A private, disposable hypervisor in its own namespaces; the host is left untouched."""


_platform = click.option("--platform", default=None, help="Plugin whose lab is meant, when several have one.")


def _lab(platform: str | None) -> Any:
    from provision.spi import HasLab, registry

    if platform:
        plugin = registry.load(platform)
        if not isinstance(plugin, HasLab):
            raise UserError(
                f"the plugin '{platform}' has no lab", "leave --platform out: the plugin that has one is taken"
            )
        return plugin
    found, broken = [], []
    for entry in registry.installed():
        try:
            plugin = registry.load(entry.name)
        except PluginError as error:  # a broken plugin must not disturb the others
            broken.append(error)
        else:
            found += [plugin] if isinstance(plugin, HasLab) else []
    if len(found) > 1:
        raise UserError(
            f"several plugins have a lab: {', '.join(plugin.name for plugin in found)}",
            "name the one that you mean with --platform",
        )
    if not found and broken:
        raise broken[0]
    if not found:
        raise UserError("no installed plugin has a lab", "install a plugin that has one")
    return found[0]


def _show(plugin: Any, info: Any, output: str) -> None:
    if output == "json":
        click.echo(json.dumps(_document(plugin, info), indent=2))
        return
    click.echo(info.description)
    for key, value in info.config.items():
        click.echo(f"  pulumi config set provision-{plugin.name}:{key} {shlex.quote(value)}")
    click.echo('  or, for this shell: eval "$(provision lab env)"')


def _document(plugin: Any, info: Any) -> dict[str, Any]:
    """The lab as a program reads it; without one, `running` is false and nothing else is told."""
    if info is None:
        return {"succeeded": True, "platform": plugin.name, "running": False}
    return {
        "succeeded": True,
        "platform": plugin.name,
        "running": True,
        "description": info.description,
        "directory": str(info.directory),
        "config": {f"provision-{plugin.name}:{key}": value for key, value in info.config.items()},
        "environment": dict(info.environment),
    }


@command.command()
@_platform
@options.output_format("human", "json")
def start(platform: str | None, output: str) -> None:
    """Start it, or show the one that is running."""
    plugin = _lab(platform)
    _show(plugin, plugin.lab_start(None, note), output)


@command.command()
@_platform
@options.output_format("human", "json")
def stop(platform: str | None, output: str) -> None:
    """Stop it; nothing of it is left behind."""
    plugin = _lab(platform)
    stopped = plugin.lab_stop(None, note)
    if output == "json":
        click.echo(json.dumps({**_document(plugin, None), "stopped": stopped}, indent=2))
    else:
        click.echo("the lab is gone" if stopped else "no lab was running")


@command.command()
@_platform
@options.output_format("human", "json")
def status(platform: str | None, output: str) -> int:
    """Show the one that is running; exit 1 when there is none."""
    plugin = _lab(platform)
    info = plugin.lab_status(None)
    if info is not None:
        _show(plugin, info, output)
    elif output == "json":
        click.echo(json.dumps(_document(plugin, None), indent=2))
    else:
        click.echo("no lab is running")
    return 0 if info is not None else 1


@command.command()
@_platform
@options.output_format("human", "json")
def env(platform: str | None, output: str) -> int:
    """Print shell commands that make the running lab the default hypervisor of this shell."""
    plugin = _lab(platform)
    info = plugin.lab_status(None)
    if info is None:
        raise UserError("no lab is running", "run `provision lab start`")
    if output == "json":
        click.echo(json.dumps(_document(plugin, info), indent=2))
        return 0
    for name, value in info.environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return 0
