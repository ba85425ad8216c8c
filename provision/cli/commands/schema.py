"""`provision schema`."""

import json
from typing import Any

import click

REPORTS = ("event", "run", "state-locks", "state-pending", "validate", "verify", "verify-static")
"""Documents that commands print."""


@click.command()
@click.option(
    "--of",
    "what",
    type=click.Choice(("stack", "rules", *REPORTS)),
    default="stack",
    show_default=True,
    help="A file that people write (stack, rules), or what a command prints with --format json.",
)
def command(what: str) -> None:
    """Print the JSON Schema of stack files, for completion and checks in editors; or that of another document.

    `run` is what preview, up, down and refresh print, and `event` a line of what they add to the file of --events.
    """
    click.echo(json.dumps(printed(what), indent=2))


def printed(what: str) -> dict[str, Any]:
    """The schema that is printed for `--of`."""
    if what == "stack":
        from provision.loader import json_schema

        return json_schema()
    if what == "rules":
        from provision.verify.guardrails import json_schema as of_rules

        return of_rules()
    from provision.cli.documents import schema

    return schema(what)
