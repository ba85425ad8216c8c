"""Watching over the calls that plugins make of their platform's own library: what, for which resource, how long.

Off unless somebody watches, and then a call costs one comparison more.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


Tell = Callable[[str, str, float, float, str], None]
"""Is told of a call after its end: its name, the URN of the resource that it was made for (empty when that is no single
one), when it began in seconds since 1970, how many seconds it took, and what went wrong (empty when nothing did)."""


@dataclass
class _Watch:
    tell: Tell | None = None


_watch = _Watch()
_subject: ContextVar[str] = ContextVar("subject", default="")
_inside = threading.local()


def watch_calls(tell: Tell | None) -> None:
    """Tell of every native call of this process from now on, in the thread that makes it; None tells nobody any more.

    Must be called before a plugin connects.
    """
    _watch.tell = tell


def calls_are_watched() -> bool:
    """Whether anybody is told of native calls."""
    return _watch.tell is not None


def native_call(
    name: str,
    call: Callable[[], T],
    *,
    code: Callable[[BaseException], str] | None = None,
    failed: Callable[[T], str] | None = None,
) -> T:
    """Make a call of the platform's library.

    Args:
        name: what it is called, without anything that is given to it.
        call: makes it.
        code: gives the platform's code for what the library raised; empty when it has none.
        failed: of libraries that return failures, what went wrong; empty when nothing did.
    """
    tell = _watch.tell
    if tell is None or getattr(_inside, "call", False):  # a call that another one makes is a part of it
        return call()
    begun, start, failure = time.time(), time.monotonic(), ""
    _inside.call = True
    try:
        made = call()
        failure = failed(made) if failed is not None else ""
        return made
    except BaseException as error:
        failure = (code(error) if code is not None else "") or type(error).__name__
        raise
    finally:
        _inside.call = False
        tell(name, _subject.get(), begun, time.monotonic() - start, failure)


@contextmanager
def calls_for(urn: str) -> Iterator[None]:
    """Make native calls for a resource, in this thread, and in others for what was `carried` there."""
    token = _subject.set(urn)
    try:
        yield
    finally:
        _subject.reset(token)


def carried(work: Callable[[], T]) -> Callable[[], T]:
    """Work that another thread does for the resource that this thread works for."""
    if _watch.tell is None:
        return work
    context = copy_context()
    return lambda: context.run(work)


class WatchedModule:
    """A library's module of plain functions, whose calls are told of; everything else of it is passed on."""

    def __init__(self, module: Any, tells: Callable[[str], bool], failed: Callable[[Any], str]) -> None:
        """Stand in for `module`.

        Args:
            module: the library.
            tells: whether a function, by its name, is a call of the platform.
            failed: what went wrong, by what a function returned; empty when nothing did.
        """
        self._module, self._tells, self._failed = module, tells, failed

    def __getattr__(self, name: str) -> Any:
        """A function that tells of its calls, or whatever else has that name."""
        found = getattr(self._module, name)
        if not callable(found) or not self._tells(name):
            return found
        failed = self._failed

        def watched(*given: Any) -> Any:
            return native_call(name, lambda: found(*given), failed=failed)

        setattr(self, name, watched)
        return watched
