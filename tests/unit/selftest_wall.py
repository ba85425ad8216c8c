"""Something that holds rules, in memory, for what breaks it on purpose and mends it."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

from pydantic import Field

from provision.errors import PlatformError
from provision.spi import (
    Created,
    CreateRequest,
    Isolates,
    NativeState,
    Properties,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
)
from provision.verify.selftest.natives import Native, Natives
from provision.verify.state import DeployedLocation, DeployedStack

RIGHT = {"ports": [80]}
WRONG = {"ports": [80, 81]}


class Wall(ResourceType[Any, Any, Any]):
    """Something that holds rules; the session is the live object."""

    token = "sample:Wall"

    class Inputs(Properties):
        """Inputs."""

        ports: Annotated[list[int], Field(description="Open ports."), Isolates()] = []  # noqa: RUF012 - pydantic copies it

    class Outputs(Properties):
        """Outputs."""

    def create(self, request: CreateRequest[Any]) -> Created[Any]:
        """Never called."""
        raise NotImplementedError

    def read(self, request: ReadRequest[Any, Any]) -> Read[Any, Any]:
        """What is there."""
        return Read(request.id, self.Inputs(ports=request.operation.session["ports"]), self.Outputs())

    def update(self, request: UpdateRequest[Any, Any]) -> Updated[Any]:
        """Change it, unless it is told to fail."""
        session = request.operation.session
        session["writes"].append(list(request.inputs.ports))
        if session["stuck"] and request.inputs.ports in session["stuck"]:
            raise PlatformError("it is stuck")
        session["ports"] = list(request.inputs.ports)
        return Updated(self.Outputs())


class Note:
    """A note in memory that says what happened."""

    def __init__(self) -> None:
        self.nodes: tuple[str, ...] = ()
        self.history: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.nodes)

    def write(self, nodes: Any) -> None:
        self.nodes = tuple(nodes)
        self.history.append("noted")

    def clear(self) -> None:
        self.nodes = ()
        self.history.append("cleared")


def wall(**changes: Any) -> tuple[Native, dict[str, Any]]:
    live: dict[str, Any] = {"ports": [80], "writes": [], "stuck": [], **changes}
    return Native(NativeState(Wall.token, "wall", "w", {}, RIGHT, "urn:wall"), Wall, live), live


def deployed(live: dict[str, Any], inputs: Mapping[str, Any] = RIGHT) -> Natives:
    state = NativeState(Wall.token, "wall", "w", {}, inputs, "urn:wall")
    stack = DeployedStack(
        "p", "s", "sample", shared=(state,), locations={"": DeployedLocation("sample", {}, frozenset(), (state,))}
    )
    provider: Any = SimpleNamespace(resource_types=(Wall,))
    return Natives(stack, {"": (provider, live)})
