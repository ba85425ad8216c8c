"""Data functions: typed questions to the platform, from Pulumi programs in every language."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from provision.spi.operation import Operation
from provision.spi.properties import Properties

A = TypeVar("A", bound=Properties)
R = TypeVar("R", bound=Properties)


@dataclass(frozen=True)
class FunctionRequest(Generic[A]):
    """One call: `operation` carries the session; it has no URN."""

    operation: Operation
    arguments: A


class Function(ABC, Generic[A, R]):
    """A question that changes nothing, such as which images there are.

    Arguments are validated like inputs, with the places of what is wrong; with one that is not known yet there is no
    call. What is a secret among them stays secret in the answer, wherever its text stands there, and so does what
    `Result` calls a secret. A `RetriableError` is tried again, and a cancelled run gets its answer within a second.

    Attributes:
        token: `module:name`, which becomes `provision-<plugin>:module:name`; a promise once released.
        Arguments: model of the arguments.
        Result: model of the answer.
        service: as `ResourceType.service`.
    """

    token: ClassVar[str]
    Arguments: ClassVar[type[Properties]]
    Result: ClassVar[type[Properties]]
    service: ClassVar[str] = ""

    @abstractmethod
    def call(self, request: FunctionRequest[A]) -> R:
        """Answer; called in previews too, whenever all arguments are known."""


AnyFunction = Function[Any, Any]
