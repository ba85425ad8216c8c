"""The plugin: what it does of a stack file, and which machines that makes."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from provision import spi
from provision.errors import EnvironmentProblem
from provision.models import FileImage
from provision_qemu.machine import Machine
from provision_qemu.qemu import PROGRAM, Qemu

DONE = {f"machines.{name}" for name in ("image", "cpus", "memory", "power", "delete_protection")}
DONE |= {f"images.sources.file{name}" for name in ("", ".path", ".format")}
TRUE_WITHOUT_NETWORK = ("no_internet", "no_host_access", "peer_isolation", "anti_spoofing")


class QemuConfig(spi.Properties):
    """Where machines live, and what they boot."""

    directory: Annotated[str, Field(description="Where machines are kept.", pattern="^[^,]+$")] = "~/.provision-qemu"
    kernel: Annotated[str, Field(description="Kernel that they boot."), spi.FromEnvironment(("QEMU_KERNEL",))] = ""
    ready: Annotated[str, Field(description="What a machine prints when it is up; empty: not waited for.")] = ""


class QemuProvider(spi.Provider[QemuConfig, Qemu]):
    """The plugin."""

    name: ClassVar[str] = "qemu"
    version: ClassVar[str] = "0.1.0"
    Config: ClassVar[type[spi.Properties]] = QemuConfig
    resource_types: ClassVar[Sequence[type[spi.ResourceType[Any, Any, Any]]]] = (Machine,)

    def connect(self, config: QemuConfig) -> Qemu:
        """Nothing has to be opened; what every machine needs must be there."""
        directory = Path(config.directory).expanduser().absolute()
        if shutil.which(PROGRAM) is None:
            raise EnvironmentProblem(f"there is no {PROGRAM} on this machine", "run: apt install qemu-system-x86")
        if len(str(directory)) > 66:  # a socket's path has 107 characters at most
            raise EnvironmentProblem(f"{directory} is too long a name", "set provision-qemu:directory to a shorter one")
        return Qemu(directory, {"kernel": config.kernel, "ready": config.ready})

    def capabilities(self, session: Qemu) -> spi.Capabilities:
        """Settings that a translation depends on are facts too."""
        return spi.Capabilities(self.name, session.defaults)

    def supports(self, use: spi.FeatureUse, capabilities: spi.Capabilities) -> spi.Support:
        """Enforced is what stands here; all else is refused."""
        if isinstance(use.value, FileImage) and use.value.format != "raw":
            return spi.unsupported("an image is an initramfs here, which is no disk", "write 'format: raw'")
        policy = use.feature.removeprefix("isolation.policies.").split(".")[0]
        closed = use.feature.startswith(("isolation.default", "isolation.services")) and use.value in ("deny", False)
        if use.feature in DONE or policy in TRUE_WITHOUT_NETWORK or closed:
            return spi.ENFORCED
        if use.feature.startswith(("networks", "machines.nics", "isolation")):
            return spi.unsupported("machines have no network here", "remove it")
        return spi.unsupported("machines are CPUs, memory, a kernel and an initramfs here", "remove it")

    def translate(self, request: spi.TranslationRequest) -> spi.ResourceGraph:
        """One native machine for each machine of the file."""
        graph = spi.GraphBuilder()
        for entry, machine in request.stack.machines.items():
            sources = request.stack.images[machine.image].sources
            image: Any = sources.get(self.name) or sources["any"]
            size = {"cpus": machine.cpus, "memory_mib": machine.memory.mib, "power": machine.power.value}
            boot = {**request.capabilities.facts, "initrd": str(Path(request.directory, image.path))}
            for index in range(machine.instances):
                name = entry if machine.count is None else f"{entry}-{index}"
                inputs = {"name": f"{request.project}-{request.stack_name}-{name}", **boot, **size}
                parent, protect = f"machines/{name}", machine.delete_protection
                node = graph.add(Machine, f"{parent}/machine", inputs, parent=parent, protect=protect)
                graph.component("Machine", parent, {"log": node.output("log")})
        return graph.build()
