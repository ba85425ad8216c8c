"""`provision logs`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.daytwo import of_machine
from provision.errors import RetriableError

if TYPE_CHECKING:
    from provision.spi import LogPiece

_LOOK_SECONDS = 0.4


@click.command()
@of_machine
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints from now on; Ctrl-C ends, with 0.")
@click.option("-n", "--tail", type=click.IntRange(0), help="Begin with the last lines, so many. [default: all]")
@click.option("--raw", is_flag=True, help="Byte by byte, with the control sequences of terminals.")
def command(machine: str, stack: str | None, directory: Path, follow: bool, tail: int | None, raw: bool) -> None:
    """Print what MACHINE, such as web-0, has printed on its console.

    A machine that was started again goes on in the same log.
    """
    from provision.cli.daytwo import able
    from provision.cli.deployed import open_deployed
    from provision.spi import HasLog

    with open_deployed(directory, stack, machine=machine) as deployed:
        target = deployed.machine(machine)
        plugin, session = deployed.of(machine)
        provider = able(plugin, HasLog, "keeps no logs of machines")  # type: ignore[type-abstract]
        out = _Out(raw)
        piece = provider.read_log(session, target)
        out.write(_last_lines(piece.data, tail), last=not follow)
        if not follow:
            return
        away = False
        try:
            while True:
                time.sleep(_LOOK_SECONDS)
                try:
                    piece = provider.read_log(session, target, piece.position)
                except RetriableError as error:
                    away = _say_once(away, f"{error.summary}; waiting for it")
                    continue
                away = False
                out.piece(piece)
        except KeyboardInterrupt:
            out.write(b"", last=True)


class _Out:
    """Standard output for bytes of a guest."""

    def __init__(self, raw: bool) -> None:
        from provision.cli.terminal_text import TerminalText

        self._text = None if raw else TerminalText()

    def piece(self, piece: "LogPiece") -> None:
        if piece.lost:
            click.secho("\n(what was printed in between is not kept any more)", dim=True, err=True)
        if piece.data:
            self.write(piece.data)

    def write(self, data: bytes, *, last: bool = False) -> None:
        if self._text is None:
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(self._text.feed(data, last=last))
        sys.stdout.flush()


def _say_once(said: bool, text: str) -> bool:
    if not said:
        click.secho(text, fg="yellow", err=True)
    return True


def _last_lines(data: bytes, count: int | None) -> bytes:
    """The last lines; one that is not ended yet is one."""
    if count is None:
        return data
    return b"".join(data.splitlines(keepends=True)[-count:]) if count else b""
