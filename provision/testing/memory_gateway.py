"""A resource type that uses all that the plugin interface has: names and choices, upgrades, changes in two steps."""

# ruff: noqa: RUF012 - pydantic copies mutable defaults

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

from provision.errors import (
    CreatedButUnhealthy,
    ForeignObject,
    NotFound,
    PartiallyUpdated,
    PlatformError,
    RetriableError,
    UserError,
)
from provision.spi import (
    AS_CIDR,
    AS_JSON,
    IGNORE_CASE,
    IGNORE_ORDER,
    IMMUTABLE,
    STABLE,
    AutoName,
    Cancelled,
    ChoiceRequest,
    Computed,
    Created,
    CreateRequest,
    DeleteRequest,
    Drift,
    FromEnvironment,
    Operation,
    OwnedInputs,
    Pending,
    Properties,
    Read,
    ReadRequest,
    ResourceType,
    Sticky,
    Stored,
    Timeouts,
    Updated,
    UpdateRequest,
    WriteOnly,
)
from provision.testing.memory_listing import Listable
from provision.testing.memory_marks import marker, of_stack
from provision.testing.store import Call, Store, StoredObject

SIZES = MappingProxyType({"small": 100, "medium": 1_000, "large": 10_000})
"""Sizes of gateways, with the Mbit/s that each carries."""


class GatewayInputs(OwnedInputs):
    """Inputs of `network:Gateway`."""

    name: Annotated[str | None, Field(description="Name on the platform."), AutoName(max_length=40), IMMUTABLE] = None
    bandwidth_mbit: Annotated[int, Field(description="What it must carry, in Mbit/s.", ge=1)] = 100
    size: Annotated[
        str | None,
        Field(description="small, medium or large; the smallest that carries the bandwidth when it is not given."),
        Sticky(request=("bandwidth_mbit",), refresh="choose_again"),
    ] = None
    choose_again: Annotated[bool, Field(description="Look for a size anew.")] = False
    ranges: Annotated[list[str], Field(description="Address ranges behind it."), AS_CIDR, IGNORE_ORDER] = []
    policy: Annotated[str, Field(description="What passes, as JSON."), AS_JSON] = "{}"
    domain: Annotated[str, Field(description="Domain that it answers for."), IGNORE_CASE] = "example.org"
    zone: Annotated[str, Field(description="Where it stands."), FromEnvironment(("MEMORY_ZONE",)), IMMUTABLE] = "a"
    notes: Annotated[str, Field(description="Anybody may write here."), Drift.IGNORE] = ""
    key: Annotated[SecretStr | None, Field(description="What peers prove themselves with."), WriteOnly()] = None


class GatewayOutputs(Properties):
    """Outputs of `network:Gateway`."""

    name: Annotated[str, Field(description="Name on the platform."), STABLE]
    size: Annotated[str, Field(description="Its size."), Computed(depends_on=("size", "bandwidth_mbit"))]
    address: Annotated[str, Field(description="Where it answers."), STABLE]


def _bandwidth_as_number(stored: Stored) -> Stored:
    """Version 0 had a text such as `100M`."""
    inputs = dict(stored.inputs)
    text = inputs.pop("bandwidth", None)
    if isinstance(text, str):
        inputs["bandwidthMbit"] = int(text.removesuffix("M"))
    return Stored(inputs, stored.outputs)


class Gateway(Listable, ResourceType[GatewayInputs, GatewayOutputs, Any]):
    """A way out of a network; it takes a moment to start, and a change of it is made in two steps."""

    token: ClassVar[str] = "network:Gateway"
    Inputs: ClassVar[type[Properties]] = GatewayInputs
    Outputs: ClassVar[type[Properties]] = GatewayOutputs
    service: ClassVar[str] = "network"
    timeouts: ClassVar[Timeouts] = Timeouts(create=300, read=60, update=300, delete=300)
    schema_version: ClassVar[int] = 1
    upgrades: ClassVar[Mapping[int, Any]] = MappingProxyType({0: _bandwidth_as_number})

    def choose(self, request: ChoiceRequest) -> str:
        """The smallest size that carries the bandwidth."""
        wanted = request.inputs["bandwidth_mbit"]
        for size, carries in SIZES.items():
            if carries >= wanted:
                return size
        raise UserError(f"no size carries {wanted} Mbit/s", f"large, the largest, carries {SIZES['large']}")

    def create(self, request: CreateRequest[GatewayInputs]) -> Created[GatewayOutputs]:
        """Make it, or go on with what an interrupted run left; then wait until it runs."""
        running, inputs = request.operation, request.inputs
        store: Store = running.session.store
        name, mark = inputs.name or "gateway", marker(inputs.stack_id, running.urn)
        store.record(Call("create", self.token, name, running.urn))
        found = store.named(self.token, name)
        if found is not None and found.marker != mark:
            raise ForeignObject(f"the gateway '{name}' is not of this stack", "choose another name, or import it")
        if running.cancelled():
            raise Cancelled
        stored = found or StoredObject(store.new_id("gateway"), self.token, name, mark, _kept(inputs))
        if found is None:
            store.put(stored)
        running.made(stored.id, self._outputs(stored).model_dump())
        stored = replace(stored, properties={**_kept(inputs), "running": True})
        store.put(stored)
        self._await_running(running, stored.id)
        return Created(stored.id, self._outputs(stored))

    def wait_healthy(self, request: ReadRequest[GatewayInputs, GatewayOutputs]) -> GatewayOutputs:
        """Start it again, and wait until it runs."""
        store: Store = request.operation.session.store
        stored = self._mine(request.operation, request.id, request.inputs)
        if not stored.properties.get("running"):
            stored = replace(stored, properties={**stored.properties, "running": True})
            store.put(stored)
        self._await_running(request.operation, stored.id)
        return self._outputs(stored)

    def read(self, request: ReadRequest[GatewayInputs, GatewayOutputs]) -> Read[GatewayInputs, GatewayOutputs] | None:
        """What it is now; the key cannot be read back."""
        request.operation.session.store.record(Call("read", self.token, request.id, request.operation.urn))
        stored = request.operation.session.store.get(self.token, request.id)
        if stored is None:
            return None
        held = {key: item for key, item in stored.properties.items() if key in GatewayInputs.model_fields}
        stack_id = request.inputs.stack_id if request.inputs else ""
        inputs = GatewayInputs.model_validate({**held, "name": stored.name, "stack_id": stack_id, "key": None})
        return Read(stored.id, inputs, self._outputs(stored))

    def update(self, request: UpdateRequest[GatewayInputs, GatewayOutputs]) -> Updated[GatewayOutputs]:
        """Change what passes, then the rest: two calls, of which the second may fail."""
        running, inputs = request.operation, request.inputs
        store: Store = running.session.store
        stored = self._mine(running, request.id, inputs)
        store.record(Call("update", self.token, stored.name, running.urn))
        passing = {"ranges": list(inputs.ranges), "policy": inputs.policy}
        half = replace(stored, properties={**stored.properties, **passing})
        store.put(half)
        whole = replace(half, properties={**_kept(inputs), "running": True})
        try:
            store.put(whole)
        except RetriableError:
            raise
        except PlatformError as error:
            raise PartiallyUpdated(
                f"'{stored.name}' passes what it should, and is otherwise as before: {error.summary}",
                inputs=request.old_inputs.model_copy(update=passing),
                outputs=self._outputs(half).model_dump(),
            ) from error
        return Updated(self._outputs(whole))

    def delete(self, request: DeleteRequest[GatewayInputs, GatewayOutputs]) -> None:
        """Remove it, if it is ours."""
        stored = self._mine(request.operation, request.id, request.inputs)
        request.operation.session.store.record(Call("delete", self.token, stored.name, request.operation.urn))
        request.operation.session.store.remove(stored.id)

    def _mine(self, running: Operation, identity: str, inputs: GatewayInputs | None) -> StoredObject:
        stored: StoredObject | None = running.session.store.get(self.token, identity)
        if stored is None:
            raise NotFound(f"the gateway {identity} is gone from the platform", "run `pulumi refresh`")
        if inputs is None or not of_stack(stored.marker, inputs.stack_id):
            raise ForeignObject(f"the gateway '{stored.name}' is not of this stack", "remove it from the program")
        return stored

    def _await_running(self, running: Operation, identity: str) -> None:
        def look() -> StoredObject | Pending:
            stored: StoredObject | None = running.session.store.get(self.token, identity)
            if stored is None:
                raise NotFound(f"the gateway {identity} is gone", "run `pulumi refresh`")
            return stored if stored.properties.get("running") else Pending(f"'{stored.name}' is starting")

        stored = running.wait_until(look, first=0.01)
        fault = running.session.store.take_fault("create", self.token, stored.name, "unhealthy")
        if fault is not None:
            store: Store = running.session.store
            store.put(replace(stored, properties={**stored.properties, "running": False}))
            outputs = self._outputs(stored).model_dump()
            raise CreatedButUnhealthy(f"'{stored.name}' did not start", id=identity, outputs=outputs)

    def _outputs(self, stored: StoredObject) -> GatewayOutputs:
        number = int(stored.id.rsplit("-", 1)[1])
        address = f"192.0.2.{number % 250 + 1}"
        return GatewayOutputs(name=stored.name, size=stored.properties["size"] or "small", address=address)


def _kept(inputs: GatewayInputs) -> dict[str, Any]:
    """What the platform keeps of the inputs."""
    kept = inputs.model_dump(mode="python", exclude={"stack_id", "name", "choose_again", "key"})
    return kept | {"key": inputs.key.get_secret_value() if inputs.key else None}
