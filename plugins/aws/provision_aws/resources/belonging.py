"""What types without tags do alike: they are parts of an object with tags, and belong to whom that belongs to."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

from provision.errors import ForeignObject, NotFound, UserError
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
from provision_aws.errors import code_of, explained, is_absent
from provision_aws.kinds import Kind
from provision_aws.ownership import stack_of
from provision_aws.reading import Live
from provision_aws.resources.describing import built, ours
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.session import Session

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

SEPARATOR = "|"


class Belonging(ResourceType[I, O, Session], Generic[I, O]):
    """A part of an object: its id is `OBJECT|PART`.

    Attributes:
        noun: what people call it.
        whole: the kind of object that it is a part of.
        taken: codes by which EC2 says that there is such a part already.
    """

    noun: ClassVar[str]
    whole: ClassVar[Kind]
    taken: ClassVar[tuple[str, ...]]

    Query: ClassVar[type[Properties]] = TaggedQuery
    service: ClassVar[str] = "ec2"
    timeouts: ClassVar[Timeouts] = Timeouts(create=600, read=300, update=600, delete=900)
    retries: ClassVar[Retries] = Retries(first_delay=0.5, longest_delay=10, patience=300)

    # --- what each type says

    @abstractmethod
    def whole_id(self, inputs: I) -> str:
        """Id of the object that it is a part of."""

    @abstractmethod
    def key(self, live: Live, part: Live) -> str:
        """What tells a part from others, for its id."""

    @abstractmethod
    def parts(self, live: Live) -> Iterator[Live]:
        """All parts of an object."""

    @abstractmethod
    def clashes(self, live: Live, part: Live, inputs: I) -> bool:
        """Whether a part is in the way of what is wanted, or is it."""

    @abstractmethod
    def make(self, session: Session, inputs: I) -> None:
        """Make it by one call.

        Raises:
            botocore.exceptions.ClientError: EC2 refuses.
        """

    @abstractmethod
    def remove(self, operation: Operation, live: Live, part: Live, inputs: I | None) -> None:
        """Remove it by one call.

        Raises:
            botocore.exceptions.ClientError: EC2 refuses.
        """

    @abstractmethod
    def seen(self, live: Live, part: Live, recorded: I | None) -> dict[str, Any]:
        """The inputs that it has."""

    @abstractmethod
    def told(self, live: Live, part: Live) -> dict[str, Any]:
        """Its outputs."""

    def ready(self, part: Live) -> bool:
        """Whether it can be used."""
        return True

    def leaving(self, part: Live) -> bool:
        """Whether it is as good as gone."""
        return False

    # --- the life of a part

    def create(self, request: CreateRequest[I]) -> Created[O]:
        """Make it, or go on with what an interrupted run left."""
        from botocore.exceptions import ClientError

        operation, inputs = request.operation, request.inputs
        session: Session = operation.session
        whole = self.whole_id(inputs)
        self._refuse_other_stack(session, whole, inputs)
        with session.attempt(operation.urn) as attempt:
            found = self._clashing(session, inputs) if attempt.begun else None
            attempt.begun = True
            if found is None:
                session.touched(whole)
                with explained(f"making the {self.noun} of {whole}", recent=session.recent()):
                    try:
                        self.make(session, inputs)
                    except ClientError as error:
                        if code_of(error) not in self.taken:
                            raise
                        found = self._clashing(session, inputs)
                        if found is None:
                            raise self._taken(f"one elsewhere ({error})") from None
            if found is not None:
                self._refuse_taken(found, inputs)
            live, part = self._settled(operation, inputs)
            return Created(self._id(live, part), self.outputs(live, part))

    def read(self, request: ReadRequest[I, O]) -> Read[I, O] | None:
        """What it is now."""
        session: Session = request.operation.session
        found = self._found(session, request.id, request.inputs.stack_id if request.inputs is not None else "")
        if found is None:
            return None
        live, part = found
        adopted = request.inputs is None or bool(getattr(request.outputs, "adopted", False))
        return Read(self._id(live, part), self.inputs(live, part, request.inputs), self.outputs(live, part, adopted))

    def delete(self, request: DeleteRequest[I, O]) -> None:
        """Remove it."""
        from botocore.exceptions import ClientError

        operation = request.operation
        session: Session = operation.session
        session.forget_attempt(operation.urn)
        found = self._found(session, request.id, request.inputs.stack_id if request.inputs is not None else "")
        if found is None:
            return
        live, part = found
        self._refuse_foreign(live, part, request)
        session.touched(str(live[self.whole.id]))
        with explained(f"removing the {self.noun} {request.id}"):
            try:
                self.remove(operation, live, part, request.inputs)
            except ClientError as error:
                if not is_absent(error):
                    raise
        self._gone(operation, request.id)

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All parts of objects of the account in the region that can be described in full."""
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in request.query.tags.items()]
        for live in request.operation.session.reader.all(self.whole, filters):
            for part in [] if self.whole.is_gone(live) else self.parts(live):
                if self.leaving(part):
                    continue
                try:
                    self.inputs(live, part, None)
                except UserError:
                    continue
                yield Listed(self._id(live, part))

    # --- its parts

    def inputs(self, live: Live, part: Live, recorded: I | None) -> I:
        """The inputs that it has.

        Raises:
            UserError: the type cannot describe it.
        """
        values = self.seen(live, part, recorded)
        values["stack_id"] = recorded.stack_id if recorded is not None else stack_of(live)
        return built(self.Inputs, f"the {self.noun} {self._id(live, part)}", values)  # type: ignore[return-value]

    def outputs(self, live: Live, part: Live, adopted: bool = False) -> O:
        """The outputs."""
        model: Any = self.Outputs
        made: O = model(**self.told(live, part), adopted=adopted)
        return made

    def _id(self, live: Live, part: Live) -> str:
        return f"{live[self.whole.id]}{SEPARATOR}{self.key(live, part)}"

    def _found(self, session: Session, identity: str, stack_id: str) -> tuple[Live, Live] | None:
        whole, _, _ = identity.partition(SEPARATOR)
        live = session.reader.look(self.whole, whole, stack_id)
        if live is None:
            return None
        for part in self.parts(live):
            if self._id(live, part) == identity and not self.leaving(part):
                return live, part
        return None

    def _clashing(self, session: Session, inputs: I) -> tuple[Live, Live] | None:
        live = session.reader.look(self.whole, self.whole_id(inputs))
        for part in self.parts(live) if live is not None else ():
            if live is not None and self.clashes(live, part, inputs) and not self.leaving(part):
                return live, part
        return None

    def _settled(self, operation: Operation, inputs: I) -> tuple[Live, Live]:
        session: Session = operation.session
        identity = self.whole_id(inputs)

        def look() -> "tuple[Live, Live] | Pending":
            live = session.reader.watch(self.whole, identity)
            for part in self.parts(live) if live is not None else ():
                if live is not None and self._is_wanted(live, part, inputs) and self.ready(part):
                    return live, part
            return Pending(f"EC2 does not show the {self.noun} yet")

        with session.reader.watching(self.whole, identity):
            return operation.wait_until(look)

    def _gone(self, operation: Operation, identity: str) -> None:
        session: Session = operation.session
        whole = identity.partition(SEPARATOR)[0]

        def look() -> "Pending | None":
            live = session.reader.watch(self.whole, whole)
            there = live is not None and any(self._id(live, part) == identity for part in self.parts(live))
            return Pending(f"the {self.noun} is going") if there else None

        with session.reader.watching(self.whole, whole):
            operation.wait_until(look)

    def _is_wanted(self, live: Live, part: Live, inputs: I) -> bool:
        if not self.clashes(live, part, inputs) or self.leaving(part):
            return False
        seen = self.seen(live, part, inputs)
        return all(seen[name] == getattr(inputs, name) for name in seen)

    def _refuse_taken(self, found: tuple[Live, Live], inputs: I) -> None:
        live, part = found
        if self._is_wanted(live, part, inputs) and stack_of(live) in ("", inputs.stack_id):
            return
        raise self._taken(self._id(live, part))

    def _taken(self, what: str) -> ForeignObject:
        return ForeignObject(
            f"there is a {self.noun} in the way, {what}, which this resource did not make; it was not touched",
            "remove it by hand, or write something else in the stack file",
        )

    def _refuse_other_stack(self, session: Session, whole: str, inputs: I) -> None:
        stack = session.stack_of(whole)
        if stack is None:
            live = session.reader.look(self.whole, whole, inputs.stack_id)
            if live is None:
                raise NotFound(f"there is no {self.whole.noun} {whole}", "run again with `--refresh`")
            stack = stack_of(live)
            session.belongs(whole, stack)
        if stack not in ("", inputs.stack_id):
            raise ForeignObject(
                f"the {self.whole.noun} {whole} belongs to another stack; it was not touched",
                f"give the {self.noun} to that stack, or make a {self.whole.noun} of this one",
            )

    def _refuse_foreign(self, live: Live, part: Live, request: DeleteRequest[I, O]) -> None:
        """Go on only with a part of the stack's own object, or of nobody's that is just as it was made."""
        inputs = request.inputs
        if ours(live, inputs.stack_id if inputs is not None else None, request.outputs):
            return
        if not stack_of(live) and inputs is not None and self._is_wanted(live, part, inputs):
            return
        raise ForeignObject(
            f"the {self.noun} {request.id} does not belong to this stack; it was not touched",
            "remove it by hand, or leave it to whoever made it",
        )
