"""Boxes on a shelf, kept in this process: one example of everything that the plugin author's guide speaks of."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

from pydantic import Field, SecretStr

from provision.errors import CreatedButUnhealthy, ForeignObject, NotFound, PartiallyUpdated, Throttled, UserError
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
    Change,
    Checked,
    CheckFailure,
    CheckRequest,
    ChoiceRequest,
    Computed,
    Created,
    CreateRequest,
    DeleteRequest,
    Drift,
    FeatureUse,
    FromEnvironment,
    Function,
    FunctionRequest,
    GraphBuilder,
    Listed,
    ListRequest,
    Normalized,
    OnChange,
    OwnedInputs,
    Pending,
    Properties,
    Provider,
    RateLimit,
    Read,
    ReadRequest,
    Replacement,
    ResourceGraph,
    ResourceType,
    Retries,
    Secret,
    Sticky,
    Stored,
    Support,
    Timeouts,
    TranslationRequest,
    Updated,
    UpdateRequest,
    WriteOnly,
    has_unknown,
    unsupported,
)

MODELS = {"small": 10, "large": 100}


@dataclass
class Shelf:
    """The platform: what stands on it, and faults to be had."""

    boxes: dict[str, dict[str, Any]] = field(default_factory=dict)
    stuck: bool = False
    busy: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)


class Corner(Properties):
    """A part of a box: models may hold models, lists, maps and unions."""

    padding: Annotated[int, Field(description="Padding in mm.", ge=0)] = 0


class Foam(Properties):
    """One kind of filling; the constant tells it from others."""

    kind: Literal["foam"]
    density: Annotated[float, Field(description="In kg/m³.", gt=0)]


class Paper(Properties):
    """Another kind of filling."""

    kind: Literal["paper"]
    sheets: Annotated[int, Field(description="How many.", ge=1)] = 1


class BoxInputs(OwnedInputs):
    """Inputs of a box: an annotation each."""

    place: Annotated[str, Field(description="Where it stands."), IMMUTABLE]
    weight: Annotated[int, Field(description="Of what it must carry.", ge=1)] = 1
    lid: Annotated[str, Field(description="Kind of lid."), RESTARTS] = "flat"
    floor: Annotated[str, Field(description="Kind of floor."), DESTROYS_DATA] = "wood"
    handle: Annotated[str, Field(description="Kind of handle."), OnChange(Change.REPLACE)] = "none"
    code: Annotated[SecretStr | None, Field(description="Of its lock.")] = None
    hint: Annotated[str | None, Field(description="To the code."), Secret()] = None
    seal: Annotated[str | None, Field(description="Known to the platform alone."), WriteOnly()] = None
    label: Annotated[str, Field(description="What is written on it."), IGNORE_CASE] = ""
    tags: Annotated[Sequence[str], Field(description="In any order."), IGNORE_ORDER] = ()
    contents: Annotated[str, Field(description="A list, as JSON."), AS_JSON] = "{}"
    network: Annotated[str | None, Field(description="Of the things in it."), AS_CIDR] = None
    phone: Annotated[
        str, Field(description="Whom to call."), Normalized(lambda text: text.replace(" ", ""), "spaces do not matter")
    ] = ""
    dust: Annotated[int, Field(description="Settles by itself."), Drift.IGNORE] = 0
    name: Annotated[str | None, Field(description="Its name."), AutoName(max_length=24), IMMUTABLE] = None
    model: Annotated[str | None, Field(description="Chosen by weight."), Sticky(("weight",), "refresh")] = None
    refresh: Annotated[bool, Field(description="Choose the model anew.")] = False
    owner: Annotated[str, Field(description="Whose it is."), FromEnvironment(("BOX_OWNER", "USER"))] = "nobody"
    colour: Annotated[str | None, Field(description="Of paint.", deprecated="use `label`")] = None
    corners: Annotated[Mapping[str, Corner], Field(description="By name.")] = {}
    filling: Annotated[Foam | Paper | None, Field(description="What is in it.", discriminator="kind")] = None


class BoxOutputs(Properties):
    """Outputs of a box."""

    label: Annotated[str, Field(description="Mirrors the input of that name.")]
    serial: Annotated[str, Field(description="Given when it is made."), STABLE]
    price: Annotated[int, Field(description="Of model and weight."), Computed(depends_on=("model", "weight"))]


class BoxQuery(Properties):
    """What a search for boxes may be narrowed by."""

    place: Annotated[str | None, Field(description="Where they stand.")] = None


def _from_version_0(stored: Stored) -> Stored:
    """In version 0 the place was called `spot`."""
    inputs = dict(stored.inputs)
    inputs["place"] = inputs.pop("spot")
    return Stored(inputs, stored.outputs)


class Box(ResourceType[BoxInputs, BoxOutputs, Shelf]):
    """A box on the shelf."""

    token: ClassVar[str] = "shelf:Box"
    Inputs: ClassVar[type[Properties]] = BoxInputs
    Outputs: ClassVar[type[Properties]] = BoxOutputs
    Query: ClassVar[type[Properties]] = BoxQuery
    replacement: ClassVar[Replacement] = Replacement.CREATE_FIRST
    service: ClassVar[str] = "warehouse"
    timeouts: ClassVar[Timeouts] = Timeouts(create=60, update=60, delete=60)
    retries: ClassVar[Retries] = Retries(first_delay=0.01, longest_delay=1, patience=10)
    schema_version: ClassVar[int] = 1
    upgrades: ClassVar = {0: _from_version_0}

    def create(self, request: CreateRequest[BoxInputs]) -> Created[BoxOutputs]:
        """Put it up. `CREATE_FIRST`: an identity of its own each time, and nothing is ever taken up."""
        shelf: Shelf = request.operation.session
        if shelf.busy:
            shelf.busy -= 1
            raise Throttled("the warehouse is busy", retry_after=0.02)
        identity = uuid4().hex
        live = request.inputs.model_dump() | {"serial": f"#{next(shelf.numbers)}", "urn": request.operation.urn}
        shelf.boxes[identity] = live
        request.operation.made(identity, self._outputs(live).model_dump())
        request.operation.throttle("warehouse")  # a second call to the same service
        request.operation.wait_until(lambda: not shelf.stuck or Pending("the box is stuck"))
        request.operation.note(f"the box has the number {live['serial']}")
        return Created(identity, self._outputs(live))

    def read(self, request: ReadRequest[BoxInputs, BoxOutputs]) -> Read[BoxInputs, BoxOutputs] | None:
        """What cannot be read back is left out: then the recorded value stays."""
        live = request.operation.session.boxes.get(request.id)
        if live is None:
            return None
        told = {name: live[name] for name in BoxInputs.model_fields if name not in ("seal", "code", "refresh")}
        return Read(request.id, BoxInputs(**told), self._outputs(live))

    def update(self, request: UpdateRequest[BoxInputs, BoxOutputs]) -> Updated[BoxOutputs]:
        """Change it, in two steps, of which the second may fail."""
        live = self._mine(request.operation.session, request.id, request.inputs.stack_id)
        live |= request.inputs.model_dump(exclude={"lid"})
        if request.operation.session.stuck and request.inputs.lid != live["lid"]:
            done = request.inputs.model_copy(update={"lid": live["lid"]})
            raise PartiallyUpdated("the lid is stuck", inputs=done, outputs=self._outputs(live).model_dump())
        live["lid"] = request.inputs.lid
        return Updated(self._outputs(live))

    def delete(self, request: DeleteRequest[BoxInputs, BoxOutputs]) -> None:
        """Take it down. `NotFound` is a success."""
        self._mine(request.operation.session, request.id, request.inputs.stack_id if request.inputs else None)
        del request.operation.session.boxes[request.id]

    def wait_healthy(self, request: ReadRequest[BoxInputs, BoxOutputs]) -> BoxOutputs:
        """Called by an update that follows a failed start, when nothing has changed."""
        live = request.operation.session.boxes[request.id]
        if request.operation.session.stuck:
            known = self._outputs(live).model_dump()
            raise CreatedButUnhealthy("the box is stuck", id=request.id, outputs=known, reasons=["still stuck"])
        return self._outputs(live)

    def check(self, request: CheckRequest) -> Checked:
        """What a model cannot say: a rule over two inputs. Values may be unknown."""
        if has_unknown((request.inputs.get("floor"), request.inputs.get("weight"))):
            return Checked(request.inputs)
        if request.inputs.get("floor") == "paper" and request.inputs.get("weight", 1) > 5:
            return Checked(request.inputs, [CheckFailure("floor", "paper carries no more than 5")])
        return Checked(request.inputs)

    def choose(self, request: ChoiceRequest) -> str:
        """The smallest model that carries the weight."""
        for model, carries in MODELS.items():
            if carries >= request.inputs["weight"]:
                return model
        raise UserError("no box carries that much", f"the largest carries {max(MODELS.values())}")

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All boxes, whoever put them there."""
        for identity, live in sorted(request.operation.session.boxes.items()):
            if request.query.place in (None, live["place"]):
                yield Listed(identity, live["name"])

    def _mine(self, shelf: Shelf, identity: str, stack_id: str | None) -> dict[str, Any]:
        if identity not in shelf.boxes:
            raise NotFound(f"there is no box {identity}", "run `pulumi refresh`")
        if stack_id not in (None, shelf.boxes[identity]["stack_id"]):
            raise ForeignObject(f"box {identity} is of another stack", "import it if this stack is to have it")
        return shelf.boxes[identity]

    def _outputs(self, live: Mapping[str, Any]) -> BoxOutputs:
        return BoxOutputs(label=live["label"], serial=live["serial"], price=live["weight"] * 2)


class HeaviestArguments(Properties):
    """What is asked."""

    place: Annotated[str, Field(description="Where boxes stand.")]


class HeaviestResult(Properties):
    """The answer."""

    weight: Annotated[int, Field(description="What the strongest box there carries; 0 without one.")]


class Heaviest(Function[HeaviestArguments, HeaviestResult]):
    """What the strongest box of a place carries."""

    token: ClassVar[str] = "shelf:heaviest"
    Arguments: ClassVar[type[Properties]] = HeaviestArguments
    Result: ClassVar[type[Properties]] = HeaviestResult

    def call(self, request: FunctionRequest[HeaviestArguments]) -> HeaviestResult:
        """Changes nothing, so previews may ask too."""
        boxes = request.operation.session.boxes.values()
        return HeaviestResult(
            weight=max((box["weight"] for box in boxes if box["place"] == request.arguments.place), default=0)
        )


class ShelfConfig(Properties):
    """Nothing to be set but whose it is."""

    key: Annotated[SecretStr | None, Field(description="To the room."), FromEnvironment(("SHELF_KEY",))] = None


class ShelfProvider(Provider[ShelfConfig, Shelf]):
    """For Pulumi programs alone: it refuses whatever a stack file says."""

    name: ClassVar[str] = "shelf"
    version: ClassVar[str] = "1.0.0"
    Config: ClassVar[type[Properties]] = ShelfConfig
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (Box,)
    functions: ClassVar[Sequence[type[Function[Any, Any]]]] = (Heaviest,)
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {"warehouse": RateLimit(per_second=1000, burst=10)}

    shelf: ClassVar[Shelf] = Shelf()

    def connect(self, config: ShelfConfig) -> Shelf:
        """The shelf of this process."""
        return self.shelf

    def capabilities(self, session: Shelf) -> Capabilities:
        """Nothing to be asked."""
        return Capabilities(self.name)

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Nothing."""
        return unsupported("a shelf has no machines", "choose another platform")

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Nothing."""
        return GraphBuilder().build()
