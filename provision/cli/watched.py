"""What a command does, told to whoever watches: the file of `--events`, and a collector of OpenTelemetry."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from provision.cli.event_log import Happening, Phase, Write, event_log
from provision.cli.telemetry import telemetry, wanted
from provision.host.told import NativeCall, told_by_plugins

Progress = Callable[[str, int, int], None]
"""Told of a phase, how many of its parts are done, and of how many."""


@contextmanager
def watched(events: Path | None, command: str, project: str, stack: str, *, here: bool = False) -> Iterator[Write]:
    """Tell of what is given, and of native calls and retries, until this is left.

    Args:
        events: gets a line for everything that happens.
        command: what a person called.
        project: Pulumi project.
        stack: Pulumi stack.
        here: whether plugins are called in this process too; to be said before they connect.

    Raises:
        EnvironmentProblem: the file cannot be written.
    """
    anybody = events is not None or any(wanted(signal) for signal in ("traces", "metrics"))
    with event_log(events, command) as write, telemetry(command, project, stack) as send:
        telling = threading.Lock()  # the engine and the plugins are listened to in threads of their own

        def tell(event: Happening) -> None:
            with telling:
                write(event)
                send(event)

        with told_by_plugins(tell) if anybody else nullcontext(), _here(tell) if anybody and here else nullcontext():
            yield tell


@contextmanager
def _here(tell: Write) -> Iterator[None]:
    from provision.spi.calls import watch_calls

    watch_calls(lambda *call: tell(NativeCall(*call)))
    try:
        yield
    finally:
        watch_calls(None)


def phases(tell: Write, show: Progress) -> Progress:
    """Progress that is shown, and told of at the end of each phase."""
    began: dict[str, float] = {}
    last = time.time()

    def progress(phase: str, done: int, total: int) -> None:
        nonlocal last
        show(phase, done, total)
        begun = began.setdefault(phase, last)
        if done == total:
            last = time.time()
            tell(Phase(phase, total, begun, max(0.0, last - began.pop(phase))))

    return progress
