"""A small provider plugin without a fault, of which the broken ones are variations."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr
from tiny_cabinet import Busy, Cabinet, CabinetError, NoSuchThing, Thing, Unreachable

from provision.errors import (
    EnvironmentProblem,
    ForeignObject,
    NotFound,
    PartiallyUpdated,
    PlatformError,
    RetriableError,
    Throttled,
)
from provision.spi import (
    ENFORCED,
    IGNORE_ORDER,
    IMMUTABLE,
    STABLE,
    Cancelled,
    Capabilities,
    Created,
    CreateRequest,
    DeleteRequest,
    FeatureUse,
    Function,
    FunctionRequest,
    GraphBuilder,
    Listed,
    ListRequest,
    OwnedInputs,
    Properties,
    Provider,
    Read,
    ReadRequest,
    Replacement,
    ResourceGraph,
    ResourceType,
    Stored,
    Support,
    TranslationRequest,
    Updated,
    UpdateRequest,
    unsupported,
)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """What the cabinet raises, in the words of the interface."""
    try:
        yield
    except NoSuchThing as error:
        raise NotFound(f"{doing}: {error}", "run `pulumi refresh`") from None
    except Busy as error:
        raise Throttled(f"{doing}: {error}") from None
    except Unreachable as error:
        raise RetriableError(f"{doing}: {error}", "look whether the cabinet is there") from None
    except CabinetError as error:
        raise PlatformError(f"{doing}: {error}", "ask the keeper of the cabinet") from None


@dataclass(frozen=True)
class Session:
    """An open cabinet."""

    cabinet: Cabinet


def stack_part(stack_id: str) -> str:
    return blake2s(stack_id.encode(), digest_size=4).hexdigest()


def marker(stack_id: str, urn: str) -> str:
    return f"{stack_part(stack_id)}.{blake2s(f'{stack_id}|{urn}'.encode(), digest_size=4).hexdigest()}"


class BoxInputs(OwnedInputs):
    """Inputs of a box."""

    name: Annotated[str, Field(description="Name in the cabinet.", min_length=1), IMMUTABLE]
    size: Annotated[int, Field(description="Size in litres.", ge=1)] = 1
    tags: Annotated[list[str], Field(description="What is written on it."), IGNORE_ORDER] = []  # noqa: RUF012
    password: Annotated[SecretStr | None, Field(description="Opens it.")] = None


class BoxOutputs(Properties):
    """Outputs of a box."""

    name: Annotated[str, Field(description="Name in the cabinet.")]
    size: Annotated[int, Field(description="Size in litres.")]
    mark: Annotated[str, Field(description="Whose it is."), STABLE]


class Box(ResourceType[BoxInputs, BoxOutputs, Session]):
    """A box: made in two steps, changed in two, and removed before another one takes its name."""

    token: ClassVar[str] = "things:Box"
    Inputs: ClassVar[type[Properties]] = BoxInputs
    Outputs: ClassVar[type[Properties]] = BoxOutputs

    class Query(Properties):
        """What boxes are looked for by: nothing."""

    def create(self, request: CreateRequest[BoxInputs]) -> Created[BoxOutputs]:
        """Make it, or go on with what an earlier run left."""
        running, inputs = request.operation, request.inputs
        cabinet = running.session.cabinet
        mark = marker(inputs.stack_id, running.urn)
        with explained(f"making the box '{inputs.name}'"):
            found = cabinet.find("box", inputs.name)
            if found is not None and found.marker != mark:
                raise ForeignObject(f"a box '{inputs.name}' is there already", "choose another name, or remove it")
            if running.cancelled():
                raise Cancelled
            made = found or cabinet.make("box", inputs.name, mark, _clear(inputs))
            running.made(made.id, self.outputs(made).model_dump())
            return Created(made.id, self.outputs(self.filled(cabinet, made.id, inputs)))

    def filled(self, cabinet: Cabinet, identity: str, inputs: BoxInputs) -> Thing:
        """Everything but its name."""
        cabinet.resize(identity, inputs.size)
        cabinet.tag(identity, list(inputs.tags))
        return cabinet.start(identity)

    def read(self, request: ReadRequest[BoxInputs, BoxOutputs]) -> Read[BoxInputs, BoxOutputs] | None:
        """What it is now."""
        with explained(f"looking at the box {request.id}"):
            found = request.operation.session.cabinet.get(request.id)
        return Read(found.id, self.inputs(found, request.inputs), self.outputs(found))

    def update(self, request: UpdateRequest[BoxInputs, BoxOutputs]) -> Updated[BoxOutputs]:
        """Change it, in two calls."""
        cabinet, new = request.operation.session.cabinet, request.inputs
        with explained(f"changing the box '{new.name}'"):
            found = self.mine(cabinet, request.id, new.stack_id)
            if not found.ready:
                cabinet.start(request.id)
            if _clear(new) != _clear(request.old_inputs):
                cabinet.lock(request.id, _clear(new))
            cabinet.resize(request.id, new.size)
        try:
            with explained(f"writing on the box '{new.name}'"):
                changed = cabinet.tag(request.id, list(new.tags))
        except RetriableError:
            raise
        except PlatformError as error:
            done = new.model_copy(update={"tags": request.old_inputs.tags})
            outputs = request.outputs.model_copy(update={"size": new.size}).model_dump()
            raise PartiallyUpdated(error.summary, inputs=done, outputs=outputs) from None
        return Updated(self.outputs(changed))

    def delete(self, request: DeleteRequest[BoxInputs, BoxOutputs]) -> None:
        """Remove it, if it is ours."""
        cabinet = request.operation.session.cabinet
        with explained(f"removing the box {request.id}"):
            self.mine(cabinet, request.id, request.inputs.stack_id if request.inputs else "")
            if request.operation.cancelled():
                raise Cancelled
            cabinet.remove(request.id)

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """All boxes."""
        with explained("listing the boxes"):
            things = request.operation.session.cabinet.things("box")
        yield from (Listed(thing.id, thing.name) for thing in things[: request.limit])

    def mine(self, cabinet: Cabinet, identity: str, stack_id: str) -> Thing:
        found = cabinet.get(identity)
        if found.marker.split(".")[0] != stack_part(stack_id):
            raise ForeignObject(f"the box '{found.name}' is not of this stack", "leave it alone")
        return found

    def inputs(self, found: Thing, recorded: BoxInputs | None) -> BoxInputs:
        return self.Inputs(
            stack_id=recorded.stack_id if recorded else "", name=found.name, size=found.size, tags=list(found.tags)
        )

    def outputs(self, found: Thing) -> BoxOutputs:
        return BoxOutputs(name=found.name, size=found.size, mark=found.marker)


def _clear(inputs: BoxInputs) -> str:
    return inputs.password.get_secret_value() if inputs.password else ""


class LabelInputs(OwnedInputs):
    """Inputs of a label."""

    text: Annotated[str, Field(description="What it says.", min_length=1), IMMUTABLE]
    size: Annotated[int, Field(description="Size in millimetres.", ge=1)] = 1


class LabelOutputs(Properties):
    """Outputs of a label."""

    name: Annotated[str, Field(description="Name in the cabinet, another one for every incarnation."), STABLE]
    size: Annotated[int, Field(description="Size in millimetres.")]


def _words_are_text(stored: Stored) -> Stored:
    """The first release called the text `words`."""
    inputs = dict(stored.inputs)
    if "words" in inputs:
        inputs["text"] = inputs.pop("words")
    return Stored(inputs, stored.outputs)


class Label(ResourceType[LabelInputs, LabelOutputs, Session]):
    """A label: in use all the time, so the new one is there before the old one goes."""

    token: ClassVar[str] = "things:Label"
    Inputs: ClassVar[type[Properties]] = LabelInputs
    Outputs: ClassVar[type[Properties]] = LabelOutputs
    replacement: ClassVar[Replacement] = Replacement.CREATE_FIRST
    schema_version: ClassVar[int] = 1
    upgrades: ClassVar[Mapping[int, Callable[[Stored], Stored]]] = {0: _words_are_text}

    def create(self, request: CreateRequest[LabelInputs]) -> Created[LabelOutputs]:
        """Make one more."""
        running, inputs = request.operation, request.inputs
        mark = marker(inputs.stack_id, running.urn)
        with explained(f"making the label '{inputs.text}'"):
            made = running.session.cabinet.make("label", f"{inputs.text}-{secrets.token_hex(3)}", mark)
            running.made(made.id, self.outputs(made).model_dump())
            return Created(made.id, self.outputs(running.session.cabinet.resize(made.id, inputs.size)))

    def read(self, request: ReadRequest[LabelInputs, LabelOutputs]) -> Read[LabelInputs, LabelOutputs] | None:
        """What it is now."""
        with explained(f"looking at the label {request.id}"):
            found = request.operation.session.cabinet.get(request.id)
        stack_id = request.inputs.stack_id if request.inputs else ""
        text = found.name.rpartition("-")[0]
        return Read(found.id, LabelInputs(stack_id=stack_id, text=text, size=found.size), self.outputs(found))

    def update(self, request: UpdateRequest[LabelInputs, LabelOutputs]) -> Updated[LabelOutputs]:
        """Change it, and remove what interrupted runs have left behind."""
        cabinet, inputs = request.operation.session.cabinet, request.inputs
        with explained(f"changing the label '{inputs.text}'"):
            live = self.mine(cabinet, request.id, inputs.stack_id)
            for other in cabinet.things("label"):
                if other.marker == live.marker and other.id != live.id:
                    cabinet.remove(other.id)
            changed = cabinet.resize(request.id, inputs.size)
        return Updated(self.outputs(changed))

    def delete(self, request: DeleteRequest[LabelInputs, LabelOutputs]) -> None:
        """Remove this one alone."""
        cabinet = request.operation.session.cabinet
        with explained(f"removing the label {request.id}"):
            self.mine(cabinet, request.id, request.inputs.stack_id if request.inputs else "")
            cabinet.remove(request.id)

    def mine(self, cabinet: Cabinet, identity: str, stack_id: str) -> Thing:
        found = cabinet.get(identity)
        if found.marker.split(".")[0] != stack_part(stack_id):
            raise ForeignObject(f"the label '{found.name}' is not of this stack", "leave it alone")
        return found

    def outputs(self, found: Thing) -> LabelOutputs:
        return LabelOutputs(name=found.name, size=found.size)


class CountArguments(Properties):
    """Arguments of the function."""

    kind: Annotated[str, Field(description="Of which kind.")]


class CountResult(Properties):
    """Its answer."""

    count: Annotated[int, Field(description="How many there are.")]


class Count(Function[CountArguments, CountResult]):
    """How many things of a kind the cabinet holds."""

    token: ClassVar[str] = "things:count"
    Arguments: ClassVar[type[Properties]] = CountArguments
    Result: ClassVar[type[Properties]] = CountResult

    def call(self, request: FunctionRequest[CountArguments]) -> CountResult:
        """Count."""
        with explained("counting"):
            return CountResult(count=len(request.operation.session.cabinet.things(request.arguments.kind)))


class TinyConfig(Properties):
    """Where the cabinet stands."""

    folder: Annotated[str, Field(description="Its folder.")]
    key: Annotated[SecretStr | None, Field(description="Opens it.")] = None


class TinyProvider(Provider[TinyConfig, Session]):
    """A cabinet of things."""

    name: ClassVar[str] = "tiny"
    version: ClassVar[str] = "1.0.0"
    Config: ClassVar[type[Properties]] = TinyConfig
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (Box, Label)
    functions: ClassVar[Sequence[type[Function[Any, Any]]]] = (Count,)

    def connect(self, config: TinyConfig) -> Session:
        """Open the cabinet."""
        try:
            return Session(Cabinet(Path(config.folder)))
        except Unreachable as error:
            raise EnvironmentProblem(str(error), "set provision-tiny:folder to the cabinet's folder") from None

    def capabilities(self, session: Session) -> Capabilities:
        """It can hold things."""
        return Capabilities(self.name, {"largest": 100, "kinds": ["box", "label"]})

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Machines with memory and disks."""
        known = {"machines.image", "machines.memory", "machines.cpus", "machines.disks.size"}
        if use.feature in known:
            return ENFORCED
        return unsupported(f"a cabinet has no {use.feature}", "leave it out")

    def builtin_images(self) -> Sequence[str]:
        """One."""
        return ("micro",)

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Machines and disks become boxes."""
        graph = GraphBuilder()
        for name, machine in request.stack.machines.items():
            parent = f"machines/{name}"
            graph.component("Machine", parent)
            tags = sorted(self.tags(machine.labels) | {f"image:{machine.image}", f"cpus:{machine.cpus}"})
            inputs = {"name": f"{request.project}-{name}", "size": machine.memory.mib, "tags": tags}
            graph.add(Box, f"{parent}/box", inputs, parent=parent)
            for disk, wanted in machine.disks.items():
                inputs = {"name": f"{request.project}-{name}-{disk}", "size": wanted.size.gib}
                graph.add(Box, f"{parent}/disk-{disk}", inputs, parent=parent)
        return graph.build()

    def tags(self, labels: Mapping[str, str]) -> set[str]:
        return {f"{key}={value}" for key, value in labels.items()}
