# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""Native fields that a stack file may set under `overrides.aws`; none that carries isolation is among them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from provision.models import Disk, Machine, Model, Network
from provision_aws.labels import Tags

PLATFORM = "aws"
T = TypeVar("T", bound=Model)


class SpotOverride(Model):
    """Spare capacity."""

    max_price: Annotated[str | None, Field(description="Most US dollars an hour; default: the on-demand price.")] = None


class MachineOverrides(Model):
    """Under `machines.NAME.overrides.aws`."""

    architecture: Annotated[Literal["x86_64", "arm64"], Field(description="Of the image, and so of the type.")] = (
        "x86_64"
    )
    detailed_monitoring: Annotated[bool, Field(description="CloudWatch gets values every minute.")] = False
    iam_instance_profile: Annotated[str | None, Field(description="Name of the profile with its role.")] = None
    key_name: Annotated[str | None, Field(description="Name of a key pair that the account has.")] = None
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
    tags: Annotated[Tags, Field(description="Further tags.")] = {}


class DiskOverrides(Model):
    """Under `machines.NAME.disks.NAME.overrides.aws`."""

    kms_key_id: Annotated[str | None, Field(description="Key that encrypts it: id, ARN or alias.")] = None
    tags: Annotated[Tags, Field(description="Further tags.")] = {}


MODELS: Mapping[type[Model], type[Model]] = {
    Machine: MachineOverrides,
    Network: NetworkOverrides,
    Disk: DiskOverrides,
}


def problem(model: type[Model], values: Any) -> str:
    """What is wrong with overrides; empty when nothing is."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        return "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}" for item in error.errors(include_input=False)
        )
    return ""


def of(model: type[T], written: Mapping[str, Mapping[str, Any]]) -> T:
    """What the file overrides for this platform."""
    return model.model_validate(written.get(PLATFORM, {}))
