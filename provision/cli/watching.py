"""A display that is refreshed on a terminal until the person types q."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator

from rich.console import Console, RenderableType
from rich.live import Live

_END = (b"q", b"Q", b"\x03", b"\x04")


def watch(show: Callable[[], RenderableType], seconds: float) -> None:
    """Show what `show` gives, again every `seconds`, until the person types q or Ctrl-C."""
    console = Console()
    with contextlib.suppress(KeyboardInterrupt), _keys() as typed, Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(show(), refresh=True)
            if typed(seconds):
                return


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """A function that waits, and says whether the person wants to end; without a keyboard it only waits."""
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = None if keyboard is None else termios.tcgetattr(keyboard)

    def typed(seconds: float) -> bool:
        if keyboard is None:
            select.select([], [], [], seconds)
            return False
        ready, _, _ = select.select([keyboard], [], [], seconds)
        return bool(ready) and (not (keys := os.read(keyboard, 64)) or any(key in keys for key in _END))

    try:
        if keyboard is not None:
            tty.setcbreak(keyboard)
        yield typed
    finally:
        if keyboard is not None and before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
