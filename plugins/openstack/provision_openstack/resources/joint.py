"""What types without a mark do alike: they join two objects, and belong to whom the first of them belongs to."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

from provision.errors import ForeignObject, NotFound
from provision.spi import (
    Created,
    CreateRequest,
    DeleteRequest,
    Listed,
    ListRequest,
    Operation,
    OwnedInputs,
    Pending,
    Properties,
    Read,
    ReadRequest,
    ResourceType,
    Retries,
    Timeouts,
)
from provision_openstack.errors import ApiError, explained, is_absent
from provision_openstack.kinds import Kind
from provision_openstack.ownership import stack_of
from provision_openstack.reading import Live
from provision_openstack.resources.describing import built, ours
from provision_openstack.session import Session

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

SEPARATOR = "|"


class JointQuery(Properties):
    """What a search may be narrowed by: nothing."""


class Joint(ResourceType[I, O, Session], Generic[I, O]):
    """Two objects joined: its id is `FIRST|SECOND`.

    Attributes:
        noun: what people call it.
        whole: kind of the first object.
        ends: names of the inputs with the ids of both.
    """

    noun: ClassVar[str]
    whole: ClassVar[Kind]
    ends: ClassVar[tuple[str, str]]

    Query: ClassVar[type[Properties]] = JointQuery
    timeouts: ClassVar[Timeouts] = Timeouts(create=600, read=300, update=600, delete=900)
    retries: ClassVar[Retries] = Retries(first_delay=0.5, longest_delay=10, patience=300)

    def __init_subclass__(cls, **more: Any) -> None:
        """Its calls count for the service of the first object."""
        super().__init_subclass__(**more)
        if hasattr(cls, "whole"):
            cls.service = cls.whole.service

    # --- what each type says

    @abstractmethod
    def make(self, session: Session, first: str, second: str) -> None:
        """Join them by one call.

        Raises:
            ApiError: the service refuses.
        """

    @abstractmethod
    def remove(self, session: Session, first: str, second: str) -> None:
        """Part them by one call.

        Raises:
            ApiError: the service refuses.
        """

    @abstractmethod
    def find(self, session: Session, first: str, second: str, *, fresh: bool) -> Live | None:
        """What shows that they are joined; None when they are not. Without `fresh` a survey will do."""

    @abstractmethod
    def told(self, live: Live) -> dict[str, Any]:
        """Outputs."""

    @abstractmethod
    def pairs(self, session: Session) -> Iterator[tuple[str, str]]:
        """Ids of all that are joined."""

    def ready(self, live: Live) -> bool:
        """Whether it can be used."""
        return True

    # --- the life of one

    def create(self, request: CreateRequest[I]) -> Created[O]:
        """Join them, or go on with what an interrupted run left."""
        operation, inputs = request.operation, request.inputs
        session: Session = operation.session
        first, second = self._ends(inputs)
        self._refuse_other_stack(session, first, inputs)
        with session.attempt(operation.urn) as attempt:
            found = self.find(session, first, second, fresh=True) if attempt.begun else None
            attempt.begun = True
            if found is None:
                with explained(f"making the {self.noun} of {first}"):
                    try:
                        self.make(session, first, second)
                    except ApiError as error:
                        if error.status not in (400, 409) or self.find(session, first, second, fresh=True) is None:
                            raise
            session.touched(f"{first}{SEPARATOR}{second}")
            live = self._settled(operation, first, second)
            return Created(f"{first}{SEPARATOR}{second}", self.outputs(live))

    def read(self, request: ReadRequest[I, O]) -> Read[I, O] | None:
        """What it is now."""
        session: Session = request.operation.session
        first, _, second = request.id.partition(SEPARATOR)
        fresh = request.inputs is None or session.is_touched(request.id)
        live = self.find(session, first, second, fresh=fresh)
        if live is None:
            return None
        adopted = request.inputs is None or bool(getattr(request.outputs, "adopted", False))
        stack_id = request.inputs.stack_id if request.inputs is not None else self._stack(session, first)
        values = dict(zip(self.ends, (first, second), strict=True)) | {"stack_id": stack_id}
        made: Any = built(self.Inputs, f"the {self.noun} {request.id}", values)
        return Read(request.id, made, self.outputs(live, adopted=adopted))

    def delete(self, request: DeleteRequest[I, O]) -> None:
        """Part them."""
        operation = request.operation
        session: Session = operation.session
        session.forget_attempt(operation.urn)
        first, _, second = request.id.partition(SEPARATOR)
        if self.find(session, first, second, fresh=True) is None:
            return
        self._refuse_foreign(session, first, request)
        session.touched(request.id)
        with explained(f"removing the {self.noun} {request.id}"):
            try:
                self.remove(session, first, second)
            except ApiError as error:
                if not is_absent(error):
                    raise

        def look() -> "Pending | None":
            there = self.find(session, first, second, fresh=True) is not None
            return Pending(f"the {self.noun} is going") if there else None

        operation.wait_until(look)

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All of the project."""
        for first, second in sorted(self.pairs(request.operation.session)):
            yield Listed(f"{first}{SEPARATOR}{second}")

    # --- its parts

    def outputs(self, live: Live, *, adopted: bool = False) -> O:
        """The outputs."""
        model: Any = self.Outputs
        made: O = model(**self.told(live), adopted=adopted)
        return made

    def _ends(self, inputs: I) -> tuple[str, str]:
        first, second = self.ends
        return str(getattr(inputs, first)), str(getattr(inputs, second))

    def _settled(self, operation: Operation, first: str, second: str) -> Live:
        session: Session = operation.session

        def look() -> "Live | Pending":
            live = self.find(session, first, second, fresh=True)
            if live is not None and self.ready(live):
                return live
            return Pending(f"the {self.noun} is not there yet")

        return operation.wait_until(look)

    def _stack(self, session: Session, first: str) -> str:
        live = session.reader.look(self.whole, first)
        return stack_of(self.whole.place, live) if live is not None else ""

    def _refuse_other_stack(self, session: Session, first: str, inputs: I) -> None:
        stack = session.stack_of(first)
        if stack is None:
            live = session.reader.look(self.whole, first, inputs.stack_id)
            if live is None:
                raise NotFound(f"there is no {self.whole.noun} {first}", "run again with `--refresh`")
            stack = stack_of(self.whole.place, live)
            session.belongs(first, stack)
        if stack not in ("", inputs.stack_id):
            raise ForeignObject(
                f"the {self.whole.noun} {first} belongs to another stack; it was not touched",
                f"give the {self.noun} to that stack, or make a {self.whole.noun} of this one",
            )

    def _refuse_foreign(self, session: Session, first: str, request: DeleteRequest[I, O]) -> None:
        """Go on only with what is at an object of the stack's own, or of nobody's."""
        live = session.reader.look(self.whole, first)
        inputs = request.inputs
        if live is None or ours(self.whole, live, inputs.stack_id if inputs is not None else None, request.outputs):
            return
        if inputs is not None and not stack_of(self.whole.place, live):
            return
        raise ForeignObject(
            f"the {self.noun} {request.id} does not belong to this stack; it was not touched",
            "remove it by hand, or leave it to whoever made it",
        )
