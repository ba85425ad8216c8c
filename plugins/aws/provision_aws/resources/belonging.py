"""What types without tags do alike: they are parts of an object with tags; `PartType` has the life of one.

They are looked for in what EC2 says of that object.
"""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

from provision.errors import UserError
from provision.spi import Listed, ListRequest, Operation, OwnedInputs, Properties
from provision.spi.cloud import SEPARATOR, PartType
from provision_aws.errors import code_of
from provision_aws.kinds import Kind
from provision_aws.ownership import stack_of
from provision_aws.reading import Live
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.session import Session

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

Found = tuple[Live, Live]
"""The object, and the part of it."""


class Belonging(PartType[I, O, Session, Found], Generic[I, O]):
    """A part of an object: its id is `OBJECT|PART`. What botocore raises in its methods is explained.

    Attributes:
        whole: the kind of object that it is a part of.
        taken: codes by which EC2 says that there is such a part already.
    """

    whole: ClassVar[Kind]
    in_whole: ClassVar[bool] = True
    taken: ClassVar[tuple[str, ...]]

    Query: ClassVar[type[Properties]] = TaggedQuery
    service: ClassVar[str] = "ec2"

    # --- what each type says

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
    def remove(self, operation: Operation, live: Live, part: Live, inputs: I | None) -> None:
        """Remove it by one call."""

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

    # --- how parts of this platform are found and told apart

    def stack_of(self, live: Live) -> str:
        """By the object's tag."""
        return stack_of(live)

    def may_be_there(self, error: Exception) -> bool:
        """By EC2's code."""
        return code_of(error) in self.taken

    def refused(self, error: Exception) -> Exception:
        """There is one at another object."""
        return self.in_the_way(f"one elsewhere ({error})")

    def identity(self, found: Found) -> str:
        """Id of the object, and what tells the part."""
        live, part = found
        return f"{live[self.whole.id]}{SEPARATOR}{self.key(live, part)}"

    def found(self, session: Session, identity: str, stack_id: str, *, fresh: bool) -> Found | None:
        """In what is known of the object."""
        live = session.reader.look(self.whole, identity.partition(SEPARATOR)[0], stack_id)
        return next((one for one in self._all(live) if self.identity(one) == identity), None)

    def standing(self, session: Session, inputs: I) -> Found | None:
        """One that clashes."""
        live = session.reader.look(self.whole, self.whole_id(inputs))
        return next((one for one in self._all(live) if self.clashes(*one, inputs)), None)

    def usable(self, session: Session, inputs: I) -> Found | None:
        """In what EC2 tells those who wait."""
        live = session.reader.watch(self.whole, self.whole_id(inputs))
        return next((one for one in self._all(live) if self.is_wanted(one, inputs) and self.ready(one[1])), None)

    def lingers(self, session: Session, identity: str) -> bool:
        """In what EC2 tells those who wait."""
        live = session.reader.watch(self.whole, identity.partition(SEPARATOR)[0])
        return live is not None and any(self.identity((live, part)) == identity for part in self.parts(live))

    def whole_of(self, session: Session, found: Found) -> Live:
        """The object."""
        return found[0]

    def take_off(self, operation: Operation, found: Found, inputs: I | None) -> None:
        """Remove it."""
        self.remove(operation, *found, inputs)

    def has(self, found: Found, recorded: I | None) -> dict[str, Any]:
        """As described."""
        return self.seen(*found, recorded)

    def tells(self, found: Found) -> dict[str, Any]:
        """As described."""
        return self.told(*found)

    def is_wanted(self, found: Found, inputs: I) -> bool:
        """It clashes, and is just so."""
        if not self.clashes(*found, inputs) or self.leaving(found[1]):
            return False
        seen = self.seen(*found, inputs)
        return all(seen[name] == getattr(inputs, name) for name in seen)

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All parts of objects of the account in the region that can be described in full."""
        session: Session = request.operation.session
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in request.query.tags.items()]
        for live in session.reader.all(self.whole, filters):
            for found in [] if self.whole.is_gone(live) else self._all(live):
                with contextlib.suppress(UserError):
                    self.inputs(session, found, None)
                    yield Listed(self.identity(found))

    def _all(self, live: Live | None) -> Iterator[Found]:
        """Parts of an object that are not as good as gone."""
        for part in self.parts(live) if live is not None else ():
            if live is not None and not self.leaving(part):
                yield live, part
