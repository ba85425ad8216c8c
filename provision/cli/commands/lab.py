"""`provision lab`."""

import shlex
from typing import Any

import click

from provision.cli.messages import note
from provision.errors import UserError


@click.group()
def command() -> None:
    """A private, disposable hypervisor in its own namespaces; the host is left untouched."""


_platform = click.option("--platform", default=None, help="Plugin whose lab is meant, when several have one.")


def _lab(platform: str | None) -> Any:
    from provision.spi import HasLab, registry

    names = [platform] if platform else [entry.name for entry in registry.installed()]
    found = [plugin for plugin in map(registry.load, names) if isinstance(plugin, HasLab)]
    if len(found) != 1:
        having = ", ".join(plugin.name for plugin in found) or "no installed plugin"
        raise UserError(f"{having} has a lab", "name the plugin with --platform")
    return found[0]


def _show(plugin: Any, info: Any) -> None:
    click.echo(info.description)
    for key, value in info.config.items():
        click.echo(f"  pulumi config set provision-{plugin.name}:{key} {shlex.quote(value)}")
    click.echo('  or, for this shell: eval "$(provision lab env)"')


@command.command()
@_platform
def start(platform: str | None) -> None:
    """Start it, or show the one that is running."""
    plugin = _lab(platform)
    _show(plugin, plugin.lab_start(None, note))


@command.command()
@_platform
def stop(platform: str | None) -> None:
    """Stop it; nothing of it is left behind."""
    stopped = _lab(platform).lab_stop(None, note)
    click.echo("the lab is gone" if stopped else "no lab was running")


@command.command()
@_platform
def status(platform: str | None) -> int:
    """Show the one that is running; exit 1 when there is none."""
    plugin = _lab(platform)
    info = plugin.lab_status(None)
    if info is None:
        click.echo("no lab is running")
        return 1
    _show(plugin, info)
    return 0


@command.command()
@_platform
def env(platform: str | None) -> int:
    """Print shell commands that make the running lab the default hypervisor of this shell."""
    info = _lab(platform).lab_status(None)
    if info is None:
        raise UserError("no lab is running", "run `provision lab start`")
    for name, value in info.environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return 0
