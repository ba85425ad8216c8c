"""`provision setup`."""

import click

from provision.cli.messages import note, warn
from provision.errors import PluginError


@click.command()
def command() -> None:
    """Install the Pulumi engine when it is missing, and make the plugins known to it; safe to run again."""
    from provision.host.engine import ensure_engine, pulumi_home
    from provision.host.setup import install_shims, plugin_executables
    from provision.spi import HasSetup, registry

    engine = ensure_engine(note)
    click.echo(f"engine: Pulumi {engine.version} at {engine.path}")
    problems: list[PluginError] = []
    report = install_shims(pulumi_home(), plugin_executables(problems))
    click.echo(f"plugins: {'installed into' if report.changed else 'up to date in'} {report.home}")
    for entry in registry.installed():
        try:
            plugin = registry.load(entry.name)
        except PluginError as problem:  # it must not keep the others from being set up
            problems.append(problem)
            continue
        if isinstance(plugin, HasSetup):
            plugin.prepare(note)
            click.echo(f"{plugin.name}: prepared")
    for found in problems:
        warn(found)
