"""Running one operation of a plugin: its time limit, cancellation, status lines, and trying again what may pass."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from provision.errors import CreatedButUnhealthy, PlatformError, ProvisionError, RetriableError, Throttled
from provision.host.plugin.engine_log import Log
from provision.host.plugin.limits import Limits
from provision.host.plugin.masking import Masker
from provision.host.texts import text_of
from provision.host.watching import tell_retry
from provision.spi.operation import Cancelled, Operation, Retries

R = TypeVar("R")

NOTICED_S = 1.0
"""Shorter waits for a turn are not worth a status line."""


class Defect(Exception):
    """Stands for what a plugin raised and what must not travel through an event loop, such as `SystemExit`."""

    def __init__(self, error: BaseException) -> None:
        """Stand for `error`, which becomes the cause."""
        super().__init__(f"{type(error).__name__}: {text_of(error)}")
        self.__cause__ = error


@dataclass
class Progress:
    """What is known of an operation while it runs.

    Attributes:
        made: identity and known outputs of the object that `create` has made so far.
        turn: the service that was asked last, and when it gave the turn.
        left: whether nobody waits for the operation any more.
    """

    made: tuple[str, Mapping[str, Any]] | None = None
    turn: tuple[str, float] | None = None
    left: bool = False


@dataclass(frozen=True)
class Running(Operation):
    """An operation as the host knows it.

    Attributes:
        action: what is done, such as `create`.
        subject: to what: the token of a type or of a function.
        limit: seconds it may take, None for no limit.
        stop: set when it is to come to an end.
        retries: how it is tried again.
        service: what it calls, a name in `limits`; empty for none.
        limits: of the provider.
        progress: what is known of it.
    """

    action: str = ""
    subject: str = ""
    limit: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    retries: Retries = field(default_factory=Retries)
    service: str = ""
    limits: Limits | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def late(self) -> bool:
        """Whether its time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def operation(
    urn: str,
    session: Any,
    timeout: float | None,
    log: Log,
    mask: Masker,
    *,
    action: str = "",
    subject: str = "",
    retries: Retries | None = None,
    service: str = "",
    limits: Limits | None = None,
) -> Running:
    """What a request carries; `timeout` in seconds, None or 0 for none."""
    deadline = time.monotonic() + timeout if timeout and timeout > 0 else None
    stop = threading.Event()
    progress = Progress()

    def over() -> bool:
        return stop.is_set() or (deadline is not None and time.monotonic() >= deadline)

    def wait(seconds: float) -> bool:
        left = seconds if deadline is None else min(seconds, deadline - time.monotonic())
        if left > 0:
            stop.wait(left)
        return over()

    def report(text: str) -> None:
        if not progress.left:
            log.status(urn, mask(text))

    def note(text: str) -> None:
        if not progress.left:
            log.note(urn, mask(text))

    def made(identity: str, outputs: Mapping[str, Any]) -> None:
        if action == "create":
            progress.made = (str(identity), dict(outputs))

    def throttle(name: str) -> None:
        if limits is not None:
            progress.turn = (name, _turn(limits, name, wait, report))

    return Running(
        urn=urn,
        session=session,
        deadline=deadline,
        report=report,
        cancelled=over,
        wait=wait,
        note=note,
        throttle=throttle,
        made=made,
        action=action,
        subject=subject,
        limit=timeout if deadline is not None else None,
        stop=stop,
        retries=retries or Retries(),
        service=service,
        limits=limits,
        progress=progress,
    )


def with_retries(call: Callable[[], R], running: Operation) -> R:
    """Call until it does not raise `RetriableError`, with growing, jittered pauses, while there is time.

    Before every try a token of the operation's service is taken. A `create` is not tried again once it has said that
    the object exists: what there is of it is kept, and the next `up` goes on from there.

    Raises:
        CreatedButUnhealthy: whatever was raised, after `create` has made the object.
        PlatformError: what could be tried again did not pass in time.
        Cancelled: the run was cancelled during a pause.
    """
    try:
        return _tried(call, running)
    except CreatedButUnhealthy:
        raise
    except BaseException as error:  # what else a plugin may raise must not lose the object either
        made = running.progress.made if isinstance(running, Running) else None
        if made is None:
            raise
        raise kept(running, error, made) from error


def kept(running: Operation, error: BaseException, made: tuple[str, Mapping[str, Any]]) -> CreatedButUnhealthy:
    """A failure after the object was made: it is recorded, with what went wrong then as the reason."""
    identity, outputs = made
    if isinstance(error, Cancelled):
        reason = "its creation was stopped before it was finished: "
        limit = running.limit if isinstance(running, Running) and running.late else None
        reason += (
            f"its time limit of {limit:.3g} s (see customTimeouts) has passed" if limit else "the run was cancelled"
        )
        reason += f"; last seen: {text_of(error)}" if text_of(error) else ""
    else:
        reason = text_of(error) if isinstance(error, ProvisionError) else f"{type(error).__name__}: {text_of(error)}"
    return CreatedButUnhealthy(reason, id=identity, outputs=outputs, reasons=[reason])


def _tried(call: Callable[[], R], running: Operation) -> R:
    retries = running.retries if isinstance(running, Running) else Retries()
    started = time.monotonic()
    end = running.deadline if running.deadline is not None else started + retries.patience
    delay, tries = retries.first_delay, 0
    if running.cancelled():
        raise Cancelled("it was not begun")
    while True:
        if isinstance(running, Running) and running.service:
            running.throttle(running.service)
        tries += 1
        try:
            return call()
        except RetriableError as error:
            if isinstance(error, Throttled):
                _slow_down(running)
            if isinstance(running, Running) and running.progress.made is not None:
                raise
            # Jitter, so that many operations which failed together do not come back together.
            pause = max(random.uniform(delay / 2, delay), error.retry_after or 0.0)
            if time.monotonic() + pause >= end:
                raise _given_up(error, tries, time.monotonic() - started) from error
            tell_retry(running.urn, getattr(running, "action", ""), tries, pause, error)
            when = f" in {pause:.0f} s" if pause >= NOTICED_S else ""
            running.report(f"trying again{when}: {error.summary}")
            if running.wait(pause):
                raise Cancelled(error.summary) from error
            delay = min(delay * 2, retries.longest_delay)


def _given_up(error: RetriableError, tries: int, seconds: float) -> PlatformError:
    times = "once" if tries == 1 else f"{tries} times in {seconds:.0f} s"
    return PlatformError(f"{error.summary} (tried {times})", error.fix)


def _slow_down(running: Operation) -> None:
    """Slow down the service that was called last."""
    if isinstance(running, Running) and running.limits is not None and running.progress.turn is not None:
        service, since = running.progress.turn
        bucket = running.limits.bucket(service)
        bucket.slow_down(since)
        running.report(f"{service} asks to be called less often: {bucket.per_second:.3g} calls a second now")


def _turn(limits: Limits, service: str, wait: Callable[[float], bool], report: Callable[[str], None]) -> float:
    bucket = limits.bucket(service)

    def noticed(seconds: float) -> bool:
        if seconds >= NOTICED_S:
            report(f"waiting for its turn: {bucket.per_second:.3g} calls of {service} a second")
        return wait(seconds)

    given = bucket.take(noticed)
    if given is None:
        raise Cancelled(f"waiting for its turn to call {service}")
    return given
