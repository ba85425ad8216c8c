"""Machines: what is to run, its size, disks, network interfaces and first-boot data."""

import enum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any

from pydantic import Field, SecretStr

from provision.models.base import Duration, Model, Name, Size, Throughput
from provision.models.cloud_init import CloudInit, PublicKey


class Power(enum.StrEnum):
    """Whether a machine is to be running."""

    RUNNING = "running"
    STOPPED = "stopped"


class Firmware(enum.StrEnum):
    """What starts a machine's boot loader."""

    BIOS = "bios"
    UEFI = "uefi"


class Disk(Model):
    """A data disk: a resource of its own, kept when its machine is replaced."""

    size: Annotated[Size, Field(description="Capacity.")]
    type: Annotated[str | None, Field(description="Kind of storage on the platform, such as gp3.")] = None
    encrypted: Annotated[bool, Field(description="Encrypt at rest.")] = False
    keep_on_delete: Annotated[bool, Field(description="Keep the data when the disk leaves the file.")] = True
    image: Annotated[str | None, Field(description="Image that the disk starts from.")] = None
    iops: Annotated[int | None, Field(gt=0, description="Provisioned I/O operations per second.")] = None
    throughput: Annotated[Throughput | None, Field(description="Provisioned throughput.")] = None
    renamed_from: Annotated[Name | None, Field(description="Former name: the disk is kept.")] = None
    overrides: Annotated[dict[str, dict[str, Any]], Field(description="Per platform: native fields.")] = {}


class RootDisk(Model):
    """The disk that the machine boots from."""

    size: Annotated[Size | None, Field(description="Capacity; default: that of the image.")] = None
    type: Annotated[str | None, Field(description="Kind of storage on the platform.")] = None
    encrypted: Annotated[bool, Field(description="Encrypt at rest.")] = False
    disposable: Annotated[
        bool, Field(description="What the machine writes to it may be lost: no permission is needed to destroy it.")
    ] = False


class Nic(Model):
    """A network interface."""

    network: Annotated[Name, Field(description="Name under `networks`.")]
    address: Annotated[
        IPv4Address | list[IPv4Address] | None,
        Field(description="Fixed IPv4 address; with `count`, a list of one per machine. Default: derived and kept."),
    ] = None
    address6: Annotated[
        IPv6Address | list[IPv6Address] | None, Field(description="Fixed IPv6 address; with `count`, a list.")
    ] = None
    mac: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$",
            description="Fixed MAC address; default: derived and kept.",
        ),
    ] = None
    public: Annotated[bool, Field(description="Give it a public address of the platform.")] = False
    connected: Annotated[bool, Field(description="Whether its cable is plugged in.")] = True
    existing: Annotated[
        dict[str, dict[str, Any]],
        Field(description="Per platform: what is there already and the interface joins, such as security groups."),
    ] = {}


class UserData(Model):
    """What the machine runs or reads at first boot."""

    text: Annotated[str | SecretStr | None, Field(description="The user data itself, passed on as it stands.")] = None
    file: Annotated[str | None, Field(description="File with the user data, relative to the stack file.")] = None
    template: Annotated[bool, Field(description="Expand ${…} inside the user data.")] = False


class Machine(Model):
    """One machine, or `count` alike."""

    image: Annotated[str, Field(description="Name under `images`, or of an image built into the platform.")]
    count: Annotated[
        int | None,
        Field(ge=0, le=100_000, description="How many: web-0 … web-n-1; without it, one called web."),
    ] = None
    cpus: Annotated[int, Field(ge=1, le=1024, description="Virtual CPUs.")] = 1
    memory: Annotated[Size, Field(description="Memory.")]
    size: Annotated[
        dict[str, str],
        Field(description="Explicit instance type or flavor per platform; wins over cpus and memory."),
    ] = {}
    root: Annotated[RootDisk | None, Field(description="The boot disk.")] = None
    disks: Annotated[dict[Name, Disk], Field(description="Data disks by name.")] = {}
    nics: Annotated[list[Nic], Field(description="Network interfaces in order.")] = []
    ssh_keys: Annotated[list[PublicKey], Field(description="Public SSH keys for the image's default user.")] = []
    user_data: Annotated[
        str | SecretStr | UserData | None,
        Field(description="First-boot data, as text or as {file, template}; added to what `cloud_init` says."),
    ] = None
    cloud_init: Annotated[
        CloudInit | None, Field(description="First-boot set-up in cloud-init's words; rendered to user data.")
    ] = None
    labels: Annotated[dict[str, str], Field(description="Free labels, usable to select machines in policies.")] = {}
    power: Annotated[Power, Field(description="running or stopped.")] = Power.RUNNING
    autostart: Annotated[bool, Field(description="Start it whenever its host starts.")] = False
    firmware: Annotated[
        Firmware | None, Field(description="bios or uefi; default: what the platform starts the image with.")
    ] = None
    shutdown_timeout: Annotated[
        Duration, Field(description="How long the guest may take to shut down before it is switched off.")
    ] = 30.0
    delete_protection: Annotated[bool, Field(description="Refuse to delete or replace the machine.")] = False
    ready_timeout: Annotated[Duration, Field(description="How long the guest may take to report ready.")] = 300.0
    location: Annotated[Name | None, Field(description="Name under `locations` where the machine runs.")] = None
    renamed_from: Annotated[Name | None, Field(description="Former name: the machine is kept.")] = None
    overrides: Annotated[dict[str, dict[str, Any]], Field(description="Per platform: native fields.")] = {}

    @property
    def instances(self) -> int:
        """How many machines this entry makes."""
        return 1 if self.count is None else self.count

    def names(self, entry: str) -> tuple[str, ...]:
        """Names of the machines that it makes under the key `entry`: `web`, or `web-0` … with `count`."""
        return (entry,) if self.count is None else tuple(f"{entry}-{index}" for index in range(self.count))
