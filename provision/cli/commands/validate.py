"""`provision validate`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from provision.cli import options
from provision.errors import StackFileError

_SCHEMA = 1
"""Version of the JSON form; keys are added to it, never renamed or removed."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=".")
@options.stack
@click.option("--overlay", help="Merge stack.NAME.yaml of this name [default: the stack's].")
@click.option("--platform", help="Check as if provision:platform were this.")
@options.rules
@options.output_format("human", "json")
def command(
    path: Path, stack: str | None, overlay: str | None, platform: str | None, rules: tuple[Path, ...], output: str
) -> int:
    """Check a stack file; nothing is contacted or changed.

    PATH is the file, the folder that holds stack.yaml, or - for standard input. Parameters have the values that
    Pulumi.STACK.yaml beside the file gives them; secret ones are not decrypted.

    Rules of the organisation are checked too: of rules.yaml beside the file, of --rules, PROVISION_RULES and
    provision:rules, and those that are installed. Exits with 3 when a required one is broken.
    """
    from provision.cli.configured import STANDARD_INPUT, configured, on_disk, renamed
    from provision.cli.guardrails import kept
    from provision.cli.words import plural
    from provision.loader import load, render

    settings = configured(path, stack)
    loaded, checked, failed = None, None, False
    with on_disk(path) as file:
        try:
            loaded = load(
                file,
                overlay=overlay or settings.stack,
                values=settings.parameters(file),
                platform=platform or settings.platform,
            )
            found, source_map = loaded.diagnostics, loaded.source_map
            checked = kept(loaded, rules, settings.rules)
            if checked is not None:
                found, source_map = (*found, *checked.diagnostics), checked.source_map
        except StackFileError as error:
            found, source_map, failed = error.diagnostics, error.source_map, True
        if str(path) == "-":
            found, source_map = renamed(found, source_map, file)
    code = 1 if failed else 3 if checked is not None and checked.broken else 0
    if output == "json":
        document = {"schema": _SCHEMA, "succeeded": code == 0, "valid": loaded is not None}
        click.echo(json.dumps({**document, "diagnostics": [asdict(item) for item in found]}, indent=2))
    elif found:
        click.echo(render(found, source_map, color=sys.stderr.isatty()), err=True, nl=False)
    if loaded is not None and code == 0 and output == "human":
        stack_file = loaded.stack
        held = (
            plural(sum(machine.instances for machine in stack_file.machines.values()), "machine"),
            plural(len(stack_file.networks), "network"),
            plural(len(stack_file.isolation.policies), "policy", "policies"),
            *([f"{plural(checked.rules, 'rule')} kept"] if checked is not None else ()),
        )
        click.echo(f"{STANDARD_INPUT if str(path) == '-' else file}: valid: {', '.join(held)}")
    return code
