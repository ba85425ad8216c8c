"""Running one operation of a plugin: its time limit, cancellation, status lines, and trying again what may pass."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from provision.errors import RetriableError
from provision.host.plugin.engine_log import Log
from provision.host.plugin.masking import Masker
from provision.spi.resource import Operation

R = TypeVar("R")

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 20.0
PATIENCE_S = 120.0
"""How long a failure that may pass is tried again when the operation has no time limit of its own."""


def operation(urn: str, session: Any, timeout: float, cancelled: threading.Event, log: Log, mask: Masker) -> Operation:
    """What a request carries; `timeout` in seconds, 0 for none."""
    deadline = time.monotonic() + timeout if timeout > 0 else None

    def over() -> bool:
        return cancelled.is_set() or (deadline is not None and time.monotonic() >= deadline)

    def wait(seconds: float) -> bool:
        left = seconds if deadline is None else min(seconds, deadline - time.monotonic())
        if left > 0:
            cancelled.wait(left)
        return over()

    return Operation(
        urn=urn,
        session=session,
        deadline=deadline,
        report=lambda text: log.status(urn, mask(text)),
        cancelled=over,
        wait=wait,
    )


def with_retries(call: Callable[[], R], running: Operation, patience: float = PATIENCE_S) -> R:
    """Call until it does not raise `RetriableError`, with growing, jittered pauses, while there is time.

    Raises:
        RetriableError: the last one, when the time is up or the run was cancelled.
    """
    end = running.deadline if running.deadline is not None else time.monotonic() + patience
    delay = FIRST_DELAY_S
    while True:
        try:
            return call()
        except RetriableError as error:
            # Jitter, so that many operations which a platform throttled together do not come back together.
            pause = random.uniform(delay / 2, delay)
            if time.monotonic() + pause >= end:
                raise
            running.report(f"trying again: {error.summary}")
            if running.wait(pause):
                raise
            delay = min(delay * 2, LONGEST_DELAY_S)
