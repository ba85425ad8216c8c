"""What is done about drift: about what somebody changed on the platform that the stack file says too."""

import enum
from typing import Annotated

from pydantic import Field

from provision.models.base import Model


class DriftPolicy(enum.StrEnum):
    """What a difference between the file and the platform means."""

    OWN = "own"
    """The file is right: the difference is reported, and put back."""
    IGNORE = "ignore"
    """Somebody else may change it: it is left alone, and told of in details only."""
    ADOPT = "adopt"
    """The platform is right: the difference is reported until `provision drift --adopt` wrote it into the file."""


class RootDiskDrift(Model):
    """Drift of boot disks."""

    size: Annotated[DriftPolicy | None, Field(description="Capacity.")] = None
    encrypted: Annotated[DriftPolicy | None, Field(description="Always own: isolation depends on it.")] = None


class DiskDrift(Model):
    """Drift of data disks."""

    size: Annotated[DriftPolicy | None, Field(description="Capacity.")] = None
    type: Annotated[DriftPolicy | None, Field(description="Kind of storage.")] = None
    iops: Annotated[DriftPolicy | None, Field(description="Provisioned I/O operations per second.")] = None
    throughput: Annotated[DriftPolicy | None, Field(description="Provisioned throughput.")] = None
    encrypted: Annotated[DriftPolicy | None, Field(description="Always own: isolation depends on it.")] = None


class MachineDrift(Model):
    """Drift of machines."""

    cpus: Annotated[DriftPolicy | None, Field(description="Virtual CPUs.")] = None
    memory: Annotated[DriftPolicy | None, Field(description="Memory.")] = None
    size: Annotated[DriftPolicy | None, Field(description="Instance type or flavor.")] = None
    power: Annotated[DriftPolicy | None, Field(description="Whether it runs.")] = None
    autostart: Annotated[DriftPolicy | None, Field(description="Whether it starts with its host.")] = None
    root: Annotated[RootDiskDrift, Field(description="The boot disk.")] = RootDiskDrift()
    disks: Annotated[DiskDrift, Field(description="Data disks.")] = DiskDrift()
    nics: Annotated[DriftPolicy | None, Field(description="Always own: isolation depends on it.")] = None


class NetworkDrift(Model):
    """Drift of networks."""

    mtu: Annotated[DriftPolicy | None, Field(description="Size of frames.")] = None
    domain: Annotated[DriftPolicy | None, Field(description="DNS domain.")] = None
    internet: Annotated[DriftPolicy | None, Field(description="Always own: isolation depends on it.")] = None
    strangers: Annotated[
        DriftPolicy | None,
        Field(description="Machines on them that are none of the stack's: reported with own; adopt cannot be."),
    ] = None


class DriftRules(Model):
    """What is done about drift, by field; of what is not named the file is right, as with `own`."""

    machines: Annotated[MachineDrift, Field(description="Of all machines.")] = MachineDrift()
    networks: Annotated[NetworkDrift, Field(description="Of all networks.")] = NetworkDrift()
    isolation: Annotated[DriftPolicy | None, Field(description="Always own.")] = None
    sharing: Annotated[DriftPolicy | None, Field(description="Always own.")] = None

    def of(self, field: str) -> DriftPolicy:
        """What holds for a field, such as `machines.disks.size`; own where nothing is said."""
        found: object = self
        for part in field.split("."):
            found = getattr(found, part, None)
            if not isinstance(found, Model):  # what is below it, such as a size by platform, is not told apart
                break
        return found if isinstance(found, DriftPolicy) else DriftPolicy.OWN


STRANGERS = "networks.strangers"
"""No field of a resource: machines of others."""

GUARDED = (
    "machines.nics", "machines.disks.encrypted", "machines.root.encrypted", "networks.internet", "isolation", "sharing",
)  # fmt: skip
"""Fields that isolation depends on, whatever the platform: their drift is never left alone."""
