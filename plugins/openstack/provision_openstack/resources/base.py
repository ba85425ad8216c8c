"""What all native types with a mark do alike; `provision.spi.cloud.NativeType` has the life of an object."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from provision.spi import Operation, OwnedInputs, Properties, Replacement
from provision.spi.cloud import Attempt, NativeType, respelt
from provision_openstack.kinds import Kind
from provision_openstack.ownership import Owner, incarnation_of, made_by, plain_text, stack_of
from provision_openstack.reading import Live
from provision_openstack.resources.native_model import Query
from provision_openstack.session import Session

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

_INCARNATION = 10


class Native(NativeType[I, O, Session], Generic[I, O]):
    """A kind of object with a mark of its own. An `ApiError` in its methods is explained.

    Attributes:
        kind: how its service shows it.
        changing: by name of an input that may change in place, the field of the service that it is.
        within: name of the input with the id of what objects of the kind are inside of; empty for none.
    """

    kind: ClassVar[Kind]
    within: ClassVar[str] = ""
    changing: ClassVar[Mapping[str, str]] = {}

    Query: ClassVar[type[Properties]] = Query

    def __init_subclass__(cls, **more: Any) -> None:
        """Its calls count for the service that has it."""
        super().__init_subclass__(**more)
        if hasattr(cls, "kind"):
            cls.service = cls.kind.service

    # --- what each type says

    @abstractmethod
    def body(self, session: Session, inputs: I) -> dict[str, Any]:
        """Fields of the request that makes it, mark and description left out; None leaves a field out."""

    def marked(self, body: dict[str, Any], inputs: I, owner: Owner) -> dict[str, Any]:
        """The request with the mark in it."""
        return {"description": owner.described(getattr(inputs, "description", "")), **body}

    def make(self, session: Session, inputs: I, owner: Owner) -> Live:
        """Make the object by one call; how its service shows it, or its id alone."""
        body = {name: value for name, value in self.body(session, inputs).items() if value is not None}
        return self.posted(session, self.marked(body, inputs, owner))

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        self.service_of(session).delete(f"{self.kind.path}/{identity}", version=self.kind.version)

    # --- calls

    def service_of(self, session: Session) -> Any:
        """The service that has it."""
        return session.service(self.kind.service)

    def posted(self, session: Session, body: dict[str, Any], **beside: Any) -> Live:
        """Make an object of this kind."""
        whole = {self.kind.one: body, **beside} if self.kind.one else body
        answer = self.service_of(session).post(self.kind.path, whole, version=self.kind.version)
        made: Live = answer[self.kind.one] if self.kind.one else answer
        return made

    def put(self, session: Session, identity: str, body: dict[str, Any]) -> None:
        """Change fields of an object."""
        whole = {self.kind.one: body}
        self.service_of(session).put(f"{self.kind.path}/{identity}", whole, version=self.kind.version)

    # --- whose an object is

    def owner(self, operation: Operation, inputs: I, attempt: Attempt) -> Owner:
        """Types of which a new object is made before the old one goes have an incarnation."""
        first = self.replacement is Replacement.CREATE_FIRST
        return Owner(inputs.stack_id, operation.urn, attempt.token[:_INCARNATION] if first else "")

    def bears(self, live: Live, owner: Owner) -> bool:
        """Where the kind has its mark."""
        return owner.made(self.kind.place, live)

    def stack_of(self, live: Live) -> str:
        """Where the kind has its mark."""
        return stack_of(self.kind.place, live)

    def is_ours(self, live: Live, stack_id: str | None) -> bool:
        """Also a name tells whether it is of a stack, though not of which."""
        return super().is_ours(live, None) if stack_id is None else made_by(self.kind.place, live, stack_id)

    def remains(self, session: Session, owner: Owner) -> Iterable[Live]:
        """In a listing."""
        return session.reader.left(self.kind, lambda live: self.bears(live, owner))

    def searched(self, session: Session, query: Any) -> Iterable[Live]:
        """All that the user sees, or those of a name."""
        return (live for live in session.reader.all(self.kind) if query.name in (None, live.get("name")))

    # --- its parts

    def made(self, session: Session, inputs: I, owner: Owner) -> Live:
        """A new one, with its mark."""
        with session.explained(f"making the {self.called(inputs)}"):
            live = self.make(session, inputs, owner)
        session.made(str(live[self.kind.id]))
        return live

    def left(self, operation: Operation, inputs: I, owner: Any, attempt: Attempt) -> Live | None:
        """Nothing is left inside of what this process has made, so nobody is asked."""
        session: Session = operation.session
        if self.within and not attempt.begun and session.is_new(str(getattr(inputs, self.within))):
            return None
        return super().left(operation, inputs, owner, attempt)

    def amended(self, operation: Operation, identity: str, live: Live, inputs: I) -> bool:
        """Fields that the ordinary call changes, and the description with its mark."""
        session: Session = operation.session
        fields = self.differing(session, live, inputs) | self.remarked(operation, live, inputs)
        if fields:
            session.touched(identity)
            self.put(session, identity, fields)
        return bool(fields)

    def differing(self, session: Session, live: Live, inputs: I) -> dict[str, Any]:
        """Fields that the ordinary call changes, and that are other than wanted."""
        now = self.inputs(session, live, inputs)
        names = [name for name in self.changing if getattr(now, name) != getattr(inputs, name)]
        wanted = self.body(session, inputs) if names else {}
        return {self.changing[name]: wanted.get(self.changing[name]) for name in names}

    def remarked(self, operation: Operation, live: Live, inputs: I) -> dict[str, Any]:
        """The description, with its mark, where it is other than wanted.

        An object that was imported gets the mark of its stack now. The URN of one that was renamed follows.
        """
        if self.kind.place != "description" or "description" not in type(inputs).model_fields:
            return {}
        text = str(getattr(inputs, "description", ""))
        owner = Owner(inputs.stack_id, operation.urn, incarnation_of("description", live))
        wanted = owner.described(text) if inputs.stack_id else text
        return {} if (live.get("description") or "") == wanted else {"description": wanted}

    def inputs(self, session: Session, live: Live, recorded: I | None) -> I:
        """Also the description without its mark; all in the recorded spelling.

        Raises:
            UserError: the type cannot describe it.
        """
        model = self.Inputs
        values = self.seen(session, live, recorded)
        if "description" in model.model_fields:
            values.setdefault("description", plain_text(live.get("description")))
        found = self.described(live, recorded, values)
        spelt = {name: respelt(model, name, getattr(found, name), recorded) for name in model.model_fields}
        return found.model_copy(update=spelt)
