"""Questions to a person, and sentences for one."""

import os
import select
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


def agreed(question: str) -> bool:
    """Ask on standard error until the answer is yes or no; an empty one is no.

    Raises:
        click.Abort: when there is nobody to answer.
    """
    while True:
        click.echo(f"{question} [y/N]: ", nl=False, err=True)
        with _woken_by_signals() as wait:
            wait()
            answer = sys.stdin.readline()
        if not answer:
            raise click.Abort
        match answer.strip().lower():
            case "y" | "yes":
                return True
            case "" | "n" | "no":
                return False
        click.echo("Error: answer y or n", err=True)


@contextmanager
def _woken_by_signals() -> Iterator[Callable[[], object]]:
    """Give a function that waits for a line from the terminal, or for a signal, whichever thread that goes to.

    Python handles a signal between two of its own steps: one that comes just before the wait begins, or to a thread
    of a library, would be noticed only after the person has pressed a key. So `input`, and with it `click.confirm`,
    can leave Ctrl-C without effect.
    """
    if not sys.stdin.isatty():
        yield lambda: None
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        yield lambda: select.select([sys.stdin, reader], [], [])
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def say(text: str, *, err: bool = False, bold: bool = True) -> None:
    """Print a sentence, broken between words on a terminal and nowhere else."""
    if (sys.stderr if err else sys.stdout).isatty():
        text = textwrap.fill(text, shutil.get_terminal_size().columns, break_on_hyphens=False)
    click.secho(text, bold=bold, err=err)
