# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What a stack file may say in OpenStack's own words (`overrides.openstack`): no field of it carries isolation."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from provision.models import Disk, Machine, Model, Network, Stack
from provision.spi import Capabilities, Objection
from provision.spi.own_words import problem
from provision_openstack.labels import Metadata
from provision_openstack.translate.referring import PLATFORM

T = TypeVar("T", bound=Model)
_Zone = Annotated[str, Field(min_length=1, max_length=255)]


class MachineOverrides(Model):
    """Under `machines.NAME.overrides.openstack`."""

    availability_zone: Annotated[_Zone | None, Field(description="Zone of Nova's; default: as Nova chooses.")] = None
    metadata: Annotated[Metadata, Field(description="Further metadata of the server.")] = {}


class DiskOverrides(Model):
    """Under `machines.NAME.disks.NAME.overrides.openstack`."""

    availability_zone: Annotated[_Zone | None, Field(description="Zone of Cinder's; default: as Cinder chooses.")] = (
        None
    )
    metadata: Annotated[Metadata, Field(description="Further metadata of the volume.")] = {}


class NetworkOverrides(Model):
    """Under `networks.NAME.overrides.openstack`."""

    stateless_groups: Annotated[
        bool,
        Field(description="Filter without tracked connections: policies must let answers pass by themselves."),
    ] = False


MODELS: Mapping[type[Model], type[Model]] = {
    Machine: MachineOverrides,
    Network: NetworkOverrides,
    Disk: DiskOverrides,
}
"""What may be overridden."""


def of(model: type[T], written: Mapping[str, Mapping[str, Any]]) -> T:
    """What the file overrides for this platform; nothing where that cannot be read, which is told of the field."""
    said = written.get(PLATFORM, {})
    return model() if problem(model, said) else model.model_validate(said)


def stateless(stack: Stack) -> frozenset[str]:
    """Networks whose groups are to track no connections."""
    return frozenset(
        name for name, one in stack.networks.items() if of(NetworkOverrides, one.overrides).stateless_groups
    )


def native(said: MachineOverrides | DiskOverrides) -> dict[str, Any]:
    """As inputs of a server or a volume."""
    return said.model_dump(exclude_defaults=True)


def objections(stack: Stack, capabilities: Capabilities) -> Iterator[Objection]:
    """Zones that there are not, and what stateless groups may stop."""
    for entry, machine in stack.machines.items():
        path = ("machines", entry)
        yield from _zone(path, of(MachineOverrides, machine.overrides), "zones", capabilities)
        for name, disk in machine.disks.items():
            where = (*path, "disks", name)
            yield from _zone(where, of(DiskOverrides, disk.overrides), "volume_zones", capabilities)
    for name in sorted(stateless(stack)):
        if stack.networks[name].dhcp.enabled:
            yield Objection(
                ("networks", name, "dhcp"),
                "whether answers of DHCP pass stateless groups depends on a driver of which Neutron does not tell",
                "remove it: machines have fixed addresses; or remove 'stateless_groups'",
            )


def _zone(
    path: tuple[str, ...], said: MachineOverrides | DiskOverrides, fact: str, capabilities: Capabilities
) -> Iterator[Objection]:
    zones = capabilities.facts.get(fact)
    if said.availability_zone is not None and zones is not None and said.availability_zone not in zones:
        service = "Nova" if fact == "zones" else "Cinder"
        yield Objection(
            (*path, "overrides", PLATFORM, "availability_zone"),
            f"{service} has no zone '{said.availability_zone}' that is available",
            f"write one of: {', '.join(zones) or 'none'}",
        )
