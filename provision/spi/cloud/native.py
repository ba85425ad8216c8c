"""What types with a mark of their own do alike: find what is theirs, make, bring in line, wait, remove, import."""

import contextlib
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from provision.errors import CreatedButUnhealthy, ForeignObject, NotFound, PlatformError
from provision.spi.admitting import admitted
from provision.spi.cloud.describing import Indescribable, built, foreign, kept, unfit
from provision.spi.cloud.reading import Kind, Live
from provision.spi.cloud.session import Attempt, CloudSession
from provision.spi.operation import Operation, Pending, Retries, Timeouts
from provision.spi.properties import OwnedInputs, Properties
from provision.spi.resource import (
    Created,
    CreateRequest,
    DeleteRequest,
    Listed,
    ListRequest,
    Read,
    ReadRequest,
    Replacement,
    ResourceType,
    Updated,
    UpdateRequest,
)

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs
S = TypeVar("S", bound=CloudSession)

_OUTDATED_S = 20.0
"""How long a platform may show an object of which it has said that it does not exist."""

_Names = list[str]
"""Spelt here, since `list` has another meaning inside of a resource type."""


class NativeType(ResourceType[I, O, S], Generic[I, O, S]):
    """A kind of object that the very call marks which makes it.

    Its model of outputs has the field `adopted`, which is true of what an import put into the state. A plugin derives
    one class from this one that knows how its platform marks objects, and its types from that.

    Attributes:
        kind: how the platform shows it.
        waits_until_gone: whether its removal takes time.
        disposable: whether what an interrupted run left, and cannot be used any more, may be removed.
    """

    kind: ClassVar[Kind]
    waits_until_gone: ClassVar[bool] = False
    disposable: ClassVar[bool] = True

    Query: ClassVar[type[Properties]]
    timeouts: ClassVar[Timeouts] = Timeouts(create=900, read=300, update=900, delete=900)
    retries: ClassVar[Retries] = Retries(first_delay=0.5, longest_delay=10, patience=300)

    # --- what each platform says: whose an object is

    @abstractmethod
    def owner(self, operation: Operation, inputs: I, attempt: Attempt) -> Any:
        """Whose a new object is, as this platform's marks say it; with the token of the attempt where they have one."""

    @abstractmethod
    def bears(self, live: Live, owner: Any) -> bool:
        """Whether an object has the mark of `owner`; one with an incarnation: of this very one."""

    @abstractmethod
    def stack_of(self, live: Live) -> str:
        """Identity of the stack that an object is marked as; empty for none, or where the mark does not tell."""

    @abstractmethod
    def remains(self, session: S, owner: Any) -> Iterable[Live]:
        """Objects with the mark of `owner`, as they are now; none that are as good as gone."""

    @abstractmethod
    def searched(self, session: S, query: Any) -> Iterable[Live]:
        """Objects that a search, an instance of `Query`, finds."""

    def is_ours(self, live: Live, stack_id: str | None) -> bool:
        """Whether an object has the mark of a stack; None: of any."""
        return bool(self.stack_of(live)) if stack_id is None else self.stack_of(live) == stack_id

    # --- what each type says

    @abstractmethod
    def made(self, session: S, inputs: I, owner: Any) -> Live:
        """A new object, marked by the call that makes it: as the platform shows it, or its id alone.

        Raises:
            provision.errors.PlatformError: the platform refuses.
        """

    @abstractmethod
    def seen(self, session: S, live: Live, recorded: I | None) -> dict[str, Any]:
        """The inputs that the object has, by Python name; without `stack_id`, and what `inputs` sees to.

        Args:
            session: to ask further.
            live: as the platform shows it.
            recorded: inputs whose spelling is kept where it means the same; what cannot be read is taken from them.
        """

    @abstractmethod
    def told(self, session: S, live: Live) -> dict[str, Any]:
        """Its outputs by Python name."""

    @abstractmethod
    def remove(self, session: S, identity: str, live: Live) -> None:
        """Remove it by its last call; what its library raises is explained, and nothing when it is gone already."""

    def ready(self, live: Live) -> bool | str:
        """Whether it can be used; else a text that says what is the matter for good."""
        return True

    def amended(self, operation: Operation, identity: str, live: Live, inputs: I) -> bool:
        """Bring in line what the platform changes of every kind in one way, as its mark; whether anything was changed.

        Not asked of a new object.
        """
        return False

    def change(self, operation: Operation, live: Live, inputs: I, *, fresh: bool) -> bool:
        """Bring the rest of what may change in line; whether anything was changed.

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

    def unfit(self, live: Properties, wanted: Properties) -> _Names:
        """Inputs in which a live object differs, and which cannot be changed."""
        return unfit(live, wanted)

    def over(self, live: Live) -> bool:
        """Whether nothing of what is being removed holds anything any more."""
        return self.kind.is_gone(live)

    def stuck(self, identity: str, live: Live) -> None:
        """Look whether the removal has failed for good.

        Raises:
            provision.errors.PlatformError: it has.
        """

    def called(self, inputs: I) -> str:
        """What messages call it."""
        name = getattr(inputs, "name", "")
        return f"{self.kind.noun} '{name}'" if name else self.kind.noun

    def title(self, live: Live) -> str:
        """What people call one of several."""
        return str(live.get("name") or "")

    # --- the life of an object

    def create(self, request: CreateRequest[I]) -> Created[O]:
        """Make it, or go on with what an interrupted run left."""
        operation, inputs = request.operation, request.inputs
        session: S = operation.session
        with session.attempt(operation.urn) as attempt, session.reader.expecting(self.kind):
            owner = self.owner(operation, inputs, attempt)
            live = self.left(operation, inputs, owner, attempt)
            fresh = live is None
            if live is None:
                operation.unless_over()
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
        session: S = request.operation.session
        recorded = request.inputs
        live = session.reader.look(self.kind, request.id, recorded.stack_id if recorded is not None else "")
        if live is None:
            return None
        adopted = recorded is None or is_adopted(request.outputs)
        return Read(
            str(live[self.kind.id]), self.inputs(session, live, recorded), self.outputs(session, live, adopted=adopted)
        )

    def update(self, request: UpdateRequest[I, O]) -> Updated[O]:
        """Bring it in line with what is wanted, from what it is."""
        operation, inputs = request.operation, request.inputs
        session: S = operation.session
        session.touched(request.id)
        live = session.reader.look(self.kind, request.id)
        if live is None:
            raise NotFound(f"the {self.kind.noun} {request.id} is gone", "`provision refresh`, then run again")
        self.refuse_foreign(live, inputs, request.outputs)
        operation.unless_over()
        with admitted(self, request):
            live = self.settled(operation, request.id, live)
            live = self.in_line(operation, request.id, live, inputs, fresh=False)
            return Updated(self.outputs(session, live, adopted=is_adopted(request.outputs)))

    def delete(self, request: DeleteRequest[I, O]) -> None:
        """Remove it."""
        session: S = request.operation.session
        stack_id = request.inputs.stack_id if request.inputs is not None else ""
        live = session.reader.look(self.kind, request.id, stack_id)
        session.forget_attempt(request.operation.urn)
        if live is None:
            return
        self.refuse_foreign(live, request.inputs, request.outputs)
        self.take_away(request.operation, live)

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All of the account that can be described in full."""
        session: S = request.operation.session
        for live in self.searched(session, request.query):
            if self.kind.is_gone(live):
                continue
            with contextlib.suppress(Indescribable):
                self.inputs(session, live, None)
                yield Listed(str(live[self.kind.id]), self.title(live))

    # --- its parts

    def left(self, operation: Operation, inputs: I, owner: Any, attempt: Attempt) -> Live | None:
        """What an earlier create of this resource made and nobody recorded.

        Of types that are deleted before they are made again no object of the resource is in use now. Of the others
        only what this very attempt has made is taken up: its answer was lost.
        """
        session: S = operation.session
        if attempt.begun:
            found = self.remains(session, owner)
        elif self.replacement is Replacement.CREATE_FIRST:
            return None
        else:
            survey = session.reader.survey(self.kind, inputs.stack_id).values()
            then = [str(live[self.kind.id]) for live in survey if self.bears(live, owner)]
            found = [live for one in then if (live := session.reader.look(self.kind, one)) is not None]
        for live in sorted(found, key=lambda live: str(live[self.kind.id])):
            one = f"the {self.kind.noun} {live[self.kind.id]}"
            if not self.broken(live) and not self.unfit(self.inputs(session, live, inputs), inputs):
                operation.report(f"taking up {one}, which an earlier run left")
                return live
            if not self.disposable:
                raise ForeignObject(
                    f"{one} was made for this resource by an earlier run, and is other than what is wanted now; it was "
                    "not touched",
                    "import it (`provision import`), or remove it by hand",
                )
            operation.report(f"removing {one}, which an earlier run left")
            self.take_away(operation, live)
        return None

    def settled(self, operation: Operation, identity: str, live: Live | None = None) -> Live:
        """It when it can be used; `live` is what is known of it already.

        Raises:
            CreatedButUnhealthy: it will never be.
        """
        session: S = operation.session
        known = [live] if live is not None and len(live) > 1 else []  # more than its id

        def look() -> "Live | Pending":
            now: Live | None = known.pop() if known else session.reader.watch(self.kind, identity)
            if now is None:
                return Pending(f"the {self.kind.noun} {identity} is not shown yet")
            state = self.ready(now)
            if state is True:
                return now
            if isinstance(state, str):
                self.unhealthy(operation, identity, now, state)
            return Pending(f"the {self.kind.noun} is {self.kind.state(now) or 'not ready'}")

        if known and self.ready(known[0]) is True:
            return known[0]
        with session.reader.watching(self.kind, identity):
            pauses = session.reader
            return operation.wait_until(look, first=pauses.first_look_seconds, longest=pauses.longest_pause_seconds)

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
        session: S = operation.session
        with session.explained(f"changing the {self.kind.noun} {identity}"):
            changed = not fresh and self.amended(operation, identity, live, inputs)
            changed = self.change(operation, live, inputs, fresh=fresh) or changed
        if not changed:
            return live
        session.touched(identity)
        return self.settled(operation, identity)

    def take_away(self, operation: Operation, live: Live) -> None:
        """Remove it, and wait until it is gone where that takes time.

        That something does not exist, as the platform may answer, need not mean the object: that is looked at too.

        Raises:
            provision.errors.PlatformError: that was the answer, and the object is there all the same.
        """
        session: S = operation.session
        identity = str(live[self.kind.id])
        operation.unless_over()
        session.touched(identity)
        absent: Exception | None = None

        def look() -> "Pending | None":
            now = session.reader.watch(self.kind, identity)
            if now is None or self.over(now):
                return None
            self.stuck(identity, now)
            if absent is not None and time.monotonic() >= believed:
                raise PlatformError(
                    f"removing the {self.kind.noun} {identity}: {absent}; it is there all the same",
                    "mend what the platform does not find, or remove it by hand; `provision refresh`, then run again",
                )
            return Pending(f"the {self.kind.noun} is {self.kind.state(now) or 'still there'}")

        with session.reader.expecting(self.kind) if self.waits_until_gone else contextlib.nullcontext():
            with session.explained(f"removing the {self.kind.noun} {identity}"):
                try:
                    self.remove(session, identity, live)
                except Exception as error:
                    if not session.is_absent(error):
                        raise
                    absent = error
            believed = time.monotonic() + _OUTDATED_S
            if self.waits_until_gone or absent is not None:
                with session.reader.watching(self.kind, identity):
                    operation.wait_until(look, longest=session.reader.longest_pause_seconds)

    def refuse_foreign(self, live: Live, inputs: I | None, outputs: Any) -> None:
        """Go on only with what is the stack's own, or was put into its state by an import.

        Raises:
            ForeignObject: it is not.
        """
        stack_id = inputs.stack_id if inputs is not None else None
        if not is_adopted(outputs) and not self.is_ours(live, stack_id):
            raise foreign(self.kind.noun, str(live[self.kind.id]))

    # --- its models

    def inputs(self, session: S, live: Live, recorded: I | None) -> I:
        """The inputs that the object has.

        Raises:
            UserError: the type cannot describe it.
        """
        return self.described(live, recorded, self.seen(session, live, recorded))

    def described(self, live: Live, recorded: I | None, values: Mapping[str, Any]) -> I:
        """Inputs with these values, and whose the object is.

        Raises:
            UserError: the type cannot describe it.
        """
        stack_id = recorded.stack_id if recorded is not None else self.stack_of(live)
        model: Any = self.Inputs
        made: I = built(model, f"the {self.kind.noun} {live[self.kind.id]}", {**values, "stack_id": stack_id})
        return made

    def outputs(self, session: S, live: Live, *, adopted: bool = False) -> O:
        """The outputs."""
        model: Any = self.Outputs
        made: O = model(**self.told(session, live), adopted=adopted)
        return made

    def _known(self, session: S, live: Live) -> Mapping[str, Any]:
        with contextlib.suppress(Exception):  # of a half-made object much may be missing
            return self.outputs(session, live).model_dump()
        return {}


def is_adopted(outputs: Any) -> bool:
    """Whether an import, and not the stack, put the object with these outputs into the state."""
    return bool(getattr(outputs, "adopted", False))
