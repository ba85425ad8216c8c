"""What key pairs, placement groups and dedicated hosts are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import IMMUTABLE, STABLE, Computed, Normalized
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs


def without_comment(key: object) -> object:
    """A public key without the comment at its end, which EC2 does not keep."""
    return " ".join(key.split()[:2]) if isinstance(key, str) else key


class KeyPairInputs(TaggedInputs):
    """Inputs of `ec2:KeyPair`: a public key that EC2 hands to machines."""

    key_name: Annotated[str, Field(description="Its name.", min_length=1, max_length=255), IMMUTABLE]
    public_key: Annotated[
        str,
        Field(description="The key in OpenSSH's format.", pattern=r"^\s*(ssh-rsa|ssh-ed25519)\s+\S+"),
        Normalized(without_comment, "the comment does not matter"),
        IMMUTABLE,
    ]


class KeyPairOutputs(NativeOutputs):
    """Outputs of `ec2:KeyPair`; its id is the key pair's (`key-…`)."""

    key_name: Annotated[str, Field(description="Its name.")]
    fingerprint: Annotated[str, Field(description="Fingerprint of the key, as EC2 tells it."), STABLE]


class PlacementGroupInputs(TaggedInputs):
    """Inputs of `ec2:PlacementGroup`: how machines lie to each other."""

    group_name: Annotated[str, Field(description="Its name.", min_length=1, max_length=255), IMMUTABLE]
    strategy: Annotated[
        Literal["cluster", "spread", "partition"],
        Field(description="Close together, each on hardware of its own, or in partitions that share no rack."),
        IMMUTABLE,
    ]
    partition_count: Annotated[
        int | None, Field(description="How many partitions, for `partition`.", ge=1, le=7), IMMUTABLE
    ] = None
    spread_level: Annotated[
        Literal["rack", "host"] | None,
        Field(description="For `spread`: what is not shared. `host` is for Outposts."),
        IMMUTABLE,
    ] = None

    @model_validator(mode="after")
    def _fits_the_strategy(self) -> Self:
        if (self.strategy == "partition") != (self.partition_count is not None):
            raise ValueError("`partition_count` is for the strategy `partition`, which needs it")
        if self.spread_level is not None and self.strategy != "spread":
            raise ValueError("`spread_level` is for the strategy `spread`")
        return self


class PlacementGroupOutputs(NativeOutputs):
    """Outputs of `ec2:PlacementGroup`; its id is the group's (`pg-…`)."""

    group_name: Annotated[str, Field(description="Its name, which machines refer to.")]
    state: Annotated[str, Field(description="`available`."), Computed()]


class DedicatedHostInputs(TaggedInputs):
    """Inputs of `ec2:DedicatedHost`: a server for this account alone."""

    availability_zone: Annotated[str, Field(description="Name of its zone."), IMMUTABLE]
    instance_type: Annotated[str | None, Field(description="The one type that it takes."), IMMUTABLE] = None
    instance_family: Annotated[
        str | None, Field(description="Or the family, of which it takes any type."), IMMUTABLE
    ] = None
    auto_placement: Annotated[
        Literal["on", "off"], Field(description="Whether machines that name no host may be put there.")
    ] = "off"
    host_recovery: Annotated[
        Literal["on", "off"], Field(description="Whether machines go on elsewhere when it fails.")
    ] = "off"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.instance_type is None) == (self.instance_family is None):
            raise ValueError("give either `instance_type` or `instance_family`")
        return self


class DedicatedHostOutputs(NativeOutputs):
    """Outputs of `ec2:DedicatedHost`; its id is the host's."""

    state: Annotated[str, Field(description="`available`."), Computed()]
    owner_id: Annotated[str, Field(description="Account that has it."), STABLE]
