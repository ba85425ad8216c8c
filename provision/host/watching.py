"""Telling the command of native calls and of what is tried again, where it wants to know (`provision.host.told`)."""

import json
import os
from contextlib import suppress
from dataclasses import asdict

from provision.host.told import VARIABLE, NativeCall, Retry, Told
from provision.spi.calls import calls_are_watched, watch_calls

_MOST = 3500
"""Bytes of a line: shorter ones of several processes never mix (POSIX, PIPE_BUF)."""


class _Pipe:
    """This process's end of the pipe."""

    def __init__(self) -> None:
        self._end: int | None = None
        self._path = ""

    def open(self, path: str) -> None:
        if path == self._path:
            return
        self.close()
        with suppress(OSError):  # the command is gone: nobody is left to be told
            self._end = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.set_blocking(self._end, True)
            self._path = path
            watch_calls(lambda *call: self.tell(NativeCall(*call)))

    def close(self) -> None:
        if self._end is not None:
            watch_calls(None)
            os.close(self._end)
        self._end, self._path = None, ""

    def tell(self, told: Told) -> None:
        end = self._end
        if end is None:
            return
        line = json.dumps({"kind": type(told).__name__, **asdict(told)}).encode() + b"\n"
        if len(line) > _MOST:
            return
        try:
            os.write(end, line)
        except OSError:  # the command is gone
            self.close()


_pipe = _Pipe()


def tell_command() -> None:
    """Tell the command that this process works for, if it wants that; called before a plugin connects."""
    path = os.environ.get(VARIABLE)
    if path:
        _pipe.open(path)
    else:
        _pipe.close()


def tell_retry(urn: str, operation: str, attempt: int, seconds: float, error: BaseException) -> None:
    """Tell that something is tried again."""
    if calls_are_watched():
        _pipe.tell(Retry(urn, operation, attempt, seconds, type(error).__name__))
