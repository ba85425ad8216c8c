"""Failures as a person, or a pipeline, reads them."""

import json
import sys
from dataclasses import asdict

import click

from provision.errors import ProvisionError, StackFileError


def show_error(error: ProvisionError) -> None:
    """Print a failure to standard error: every diagnostic of a stack file, else the summary and the fix."""
    if isinstance(error, StackFileError):
        from provision.loader import render

        click.echo(render(error.diagnostics, error.source_map, color=sys.stderr.isatty()), err=True, nl=False)
        return
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.summary, err=True)
    if error.fix:
        click.secho("  fix: ", fg="green", nl=False, err=True)
        click.echo(error.fix, err=True)


def warn(problem: ProvisionError) -> None:
    """Print, to standard error, what is wrong but does not stop the command."""
    click.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
    click.echo(problem.summary, err=True)
    if problem.fix:
        click.echo(f"  fix: {problem.fix}", err=True)


def show_error_as_json(summary: str, fix: str, code: int, error: Exception | None = None) -> None:
    """Print a failure as the one document on standard output."""
    found = error.diagnostics if isinstance(error, StackFileError) else ()
    document = {
        "succeeded": False,
        "exit_code": code,
        "error": {"summary": summary, "fix": fix},
        "diagnostics": [asdict(item) for item in found],
    }
    click.echo(json.dumps(document, indent=2))


def note(text: str) -> None:
    """Print progress to standard error, so that standard output holds results alone."""
    click.secho(f"  {text}", dim=True, err=True)
