"""A plugin that uses every annotation; its platform is the folder `ANNOTATED`, in which it also notes its calls."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from provision.errors import CreatedButUnhealthy, PartiallyUpdated, UserError
from provision.host.plugin.process import engine_address, serve
from provision.spi import (
    IGNORE_CASE,
    IMMUTABLE,
    RESTARTS,
    STABLE,
    AutoName,
    Capabilities,
    ChoiceRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Drift,
    FeatureUse,
    Properties,
    Provider,
    Read,
    ReadRequest,
    ResourceGraph,
    ResourceType,
    Sticky,
    Stored,
    Support,
    TranslationRequest,
    Updated,
    UpdateRequest,
    WriteOnly,
    registry,
    unsupported,
)

PLATFORM = Path(os.environ.get("ANNOTATED", "."))
RELEASE = int((PLATFORM / "release").read_text()) if (PLATFORM / "release").exists() else 0


def note(call: str) -> None:
    with (PLATFORM / "calls").open("a") as calls:
        calls.write(call + "\n")


def told_to(fail: str) -> bool:
    """Whether a test has asked for this failure, once."""
    wanted = PLATFORM / fail
    if wanted.exists():
        wanted.unlink()
        return True
    return False


class BoxInputs(Properties):
    """A box."""

    name: Annotated[str | None, AutoName(), IMMUTABLE, Field(description="Its name.")] = None
    colour: Annotated[str, IGNORE_CASE, Field(description="Its colour.")] = "red"
    memory: Annotated[int, RESTARTS, Field(description="MiB.")] = 1
    size: Annotated[str | None, Sticky(request=("memory",)), Field(description="Which size.")] = None
    count: Annotated[int, Drift.IGNORE, Field(description="How many.")] = 1
    pin: Annotated[str | None, WriteOnly(), Field(description="What opens it.")] = None
    speed: Annotated[int | None, Field(description="Old.", deprecated="use `memory`")] = None


class BoxOutputs(Properties):
    """What a box is."""

    name: str
    size: str | None = None
    serial: Annotated[str, STABLE, Field(description="Its number.")]


def with_count(stored: Stored) -> Stored:
    return Stored({**stored.inputs, "count": 7}, stored.outputs)


class Box(ResourceType[BoxInputs, BoxOutputs, None]):
    """A box in a folder."""

    token: ClassVar[str] = "lab:Box"
    Inputs: ClassVar[type[Properties]] = BoxInputs
    Outputs: ClassVar[type[Properties]] = BoxOutputs
    schema_version: ClassVar[int] = RELEASE
    upgrades = {0: with_count} if RELEASE else {}

    def create(self, request: CreateRequest[BoxInputs]) -> Created[BoxOutputs]:
        note(f"create {request.inputs.colour} pin {request.inputs.pin}")
        outputs = self._write(request.inputs)
        if told_to("fail-start"):
            raise CreatedButUnhealthy("it does not start", id="box", outputs=outputs.model_dump())
        return Created("box", outputs)

    def read(self, request: ReadRequest[BoxInputs, BoxOutputs]) -> Read[BoxInputs, BoxOutputs] | None:
        note("read")
        found = json.loads((PLATFORM / "box").read_text())
        inputs = BoxInputs(**{key: item for key, item in found.items() if key != "pin"})
        return Read("box", inputs, self._outputs(inputs))

    def update(self, request: UpdateRequest[BoxInputs, BoxOutputs]) -> Updated[BoxOutputs]:
        same = request.inputs.pin == request.old_inputs.pin
        note(f"update {request.old_inputs.colour} to {request.inputs.colour} pin {'same' if same else 'new'}")
        if told_to("fail-paint"):
            reached = request.inputs.model_copy(update={"colour": request.old_inputs.colour})
            outputs = self._write(reached)
            raise PartiallyUpdated("the paint is empty", inputs=reached, outputs=outputs.model_dump())
        return Updated(self._write(request.inputs))

    def delete(self, request: DeleteRequest[BoxInputs, BoxOutputs]) -> None:
        note("delete")
        (PLATFORM / "box").unlink()

    def wait_healthy(self, request: ReadRequest[BoxInputs, BoxOutputs]) -> BoxOutputs:
        note("wait")
        assert request.inputs is not None
        return self._outputs(request.inputs)

    def choose(self, request: ChoiceRequest) -> str:
        sizes = json.loads((PLATFORM / "sizes").read_text())
        wanted = str(request.inputs["memory"])
        if wanted not in sizes:
            raise UserError(f"no size has {wanted} MiB", f"ask for one of {', '.join(sizes)}")
        return str(sizes[wanted])

    def _write(self, inputs: BoxInputs) -> BoxOutputs:
        (PLATFORM / "box").write_text(json.dumps(inputs.model_dump(exclude={"speed"})))
        return self._outputs(inputs)

    def _outputs(self, inputs: BoxInputs) -> BoxOutputs:
        return BoxOutputs(name=inputs.name or "", size=inputs.size, serial="0001")


class Annotated_(Provider[Properties, None]):
    """A folder."""

    name: ClassVar[str] = "annotated"
    version: ClassVar[str] = "1.0.0"
    Config: ClassVar[type[Properties]] = Properties
    resource_types = (Box,)

    def connect(self, config: Properties) -> None:
        return None

    def capabilities(self, session: None) -> Capabilities:
        return Capabilities("annotated")

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        return unsupported("nothing")

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        raise UserError("not here")


def main() -> Any:
    serve(registry.check("annotated", Annotated_), engine_address(sys.argv[1:]))


if __name__ == "__main__":
    main()
