"""What all native types with tags do alike; `provision.spi.cloud.NativeType` has the life of an object."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

from provision.spi import Operation, Properties, Timeouts
from provision.spi.cloud import Attempt, NativeType
from provision_aws.errors import code_of
from provision_aws.kinds import Kind
from provision_aws.ownership import NAME_TAG, Owner, stack_of, tags_of
from provision_aws.reading import Live
from provision_aws.resources.native_model import Query, TaggedInputs
from provision_aws.resources.tagging import retag, specifications, user_tags
from provision_aws.session import Session

I = TypeVar("I", bound=TaggedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

Structures = list[dict[str, Any]]
"""As botocore takes and gives them. Spelt here, since `list` has another meaning inside of a resource type."""


class Native(NativeType[I, O, Session], Generic[I, O]):
    """A kind of object with tags of its own. What botocore raises in its methods is explained.

    Attributes:
        kind: how EC2 describes it.
        also_tagged: what else the call that makes it makes, and tags.
    """

    kind: ClassVar[Kind]
    also_tagged: ClassVar[tuple[str, ...]] = ()

    Query: ClassVar[type[Properties]] = Query
    service: ClassVar[str] = "ec2"
    timeouts: ClassVar[Timeouts] = Timeouts(create=900, read=300, update=900, delete=1200)

    # --- what each type says

    @abstractmethod
    def make(self, session: Session, inputs: I, tags: Structures, token: str) -> Live:
        """Make the object by one call; how EC2 describes it, or its id alone."""

    def ready(self, live: Live) -> bool | str:
        """It has no state, or is available."""
        return self.kind.state(live) in ("", "available")

    def listing(self, query: Any) -> Structures:
        """Filters of a search."""
        found = [{"Name": f"tag:{key}", "Values": [value]} for key, value in query.tags.items()]
        if getattr(query, "vpc_id", None):
            found.append({"Name": "vpc-id", "Values": [query.vpc_id]})
        return found

    # --- whose an object is

    def owner(self, operation: Operation, inputs: I, attempt: Attempt) -> Owner:
        """Without incarnation: types that are made first have one in their names."""
        return Owner(inputs.stack_id, operation.urn, attempt.token)

    def bears(self, live: Live, owner: Owner) -> bool:
        """By its tags."""
        return owner.made(live)

    def stack_of(self, live: Live) -> str:
        """By its tag."""
        return stack_of(live)

    def remains(self, session: Session, owner: Owner) -> Iterable[Live]:
        """By its tags."""
        return session.reader.left(self.kind, owner.tags())

    def searched(self, session: Session, query: Any) -> Iterable[Live]:
        """All of the account in the region that have what is asked for."""
        return session.reader.all(self.kind, self.listing(query))

    def title(self, live: Live) -> str:
        """The tag `Name`."""
        return tags_of(live).get(NAME_TAG, "")

    # --- its parts

    def made(self, session: Session, inputs: I, owner: Owner) -> Live:
        """A new one, with its tags."""
        from botocore.exceptions import ClientError

        tags = specifications(session, inputs, owner, (self.kind.type, *self.also_tagged))
        with session.explained(f"making the {self.called(inputs)}"):
            try:
                return self.make(session, inputs, tags, owner.token)
            except ClientError as error:
                if code_of(error) == "IdempotentParameterMismatch":
                    session.forget_attempt(owner.urn)
                raise

    def amended(self, operation: Operation, identity: str, live: Live, inputs: I) -> bool:
        """Its tags."""
        return retag(operation.session, identity, live, inputs, Owner(inputs.stack_id, operation.urn))

    def inputs(self, session: Session, live: Live, recorded: I | None) -> I:
        """Also name and tags.

        Raises:
            UserError: the type cannot describe it.
        """
        named = {"name": tags_of(live).get(NAME_TAG, ""), "tags": user_tags(session, live, recorded)}
        return self.described(live, recorded, {**self.seen(session, live, recorded), **named})
