"""The one kind of native object: a virtual machine, which is a QEMU process."""

from typing import Annotated, Any, ClassVar, Literal
from uuid import NAMESPACE_OID, uuid5

from pydantic import Field

from provision import spi
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


class MachineOutputs(spi.Properties):
    """What it tells a program."""

    log: Annotated[str, Field(description="File of what it prints."), spi.STABLE]


class Machine(spi.ResourceType[MachineInputs, MachineOutputs, Qemu]):
    """A virtual machine without network or disks."""

    token: ClassVar[str] = "machine:Machine"
    Inputs: ClassVar[type[spi.Properties]] = MachineInputs
    Outputs: ClassVar[type[spi.Properties]] = MachineOutputs

    def create(self, request: spi.CreateRequest[MachineInputs]) -> spi.Created[MachineOutputs]:
        """Start the process, and switch the machine on."""
        wanted, qemu = request.inputs, request.operation.session
        uuid = str(uuid5(NAMESPACE_OID, f"{wanted.stack_id} {request.operation.urn}"))
        qemu.end(uuid, wanted.stack_id)  # what an interrupted run left of this very resource
        qemu.start(uuid, **wanted.model_dump(exclude={"power"}))
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

    def _switched(self, operation: spi.Operation, uuid: str, wanted: MachineInputs) -> MachineOutputs:
        if operation.session.look(uuid)["power"] != wanted.power:
            operation.session.switch(uuid, wanted.stack_id, wanted.power)
        return _outputs(operation, uuid)


def _outputs(operation: spi.Operation, uuid: str) -> MachineOutputs:
    return MachineOutputs(log=str(operation.session.directory / uuid / "log"))
