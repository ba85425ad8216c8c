"""Calls of a library that waits for ever, with an end to the waiting."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Generic, TypeVar

T = TypeVar("T")


class NoAnswer(Exception):
    """A call did not come back in time; it goes on in a thread of its own, which nothing can end."""


class Patience(Generic[T]):
    """How long calls of one kind are waited for, from any thread."""

    def __init__(self, seconds: float, again: float, late: Callable[[T], object]) -> None:
        """Have a patience.

        Args:
            seconds: that a call may take.
            again: seconds that it may take while an earlier one has still not come back.
            late: lets go of what a call gives when nobody waits for it any more.
        """
        self.seconds = seconds
        self._again = again
        self._late = late
        self._hanging: list[threading.Thread] = []
        self._lock = threading.Lock()

    def call(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises.

        Raises:
            NoAnswer: it did not come back in time.
        """
        answer: Future[T] = Future()
        thread = threading.Thread(target=self._run, args=(work, answer), name="waiting for an answer", daemon=True)
        with self._lock:
            self._hanging = [one for one in self._hanging if one.is_alive()]
            seconds = self._again if self._hanging else self.seconds
        thread.start()
        try:
            return answer.result(seconds)
        except BaseException as error:  # of the work, or time is up, or the person wants no more
            if not answer.cancel():
                return answer.result()
            with self._lock:
                self._hanging.append(thread)
            if isinstance(error, TimeoutError):
                raise NoAnswer from None
            raise

    def _run(self, work: Callable[[], T], answer: "Future[T]") -> None:
        try:
            found = work()
        except BaseException as error:  # raised where it was asked for
            with contextlib.suppress(InvalidStateError):  # nobody asks any more
                answer.set_exception(error)
            return
        try:
            answer.set_result(found)
        except InvalidStateError:
            self._late(found)
