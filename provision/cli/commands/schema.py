"""`provision schema`."""

import json

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of stack files, for completion and checks in editors."""
    from provision.loader import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
