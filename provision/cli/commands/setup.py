"""`provision setup`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from provision.cli.messages import note, warn
from provision.errors import PluginError

if TYPE_CHECKING:
    from provision.spi import Provider


@click.command()
@click.option(
    "--image", "images", multiple=True, metavar="NAME", help="Build this built-in image too; it may take minutes."
)
@click.option("--refresh", is_flag=True, help="Build the images of --image anew, with the newest packages.")
@click.option("--no-images", is_flag=True, help="Leave out the small images that platforms make, such as 'micro'.")
def command(images: tuple[str, ...], refresh: bool, no_images: bool) -> None:
    """Install the Pulumi engine when it is missing, and make the plugins known to it; safe to run again."""
    from provision.host.engine import ensure_engine, pulumi_home
    from provision.host.setup import install_shims, plugin_executables
    from provision.spi import HasSetup, registry

    if refresh and not images:
        raise click.UsageError("--refresh says how to build the images of --image, and there is none")
    if no_images and images:
        raise click.UsageError("--no-images and --image contradict each other")
    engine = ensure_engine(note)
    click.echo(f"engine: Pulumi {engine.version} at {engine.path}")
    problems: list[PluginError] = []
    report = install_shims(pulumi_home(), plugin_executables(problems))
    click.echo(f"plugins: {'installed into' if report.changed else 'up to date in'} {report.home}")
    plugins = []
    for entry in registry.installed():
        try:
            plugins.append(registry.load(entry.name))
        except PluginError as problem:  # it must not keep the others from being set up
            problems.append(problem)
    for plugin in plugins:
        if isinstance(plugin, HasSetup) and not no_images:
            plugin.prepare(note)
            click.echo(f"{plugin.name}: prepared")
    _build(plugins, images, refresh)
    for found in problems:
        warn(found)


def _build(plugins: "Sequence[Provider[Any, Any]]", images: Sequence[str], refresh: bool) -> None:
    """Build `images` on every platform that has them.

    Raises:
        UserError: no platform has one of them; nothing is built then.
    """
    from provision.errors import UserError
    from provision.spi import CanBuildImages

    builders = [(plugin, plugin.buildable_images()) for plugin in plugins if isinstance(plugin, CanBuildImages)]
    for image in images:
        if not any(image in known for _, known in builders):
            names = sorted({name for _, known in builders for name in known})
            raise UserError(
                f"no installed plugin builds an image '{image}'",
                f"known images: {', '.join(names)}" if names else "install the plugin of a platform that builds images",
            )
    for image in dict.fromkeys(images):
        for plugin, known in builders:
            if image in known:
                note(f"{plugin.name}: building the image '{image}': {known[image]}")
                plugin.build_image(image, note, refresh=refresh)
                click.echo(f"{plugin.name}: the image '{image}' is there")
