"""The installed plugins, the broken ones among them."""

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from provision.cli.messages import warn
from provision.cli.words import plural
from provision.errors import PluginError, ProvisionError
from provision.spi import registry


@dataclass(frozen=True)
class Found:
    """One installed plugin.

    Attributes:
        name: as in `platform: NAME`.
        version: None when it cannot be used.
        distribution: what brings it, with its version; several when they collide.
        resource_types: how many.
        functions: how many.
        problem: why it cannot be used.
        fix: what to do about that.
    """

    name: str
    version: str | None
    distribution: str
    resource_types: int = 0
    functions: int = 0
    problem: str | None = None
    fix: str | None = None


def installed() -> Sequence[Found]:
    """Every plugin, loaded; one that fails does not hide the others."""
    return [_look(entry.name) for entry in registry.installed()]


def _look(name: str) -> Found:
    owners = ", ".join(
        f"{entry.dist.name} {entry.dist.version}" if entry.dist else "?" for entry in registry.rivals(name)
    )
    try:
        # What a plugin prints when it is imported must not end up in a document.
        with contextlib.redirect_stdout(sys.stderr):
            plugin = registry.load(name)
    except ProvisionError as error:
        return Found(name, None, owners, problem=error.summary, fix=error.fix)
    return Found(name, plugin.version, owners, len(plugin.resource_types), len(plugin.functions))


def show(found: Sequence[Found], output: str) -> None:
    """Print the list; what is wrong goes to standard error, except in a document."""
    if output == "json":
        click.echo(json.dumps({"succeeded": True, "plugins": [asdict(plugin) for plugin in found]}, indent=2))
        return
    rows = [(plugin.name, plugin.version or "broken", _held(plugin), plugin.distribution) for plugin in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    for *columns, owner in rows:
        click.echo("  ".join([*(f"{cell:<{width}}" for cell, width in zip(columns, widths, strict=True)), owner]))
    if not found:
        click.echo("no plugin is installed")
    for plugin in found:
        if plugin.problem is not None:
            warn(PluginError(plugin.problem, plugin.fix or ""))


def _held(plugin: Found) -> str:
    if plugin.problem is not None:
        return ""
    functions = f", {plural(plugin.functions, 'function')}" if plugin.functions else ""
    return plural(plugin.resource_types, "resource type") + functions
