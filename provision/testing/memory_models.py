"""Inputs and outputs of the in-memory platform's resource types."""

# ruff: noqa: RUF012 - pydantic copies mutable defaults

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from provision.spi import (
    DESTROYS_DATA,
    IMMUTABLE,
    RESTARTS,
    Computed,
    OwnedInputs,
    Properties,
    Secret,
    StackField,
    spell_size,
)


class Nic(Properties):
    """A network interface."""

    network: Annotated[str, Field(description="Name of the network.")]
    address: Annotated[str | None, Field(description="Fixed address.")] = None
    mac: Annotated[
        str | None, Field(description="MAC address.", pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$"), IMMUTABLE
    ] = None
    groups: Annotated[list[str], Field(description="Names of the groups that filter it.")] = []


class ServerInputs(OwnedInputs):
    """Inputs of `compute:Server`."""

    name: Annotated[str, Field(description="Name on the platform.", pattern=r"^[a-z0-9][a-z0-9-]*$"), IMMUTABLE]
    image: Annotated[str, Field(description="What it boots from."), DESTROYS_DATA]
    cpus: Annotated[int, Field(description="Virtual CPUs.", ge=1, le=64), RESTARTS, StackField(("machines.cpus",))] = 1
    memory_mib: Annotated[
        int, Field(description="Memory in MiB.", ge=32), RESTARTS, StackField(("machines.memory",), spell_size("MiB"))
    ] = 512
    nics: Annotated[list[Nic], Field(description="Network interfaces, in order.")] = []
    volumes: Annotated[list[str], Field(description="Paths of attached volumes.")] = []
    labels: Annotated[dict[str, str], Field(description="Free labels.")] = {}
    password: Annotated[SecretStr | None, Field(description="Password of the console; cannot be read back.")] = None
    user_data: Annotated[str | None, Field(description="First-boot data."), Secret(), IMMUTABLE] = None
    power: Annotated[
        Literal["running", "stopped"], Field(description="Wanted state."), StackField(("machines.power",))
    ] = "running"  # fmt: skip


class ServerOutputs(Properties):
    """Outputs of `compute:Server`."""

    name: Annotated[str, Field(description="Name on the platform.")]
    nics: Annotated[list[Nic], Field(description="Network interfaces, in order.")] = []
    password: Annotated[SecretStr | None, Field(description="Password of the console.")] = None
    uuid: Annotated[str, Field(description="Its marker."), Computed()]
    address: Annotated[str | None, Field(description="Where it answers."), Computed(depends_on=("nics",))] = None
    starts: Annotated[
        int, Field(description="How often it was started."), Computed(depends_on=("cpus", "memory_mib", "power"))
    ] = 1


class VolumeInputs(OwnedInputs):
    """Inputs of `compute:Volume`."""

    name: Annotated[str, Field(description="Name on the platform."), IMMUTABLE]
    size_gib: Annotated[
        int,
        Field(description="Size in GiB; it can only grow.", ge=1),
        StackField(("machines.disks.size",), spell_size("GiB")),
    ] = 1


class VolumeOutputs(Properties):
    """Outputs of `compute:Volume`."""

    name: str
    size_gib: int
    path: Annotated[str, Field(description="Where servers find it."), Computed()]


class NetworkInputs(OwnedInputs):
    """Inputs of `network:Network`, which cannot be updated."""

    name: Annotated[str, Field(description="Name on the platform.")]
    cidr: Annotated[str | None, Field(description="IPv4 prefix.")] = None
    cidr6: Annotated[str | None, Field(description="IPv6 prefix.")] = None
    internet: Annotated[str, Field(description="Way out: none, nat or routed.")] = "none"


class NetworkOutputs(Properties):
    """Outputs of `network:Network`."""

    name: str
    segment: Annotated[str, Field(description="The segment that carries it."), Computed()]


class Rule(Properties):
    """What a group lets in."""

    peers: Annotated[list[str], Field(description="From whom.")]
    services: Annotated[list[str], Field(description="Services such as tcp/80.")]


class GroupInputs(OwnedInputs):
    """Inputs of `compute:Group`."""

    base_name: Annotated[str, Field(description="Start of its name; each incarnation adds its own end."), IMMUTABLE]
    rules: Annotated[list[Rule], Field(description="What it lets in.")] = []


class GroupOutputs(Properties):
    """Outputs of `compute:Group`."""

    name: Annotated[str, Field(description="Name on the platform."), Computed()]
    uuid: Annotated[str, Field(description="Its marker."), Computed()]
