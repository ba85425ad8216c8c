"""Mending what a self-test on live machines left broken: at once by a guardian, else by the next command.

    python -m provision.cli.mending DIRECTORY STACK

waits for the end of its input, which comes with the end of whoever started it, however that ends.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.broken import BrokenNote
from provision.errors import ProvisionError

if TYPE_CHECKING:  # verification is loaded when there is something to mend
    from provision.cli.deployed import Deployed
    from provision.host.automation import Workspace

_DONE = b"done\n"


def journal_of(workspace: "Workspace", directory: Path) -> BrokenNote:
    """The note of what is broken on purpose in a stack."""
    return BrokenNote.of(directory, workspace.stack_name)


def mend_left(workspace: "Workspace", directory: Path) -> None:
    """Mend what a self-test that was killed left broken; costs nothing when there is none.

    Raises:
        PlatformError: something could not be mended.
        ProvisionError: the stack cannot be reached.
    """
    if journal_of(workspace, directory):
        from provision.cli.deployed import open_deployed

        with open_deployed(directory, workspace.stack_name) as deployed:
            mend(deployed, directory)


def mend(deployed: "Deployed", directory: Path) -> None:
    """The same of a stack that is open already."""
    from provision.verify.selftest.natives import Natives

    journal = journal_of(deployed.workspace, directory)
    if not journal:
        return
    places = deployed.reached or {"": (deployed.provider, deployed.session)}
    mended = Natives(deployed.stack, places).mend(journal.read())
    journal.clear()
    for name in mended:
        click.echo(f"'{name}' was left broken by a self-test that was killed; it is as recorded again", err=True)


@contextmanager
def guarded(workspace: "Workspace", directory: Path) -> Iterator[None]:
    """Have another process mend what is broken if this one is killed.

    It has a session of its own, so that whatever ends this one's does not reach it.
    """
    words = [sys.executable, "-m", "provision.cli.mending", str(directory.resolve()), workspace.stack_name]
    guardian = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert guardian.stdin is not None
    try:
        yield
    finally:
        with suppress(OSError):
            if not journal_of(workspace, directory):
                guardian.stdin.write(_DONE)
            guardian.stdin.close()
        guardian.wait()


def main() -> int:
    """Wait, and mend if there is something to mend."""
    directory, stack = Path(sys.argv[1]), sys.argv[2]
    if sys.stdin.buffer.read().endswith(_DONE) or not BrokenNote.of(directory, stack):
        return 0
    from provision.cli.deployed import open_deployed

    try:
        with open_deployed(directory, stack) as deployed:
            mend(deployed, directory)
    except ProvisionError:
        return 1  # it stays noted, and the next command says what is wrong
    return 0


if __name__ == "__main__":
    sys.exit(main())
