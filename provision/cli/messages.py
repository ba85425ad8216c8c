"""Failures as a person reads them."""

import sys

import click

from provision.errors import ProvisionError, StackFileError


def show_error(error: ProvisionError) -> None:
    """Print a failure to standard error: every diagnostic of a stack file, else the summary and the fix."""
    if isinstance(error, StackFileError):
        from provision.loader import render

        click.echo(render(error.diagnostics, error.source_map, color=sys.stderr.isatty()), err=True)
        return
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.summary, err=True)
    if error.fix:
        click.secho("  fix: ", fg="cyan", nl=False, err=True)
        click.echo(error.fix, err=True)


def note(text: str) -> None:
    """Print progress to standard error, so that standard output holds results alone."""
    click.secho(f"  {text}", dim=True, err=True)
