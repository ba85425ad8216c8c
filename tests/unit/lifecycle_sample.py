"""A provider whose every call does what a test wants, and what a test needs to drive it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

from provision.spi import (
    Computed,
    Created,
    CreateRequest,
    DeleteRequest,
    Function,
    FunctionRequest,
    Listed,
    ListRequest,
    Properties,
    Provider,
    RateLimit,
    Read,
    ReadRequest,
    ResourceType,
    Retries,
    Timeouts,
    Updated,
    UpdateRequest,
)
from provision.testing import Lifecycle

THING = "trial:Thing"

WILL: dict[str, Callable[[Any], Any]] = {}
"""What a call does, by method; without an entry it succeeds."""

BEGUN = threading.Event()
"""Set when a call that changes or finds something begins."""


class ThingInputs(Properties):
    name: str
    password: SecretStr | None = None


class ThingOutputs(Properties):
    name: str
    state: Annotated[str, Computed()] = "made"


class ThingQuery(Properties):
    prefix: str = ""
    size: Annotated[int, Field(ge=1)] = 1


def thing(request: CreateRequest[ThingInputs]) -> Created[ThingOutputs]:
    return Created(f"id-{request.inputs.name}", ThingOutputs(name=request.inputs.name))


def _will(method: str, otherwise: Callable[[Any], Any], request: Any) -> Any:
    BEGUN.set()
    return WILL.get(method, otherwise)(request)


class Thing(ResourceType[ThingInputs, ThingOutputs, None]):
    """A thing."""

    token: ClassVar[str] = THING
    Inputs: ClassVar[type[Properties]] = ThingInputs
    Outputs: ClassVar[type[Properties]] = ThingOutputs
    Query: ClassVar[type[Properties]] = ThingQuery
    timeouts: ClassVar[Timeouts] = Timeouts()
    retries: ClassVar[Retries] = Retries(first_delay=0.02, longest_delay=0.1, patience=0.5)
    service: ClassVar[str] = "things"

    def create(self, request: CreateRequest[ThingInputs]) -> Created[ThingOutputs]:
        """Make it."""
        return _will("create", thing, request)

    def read(self, request: ReadRequest[ThingInputs, ThingOutputs]) -> Read[ThingInputs, ThingOutputs] | None:
        """Look at it."""
        return _will("read", lambda r: Read(r.id, ThingInputs(name="a"), ThingOutputs(name="a")), request)

    def update(self, request: UpdateRequest[ThingInputs, ThingOutputs]) -> Updated[ThingOutputs]:
        """Change it."""
        return _will("update", lambda r: Updated(ThingOutputs(name=r.inputs.name)), request)

    def delete(self, request: DeleteRequest[ThingInputs, ThingOutputs]) -> None:
        """Remove it."""
        _will("delete", lambda r: None, request)

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """Find some."""
        yield from _will("list", lambda r: (), request)


class EchoArguments(Properties):
    text: Annotated[str, Field(min_length=1)]
    key: SecretStr | None = None
    times: int = 1


class EchoResult(Properties):
    text: str
    parts: list[str] = Field(default_factory=list)
    token: SecretStr | None = None


class Echo(Function[EchoArguments, EchoResult]):
    """Says it again."""

    token: ClassVar[str] = "trial:echo"
    Arguments: ClassVar[type[Properties]] = EchoArguments
    Result: ClassVar[type[Properties]] = EchoResult
    service: ClassVar[str] = "things"

    def call(self, request: FunctionRequest[EchoArguments]) -> EchoResult:
        """Say it."""
        return _will("call", lambda r: EchoResult(text=r.arguments.text * r.arguments.times), request)


class TrialProvider(Provider[Properties, None]):
    """Does as it is told."""

    name: ClassVar[str] = "trial"
    version: ClassVar[str] = "1.0.0"
    Config: ClassVar[type[Properties]] = Properties
    resource_types: ClassVar[Any] = (Thing,)
    functions: ClassVar[Any] = (Echo,)
    rate_limits: ClassVar[Any] = {"things": RateLimit(10_000, 10_000), "slow": RateLimit(20, 1)}

    def connect(self, config: Properties) -> None:
        """Nothing to connect to."""

    def capabilities(self, session: None) -> Any:
        """Never asked."""
        raise NotImplementedError

    def supports(self, use: Any, capabilities: Any) -> Any:
        """Never asked."""
        raise NotImplementedError

    def translate(self, request: Any) -> Any:
        """Never asked."""
        raise NotImplementedError


def trial(work: Callable[[Lifecycle], Awaitable[None]], kind: type[Provider[Any, Any]] = TrialProvider) -> None:
    """Run a test against the provider."""

    async def go() -> None:
        async with Lifecycle(kind) as platform:
            await asyncio.wait_for(work(platform), 30)

    asyncio.run(go())
