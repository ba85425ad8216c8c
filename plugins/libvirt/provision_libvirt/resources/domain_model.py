# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What a virtual machine is made from."""

from typing import Annotated, Literal

from pydantic import Field

from provision.spi import (
    IMMUTABLE,
    RESTARTS,
    Computed,
    Isolates,
    Keyed,
    OwnedInputs,
    Properties,
    StackField,
    spell_size,
)
from provision_libvirt.resources.cpusets import AS_CPUS
from provision_libvirt.resources.native_model import POOL_ONLY_ORDERS, NativeOutputs

Power = Literal["running", "stopped", "paused"]


SETTING, CHOICE = Isolates(setting=True), Isolates(setting=True, choice=True)
GENERATION = "Generation of what it uses: made anew, that needs a restart."


class Disk(Properties):
    """A volume as the guest sees it: `/dev/vda`, `/dev/vdb`, … in order when the machine is made.

    One that comes later takes the first free letter, and no other moves when one goes.
    """

    path: Annotated[str, Field(description="Path of the volume on the hypervisor."), RESTARTS]
    format: Annotated[Literal["qcow2", "raw"], Field(description="Format of the volume."), RESTARTS] = "qcow2"
    serial: Annotated[
        str | None,
        Field(description="Serial number: /dev/disk/by-id/virtio-…", max_length=20, pattern=r"^[A-Za-z0-9_.+-]+$"),
    ] = None  # fmt: skip
    secret: Annotated[
        str | None,
        Field(description="UUID of libvirt's secret with the key of an encrypted volume."),
        RESTARTS,
        SETTING,
    ] = None
    generation: Annotated[str | None, Field(description=GENERATION), RESTARTS] = None


class Nic(Properties):
    """A network card."""

    network: Annotated[str, Field(description="Name of the network; none with `user`."), RESTARTS] = ""
    mac: Annotated[str, Field(description="MAC address.", pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")]
    filter: Annotated[
        str | None, Field(description="Name of the packet filter; changed while it runs."), Isolates()
    ] = None
    parameters: Annotated[dict[str, list[str]], Field(description="Values of the filter's variables."), Isolates()] = {}
    mtu: Annotated[int | None, Field(description="MTU in bytes.", ge=576, le=65535), RESTARTS] = None
    inbound_kilobytes_s: Annotated[
        int | None, Field(description="Most bytes towards the machine, in 1000 per second.", ge=1), RESTARTS, SETTING
    ] = None
    outbound_kilobytes_s: Annotated[
        int | None, Field(description="Most bytes from the machine, in 1000 per second.", ge=1), RESTARTS, SETTING
    ] = None
    isolated: Annotated[
        bool | None,
        Field(description="Keeps its frames apart from those of other isolated ones."),
        RESTARTS,
        SETTING,
    ] = None
    user: Annotated[
        str | None,
        Field(description="IPv4 prefix of user-mode networking, which takes no network and no rights."),
        RESTARTS,
    ] = None
    connected: Annotated[bool, Field(description="Whether its cable is plugged in; changed while it runs.")] = True
    generation: Annotated[str | None, Field(description=GENERATION), RESTARTS] = None
    settings: Annotated[
        str | None, Field(description="Digest of what the guest reads of it at its start."), RESTARTS
    ] = None  # fmt: skip


class DomainInputs(OwnedInputs):
    """Inputs of `domain:Domain`."""

    pool: Annotated[
        str,
        Field(description="Name of the stack's pool, which is made before and removed after everything else of it."),
        POOL_ONLY_ORDERS,
    ]
    pool_uuid: Annotated[
        str | None,
        Field(description="UUID of the pool; needed only when the pool was not made by the stack but imported."),
        POOL_ONLY_ORDERS,
    ] = None
    name: Annotated[str, Field(description="Name on the hypervisor.", pattern=r"^[A-Za-z0-9_.+-]+$"), IMMUTABLE]
    memory_mib: Annotated[
        int,
        Field(description="Memory in MiB, what a balloon takes of it included.", ge=32),
        RESTARTS,
        StackField(("machines.memory",), spell_size("MiB")),
    ]
    balloon_mib: Annotated[
        int | None,
        Field(description="Memory that the guest has while its balloon takes the rest; none: all of it.", ge=32),
    ] = None
    vcpus: Annotated[
        int,
        Field(description="Number of virtual CPUs that there is room for.", ge=1),
        RESTARTS,
        StackField(("machines.cpus",)),
    ] = 1
    online_vcpus: Annotated[
        int | None,
        Field(description="How many of them are plugged in; none: all. More can be while the machine runs.", ge=1),
    ] = None
    accelerator: Annotated[
        Literal["kvm", "qemu", "test"],
        Field(description="`kvm`, `qemu` for emulation, or `test` for libvirt's test driver, which runs nothing."),
        RESTARTS,
    ] = "kvm"
    machine: Annotated[str, Field(description="Machine type."), IMMUTABLE] = "q35"
    firmware: Annotated[
        Literal["uefi"] | None, Field(description="`uefi`; none: the BIOS of the machine type."), RESTARTS
    ] = None
    kernel: Annotated[
        str | None, Field(description="Path of a kernel on the hypervisor; none: boot from the first disk."), RESTARTS
    ] = None
    initrd: Annotated[str | None, Field(description="Path of its initramfs."), RESTARTS] = None
    cmdline: Annotated[str | None, Field(description="Its command line."), RESTARTS] = None
    disks: Annotated[
        list[Disk],
        Field(description="Disks; while the machine runs they are plugged in and pulled by their serial numbers."),
        Keyed("serial"),
    ] = []
    seed: Annotated[
        str | None, Field(description="Path of a cloud-init seed, given as a read-only disk."), RESTARTS
    ] = None
    nics: Annotated[
        list[Nic],
        Field(description="Network cards; while the machine runs they are plugged in and pulled by their addresses."),
        Keyed("mac"),
    ] = []
    generations: Annotated[
        list[str],
        Field(description="Generations of kernel, root disk and seed: made anew, they need a restart."),
        RESTARTS,
    ] = []
    power: Annotated[
        Power, Field(description="Wanted state; `paused` is only ever read."), StackField(("machines.power",))
    ] = "running"  # fmt: skip
    autostart: Annotated[
        bool, Field(description="Start with the hypervisor's libvirt."), StackField(("machines.autostart",))
    ] = False  # fmt: skip
    shutdown_timeout_s: Annotated[
        int,
        Field(description="How long the guest may take to shut down before it is switched off, in seconds.", ge=0),
    ] = 30
    shutdown_on_delete: Annotated[
        bool, Field(description="Let the guest shut down before it is deleted: some of its disks outlive it.")
    ] = False
    probe_channel: Annotated[bool, Field(description="Serial channel to a probe agent in the guest."), RESTARTS] = False
    console_log: Annotated[
        bool, Field(description="Keep what the guest prints on its console, in the pool."), RESTARTS
    ] = True
    ready: Annotated[
        Literal["none", "channel", "agent"],
        Field(
            description="When the machine counts as healthy: `channel` once its probe agent says that it is ready, "
            "`agent` once its guest agent answers and cloud-init, if it has it, is done without an error."
        ),
    ] = "none"
    ready_timeout_s: Annotated[int, Field(description="How long it may take to get there, in seconds.", gt=0)] = 300
    cpu_shares: Annotated[
        int | None,
        Field(
            description="Weight under contention, as the hypervisor's control groups count it: without one it is 1024 "
            "in version 1 and 100 in version 2. Taking it away needs a restart.",
            ge=1,
            le=262_144,
        ),
        SETTING,
    ] = None
    cpu_quota_us: Annotated[
        int | None,
        Field(description="Most CPU time in each 100 ms, in microseconds, emulator included.", ge=1000),
        SETTING,
    ] = None
    memory_limit_mib: Annotated[
        int | None, Field(description="Most memory of the hypervisor in MiB, emulator included.", ge=32), SETTING
    ] = None
    share_pages: Annotated[
        bool | None,
        Field(description="`false`: the hypervisor never merges its memory with equal pages."),
        RESTARTS,
        SETTING,
    ] = None
    balloon: Annotated[
        bool | None, Field(description="A balloon device, by which idle memory goes back."), RESTARTS, SETTING
    ] = None
    disk_iops: Annotated[
        int | None, Field(description="Most operations per second of all disks together.", ge=1), SETTING
    ] = None  # fmt: skip
    disk_bytes_s: Annotated[
        int | None, Field(description="Most bytes per second of all disks together.", ge=1), SETTING
    ] = None  # fmt: skip
    vcpu_pins: Annotated[
        list[str] | None,
        Field(description="Host CPUs of each virtual CPU, such as `0-1,4`; one for each of them."),
        AS_CPUS,
        CHOICE,
    ] = None
    emulator_pin: Annotated[
        str | None, Field(description="Host CPUs of the emulator's other threads, such as `0-1,4`."), AS_CPUS, CHOICE
    ] = None
    numa_node: Annotated[
        int | None, Field(description="The only host NUMA node that its memory may come from.", ge=0), RESTARTS, CHOICE
    ] = None
    huge_page_kib: Annotated[
        int | None,
        Field(description="Its memory is made of huge pages of this size in KiB.", ge=1024),
        RESTARTS,
        SETTING,
    ] = None
    locked: Annotated[
        bool | None, Field(description="Its memory is never swapped out."), RESTARTS, SETTING
    ] = None  # fmt: skip
    confinement: Annotated[
        Literal["apparmor", "selinux"] | None,
        Field(description="Security model that must confine it; without, the hypervisor's default applies."),
        RESTARTS,
        SETTING,
    ] = None
    hide_hypervisor: Annotated[
        bool | None, Field(description="The guest's CPU does not say that there is a hypervisor."), RESTARTS, SETTING
    ] = None
    nested: Annotated[
        bool | None, Field(description="`false`: its CPU has no extensions to run virtual machines."), RESTARTS, SETTING
    ] = None
    secure_boot: Annotated[
        bool | None, Field(description="UEFI firmware that starts only what is signed."), RESTARTS, SETTING
    ] = None
    tpm: Annotated[bool | None, Field(description="A TPM 2.0 of its own."), RESTARTS, SETTING] = None
    memory_encryption: Annotated[
        Literal["sev", "sev-es", "sev-snp", "tdx"] | None,
        Field(description="Technology by which its memory is encrypted against the hypervisor."),
        RESTARTS,
        SETTING,
    ] = None


class DomainOutputs(NativeOutputs):
    """Outputs of `domain:Domain`; its id is the UUID."""

    name: str
    probe_channel: bool
    pool: str
    uuid: Annotated[str, Field(description="Derived from the stack's identity and the URN."), Computed()]
    console_path: Annotated[
        str | None, Field(description="Path of the console log there."), Computed(depends_on=("console_log",))
    ] = None
