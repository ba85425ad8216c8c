"""What types do alike whose objects lie in a VPC: where that is new ground no earlier run has left anything."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from provision.spi import Operation, Properties
from provision_aws import ground
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.native_model import TaggedInputs
from provision_aws.session import Session

I = TypeVar("I", bound=TaggedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs


class Inside(Native[I, O], Generic[I, O]):
    """A kind of object that lies in a VPC."""

    @abstractmethod
    def around(self, inputs: I) -> Iterable[str]:
        """Ids of what it lies in: the VPC, or something in it."""

    def left(self, operation: Operation, inputs: I, owner: Any, attempt: Any) -> Live | None:
        """Nothing, where nobody but this process has been."""
        if not attempt.begun and ground.is_new(operation.session, self.around(inputs)):
            return None
        return super().left(operation, inputs, owner, attempt)

    def stands(self, session: Session, identity: str, inputs: I) -> None:
        """It was made just now: what lies in it lies in new ground, if it does itself."""
        if ground.is_new(session, self.around(inputs)):
            ground.add(session, identity)
