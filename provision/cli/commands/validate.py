"""`provision validate`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from provision.cli import options
from provision.errors import StackFileError


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=".")
@options.stack
@click.option("--overlay", help="Merge stack.NAME.yaml of this name [default: the stack's].")
@click.option("--platform", help="Check as if provision:platform were this.")
@options.output_format("human", "json")
def command(path: Path, stack: str | None, overlay: str | None, platform: str | None, output: str) -> int:
    """Check a stack file; nothing is contacted or changed.

    PATH is the file, the folder that holds stack.yaml, or - for standard input. Parameters have the values that
    Pulumi.STACK.yaml beside the file gives them; those that are secret are not looked at.
    """
    from provision.cli.configured import configured, from_standard_input
    from provision.loader import load, render

    settings = configured(path, stack)
    with from_standard_input() if str(path) == "-" else settings.file as file:
        try:
            loaded = load(
                file,
                overlay=overlay or settings.stack,
                values=settings.parameters(file),
                platform=platform or settings.platform,
            )
            found, source_map = loaded.diagnostics, loaded.source_map
        except StackFileError as error:
            if output == "human":
                raise
            loaded, found = None, error.diagnostics
