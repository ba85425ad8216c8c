"""What all native types do alike: find what is theirs, make, bring in line, wait, remove, import."""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from provision.errors import (
    CreatedButUnhealthy,
    ForeignObject,
    NotFound,
    ProvisionError,
    RetriableError,
    UserError,
)
from provision.spi import (
    Cancelled,
    Created,
    CreateRequest,
    DeleteRequest,
    Listed,
    ListRequest,
    Operation,
    Pending,
    Properties,
    Read,
    ReadRequest,
    ResourceType,
    Retries,
    Timeouts,
    Updated,
    UpdateRequest,
    admitted,
)
from provision_aws.errors import code_of, explained, is_absent
from provision_aws.kinds import Kind
from provision_aws.ownership import NAME_TAG, Owner, stack_of, tags_of
from provision_aws.reading import Live
from provision_aws.resources.describing import built, foreign, ours, unfit
from provision_aws.resources.native_model import Query, TaggedInputs
from provision_aws.resources.tagging import retag, specifications, user_tags
from provision_aws.session import Attempt, Session

I = TypeVar("I", bound=TaggedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

Names = list[str]
Structures = list[dict[str, Any]]
"""As botocore takes and gives them. Spelt here, since `list` has another meaning inside of a resource type."""


class Native(ResourceType[I, O, Session], Generic[I, O]):
    """A kind of object with tags of its own.

    Attributes:
        kind: how EC2 describes it.
        also_tagged: what else the call that makes it makes, and tags.
        waits_until_gone: whether its removal takes time.
        disposable: whether what an interrupted run left, and cannot be used any more, may be removed.
    """

    kind: ClassVar[Kind]
    also_tagged: ClassVar[tuple[str, ...]] = ()
    waits_until_gone: ClassVar[bool] = False
    disposable: ClassVar[bool] = True

    Query: ClassVar[type[Properties]] = Query
    service: ClassVar[str] = "ec2"
    timeouts: ClassVar[Timeouts] = Timeouts(create=900, read=300, update=900, delete=1200)
    retries: ClassVar[Retries] = Retries(first_delay=0.5, longest_delay=10, patience=300)

    # --- what each type says

    @abstractmethod
    def make(self, session: Session, inputs: I, tags: Structures, token: str) -> Live:
        """Make the object by one call; how EC2 describes it, or its id alone.

        Raises:
            botocore.exceptions.ClientError: EC2 refuses.
        """

    @abstractmethod
    def seen(self, session: Session, live: Live, recorded: I | None) -> dict[str, Any]:
        """The inputs that the object has, by Python name; markers, name and tags left out.

        Args:
            session: to ask further.
            live: as EC2 describes it.
            recorded: inputs whose spelling is kept where it means the same; what cannot be read is taken from them.
        """

    @abstractmethod
    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its outputs by Python name."""

    @abstractmethod
    def remove(self, session: Session, identity: str, live: Live) -> None:
        """Remove it by its last call.

        Raises:
            botocore.exceptions.ClientError: EC2 refuses.
        """

    def ready(self, live: Live) -> bool | str:
        """Whether it can be used; else a text that says what is the matter for good."""
        return self.kind.state(live) in ("", "available")

    def change(self, operation: Operation, live: Live, inputs: I, *, fresh: bool) -> bool:
        """Bring what may change of it in line with `inputs`, tags left out; whether anything was changed.

        Args:
            operation: to work and wait with.
            live: as it is.
            inputs: as it is to be.
            fresh: whether it was made just now, from these inputs.
        """
        return False

    def listing(self, query: Any) -> Structures:
        """Filters of a search."""
        found = [{"Name": f"tag:{key}", "Values": [value]} for key, value in query.tags.items()]
        if getattr(query, "vpc_id", None):
            found.append({"Name": "vpc-id", "Values": [query.vpc_id]})
        return found

    # --- the life of an object

    def create(self, request: CreateRequest[I]) -> Created[O]:
        """Make it, or go on with what an interrupted run left."""
        operation, inputs = request.operation, request.inputs
        session: Session = operation.session
        owner = Owner(inputs.stack_id, operation.urn)
        with session.attempt(operation.urn) as attempt, session.reader.expecting(self.kind):
            live = self.left(operation, inputs, owner, attempt)
            fresh = live is None
            if live is None:
                attempt.begun = True
                live = self._made(session, inputs, owner, attempt)
            identity = str(live[self.kind.id])
            session.touched(identity)
            session.belongs(identity, inputs.stack_id)
            with self.kept(operation, identity, live):
                live = self.settled(operation, identity, live)
                live = self.in_line(operation, identity, live, inputs, owner, fresh=fresh)
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
            live = self.in_line(operation, request.id, live, inputs, Owner(inputs.stack_id, operation.urn), fresh=False)
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
        """All of the account in the region that can be described in full."""
        session: Session = request.operation.session
        for live in session.reader.all(self.kind, self.listing(request.query)):
            if self.kind.is_gone(live):
                continue
            with contextlib.suppress(UserError):
                self.inputs(session, live, None)
                yield Listed(str(live[self.kind.id]), tags_of(live).get(NAME_TAG, ""))

    # --- its parts

    def left(self, operation: Operation, inputs: I, owner: Owner, attempt: Attempt) -> Live | None:
        """What an earlier create of this resource made and nobody recorded.

        Only for types that are deleted before they are made again: no object of the resource is in use now.
        """
        session: Session = operation.session
        if attempt.begun:
            found = session.reader.left(self.kind, owner.tags())
        else:
            survey = session.reader.survey(self.kind, owner.stack_id).values()
            then = [str(live[self.kind.id]) for live in survey if owner.made(live)]
            found = [live for one in then if (live := session.reader.look(self.kind, one)) is not None]
        for live in sorted(found, key=lambda live: str(live[self.kind.id])):
            if not self.unfit(self.inputs(session, live, inputs), inputs):
                operation.report(f"taking up the {self.kind.noun} {live[self.kind.id]}, which an earlier run left")
                return live
            if not self.disposable:
                raise ForeignObject(
                    f"the {self.kind.noun} {live[self.kind.id]} was made for this resource by an earlier run, and is "
                    "other than what is wanted now; it was not touched",
                    "import it (`provision import`), or remove it by hand",
                )
            operation.report(f"removing the {self.kind.noun} {live[self.kind.id]}, which an earlier run left")
            self.take_away(operation, live)
        return None

    def _made(self, session: Session, inputs: I, owner: Owner, attempt: Attempt) -> Live:
        from botocore.exceptions import ClientError

        tags = specifications(session, inputs, owner, (self.kind.type, *self.also_tagged))
        with explained(f"making the {self.called(inputs)}", recent=session.recent()):
            try:
                return self.make(session, inputs, tags, attempt.token)
            except ClientError as error:
                if code_of(error) == "IdempotentParameterMismatch":
                    session.forget_attempt(owner.urn)
                raise

    def settled(self, operation: Operation, identity: str, live: Live | None = None) -> Live:
        """It when it can be used; `live` is what is known of it already.

        Raises:
            CreatedButUnhealthy: it will never be.
        """
        session: Session = operation.session
        known = [live] if live is not None and len(live) > 1 else []

        def look() -> "Live | Pending":
            now = known.pop() if known else session.reader.watch(self.kind, identity)
            if now is None:
                return Pending(f"EC2 does not show the {self.kind.noun} {identity} yet")
            state = self.ready(now)
            if state is True:
                return now
            if isinstance(state, str):
                self.unhealthy(operation, identity, now, state)
            return Pending(f"the {self.kind.noun} is {self.kind.state(now) or 'not ready'}")

        if known and self.ready(known[0]) is True:
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

    def in_line(self, operation: Operation, identity: str, live: Live, inputs: I, owner: Owner, *, fresh: bool) -> Live:
        """It, changed to be as `inputs` say."""
        session: Session = operation.session
        with explained(f"changing the {self.kind.noun} {identity}", recent=session.recent()):
            changed = not fresh and retag(session, identity, live, inputs, owner)
            changed = self.change(operation, live, inputs, fresh=fresh) or changed
        if not changed:
            return live
        session.touched(identity)
        return self.settled(operation, identity)

    def take_away(self, operation: Operation, live: Live) -> None:
        """Remove it and wait until it is gone."""
        session: Session = operation.session
        identity = str(live[self.kind.id])
        session.touched(identity)
        self._removed(operation, identity, live)
        if not self.waits_until_gone:
            return

        def look() -> "Pending | None":
            now = session.reader.watch(self.kind, identity)
            if now is None or self.over(now):
                return None
            return Pending(f"the {self.kind.noun} is {self.kind.state(now)}")

        with session.reader.watching(self.kind, identity):
            operation.wait_until(look)

    def over(self, live: Live) -> bool:
        """Whether nothing of it holds anything any more."""
        return self.kind.is_gone(live)

    def _removed(self, operation: Operation, identity: str, live: Live) -> None:
        from botocore.exceptions import ClientError

        with explained(f"removing the {self.kind.noun} {identity}"):
            try:
                self.remove(operation.session, identity, live)
            except ClientError as error:
                if not is_absent(error):
                    raise

    # --- its models

    def inputs(self, session: Session, live: Live, recorded: I | None) -> I:
        """The inputs that the object has.

        Raises:
            UserError: the type cannot describe it.
        """
        values = self.seen(session, live, recorded)
        values["stack_id"] = recorded.stack_id if recorded is not None else stack_of(live)
        values["name"] = tags_of(live).get(NAME_TAG, "")
        values["tags"] = user_tags(session, live, recorded)
        return built(self.Inputs, f"the {self.kind.noun} {live[self.kind.id]}", values)  # type: ignore[return-value]

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
        return f"{self.kind.noun} '{inputs.name}'" if inputs.name else self.kind.noun

    def unfit(self, live: Properties, wanted: Properties) -> Names:
        """Inputs in which a live object differs, and which cannot be changed."""
        return unfit(live, wanted)

    def refuse_foreign(self, live: Live, inputs: I | None, outputs: Any) -> None:
        """Go on only with what is the stack's own.

        Raises:
            ForeignObject: it is not.
        """
        stack_id = inputs.stack_id if inputs is not None else None
        if not ours(live, stack_id, outputs):
            raise foreign(self.kind.noun, str(live[self.kind.id]))

    # --- when something fails

    @contextlib.contextmanager
    def kept(self, operation: Operation, identity: str, live: Live) -> Iterator[None]:
        """Have an object that exists kept in state when what comes after it fails for good.

        What is tried again finds it by its marker.
        """
        try:
            yield
        except (CreatedButUnhealthy, RetriableError):
            raise
        except (ProvisionError, Cancelled):
            operation.made(identity, self._known(operation.session, live))
            raise
