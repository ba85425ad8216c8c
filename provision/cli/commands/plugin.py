"""`provision plugin`."""

import json
from collections.abc import Iterator
from typing import Any

import click

from provision.cli import options
from provision.errors import ProvisionError


@click.group()
def command() -> None:
    """List and show provider plugins."""


@command.command(name="list")
@options.output_format("human", "json")
def list_(output: str) -> int:
    """All installed plugins; one that cannot be loaded is shown with the reason."""
    found = list(_installed())
    if output == "json":
        click.echo(json.dumps({"plugins": found}, indent=2))
    else:
        for plugin in found:
            said = plugin["problem"] or f"{plugin['resource_types']} resource types"
            click.echo(f"{plugin['name']:<16}{plugin['version'] or 'broken':<12}{said}")
    return 1 if any(plugin["problem"] for plugin in found) else 0


def _installed() -> Iterator[dict[str, Any]]:
    from provision.spi import registry

    for entry in registry.installed():
        shown: dict[str, Any] = {"name": entry.name, "version": None, "resource_types": 0, "problem": None}
        try:
            plugin = registry.load(entry.name)
        except ProvisionError as error:
            yield {**shown, "problem": error.summary}
        else:
            yield {**shown, "version": plugin.version, "resource_types": len(plugin.resource_types)}


@command.command()
@click.argument("name")
@options.output_format("human", "json")
def show(name: str, output: str) -> None:
    """Configuration and resource types of the plugin NAME."""
    from provision.spi import registry

    plugin = registry.load(name)
    package = f"provision-{plugin.name}"
    settings = [
        {
            "name": f"{package}:{field.alias or key}",
            "required": field.is_required(),
            "default": None if field.is_required() else field.get_default(call_default_factory=True),
            "description": field.description or "",
        }
        for key, field in plugin.Config.model_fields.items()
    ]
    kinds = [
        {"token": f"{package}:{kind.token}", "description": next(iter((kind.__doc__ or "").strip().splitlines()), "")}
        for kind in plugin.resource_types
    ]
    images = list(plugin.builtin_images())
    if output == "json":
        document = {"name": plugin.name, "version": plugin.version, "configuration": settings}
        click.echo(json.dumps({**document, "resource_types": kinds, "images": images}, indent=2, default=str))
        return
    click.secho(f"{plugin.name} {plugin.version}", bold=True)
    click.echo("configuration:")
    for item in settings:
        given = item["default"] not in (None, "", {}, [])
        default = f" [default: {item['default']}]" if given else " [required]" if item["required"] else ""
        click.echo(f"  {item['name']}{default}\n      {item['description']}")
    click.echo("resource types:")
    for kind in kinds:
        click.echo(f"  {kind['token']}\n      {kind['description']}")
    if images:
        click.echo(f"built-in images: {', '.join(images)}")
