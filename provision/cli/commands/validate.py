"""`provision validate`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from provision.cli import options
from provision.errors import StackFileError


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default="stack.yaml")
@click.option("--overlay", help="Name of the overlay to merge: stack.NAME.yaml.")
@click.option("--platform", help="Check as if provision:platform were this.")
@options.output_format("human", "json")
def command(path: Path, overlay: str | None, platform: str | None, output: str) -> int:
    """Check the stack file PATH (or the one in that folder); nothing is contacted or changed."""
    from provision.loader import load, render

    try:
        loaded = load(path, overlay=overlay, platform=platform)
    except StackFileError as error:
        if output == "human":
            raise
        click.echo(json.dumps({"valid": False, "diagnostics": [asdict(d) for d in error.diagnostics]}, indent=2))
        return 1
    if output == "json":
        click.echo(json.dumps({"valid": True, "diagnostics": [asdict(d) for d in loaded.diagnostics]}, indent=2))
        return 0
    if loaded.diagnostics:
        click.echo(render(loaded.diagnostics, loaded.source_map, color=sys.stderr.isatty()), err=True)
    stack = loaded.stack
    machines = sum(machine.instances for machine in stack.machines.values())
    click.echo(
        f"{path}: valid: {machines} machines, {len(stack.networks)} networks, {len(stack.isolation.policies)} policies"
    )
    return 0
