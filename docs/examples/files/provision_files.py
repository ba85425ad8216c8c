"""A platform whose machines are files: small, but it keeps every promise that a plugin must keep."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from provision.errors import EnvironmentProblem, ForeignObject
from provision.spi import (
    ENFORCED,
    IMMUTABLE,
    Capabilities,
    Created,
    CreateRequest,
    DeleteRequest,
    FeatureUse,
    GraphBuilder,
    OwnedInputs,
    Properties,
    Provider,
    Read,
    ReadRequest,
    ResourceGraph,
    ResourceType,
    Support,
    TranslationRequest,
    Updated,
    UpdateRequest,
    unsupported,
)

CARRIED_OUT = {
    "machines.image",
    "machines.memory",
    "machines.cpus",
    "images.sources.builtin",
    "images.sources.builtin.name",
}


class FilesConfig(Properties):
    """Configuration: `pulumi config set provision-files:directory PATH`."""

    directory: Annotated[str, Field(description="Where the machines are kept.")] = "/var/lib/provision-files"


class MachineInputs(OwnedInputs):
    """Inputs of `machine:File`; `stack_id` comes from the host."""

    name: Annotated[str, Field(description="Name on the platform."), IMMUTABLE]
    memory_mib: Annotated[int, Field(description="Memory in MiB.", ge=1)]
    cpus: Annotated[int, Field(description="Virtual CPUs.", ge=1)] = 1


class MachineOutputs(Properties):
    """Outputs of `machine:File`; what has the name of an input mirrors it, the rest is computed."""

    name: str
    memory_mib: int
    cpus: int
    path: Annotated[str, Field(description="Where the file is.")]


class File(ResourceType[MachineInputs, MachineOutputs, Path]):
    """A machine."""

    token: ClassVar[str] = "machine:File"
    Inputs: ClassVar[type[Properties]] = MachineInputs
    Outputs: ClassVar[type[Properties]] = MachineOutputs

    def create(self, request: CreateRequest[MachineInputs]) -> Created[MachineOutputs]:
        """Write the file in one step, or take up the one that an interrupted run of ours left behind."""
        inputs, urn = request.inputs, request.operation.urn
        path = request.operation.session / f"{inputs.name}.json"
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(_record(inputs, urn))
        try:
            os.link(scratch, path)  # fails when the name is taken, whoever is quicker
        except FileExistsError:
            _load(path, urn, inputs.stack_id)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
        return Created(inputs.name, _outputs(inputs, path))

    def read(self, request: ReadRequest[MachineInputs, MachineOutputs]) -> Read[MachineInputs, MachineOutputs] | None:
        """Without this a refresh would keep the last known state, and import would be impossible."""
        path = request.operation.session / f"{request.id}.json"
        if not path.exists():
            return None
        found = _load(path, request.operation.urn)
        inputs = MachineInputs(
            stack_id=found["owner"]["stack"], name=request.id, memory_mib=found["memory_mib"], cpus=found["cpus"]
        )
        return Read(request.id, inputs, _outputs(inputs, path))

    def update(self, request: UpdateRequest[MachineInputs, MachineOutputs]) -> Updated[MachineOutputs]:
        """Without this every change would replace the machine."""
        path = request.operation.session / f"{request.id}.json"
        _load(path, request.operation.urn, request.inputs.stack_id)
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(_record(request.inputs, request.operation.urn))
        os.replace(scratch, path)
        return Updated(_outputs(request.inputs, path))

    def delete(self, request: DeleteRequest[MachineInputs, MachineOutputs]) -> None:
        """Without this a delete would only forget the machine. What is already gone is a success."""
        path = request.operation.session / f"{request.id}.json"
        if path.exists():
            _load(path, request.operation.urn)
            path.unlink(missing_ok=True)


class FilesProvider(Provider[FilesConfig, Path]):
    """The plugin: what the entry point names."""

    name: ClassVar[str] = "files"
    version: ClassVar[str] = "1.0.0"
    Config: ClassVar[type[Properties]] = FilesConfig
    resource_types: ClassVar[tuple[type[ResourceType[Any, Any, Any]], ...]] = (File,)

    def connect(self, config: FilesConfig) -> Path:
        """The session is whatever the resource types need; here a directory."""
        try:
            Path(config.directory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"{config.directory} cannot be made: {error.strerror}", "set provision-files:directory"
            ) from error
        return Path(config.directory)

    def capabilities(self, session: Path) -> Capabilities:
        """Nothing has to be asked of a directory."""
        return Capabilities(self.name)

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Everything that is not known to be carried out is refused; above all, every policy."""
        if use.feature in CARRIED_OUT:
            return ENFORCED
        return unsupported("machines here are files: they have no network, disks or power", "remove it")

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """One component per machine, and one native resource below it. The same request gives the same graph."""
        graph = GraphBuilder()
        for entry, machine in request.stack.machines.items():
            for index in range(machine.instances):
                name = entry if machine.count is None else f"{entry}-{index}"
                component = f"machines/{name}"
                node = graph.add(
                    File,
                    f"{component}/file",
                    {
                        "name": f"{request.project}-{request.stack_name}-{name}",
                        "memory_mib": machine.memory.mib,
                        "cpus": machine.cpus,
                    },
                    parent=component,
                )
                graph.component("Machine", component, {"path": node.output("path")})
        return graph.build()

    def builtin_images(self) -> tuple[str, ...]:
        """Images that need no `images:` entry."""
        return ("blank",)


def _record(inputs: MachineInputs, urn: str) -> str:
    owner = {"stack": inputs.stack_id, "urn": urn}
    return json.dumps({"owner": owner, "memory_mib": inputs.memory_mib, "cpus": inputs.cpus})


def _load(path: Path, urn: str, stack_id: str | None = None) -> dict[str, Any]:
    """The record of a machine of ours; any other file is never read further, changed or removed."""
    try:
        found = dict(json.loads(path.read_text()))
        owner = found["owner"]
        ours = owner["urn"] == urn and stack_id in (None, owner["stack"])
    except (ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise ForeignObject(f"{path} is there and is not ours", "rename the machine, or move the file away")
    return found


def _outputs(inputs: MachineInputs, path: Path) -> MachineOutputs:
    return MachineOutputs(name=inputs.name, memory_mib=inputs.memory_mib, cpus=inputs.cpus, path=str(path))
