"""`provision plugin`."""

import json

import click

from provision.errors import ProvisionError


@click.group()
def command() -> None:
    """List and show provider plugins."""


@command.command(name="list")
def list_() -> int:
    """All installed plugins; one that cannot be loaded is shown with the reason."""
    from provision.spi import registry

    code = 0
    for entry in registry.installed():
        try:
            plugin = registry.load(entry.name)
            click.echo(f"{entry.name:<16}{plugin.version:<12}{len(plugin.resource_types)} resource types")
        except ProvisionError as error:
            click.echo(f"{entry.name:<16}{'broken':<12}{error.summary}")
            code = 1
    return code


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Configuration and resource types of the plugin NAME."""
    from provision.spi import registry

    plugin = registry.load(name)
    click.secho(f"{plugin.name} {plugin.version}", bold=True)
    click.echo("configuration:")
    for key, field in plugin.Config.model_fields.items():
        default = (
            ""
            if field.is_required()
            else f" [default: {json.dumps(field.get_default(call_default_factory=True), default=str)}]"
        )
        click.echo(f"  provision-{plugin.name}:{field.alias or key}{default}  {field.description or ''}")
    click.echo("resource types:")
    for kind in plugin.resource_types:
        summary = (kind.__doc__ or "").strip().splitlines()
        click.echo(f"  provision-{plugin.name}:{kind.token:<24} {summary[0] if summary else ''}")
    if images := plugin.builtin_images():
        click.echo(f"built-in images: {', '.join(images)}")
