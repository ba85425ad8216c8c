"""Resource types: one class per native object, one method required, everything else by presence.

Every method gets one frozen request and returns one frozen response. Methods may block: the host runs each in a
thread of its own. They raise the classes of `provision.errors`; anything else is reported as a defect of the plugin.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from provision.spi.properties import Properties

I = TypeVar("I", bound=Properties)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs
S = TypeVar("S")


class Replacement(enum.StrEnum):
    """Which comes first when an object is replaced.

    `DELETE_FIRST` types may adopt, in `create`, an object with their own marker that an interrupted run left behind:
    while they create, no live object of the same URN exists. `CREATE_FIRST` types must never adopt: the marked object
    that they find may be the live one.
    """

    DELETE_FIRST = "delete first"
    CREATE_FIRST = "create first"


class Cancelled(Exception):
    """Raised by a plugin that stops because `Operation.cancelled` or `Operation.wait` said so, or its time is up."""


@dataclass(frozen=True)
class Operation:
    """What every request carries.

    Attributes:
        urn: Pulumi's name of the resource.
        session: the plugin's own session, as `Provider.connect` returned it.
        deadline: when the operation must have ended, on the clock of `time.monotonic`, or None.
        report: shows a status line beside the resource in Pulumi's display.
        cancelled: whether the run was cancelled.
        wait: sleeps for some seconds, returning early (and True) when the run was cancelled.
    """

    urn: str
    session: Any
    deadline: float | None = None
    report: Callable[[str], None] = field(default=lambda text: None)
    cancelled: Callable[[], bool] = field(default=lambda: False)
    wait: Callable[[float], bool] = field(default=lambda seconds: False)


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


class ResourceType(ABC, Generic[I, O, S]):
    """A kind of native object.

    Attributes:
        token: `module:Name`, which becomes `provision-<plugin>:module:Name`; a promise once released.
        Inputs: model of the inputs, with field annotations.
        Outputs: model of the outputs.
        replacement: which comes first when an object is replaced.
    """

    token: ClassVar[str]
    Inputs: ClassVar[type[Properties]]
    Outputs: ClassVar[type[Properties]]
    replacement: ClassVar[Replacement] = Replacement.DELETE_FIRST

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
class CanCheck(Protocol):
    """Without it inputs are checked against the model alone. Called before that check."""

    def check(self, request: CheckRequest) -> Checked:
        """Fill in, keep or refuse inputs. Must be deterministic."""
