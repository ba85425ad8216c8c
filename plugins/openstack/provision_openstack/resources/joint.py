"""What types without a mark do alike: they join two objects; `provision.spi.cloud.PartType` has their life.

Such a joint is a part of the first of its two objects, and belongs to whom that belongs to.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

from provision.spi import Listed, ListRequest, Operation, OwnedInputs, Properties
from provision.spi.cloud import SEPARATOR, PartType
from provision_openstack.errors import ApiError
from provision_openstack.kinds import Kind
from provision_openstack.ownership import made_by, stack_of
from provision_openstack.reading import Live
from provision_openstack.session import Session

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs

Found = tuple[str, str, Live]
"""Ids of both objects, and what shows that they are joined."""

_REFUSED = (400, 409)
"""How the services answer who joins what is joined already, among others."""


class JointQuery(Properties):
    """What a search may be narrowed by: nothing."""


class Joint(PartType[I, O, Session, Found], Generic[I, O]):
    """Two objects joined: its id is `FIRST|SECOND`. An `ApiError` in its methods is explained.

    Attributes:
        whole: kind of the first object.
        ends: names of the inputs with the ids of both.
    """

    whole: ClassVar[Kind]
    ends: ClassVar[tuple[str, str]]

    Query: ClassVar[type[Properties]] = JointQuery

    def __init_subclass__(cls, **more: Any) -> None:
        """Its calls count for the service of the first object."""
        super().__init_subclass__(**more)
        if hasattr(cls, "whole"):
            cls.service = cls.whole.service

    # --- what each type says

    @abstractmethod
    def join(self, session: Session, first: str, second: str) -> None:
        """Join them by one call."""

    @abstractmethod
    def part(self, session: Session, first: str, second: str) -> None:
        """Part them by one call."""

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

    # --- how joints are found

    def stack_of(self, live: Live) -> str:
        """Where the first object has its mark."""
        return stack_of(self.whole.place, live)

    def is_ours(self, live: Live, stack_id: str | None) -> bool:
        """Where the first object has its mark."""
        return super().is_ours(live, None) if stack_id is None else made_by(self.whole.place, live, stack_id)

    def may_be_there(self, error: Exception) -> bool:
        """By the status of the answer."""
        return isinstance(error, ApiError) and error.status in _REFUSED

    def whole_id(self, inputs: I) -> str:
        """The first object."""
        return self._ends(inputs)[0]

    def identity(self, found: Found) -> str:
        """Both ids."""
        return f"{found[0]}{SEPARATOR}{found[1]}"

    def found(self, session: Session, identity: str, stack_id: str, *, fresh: bool) -> Found | None:
        """By both ids."""
        first, _, second = identity.partition(SEPARATOR)
        live = self.find(session, first, second, fresh=fresh)
        return (first, second, live) if live is not None else None

    def standing(self, session: Session, inputs: I) -> Found | None:
        """The same."""
        return self.found(session, SEPARATOR.join(self._ends(inputs)), inputs.stack_id, fresh=True)

    def usable(self, session: Session, inputs: I) -> Found | None:
        """The same, when it is ready."""
        found = self.standing(session, inputs)
        return found if found is not None and self.ready(found[2]) else None

    def lingers(self, session: Session, identity: str) -> bool:
        """The same."""
        return self.found(session, identity, "", fresh=True) is not None

    def whole_of(self, session: Session, found: Found) -> Live | None:
        """The first object."""
        return session.reader.look(self.whole, found[0])

    def make(self, session: Session, inputs: I) -> None:
        """Join them."""
        self.join(session, *self._ends(inputs))

    def take_off(self, operation: Operation, found: Found, inputs: I | None) -> None:
        """Part them."""
        first, second, _ = found
        self.part(operation.session, first, second)

    def has(self, found: Found, recorded: I | None) -> dict[str, Any]:
        """Both ids."""
        return dict(zip(self.ends, found[:2], strict=True))

    def tells(self, found: Found) -> dict[str, Any]:
        """As shown."""
        return self.told(found[2])

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All of the project."""
        for first, second in sorted(self.pairs(request.operation.session)):
            yield Listed(f"{first}{SEPARATOR}{second}")

    def _ends(self, inputs: I) -> tuple[str, str]:
        first, second = self.ends
        return str(getattr(inputs, first)), str(getattr(inputs, second))
