"""What a call of a plugin is given to work with: time limits, cancellation, status lines; and how it is tried again."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


class Cancelled(Exception):
    """Raised by a plugin that stops because `Operation.cancelled` or `Operation.wait` said so, or its time is up.

    Its text, if it has one, says what was last seen. The framework knows by itself which of the two it was. A `create`
    that has told `Operation.made` of its object loses nothing by raising it.
    """


@dataclass(frozen=True)
class Operation:
    """What every request carries: how long it may take, and ways to tell the person what is going on.

    A run that is cancelled, or an operation whose time is up, ends with help from the plugin: all waiting is done with
    `wait` or `wait_until`, which return at once, and between calls `cancelled` is asked. What a call of the platform's
    SDK does not let go of is treated so:

    - `read`, `list`, `choose` and data functions change nothing: they are left alone with it, and the person gets an
      answer within a second.
    - `create` is waited for, with a status line that says so, since an object that nobody records would be lost. When
      it comes to an end after its time, the object is recorded like any other, with a warning. Once it has told `made`
      of its object it is left alone like the next two.
    - `update` and `delete` are given another minute after their time is up; then the run goes on to fail, and state
      keeps the object as it was.
    - After a first Ctrl-C all three are waited for. After a second one the engine ends the plugin, and records that
      the operation was under way.

    Attributes:
        urn: Pulumi's name of the resource.
        session: the plugin's own session, as `Provider.connect` returned it.
        deadline: when the operation must have ended, on the clock of `time.monotonic`, or None: from the program's
            `customTimeouts`, else from `ResourceType.timeouts`. All tries count.
        report: shows a status line beside the resource in Pulumi's display, until the next one.
        cancelled: whether to come to an end: the run was cancelled, or the time is up.
        wait: sleeps for some seconds; returns early, and True, when it is time to come to an end.
        note: leaves a line for the person that stays after the run, such as where something was kept.
        throttle: waits until a service may be called, by its name in `Provider.rate_limits`; for the calls after the
            first, which the framework has waited for already. Raises `Cancelled` when it is time to come to an end.
        made: `create` says that the object exists from now on, with its identity and what is known of its outputs by
            Python name. However `create` ends then, the object is kept in state: after a failure or a cancelled run
            the next `up` waits for its health again, as after `CreatedButUnhealthy`.
    """

    urn: str
    session: Any
    deadline: float | None = None
    report: Callable[[str], None] = field(default=lambda text: None)
    cancelled: Callable[[], bool] = field(default=lambda: False)
    wait: Callable[[float], bool] = field(default=lambda seconds: False)
    note: Callable[[str], None] = field(default=lambda text: None)
    throttle: Callable[[str], None] = field(default=lambda service: None)
    made: Callable[[str, Mapping[str, Any]], None] = field(default=lambda id, outputs: None)

    def unless_over(self) -> None:
        """Go on to what changes something only while there is time: calls that were under way may have taken long.

        Raises:
            Cancelled: the run was cancelled, or the time of the operation is up.
        """
        if self.cancelled():
            raise Cancelled

    def wait_until(self, look: Callable[[], "T | Pending"], *, first: float = 0.2, longest: float = 5.0) -> "T":
        """Look until something else than `Pending` is seen, with growing, jittered pauses; each `Pending` is shown.

        Args:
            look: asks the platform; what it raises ends the waiting.
            first: seconds before the second look.
            longest: seconds between two looks at most.

        Raises:
            Cancelled: the run was cancelled, or the time of the operation is up; the last `Pending` is in its text.
        """
        pause = first
        while isinstance(seen := look(), Pending):
            self.report(seen.state)
            if self.wait(random.uniform(pause / 2, pause)):
                raise Cancelled(seen.state)
            pause = min(pause * 1.6, longest)
        return seen


@dataclass(frozen=True, slots=True)
class Pending:
    """What `Operation.wait_until` may see: not there yet. `state` is in words, such as "the machine is starting"."""

    state: str


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that operations may take unless the program gives `customTimeouts`; None is without limit.

    What happens when the time is up stands at `Operation`.
    """

    create: float | None = None
    read: float | None = None
    update: float | None = None
    delete: float | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """How a `RetriableError` is tried again: the whole method is called anew, so it must find what it did before.

    A `create` that has told `Operation.made` of its object is not tried again: the object is kept, and the next `up`
    goes on from there.

    Attributes:
        first_delay: seconds before the second try; the next ones grow to `longest_delay`, each jittered. A platform
            that says how long to wait (`RetriableError.retry_after`) is given that time.
        longest_delay: seconds.
        patience: seconds after which no further try is made, in an operation without a time limit.
    """

    first_delay: float = 0.5
    longest_delay: float = 20.0
    patience: float = 120.0
