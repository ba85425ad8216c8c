"""Resource types: one class per native object, one method required, everything else by presence.

Every method gets one frozen request and returns one frozen response. Methods may block: the host runs each in a
thread of its own. They raise the classes of `provision.errors`; anything else is reported as a defect of the plugin.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from provision.spi.operation import Operation, Retries, Timeouts
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


class DataLoss(enum.StrEnum):
    """What loses the data that an object holds, beside a change of an input that is annotated `DESTROYS_DATA`."""

    NEVER = "never"
    """It holds none that cannot be made again: not even such a change loses any."""
    REPLACED = "replaced"
    """The default: such a change alone. Its removal loses none, or the author of the file has agreed to that."""
    REMOVED = "removed"
    """Every replacement, and its removal from the file."""


@runtime_checkable
class CanLoseData(Protocol):
    """Without it `DataLoss.REPLACED` holds for every object of the type.

    A loss is refused before anything is changed unless `provision:allowDestroy` names the machine or the disk.
    """

    def loses_data(self, inputs: Any) -> DataLoss:
        """What loses the data of the object with these recorded inputs; pure."""


@runtime_checkable
class CanWait(Protocol):
    """Without it an update that only follows a failed start goes to `update`, with `retry`, if there is one.

    Without that either it succeeds when `read` finds the object.
    """

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
