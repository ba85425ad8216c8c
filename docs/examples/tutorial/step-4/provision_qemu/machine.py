"""The one kind of native object: a virtual machine, which is a QEMU process."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal
from uuid import NAMESPACE_OID, uuid5

from pydantic import Field

from provision import spi
from provision.errors import CreatedButUnhealthy, PlatformError
from provision_qemu.qemu import Qemu


class MachineInputs(spi.OwnedInputs):
    """What a program says of a machine."""

    name: Annotated[str, Field(description="Name that QEMU shows.", pattern=r"^[\w.-]+$"), spi.IMMUTABLE]
    kernel: Annotated[str, Field(description="File of the kernel that it boots."), spi.IMMUTABLE]
    initrd: Annotated[str, Field(description="File of its initramfs: all that it has of a disk."), spi.IMMUTABLE]
    command_line: Annotated[str, Field(description="For the kernel."), spi.IMMUTABLE] = "console=ttyS0 no_timer_check"
    cpus: Annotated[int, Field(description="Virtual CPUs.", ge=1, le=64), spi.IMMUTABLE] = 1
    memory_mib: Annotated[int, Field(description="Memory in MiB.", ge=32), spi.IMMUTABLE] = 256
    power: Annotated[Literal["running", "stopped"], Field(description="Whether it is switched on.")] = "running"
    ready: Annotated[str, Field(description="What it prints when it is up; empty: not waited for.")] = ""


class MachineOutputs(spi.Properties):
    """What it tells a program."""

    log: Annotated[str, Field(description="File of what it prints."), spi.STABLE]


class Machine(spi.ResourceType[MachineInputs, MachineOutputs, Qemu]):
    """A virtual machine without network or disks."""

    token: ClassVar[str] = "machine:Machine"
    Inputs: ClassVar[type[spi.Properties]] = MachineInputs
    Outputs: ClassVar[type[spi.Properties]] = MachineOutputs
    Query: ClassVar[type[spi.Properties]] = spi.Properties
    timeouts: ClassVar[spi.Timeouts] = spi.Timeouts(create=300, update=300)

    def create(self, request: spi.CreateRequest[MachineInputs]) -> spi.Created[MachineOutputs]:
        """Start the process, and switch the machine on."""
        wanted, qemu = request.inputs, request.operation.session
        uuid = str(uuid5(NAMESPACE_OID, f"{wanted.stack_id} {request.operation.urn}"))
        qemu.end(uuid, wanted.stack_id)  # what an interrupted run left of this very resource
        qemu.start(uuid, **wanted.model_dump(exclude={"power", "ready"}))
        request.operation.made(uuid, _outputs(request.operation, uuid).model_dump())
        return spi.Created(uuid, self._switched(request.operation, uuid, wanted))

    def read(self, request: spi.ReadRequest[Any, Any]) -> spi.Read[MachineInputs, MachineOutputs]:
        """Ask the process what it is."""
        inputs = MachineInputs(**request.operation.session.look(request.id))
        return spi.Read(request.id, inputs, _outputs(request.operation, request.id))

    def update(self, request: spi.UpdateRequest[MachineInputs, MachineOutputs]) -> spi.Updated[MachineOutputs]:
        """Switch it on or off: nothing else changes in place."""
        return spi.Updated(self._switched(request.operation, request.id, request.inputs))

    def delete(self, request: spi.DeleteRequest[MachineInputs, MachineOutputs]) -> None:
        """End the process."""
        request.operation.session.end(request.id, request.inputs.stack_id if request.inputs else "")

    def wait_healthy(self, request: spi.ReadRequest[Any, Any]) -> MachineOutputs:
        """Go on where a start that failed has stopped."""
        assert request.inputs is not None
        return self._switched(request.operation, request.id, request.inputs)

    def list(self, request: spi.ListRequest) -> Iterator[spi.Listed]:
        """Every machine of this user, whoever made it."""
        qemu = request.operation.session
        return (spi.Listed(uuid, qemu.look(uuid)["name"]) for uuid in qemu.uuids())

    def _switched(self, operation: spi.Operation, uuid: str, wanted: MachineInputs) -> MachineOutputs:
        qemu, outputs = operation.session, _outputs(operation, uuid)
        awaited = wanted.ready if wanted.power == "running" else ""
        if qemu.look(uuid)["power"] != wanted.power:
            qemu.switch(uuid, wanted.stack_id, wanted.power)
        try:
            operation.wait_until(lambda: awaited in qemu.log(uuid) or spi.Pending(f"has not printed '{awaited}' yet"))
        except (spi.Cancelled, PlatformError) as stop:
            reasons = [f"machine {wanted.name} {stop}", *qemu.log(uuid).splitlines()[-5:]]
            raise CreatedButUnhealthy(reasons[0], id=uuid, outputs=outputs.model_dump(), reasons=reasons) from stop
        return outputs


def _outputs(operation: spi.Operation, uuid: str) -> MachineOutputs:
    return MachineOutputs(log=str(operation.session.directory / uuid / "log"))
