"""Failures as a person, or a pipeline, reads them."""

import json
import shutil
import sys
import textwrap
from dataclasses import asdict
from typing import Any

import click

from provision.errors import ProvisionError, StackFileError


def show_error(error: ProvisionError) -> None:
    """Print a failure to standard error: every diagnostic of a stack file, else the summary and the fix."""
    if isinstance(error, StackFileError):
        from provision.loader import render

        click.echo(render(error.diagnostics, error.source_map, color=sys.stderr.isatty()), err=True, nl=False)
        return
    _line("error: ", error.summary, fg="red", bold=True)
    if error.fix:
        _line("  fix: ", error.fix, fg="green")


def warn(problem: ProvisionError) -> None:
    """Print, to standard error, what is wrong but does not stop the command."""
    _line("warning: ", problem.summary, fg="yellow", bold=True)
    if problem.fix:
        _line("  fix: ", problem.fix)


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


def _line(label: str, text: str, **style: Any) -> None:
    """Print a labelled line to standard error; a terminal gets it broken between words, and nothing else does."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(
            label + text, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False,
            replace_whitespace=False,
        ).removeprefix(label)  # fmt: skip
    click.secho(label, nl=False, err=True, **style)
    click.echo(text, err=True)
