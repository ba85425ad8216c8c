"""Calls of a plugin in threads: as many at a time as come, none lost, and none that holds up a person for ever."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from provision.host.plugin.running import Defect, Running, kept
from provision.spi.calls import calls_are_watched, calls_for
from provision.spi.operation import Cancelled

R = TypeVar("R")

OPERATIONS = 4096
"""Operations at a time: each has a thread, which costs little while it waits. More than these wait for their turn."""

QUESTIONS = 16
"""Checks, diffs and previews at a time. Their threads are their own, so that no number of operations delays them."""

GRACE_S = 0.5
"""How long a call may take to end by itself after its time is up: then one that changes nothing is left, and of any
other the person is told that it is waited for. One that changes nothing has as long after it was cancelled."""

OVERDUE_S = 60.0
"""How long an update or a delete may take after its time is up before nobody waits for it any more."""

REMINDER_S = 10.0
"""Seconds between two status lines of an operation that should have ended."""

LEAVABLE = frozenset({"connect", "read", "list", "choose", "call"})
"""Actions that change nothing: nobody needs to wait for their end."""


@dataclass(frozen=True)
class Outcome:
    """How some work ended: with a value, or with whatever it raised."""

    value: Any = None
    error: BaseException | None = None


class Calls:
    """The work of one plugin that is under way."""

    def __init__(self) -> None:
        """With no work yet."""
        self.cancelled = threading.Event()
        self._operations = ThreadPoolExecutor(OPERATIONS, thread_name_prefix="operation")
        self._questions = ThreadPoolExecutor(QUESTIONS, thread_name_prefix="question")
        self._live: set[_Call] = set()
        self._working: set[_Call] = set()

    def cancel(self) -> None:
        """Tell all operations to come to an end, and those that are still to begin; called inside the event loop."""
        self.cancelled.set()
        for call in list(self._live):
            call.cancelled()

    def begin_anew(self) -> None:
        """Forget that everything was cancelled: another engine begins."""
        self.cancelled.clear()

    def close(self) -> None:
        """Take no more work, and tell what still runs to come to an end, also what nobody waits for any more.

        Its end is not waited for; but Python waits for threads when it ends, and one that tries again for ever would
        hold it up.
        """
        self._operations.shutdown(wait=False, cancel_futures=True)
        self._questions.shutdown(wait=False, cancel_futures=True)
        for call in list(self._working):
            call.running.stop.set()

    async def ask(self, work: Callable[[], R]) -> R:
        """Do what takes no time worth mentioning.

        Raises:
            Exception: whatever `work` raised.
        """
        found: R = _result(await asyncio.get_running_loop().run_in_executor(self._questions, _outcome, work))
        return found

    async def run(self, work: Callable[[], R], running: Running) -> R:
        """Do the work of an operation.

        Raises:
            Exception: whatever `work` raised; `Cancelled` when nobody waits for it any more, and what there is of an
                object by then as `CreatedButUnhealthy`.
        """
        call = _Call(running)
        self._live.add(call)
        try:
            if self.cancelled.is_set():
                call.cancelled()
            self._working.add(call)
            future = call.begin(self._operations, work)
            future.add_done_callback(lambda done: self._working.discard(call))
            found: R = _result(await call.answer)
            return found
        finally:
            call.forget()
            self._live.discard(call)


def _outcome(work: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(work())
    except Exception as error:
        # A future cannot carry it, and whoever waits for that future would wait for ever.
        return Outcome(error=Defect(error) if isinstance(error, StopIteration | StopAsyncIteration) else error)
    except BaseException as error:  # the loop would end with it, and the process with the loop
        return Outcome(error=Defect(error))


def _attributed(work: Callable[[], Any], urn: str) -> Callable[[], Any]:
    """The work, whose native calls are made for the resource."""

    def done() -> Any:
        with calls_for(urn):
            return work()

    return done


def _result(outcome: Outcome) -> Any:
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


class _Call:
    """One operation between its thread and whoever waits for it; everything here is done in the event loop."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Outcome] = self._loop.create_future()
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, threads: ThreadPoolExecutor, work: Callable[[], Any]) -> "Future[Outcome]":
        future = threads.submit(_outcome, _attributed(work, self.running.urn) if calls_are_watched() else work)
        future.add_done_callback(lambda done: self._ended(None if done.cancelled() else done.result()))
        if self.running.limit is not None:
            self._later(self.running.limit, self._late)
        return future

    def cancelled(self) -> None:
        """The run was cancelled."""
        self.running.stop.set()
        if self._leavable():
            self._later(GRACE_S, self.leave)
        else:
            self._remind("the run was cancelled")

    def forget(self) -> None:
        """Nobody waits any more, for whatever reason."""
        for timer in self._timers:
            timer.cancel()
        if not self.answer.done():  # the caller went away
            self.answer.cancel()
            if self._leavable():
                self.running.stop.set()

    def leave(self) -> None:
        """Answer although the work has not ended."""
        if self.answer.done():
            return
        running = self.running
        running.stop.set()
        running.progress.left = True
        stopped = Cancelled("the platform's answer did not come")
        made = running.progress.made
        self.answer.set_result(Outcome(error=stopped if made is None else kept(running, stopped, made)))

    def _leavable(self) -> bool:
        return self.running.action in LEAVABLE

    def _late(self) -> None:
        if self._leavable():
            self._later(GRACE_S, self.leave)
            return
        self._later(GRACE_S, lambda: self._remind(f"its time limit of {self.running.limit:.3g} s has passed"))
        self._later(OVERDUE_S, self._overdue)

    def _overdue(self) -> None:
        if self.running.action != "create" or self.running.progress.made is not None:
            self.leave()
        else:  # nobody would record the object; it is left as soon as it can be
            self._later(REMINDER_S, self._overdue)

    def _remind(self, why: str) -> None:
        if self.answer.done():
            return
        self.running.report(f"{why}: waiting for the {self.running.action} under way to end")
        self._later(REMINDER_S, lambda: self._remind(why))

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(seconds, what))

    def _ended(self, outcome: Outcome | None) -> None:
        """Called in the thread that did the work."""

        def answer() -> None:
            if not self.answer.done():
                self.answer.set_result(outcome or Outcome(error=Cancelled("the plugin ends")))

        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:  # the loop has ended: there is nobody left to tell
            return
