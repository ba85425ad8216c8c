"""Calls take turns: so many at a time, however many operations there are."""

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MOST_CALLS = 16
"""At a time, to all services of a cloud."""

_LAST = "network"
"""The service whose calls wait for those of others: what these begin takes longest, without a call."""


class Turns:
    """Who may call now; used by several threads."""

    def __init__(self, most: int = MOST_CALLS) -> None:
        """Nobody calls yet."""
        self._free = most
        self._lock = threading.Lock()
        self._waiting: list[tuple[bool, int, threading.Event]] = []
        self._numbers = itertools.count()

    @contextmanager
    def turn(self, service: str) -> Iterator[None]:
        """Inside a service may be called."""
        mine: threading.Event | None = None
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                mine = threading.Event()
                heapq.heappush(self._waiting, (service == _LAST, next(self._numbers), mine))
        if mine is not None:
            mine.wait()
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            if self._waiting:
                heapq.heappop(self._waiting)[2].set()  # whose turn it is now
            else:
                self._free += 1
