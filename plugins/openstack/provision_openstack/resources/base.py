"""What all native types do alike: find what is theirs, make, bring in line, wait, remove, import."""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from provision.errors import CreatedButUnhealthy, NotFound, UserError
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
    Replacement,
    ResourceType,
    Retries,
    Timeouts,
    Updated,
    UpdateRequest,
    admitted,
)
from provision_openstack.errors import ApiError, explained, is_absent
from provision_openstack.kinds import Kind
from provision_openstack.ownership import Owner, incarnation_of, plain_text, stack_of
from provision_openstack.reading import Live
from provision_openstack.resources.describing import built, foreign, kept, ours, respelt, unfit
from provision_openstack.resources.native_model import Query
from provision_openstack.session import Attempt, Session

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

_INCARNATION = 10


class Native(ResourceType[I, O, Session], Generic[I, O]):
    """A kind of object with a mark of its own.

    Attributes:
        kind: how its service shows it.
        changing: by name of an input that may change in place, the field of the service that it is.
        waits_until_gone: whether its removal takes time.
    """

    kind: ClassVar[Kind]
    changing: ClassVar[Mapping[str, str]] = {}
    waits_until_gone: ClassVar[bool] = False

    Query: ClassVar[type[Properties]] = Query
    timeouts: ClassVar[Timeouts] = Timeouts(create=900, read=300, update=900, delete=900)
    retries: ClassVar[Retries] = Retries(first_delay=0.5, longest_delay=10, patience=300)

    def __init_subclass__(cls, **more: Any) -> None:
        """Its calls count for the service that has it."""
        super().__init_subclass__(**more)
        if hasattr(cls, "kind"):
            cls.service = cls.kind.service

    # --- what each type says

    @abstractmethod
    def body(self, session: Session, inputs: I) -> dict[str, Any]:
        """Fields of the request that makes it, mark and description left out; None leaves a field out."""

    @abstractmethod
    def seen(self, session: Session, live: Live, recorded: I | None) -> dict[str, Any]:
        """The inputs that the object has, by Python name; the description is known already.

        Args:
            session: to ask further.
            live: as the service shows it.
            recorded: where what cannot be read is taken from.
        """

    @abstractmethod
    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its outputs by Python name."""

    def marked(self, body: dict[str, Any], inputs: I, owner: Owner) -> dict[str, Any]:
        """The request with the mark in it."""
        return {"description": owner.described(getattr(inputs, "description", "")), **body}

    def make(self, session: Session, inputs: I, owner: Owner) -> Live:
        """Make the object by one call; how its service shows it, or its id alone.

        Raises:
            ApiError: the service refuses.
        """
        body = {name: value for name, value in self.body(session, inputs).items() if value is not None}
        return self.posted(session, self.marked(body, inputs, owner))

    def ready(self, live: Live) -> bool | str:
        """Whether it can be used; else a text that says what is the matter for good."""
        return True

    def change(self, operation: Operation, live: Live, inputs: I, *, fresh: bool) -> bool:
        """Bring what the service does not change by the ordinary call in line; whether anything was changed.

        Args:
            operation: to work and wait with.
            live: as it is.
            inputs: as it is to be.
            fresh: whether it was made just now, from these inputs.
        """
        return False

    def broken(self, live: Live) -> bool:
        """Whether what an interrupted run left can never be used."""
        return False

    def remove(self, operation: Operation, identity: str, live: Live) -> None:
        """Remove it by its last call.

        Raises:
            ApiError: the service refuses.
        """
        self.service_of(operation.session).delete(f"{self.kind.path}/{identity}", version=self.kind.version)

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

    # --- the life of an object

    def create(self, request: CreateRequest[I]) -> Created[O]:
        """Make it, or go on with what an interrupted run left."""
        operation, inputs = request.operation, request.inputs
        session: Session = operation.session
        with session.attempt(operation.urn) as attempt, session.reader.expecting(self.kind):
            first = self.replacement is Replacement.CREATE_FIRST
            owner = Owner(inputs.stack_id, operation.urn, attempt.token[:_INCARNATION] if first else "")
            live = self.left(operation, inputs, owner, attempt)
            fresh = live is None
            if live is None:
                attempt.begun = True
                live = self.made(session, inputs, owner)
            identity = str(live[self.kind.id])
            session.touched(identity)
            session.belongs(identity, inputs.stack_id)
            with kept(operation, identity, partial(self._known, session, live)):
                live = self.settled(operation, identity, live)
                live = self.in_line(operation, identity, live, inputs, fresh=fresh)
                return Created(identity, self.outputs(session, live))

    def read(self, request: ReadRequest[I, O]) -> Read[I, O] | None:
        """What it is now."""
        session: Session = request.operation.session
        recorded = request.inputs
        live = session.reader.look(self.kind, request.id, recorded.stack_id if recorded is not None else "")
        if live is None:
            return None
        adopted = recorded is None or bool(getattr(request.outputs, "adopted", False))
        return Read(
            str(live[self.kind.id]), self.inputs(session, live, recorded), self.outputs(session, live, adopted=adopted)
        )

    def update(self, request: UpdateRequest[I, O]) -> Updated[O]:
        """Bring it in line with what is wanted, from what it is."""
        operation, inputs = request.operation, request.inputs
        session: Session = operation.session
        session.touched(request.id)
        live = session.reader.look(self.kind, request.id)
        if live is None:
            raise NotFound(f"the {self.kind.noun} {request.id} is gone", "run again with `--refresh`: it is made anew")
        self.refuse_foreign(live, inputs, request.outputs)
        adopted = bool(getattr(request.outputs, "adopted", False))
        with admitted(self, request):
            live = self.settled(operation, request.id, live)
            live = self.in_line(operation, request.id, live, inputs, fresh=False)
            return Updated(self.outputs(session, live, adopted=adopted))

    def delete(self, request: DeleteRequest[I, O]) -> None:
        """Remove it."""
        session: Session = request.operation.session
        stack_id = request.inputs.stack_id if request.inputs is not None else ""
        live = session.reader.look(self.kind, request.id, stack_id)
        session.forget_attempt(request.operation.urn)
        if live is None:
            return
        self.refuse_foreign(live, request.inputs, request.outputs)
        self.take_away(request.operation, live)

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All of the project that can be described in full."""
        session: Session = request.operation.session
        for live in session.reader.all(self.kind):
            if self.kind.is_gone(live) or request.query.name not in (None, live.get("name")):
                continue
            with contextlib.suppress(UserError):
                self.inputs(session, live, None)
                yield Listed(str(live[self.kind.id]), str(live.get("name") or ""))

    # --- its parts

    def left(self, operation: Operation, inputs: I, owner: Owner, attempt: Attempt) -> Live | None:
        """What an earlier create of this resource made and nobody recorded.

        Of types that are deleted before they are made again no object of the resource is in use now. Of the others
        only what this very attempt has made is taken up: its answer was lost.
        """
        session: Session = operation.session
        place = self.kind.place
        if attempt.begun:
            found = session.reader.left(self.kind, lambda live: owner.made(place, live))
        elif owner.incarnation:
            return None
        else:
            survey = session.reader.survey(self.kind, owner.stack_id).values()
            then = [str(live[self.kind.id]) for live in survey if owner.made(place, live)]
            found = [live for one in then if (live := session.reader.look(self.kind, one)) is not None]
        for live in sorted(found, key=lambda live: str(live[self.kind.id])):
            if not self.broken(live) and not unfit(self.inputs(session, live, inputs), inputs):
                operation.report(f"taking up the {self.kind.noun} {live[self.kind.id]}, which an earlier run left")
                return live
            operation.report(f"removing the {self.kind.noun} {live[self.kind.id]}, which an earlier run left")
            self.take_away(operation, live)
        return None

    def made(self, session: Session, inputs: I, owner: Owner) -> Live:
        """A new one."""
        with explained(f"making the {self.called(inputs)}"):
            return self.make(session, inputs, owner)

    def settled(self, operation: Operation, identity: str, live: Live | None = None) -> Live:
        """It when it can be used; `live` is what is known of it already.

        Raises:
            CreatedButUnhealthy: it will never be.
        """
        session: Session = operation.session
        known = [live] if live is not None and len(live) > 1 and self.ready(live) is True else []

        def look() -> "Live | Pending":
            now = known.pop() if known else session.reader.watch(self.kind, identity)
            if now is None:
                return Pending(f"the {self.kind.noun} {identity} is not shown yet")
            state = self.ready(now)
            if state is True:
                return now
            if isinstance(state, str):
                self.unhealthy(operation, identity, now, state)
            return Pending(f"the {self.kind.noun} is {self.kind.state(now) or 'not ready'}")

        if known:
            return known[0]
        with session.reader.watching(self.kind, identity):
            return operation.wait_until(look)

    def unhealthy(self, operation: Operation, identity: str, live: Live, reason: str) -> None:
        """It will never be ready.

        Raises:
            CreatedButUnhealthy: always.
        """
        raise CreatedButUnhealthy(
            f"the {self.kind.noun} {identity} was made, but {reason}",
            id=identity,
            outputs=self._known(operation.session, live),
            reasons=[reason],
        )

    def in_line(self, operation: Operation, identity: str, live: Live, inputs: I, *, fresh: bool) -> Live:
        """It, changed to be as `inputs` say."""
        session: Session = operation.session
        with explained(f"changing the {self.kind.noun} {identity}"):
            changed = False
            if not fresh:
                fields = self.differing(session, live, inputs) | self.remarked(operation, live, inputs)
                if fields:
                    session.touched(identity)
                    self.put(session, identity, fields)
                    changed = True
            changed = self.change(operation, live, inputs, fresh=fresh) or changed
        if not changed:
            return live
        session.touched(identity)
        session.reader.forget(self.kind, identity)
        return self.settled(operation, identity)

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

    def take_away(self, operation: Operation, live: Live) -> None:
        """Remove it and wait until it is gone."""
        session: Session = operation.session
        identity = str(live[self.kind.id])
        session.touched(identity)
        with explained(f"removing the {self.kind.noun} {identity}"):
            try:
                self.remove(operation, identity, live)
            except ApiError as error:
                if not is_absent(error):
                    raise
        if not self.waits_until_gone:
            return

        def look() -> "Pending | None":
            now = session.reader.watch(self.kind, identity)
            if now is None or self.kind.is_gone(now):
                return None
            self.stuck(identity, now)
            return Pending(f"the {self.kind.noun} is {self.kind.state(now)}")

        with session.reader.watching(self.kind, identity):
            operation.wait_until(look)

    def stuck(self, identity: str, live: Live) -> None:
        """Look whether the removal has failed for good.

        Raises:
            provision.errors.PlatformError: it has.
        """

    # --- its models

    def inputs(self, session: Session, live: Live, recorded: I | None) -> I:
        """The inputs that the object has.

        Raises:
            UserError: the type cannot describe it.
        """
        model = self.Inputs
        values = self.seen(session, live, recorded)
        if "description" in model.model_fields:
            values.setdefault("description", plain_text(live.get("description")))
        what = f"the {self.kind.noun} {live[self.kind.id]}"
        values["stack_id"] = recorded.stack_id if recorded is not None else stack_of(self.kind.place, live)
        found = built(model, what, values)
        spelt = {name: respelt(model, name, getattr(found, name), recorded) for name in model.model_fields}
        return found.model_copy(update=spelt)  # type: ignore[return-value]

    def outputs(self, session: Session, live: Live, *, adopted: bool = False) -> O:
        """The outputs."""
        model: Any = self.Outputs
        made: O = model(**self.told(session, live), adopted=adopted)
        return made

    def _known(self, session: Session, live: Live) -> Mapping[str, Any]:
        with contextlib.suppress(Exception):  # of a half-made object much may be missing
            return self.outputs(session, live).model_dump()
        return {}

    def called(self, inputs: I) -> str:
        """What messages call it."""
        name = getattr(inputs, "name", "")
        return f"{self.kind.noun} '{name}'" if name else self.kind.noun

    def refuse_foreign(self, live: Live, inputs: I | None, outputs: Any) -> None:
        """Go on only with what is the stack's own.

        Raises:
            ForeignObject: it is not.
        """
        stack_id = inputs.stack_id if inputs is not None else None
        if not ours(self.kind, live, stack_id, outputs):
            raise foreign(self.kind.noun, str(live[self.kind.id]))
