# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What a stack file may say in EC2's own words: native fields (`overrides.aws`), and what is there (`existing.aws`).

No field that carries isolation can be overridden.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from provision.models import Disk, Machine, Model, Network, Nic
from provision_aws.labels import Tags

PLATFORM = "aws"
T = TypeVar("T", bound=Model)


class SpotOverride(Model):
    """Spare capacity."""

    max_price: Annotated[str | None, Field(description="Most US dollars an hour; default: the on-demand price.")] = None


class DedicatedHostOverride(Model):
    """Hosts of the stack's own, for machines that a policy of the kind `single_tenancy` selects."""

    machines: Annotated[
        int | None, Field(ge=1, description="Most machines of one host; default: all that are in a zone.")
    ] = None


class RootDiskOverride(Model):
    """How fast the root disk of a machine is; of data disks the file's own words say that."""

    iops: Annotated[int | None, Field(ge=3000, le=80000, description="Operations a second, of gp3.")] = None
    throughput: Annotated[int | None, Field(ge=125, le=2000, description="MiB a second, of gp3.")] = None


class MachineOverrides(Model):
    """Under `machines.NAME.overrides.aws`."""

    architecture: Annotated[Literal["x86_64", "arm64"], Field(description="Of the image, and so of the type.")] = (
        "x86_64"
    )
    dedicated_host: Annotated[
        DedicatedHostOverride | None,
        Field(description="Allocate whole hosts for it; needs `size` and a policy of the kind `single_tenancy`."),
    ] = None
    detailed_monitoring: Annotated[bool, Field(description="CloudWatch gets values every minute.")] = False
    iam_instance_profile: Annotated[str | None, Field(description="Name of the profile with its role.")] = None
    key_name: Annotated[str | None, Field(description="Name of a key pair that the account has.")] = None
    key_pair: Annotated[bool, Field(description="Make a key pair of its only key under `ssh_keys`.")] = False
    refresh_type: Annotated[bool, Field(description="Look for the smallest type again on every run.")] = False
    root_disk: Annotated[RootDiskOverride | None, Field(description="Performance of its root disk (gp3).")] = None
    spot: Annotated[SpotOverride | None, Field(description="Take spare capacity, which EC2 may take back.")] = None
    tags: Annotated[Tags, Field(description="Further tags.")] = {}


class NetworkOverrides(Model):
    """Under `networks.NAME.overrides.aws`."""

    availability_zones: Annotated[
        list[str],
        Field(
            min_length=1,
            max_length=8,
            description="Zones over which the network's range is divided, in equal parts, in this order.",
        ),
    ] = []
    endpoints: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]],
        Field(
            description="Services of Amazon's that it reaches without the internet, such as s3, dynamodb, ssm; "
            "policies decide who does.",
        ),
    ] = []
    tags: Annotated[Tags, Field(description="Further tags.")] = {}


class NetworkExisting(Model):
    """Under `networks.NAME.existing.aws`: the subnets that are the network, or the VPC that they are made in."""

    vpc: Annotated[
        str | None,
        Field(pattern=r"^vpc-[0-9a-f]+$", description="VPC that the network's subnets are in, or are made in."),
    ] = None
    subnets: Annotated[
        list[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")]],
        Field(
            max_length=8,
            description="Subnets that are the network: one with its range, or several, each with an equal part of it, "
            "in order. Without them subnets are made.",
        ),
    ] = []

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.vpc is None and not self.subnets:
            raise ValueError("name `subnets`, or the `vpc` that they are to be made in")
        if len(set(self.subnets)) < len(self.subnets):
            raise ValueError("`subnets` names one twice")
        return self


class NicExisting(Model):
    """Under `machines.NAME.nics[].existing.aws`: security groups that the network card joins."""

    security_groups: Annotated[
        list[Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")]],
        Field(min_length=1, description="Groups without rules of their own, to which rules of others refer."),
    ]


class DiskOverrides(Model):
    """Under `machines.NAME.disks.NAME.overrides.aws`."""

    kms_key_id: Annotated[str | None, Field(description="Key that encrypts it: id, ARN or alias.")] = None
    tags: Annotated[Tags, Field(description="Further tags.")] = {}


MODELS: Mapping[type[Model], type[Model]] = {
    Machine: MachineOverrides,
    Network: NetworkOverrides,
    Disk: DiskOverrides,
}
"""What may be overridden."""

EXISTING: Mapping[type[Model], type[Model]] = {Network: NetworkExisting, Nic: NicExisting}
"""What may be referred to instead of being made."""


def of(model: type[T], written: Mapping[str, Mapping[str, Any]]) -> T:
    """What the file overrides for this platform."""
    return model.model_validate(written.get(PLATFORM, {}))


def referred(network: Network) -> NetworkExisting | None:
    """What a network refers to; None when it is made."""
    said = network.existing.get(PLATFORM)
    return None if said is None else NetworkExisting.model_validate(said)


def joined(nic: Nic) -> list[str]:
    """Security groups that a network card joins."""
    said = nic.existing.get(PLATFORM)
    return [] if said is None else NicExisting.model_validate(said).security_groups
