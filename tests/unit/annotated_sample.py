"""A plugin that uses every field annotation, and ways to drive it over a real channel."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

from provision.errors import UserError
from provision.host.protocol import provider_pb2
from provision.host.values import decode_struct, encode_struct
from provision.spi import (
    AS_CIDR,
    AS_JSON,
    DESTROYS_DATA,
    IGNORE_CASE,
    IGNORE_ORDER,
    IMMUTABLE,
    RESTARTS,
    STABLE,
    AutoName,
    Capabilities,
    ChoiceRequest,
    Computed,
    Created,
    CreateRequest,
    DeleteRequest,
    Drift,
    FeatureUse,
    FromEnvironment,
    Properties,
    Provider,
    Read,
    ReadRequest,
    ResourceGraph,
    ResourceType,
    Sticky,
    Support,
    TranslationRequest,
    Updated,
    UpdateRequest,
    WriteOnly,
    unsupported,
)
from provision.testing import CheckRefused, Lifecycle
from provision.testing.harness import Made

BOX, BARE, WAITING = "lab:Box", "lab:Bare", "lab:Waiting"
SECRET = "correct horse battery"
"""A text that must never be seen."""


class Login(Properties):
    """Who may come in."""

    user: str
    password: Annotated[SecretStr, WriteOnly(), Field(max_length=40)]


class BoxInputs(Properties):
    """A box."""

    name: Annotated[str | None, AutoName(max_length=20, random=5), IMMUTABLE] = None
    colour: Annotated[str, IGNORE_CASE] = "red"
    ranges: Annotated[list[str], AS_CIDR, IGNORE_ORDER] = Field(default_factory=list)
    policy: Annotated[str, AS_JSON] = "{}"
    memory: Annotated[int, RESTARTS] = 1
    image: Annotated[str, DESTROYS_DATA] = "a"
    size: Annotated[str | None, Sticky(request=("memory",), refresh="look_again")] = None
    look_again: bool = False
    region: Annotated[str, FromEnvironment(("BOX_REGION", "BOX_FALLBACK"))] = "here"
    tags: Annotated[dict[str, str], FromEnvironment(("BOX_TAGS",))] = Field(default_factory=dict)
    count: Annotated[int, Drift.IGNORE] = 1
    pin: Annotated[str | None, WriteOnly(), Field(description="PIN.", max_length=30)] = None
    logins: list[Login] = Field(default_factory=list)
    speed: Annotated[int | None, Field(deprecated="use `memory`")] = None


class BoxOutputs(Properties):
    """What a box is."""

    name: str
    count: int = 1
    pin: str | None = None
    serial: Annotated[str, STABLE] = "s"
    starts: Annotated[int, Computed(depends_on=("memory",))] = 1


CALLS: list[tuple[str, Any]] = []
SIZES = {1: "small", 2: "large"}
LIVE: dict[str, Any] = {}
FAIL: list[Exception] = []


def outputs(inputs: BoxInputs) -> BoxOutputs:
    return BoxOutputs(name=inputs.name or "", count=inputs.count, pin=inputs.pin)


class Bare(ResourceType[BoxInputs, BoxOutputs, None]):
    """It can only be made."""

    token: ClassVar[str] = BARE
    Inputs: ClassVar[type[Properties]] = BoxInputs
    Outputs: ClassVar[type[Properties]] = BoxOutputs

    def create(self, request: CreateRequest[BoxInputs]) -> Created[BoxOutputs]:
        CALLS.append(("create", request.inputs))
        if FAIL:
            raise FAIL.pop()
        return Created("1", outputs(request.inputs))

    def choose(self, request: ChoiceRequest) -> str:
        CALLS.append(("choose", request.inputs["memory"]))
        if request.inputs["memory"] not in SIZES:
            raise UserError("no size has that much memory", "ask for 2, the closest")
        return SIZES[request.inputs["memory"]]


class Box(Bare):
    """It can do everything but wait."""

    token: ClassVar[str] = BOX
    schema_version: ClassVar[int] = 0

    def read(self, request: ReadRequest[BoxInputs, BoxOutputs]) -> Read[BoxInputs, BoxOutputs] | None:
        CALLS.append(("read", request.inputs))
        inputs = (request.inputs or BoxInputs()).model_copy(update=LIVE)
        return Read(request.id, BoxInputs.model_construct(**inputs.__dict__), outputs(inputs))

    def update(self, request: UpdateRequest[BoxInputs, BoxOutputs]) -> Updated[BoxOutputs]:
        CALLS.append(("update", request))
        if FAIL:
            raise FAIL.pop()
        return Updated(outputs(request.inputs))

    def delete(self, request: DeleteRequest[BoxInputs, BoxOutputs]) -> None:
        CALLS.append(("delete", request))


class Waiting(Box):
    """It can wait."""

    token: ClassVar[str] = WAITING

    def wait_healthy(self, request: ReadRequest[BoxInputs, BoxOutputs]) -> BoxOutputs:
        assert request.inputs is not None
        CALLS.append(("wait", request.inputs))
        return outputs(request.inputs)


class Lab(Provider[Properties, None]):
    """A lab."""

    name: ClassVar[str] = "lab"
    version: ClassVar[str] = "1.0"
    Config: ClassVar[type[Properties]] = Properties
    resource_types = (Box, Bare, Waiting)

    def connect(self, config: Properties) -> None:
        return None

    def capabilities(self, session: None) -> Capabilities:
        return Capabilities("lab")

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        return unsupported("nothing")

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        raise UserError("not here")


class Told:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Callable[[str, str], None]:
        return lambda urn, text: self.lines.append((level, text))

    async def flush(self) -> None:
        pass


def run(work: Callable[[Any], Awaitable[None]], *, configure: bool = True) -> None:
    async def go() -> None:
        async with Lifecycle(Lab, configure=configure) as lab:
            lab.told = lab.servicer._log = Told()  # type: ignore[attr-defined]
            await asyncio.wait_for(work(lab), 30)

    asyncio.run(go())


def fresh() -> None:
    """Forget what earlier tests did."""
    CALLS.clear()
    LIVE.clear()
    FAIL.clear()


def called(name: str) -> list[Any]:
    return [what for call, what in CALLS if call == name]


async def checked(lab: Any, token: str, inputs: Mapping[str, Any], old: Any = None, **more: Any) -> dict[str, Any]:
    request = provider_pb2.CheckRequest(
        urn=lab.urn(token, more.pop("name", "it")),
        type=f"{lab.package}:{token}",
        news=encode_struct(inputs),
        olds=encode_struct(old or {}),
        randomSeed=more.pop("seed", b"seed"),
    )
    if "autonaming" in more:
        mode, proposed = more["autonaming"]
        request.autonaming.mode = mode
        request.autonaming.proposed_name = proposed
    answer = await lab.stub.Check(request)
    if answer.failures:
        raise CheckRefused({item.property: item.reason for item in answer.failures})
    return decode_struct(answer.inputs)


async def made(lab: Any, token: str, inputs: Mapping[str, Any]) -> Made:
    return await lab.create(token, await checked(lab, token, inputs))


async def diff_of(lab: Any, token: str, made: Made, news: Mapping[str, Any]) -> Any:
    return await lab.stub.Diff(
        provider_pb2.DiffRequest(
            id=made.id,
            urn=lab.urn(token),
            type=f"{lab.package}:{token}",
            olds=encode_struct(made.outputs),
            old_inputs=encode_struct(made.inputs),
            news=encode_struct(news),
        )
    )
