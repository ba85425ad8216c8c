"""Resource types: one class per native object, one method required, everything else by presence.

Every method gets one frozen request and returns one frozen response. Methods may block: the host runs each in a
thread of its own. They raise the classes of `provision.errors`; anything else is reported as a defect of the plugin.
"""

import enum
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from provision.spi.properties import Properties

I = TypeVar("I", bound=Properties)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs
S = TypeVar("S")
T = TypeVar("T")


class Replacement(enum.StrEnum):
    """Which comes first when an object is replaced.

    `DELETE_FIRST` types may adopt, in `create`, an object with their own marker that an interrupted run left behind:
    while they create, no live object of the same URN exists. `CREATE_FIRST` types must never adopt: the marked object
    that they find may be the live one.
    """

    DELETE_FIRST = "delete first"
    CREATE_FIRST = "create first"


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


@dataclass(frozen=True)
class CreateRequest(Generic[I]):
    """Make the object that `inputs` describe."""

    operation: Operation
    inputs: I


@dataclass(frozen=True)
class Created(Generic[O]):
    """What was made: `id` is its identity on the platform."""

    id: str
    outputs: O


@dataclass(frozen=True)
class ReadRequest(Generic[I, O]):
    """Look at the object `id`; `inputs` and `outputs` are the last recorded ones, None on import."""

    operation: Operation
    id: str
    inputs: I | None
    outputs: O | None


@dataclass(frozen=True)
class Read(Generic[I, O]):
    """What the object is now: the inputs that would make it so, and its outputs. Return None when it is gone."""

    id: str
    inputs: I
    outputs: O


@dataclass(frozen=True)
class UpdateRequest(Generic[I, O]):
    """Change the object `id` from `old_inputs` to `inputs`.

    Attributes:
        retry: the last start of the object failed (`CreatedButUnhealthy`); wait for its health again even when nothing
            changed.
    """

    operation: Operation
    id: str
    inputs: I
    old_inputs: I
    outputs: O
    retry: bool = False


@dataclass(frozen=True)
class Updated(Generic[O]):
    """The outputs after the change."""

    outputs: O


@dataclass(frozen=True)
class DeleteRequest(Generic[I, O]):
    """Remove the object `id`; an object that is already gone is a success."""

    operation: Operation
    id: str
    inputs: I | None
    outputs: O


@dataclass(frozen=True)
class CheckRequest:
    """Look at inputs before anything is planned.

    Attributes:
        urn: Pulumi's name of the resource.
        inputs: new inputs by Python name; may contain `provision.spi.UNKNOWN`.
        old_inputs: recorded inputs by Python name, None for a new or replaced object.
    """

    urn: str
    inputs: Mapping[str, Any]
    old_inputs: Mapping[str, Any] | None


@dataclass(frozen=True)
class CheckFailure:
    """One input that cannot be used: `property` is its Python name, or empty for the object as a whole."""

    property: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """The inputs to go on with (defaults filled in, sticky choices kept), or why not."""

    inputs: Mapping[str, Any]
    failures: Sequence[CheckFailure] = ()


@dataclass(frozen=True)
class Stored:
    """What state holds of an object, by wire names and without secrets' wrappers; either half may lack properties."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class ChoiceRequest:
    """Make the choice of one `Sticky` input.

    Attributes:
        operation: its session; never `None` in a preview either, unless the provider's configuration is not known yet.
        field: Python name of the input.
        inputs: the checked inputs by Python name; those of `Sticky.request` are known.
    """

    operation: Operation
    field: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class ListRequest:
    """Find objects of one type.

    Attributes:
        operation: with the session; it has no URN.
        query: an instance of `CanList.Query`.
        limit: most objects wanted, None for all.
    """

    operation: Operation
    query: Any
    limit: int | None = None


@dataclass(frozen=True)
class Listed:
    """One object that was found: `id` is what `pulumi import` takes, `name` what a person calls it."""

    id: str
    name: str = ""


class ResourceType(ABC, Generic[I, O, S]):
    """A kind of native object.

    Attributes:
        token: `module:Name`, which becomes `provision-<plugin>:module:Name`; a promise once released.
        Inputs: model of the inputs, with field annotations.
        Outputs: model of the outputs.
        replacement: which comes first when an object is replaced.
        service: the part of the platform that its calls go to: a name in `Provider.rate_limits`, or empty. Before
            every try of an operation one token is taken; further calls take theirs with `Operation.throttle`.
        timeouts: of its operations.
        retries: of its calls.
        schema_version: of what is kept in state; one more with every step in `upgrades`.
        upgrades: by the version that they start from, functions that bring recorded state to the next version.
    """

    token: ClassVar[str]
    Inputs: ClassVar[type[Properties]]
    Outputs: ClassVar[type[Properties]]
    replacement: ClassVar[Replacement] = Replacement.DELETE_FIRST
    service: ClassVar[str] = ""
    timeouts: ClassVar[Timeouts] = Timeouts()
    retries: ClassVar[Retries] = Retries()
    schema_version: ClassVar[int] = 0
    upgrades: ClassVar[Mapping[int, Callable[[Stored], Stored]]] = MappingProxyType({})

    @abstractmethod
    def create(self, request: CreateRequest[I]) -> Created[O]:
        """Make the object; never called in a preview.

        Raises:
            provision.errors.CreatedButUnhealthy: the object exists but did not become healthy; it is kept in state.
            provision.errors.ForeignObject: the name is taken by an object that is not ours.
        """


@runtime_checkable
class CanRead(Protocol):
    """Without it a refresh keeps the last known state and says so; import is impossible."""

    def read(self, request: ReadRequest[Any, Any]) -> Read[Any, Any] | None:
        """Look at the live object; None when it is gone."""


@runtime_checkable
class CanUpdate(Protocol):
    """Without it every change replaces the object."""

    def update(self, request: UpdateRequest[Any, Any]) -> Updated[Any]:
        """Change the live object in place."""


@runtime_checkable
class CanDelete(Protocol):
    """Without it a delete only forgets the object."""

    def delete(self, request: DeleteRequest[Any, Any]) -> None:
        """Remove the object; one that is already gone is a success."""


@runtime_checkable
class CanWait(Protocol):
    """Without it an update that only follows a failed start succeeds when `read` finds the object."""

    def wait_healthy(self, request: ReadRequest[Any, Any]) -> Any:
        """Wait until the object, which exists, is healthy; its outputs.

        Called instead of `update` when nothing changed since a start that failed.

        Raises:
            provision.errors.CreatedButUnhealthy: it did not become healthy again.
        """


@runtime_checkable
class CanChoose(Protocol):
    """Needed by types with `Sticky` inputs."""

    def choose(self, request: ChoiceRequest) -> Any:
        """The value of the input; may ask the platform, and must answer the same while the platform is the same.

        Raises:
            provision.errors.UserError: nothing satisfies the request; the message says what comes closest.
        """


@runtime_checkable
class CanList(Protocol):
    """Without it objects of the type cannot be listed.

    Attributes:
        Query: model of what a search may be narrowed by; fields are optional.
    """

    Query: ClassVar[type[Properties]]

    def list(self, request: ListRequest) -> Iterable[Listed]:
        """Objects that `read` can import, ours and others, in a stable order.

        May be a generator that asks the platform page by page: no more is taken from it than is wanted. After a
        `RetriableError` it is begun anew, and what was given already is passed over.
        """


@runtime_checkable
class CanCheck(Protocol):
    """Without it inputs are checked against the model alone. Called before that check."""

    def check(self, request: CheckRequest) -> Checked:
        """Fill in, keep or refuse inputs. Must be deterministic."""
