# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What a virtual machine is made from."""

from typing import Annotated, Literal

from pydantic import Field

from provision.spi import IMMUTABLE, RESTARTS, Computed, OwnedInputs, Properties

Power = Literal["running", "stopped", "paused"]


class Disk(Properties):
    """A volume as the guest sees it: `/dev/vda`, `/dev/vdb`, … in order."""

    path: Annotated[str, Field(description="Path of the volume on the hypervisor."), RESTARTS]
    format: Annotated[Literal["qcow2", "raw"], Field(description="Format of the volume."), RESTARTS] = "qcow2"
    serial: Annotated[
        str | None,
        Field(description="Serial number: /dev/disk/by-id/virtio-…", max_length=20, pattern=r"^[A-Za-z0-9_.+-]+$"),
        RESTARTS,
    ] = None  # fmt: skip


class Nic(Properties):
    """A network card."""

    network: Annotated[str, Field(description="Name of the network."), RESTARTS]
    mac: Annotated[str, Field(description="MAC address.", pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$"), RESTARTS]
    filter: Annotated[str | None, Field(description="Name of the packet filter; changed while it runs.")] = None
    parameters: Annotated[dict[str, list[str]], Field(description="Values of the filter's variables.")] = {}
    mtu: Annotated[int | None, Field(description="MTU in bytes.", ge=576, le=65535), RESTARTS] = None


class DomainInputs(OwnedInputs):
    """Inputs of `domain:Domain`."""

    pool: Annotated[
        str,
        Field(description="Name of the stack's pool, which is made before and removed after everything else of it."),
        IMMUTABLE,
    ]
    name: Annotated[str, Field(description="Name on the hypervisor.", pattern=r"^[A-Za-z0-9_.+-]+$"), IMMUTABLE]
    memory_mib: Annotated[int, Field(description="Memory in MiB.", ge=32), RESTARTS]
    vcpus: Annotated[int, Field(description="Number of virtual CPUs.", ge=1), RESTARTS] = 1
    accelerator: Annotated[
        Literal["kvm", "qemu"], Field(description="`kvm`, or `qemu` for emulation."), RESTARTS
    ] = "kvm"  # fmt: skip
    machine: Annotated[str, Field(description="Machine type."), IMMUTABLE] = "q35"
    kernel: Annotated[
        str | None, Field(description="Path of a kernel on the hypervisor; none: boot from the first disk."), RESTARTS
    ] = None
    initrd: Annotated[str | None, Field(description="Path of its initramfs."), RESTARTS] = None
    cmdline: Annotated[str | None, Field(description="Its command line."), RESTARTS] = None
    disks: Annotated[list[Disk], Field(description="Disks, in order."), RESTARTS] = []
    seed: Annotated[
        str | None, Field(description="Path of a cloud-init seed, given as a read-only disk."), RESTARTS
    ] = None
    nics: Annotated[list[Nic], Field(description="Network cards, in order.")] = []
    generations: Annotated[
        list[str],
        Field(description="Generations of the volumes, seed and networks used: made anew, they need a restart."),
        RESTARTS,
    ] = []
    power: Annotated[Power, Field(description="Wanted state; `paused` is only ever read.")] = "running"
    probe_channel: Annotated[bool, Field(description="Serial channel to a probe agent in the guest."), RESTARTS] = False
    console_log: Annotated[
        bool, Field(description="Keep what the guest prints on its console, in the pool."), RESTARTS
    ] = True
    ready: Annotated[
        Literal["none", "channel"],
        Field(description="When the machine counts as healthy: `channel` once its probe agent answers."),
    ] = "none"
    ready_timeout_s: Annotated[int, Field(description="How long it may take to get there, in seconds.", gt=0)] = 300


class DomainOutputs(Properties):
    """Outputs of `domain:Domain`; its id is the UUID."""

    name: str
    probe_channel: bool
    pool: str
    uuid: Annotated[str, Field(description="Derived from the stack's identity and the URN."), Computed()]
    console_path: Annotated[
        str | None, Field(description="Path of the console log there."), Computed(depends_on=("console_log",))
    ] = None
