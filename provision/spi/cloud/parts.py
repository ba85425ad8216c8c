"""What types without a mark do alike: they are parts of another object, and belong to whom that belongs to."""

import contextlib
from abc import abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from provision.errors import ForeignObject, NotFound
from provision.spi.cloud.describing import built
from provision.spi.cloud.native import is_adopted
from provision.spi.cloud.reading import Kind, Live
from provision.spi.cloud.session import CloudSession
from provision.spi.operation import Operation, Pending, Retries, Timeouts
from provision.spi.properties import OwnedInputs, Properties
from provision.spi.resource import Created, CreateRequest, DeleteRequest, Read, ReadRequest, ResourceType

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs
S = TypeVar("S", bound=CloudSession)
F = TypeVar("F")

SEPARATOR = "|"
"""Between the id of the whole and what tells the part, in the id of a part."""


class PartType(ResourceType[I, O, S], Generic[I, O, S, F]):
    """A part of an object, such as a route of a table or an attachment of a volume: its id is `WHOLE|PART`.

    `F` is what shows a part. Its model of outputs has the field `adopted`, which is true of what an import put into the
    state.

    Attributes:
        noun: what people call it.
        whole: the kind of object that it is a part of.
        in_whole: whether a look at that object shows its parts: then many who wait for theirs wait with one look.
    """

    noun: ClassVar[str]
    whole: ClassVar[Kind]
    in_whole: ClassVar[bool] = False

    timeouts: ClassVar[Timeouts] = Timeouts(create=600, read=300, update=600, delete=900)
    retries: ClassVar[Retries] = Retries(first_delay=0.5, longest_delay=10, patience=300)

    # --- what each platform says

    @abstractmethod
    def stack_of(self, live: Live) -> str:
        """Identity of the stack that a whole is marked as; empty for none."""

    def is_ours(self, live: Live, stack_id: str | None) -> bool:
        """Whether a whole has the mark of a stack; None: of any."""
        return bool(self.stack_of(live)) if stack_id is None else self.stack_of(live) == stack_id

    @abstractmethod
    def may_be_there(self, error: Exception) -> bool:
        """Whether what the library raised may mean that there is one already."""

    # --- what each type says

    @abstractmethod
    def whole_id(self, inputs: I) -> str:
        """Id of the object that it is a part of."""

    @abstractmethod
    def identity(self, found: F) -> str:
        """Its id."""

    @abstractmethod
    def found(self, session: S, identity: str, stack_id: str, *, fresh: bool) -> F | None:
        """A part by its id; None when it is not there. Without `fresh` a survey will do."""

    @abstractmethod
    def standing(self, session: S, inputs: I) -> F | None:
        """What is now where the wanted one goes: that one, or another in its way."""

    @abstractmethod
    def usable(self, session: S, inputs: I) -> F | None:
        """The wanted one when it is there now and can be used."""

    @abstractmethod
    def lingers(self, session: S, identity: str) -> bool:
        """Whether one that was removed is still there."""

    @abstractmethod
    def whole_of(self, session: S, found: F) -> Live | None:
        """The object that it is a part of; None when that is gone."""

    @abstractmethod
    def make(self, session: S, inputs: I) -> None:
        """Make it by one call; what its library raises is explained."""

    @abstractmethod
    def take_off(self, operation: Operation, found: F, inputs: I | None) -> None:
        """Remove it by its last call; what its library raises is explained, and nothing when it is gone already."""

    @abstractmethod
    def has(self, found: F, recorded: I | None) -> dict[str, Any]:
        """The inputs that it has, by Python name; without `stack_id`."""

    @abstractmethod
    def tells(self, found: F) -> dict[str, Any]:
        """Its outputs by Python name."""

    def is_wanted(self, found: F, inputs: I) -> bool:
        """Whether what stands there is what is wanted, and nothing else."""
        return True

    def refused(self, error: Exception) -> Exception:
        """What is raised when there may be one already, and it is not where it was looked for."""
        return error

    # --- the life of a part

    def create(self, request: CreateRequest[I]) -> Created[O]:
        """Make it, or go on with what an interrupted run left."""
        operation, inputs = request.operation, request.inputs
        session: S = operation.session
        whole = self.whole_id(inputs)
        self._refuse_other_stack(session, whole, inputs)
        with session.attempt(operation.urn) as attempt:
            found = self.standing(session, inputs) if attempt.begun else None
            if found is None:
                operation.unless_over()
                attempt.begun = True
                if self.in_whole:
                    session.touched(whole)
                with session.explained(f"making the {self.noun} of {whole}"):
                    found = self._made(session, inputs)
            if found is not None and not self.is_wanted(found, inputs):
                raise self.in_the_way(self.identity(found))
            found = self.settled(operation, inputs)
            session.touched(self.identity(found))
            return Created(self.identity(found), self.outputs(found))

    def read(self, request: ReadRequest[I, O]) -> Read[I, O] | None:
        """What it is now."""
        session: S = request.operation.session
        recorded = request.inputs
        stack_id = recorded.stack_id if recorded is not None else ""
        fresh = recorded is None or session.is_touched(request.id)
        found = self.found(session, request.id, stack_id, fresh=fresh)
        if found is None:
            return None
        adopted = recorded is None or is_adopted(request.outputs)
        return Read(self.identity(found), self.inputs(session, found, recorded), self.outputs(found, adopted=adopted))

    def delete(self, request: DeleteRequest[I, O]) -> None:
        """Remove it."""
        operation, inputs = request.operation, request.inputs
        session: S = operation.session
        session.forget_attempt(operation.urn)
        found = self.found(session, request.id, inputs.stack_id if inputs is not None else "", fresh=True)
        if found is None:
            return
        self.refuse_foreign(session, found, inputs, request.outputs)
        operation.unless_over()
        session.touched(request.id.partition(SEPARATOR)[0] if self.in_whole else request.id)
        with session.explained(f"removing the {self.noun} {request.id}"):
            try:
                self.take_off(operation, found, inputs)
            except Exception as error:
                if not session.is_absent(error):
                    raise
        self._gone(operation, request.id)

    # --- its parts

    def inputs(self, session: S, found: F, recorded: I | None) -> I:
        """The inputs that it has.

        Raises:
            UserError: the type cannot describe it.
        """
        values = self.has(found, recorded)
        if recorded is not None:
            values["stack_id"] = recorded.stack_id
        else:
            whole = self.whole_of(session, found)
            values["stack_id"] = self.stack_of(whole) if whole is not None else ""
        model: Any = self.Inputs
        made: I = built(model, f"the {self.noun} {self.identity(found)}", values)
        return made

    def outputs(self, found: F, *, adopted: bool = False) -> O:
        """The outputs."""
        model: Any = self.Outputs
        made: O = model(**self.tells(found), adopted=adopted)
        return made

    def settled(self, operation: Operation, inputs: I) -> F:
        """It when it can be used."""
        session: S = operation.session

        def look() -> "F | Pending":
            found = self.usable(session, inputs)
            return found if found is not None else Pending(f"the {self.noun} is not there yet")

        with self._watching(session, self.whole_id(inputs)):
            return operation.wait_until(look)

    def refuse_foreign(self, session: S, found: F, inputs: I | None, outputs: Any) -> None:
        """Go on only with a part of the stack's own object, or of nobody's that is just as it was made.

        Raises:
            ForeignObject: it is another's.
        """
        whole = self.whole_of(session, found)
        stack_id = inputs.stack_id if inputs is not None else None
        if whole is None or is_adopted(outputs) or self.is_ours(whole, stack_id):
            return
        if inputs is not None and not self.stack_of(whole) and self.is_wanted(found, inputs):
            return
        raise ForeignObject(
            f"the {self.noun} {self.identity(found)} does not belong to this stack; it was not touched",
            "remove it by hand, or leave it to whoever made it",
        )

    def in_the_way(self, what: str) -> ForeignObject:
        """The refusal to touch what is where the wanted one goes."""
        return ForeignObject(
            f"there is a {self.noun} in the way, {what}, which this resource did not make; it was not touched",
            "remove it by hand, or write something else in the stack file",
        )

    def _made(self, session: S, inputs: I) -> F | None:
        """Make it; what stands there already where the platform says so."""
        try:
            self.make(session, inputs)
        except Exception as error:
            if not self.may_be_there(error):
                raise
            found = self.standing(session, inputs)
            if found is None:
                raise self.refused(error) from None
            return found
        return None

    def _gone(self, operation: Operation, identity: str) -> None:
        session: S = operation.session

        def look() -> "Pending | None":
            return Pending(f"the {self.noun} is going") if self.lingers(session, identity) else None

        with self._watching(session, identity.partition(SEPARATOR)[0]):
            operation.wait_until(look)

    def _watching(self, session: S, whole: str) -> contextlib.AbstractContextManager[None]:
        return session.reader.watching(self.whole, whole) if self.in_whole else contextlib.nullcontext()

    def _refuse_other_stack(self, session: S, whole: str, inputs: I) -> None:
        stack = session.stack_of(whole)
        if stack is None:
            live = session.reader.look(self.whole, whole, inputs.stack_id)
            if live is None:
                raise NotFound(f"there is no {self.whole.noun} {whole}", "`provision refresh`, then run again")
            stack = self.stack_of(live)
            session.belongs(whole, stack)
        if stack not in ("", inputs.stack_id):
            raise ForeignObject(
                f"the {self.whole.noun} {whole} belongs to another stack; it was not touched",
                f"give the {self.noun} to that stack, or make a {self.whole.noun} of this one",
            )
