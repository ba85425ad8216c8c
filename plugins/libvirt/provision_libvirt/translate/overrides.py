"""What a stack file says of machines in libvirt's own words."""

from typing import Annotated, Literal

from pydantic import Field

from provision.models import Machine, Model

PLATFORM = "libvirt"


class MachineOverrides(Model):
    """What `overrides.libvirt` of a machine may say."""

    machine_type: Annotated[
        Literal["pc", "q35"] | None,
        Field(description="The board: q35 (PCI Express), or pc (of 1996, for systems that know no other)."),
    ] = None
    max_cpus: Annotated[
        int | None,
        Field(description="Virtual CPUs that `cpus` may be raised to while the machine runs.", ge=1, le=255),
    ] = None


def overrides_of(machine: Machine) -> MachineOverrides:
    """The native fields of a machine.

    Raises:
        pydantic.ValidationError: there is no such field.
    """
    return MachineOverrides.model_validate(machine.overrides.get(PLATFORM, {}))


def most_cpus(machine: Machine) -> int:
    """How many virtual CPUs there is room for."""
    return max(machine.cpus, overrides_of(machine).max_cpus or 0)
