"""The one kind of native object: a virtual machine, which is a QEMU process."""

from typing import Annotated, ClassVar
from uuid import uuid4

from pydantic import Field

from provision import spi
from provision_qemu.qemu import Qemu


class MachineInputs(spi.Properties):
    """What a program says of a machine."""

    name: Annotated[str, Field(description="Name that QEMU shows.", pattern=r"^[\w.-]+$"), spi.IMMUTABLE]
    kernel: Annotated[str, Field(description="File of the kernel that it boots."), spi.IMMUTABLE]
    initrd: Annotated[str, Field(description="File of its initramfs: all that it has of a disk."), spi.IMMUTABLE]
    command_line: Annotated[str, Field(description="For the kernel."), spi.IMMUTABLE] = "console=ttyS0 no_timer_check"
    cpus: Annotated[int, Field(description="Virtual CPUs.", ge=1, le=64), spi.IMMUTABLE] = 1
    memory_mib: Annotated[int, Field(description="Memory in MiB.", ge=32), spi.IMMUTABLE] = 256


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
        qemu, uuid = request.operation.session, str(uuid4())
        qemu.start(uuid, stack_id="", **request.inputs.model_dump())
        qemu.switch(uuid, "", "running")
        return spi.Created(uuid, MachineOutputs(log=str(qemu.directory / uuid / "log")))
