"""What whoever runs `provision` must be allowed on a platform."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from provision.cli.commands.plugin.document import best
from provision.errors import UserError
from provision.spi import NeedsPermissions, Provider, ResourceGraph, registry


def run(name: str, directory: Path | None) -> None:
    """Print the permissions that a plugin needs, or those of one stack.

    Raises:
        ProvisionError: the plugin cannot be loaded or tells of none, or the stack file has errors.
    """
    provider = registry.load(name)
    if not isinstance(provider, NeedsPermissions):
        raise UserError(f"the plugin '{name}' tells of no permissions", "see the documentation of its platform")
    graph = None if directory is None else _graph(provider, directory)
    click.echo(json.dumps(provider.permissions(graph), indent=2))


def _graph(provider: Provider[Any, Any], directory: Path) -> ResourceGraph:
    """Everything that the stack is made of on the platform, as if that lacked nothing.

    Raises:
        ProvisionError: the stack file has errors, or the platform does not agree to it.
    """
    from provision.loader import load
    from provision.translate import Scope
    from provision.verify.proof.planned import planned

    loaded = load(directory, platform=provider.name)
    parts = planned(loaded, provider, best(provider), Scope("project", "stack", str(loaded.directory)), {})
    return ResourceGraph((), tuple(_nodes(part.graph for part in parts)))


def _nodes(graphs: Iterable[ResourceGraph]) -> Iterable[Any]:
    for graph in graphs:
        yield from graph.nodes
