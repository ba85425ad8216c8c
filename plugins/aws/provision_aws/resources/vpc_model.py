# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What VPCs and subnets are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import AS_CIDR, IGNORE_ORDER, IMMUTABLE, STABLE, Computed
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs
from provision_aws.resources.spelling import Ipv4Cidr


class VpcInputs(TaggedInputs):
    """Inputs of `ec2:Vpc`."""

    cidr_block: Annotated[Ipv4Cidr, Field(description="Its IPv4 range, /16 to /28."), AS_CIDR, IMMUTABLE]
    secondary_cidr_blocks: Annotated[
        list[Ipv4Cidr], Field(description="Further IPv4 ranges."), AS_CIDR, IGNORE_ORDER
    ] = []
    amazon_provided_ipv6: Annotated[bool, Field(description="Whether it gets a /56 of Amazon's IPv6 addresses.")] = (
        False
    )
    enable_dns_support: Annotated[bool, Field(description="Whether machines can ask Amazon's name server.")] = True
    enable_dns_hostnames: Annotated[bool, Field(description="Whether public addresses get names.")] = False
    instance_tenancy: Annotated[
        Literal["default", "dedicated"], Field(description="`dedicated`: no machine of it shares a host."), IMMUTABLE
    ] = "default"


class VpcOutputs(NativeOutputs):
    """Outputs of `ec2:Vpc`; its id is the VPC's."""

    ipv6_cidr_block: Annotated[
        str | None,
        Field(description="The /56 that Amazon gave it; none without IPv6."),
        Computed(depends_on=("amazon_provided_ipv6",)),
    ]
    owner_id: Annotated[str, Field(description="Account that owns it."), STABLE]


class SubnetInputs(TaggedInputs):
    """Inputs of `ec2:Subnet`. It has IPv6 with `vpc_ipv6_cidr_block` and `ipv6_index`."""

    vpc_id: Annotated[str, Field(description="Id of its VPC."), IMMUTABLE]
    cidr_block: Annotated[Ipv4Cidr, Field(description="Its IPv4 range, /16 to /28."), AS_CIDR, IMMUTABLE]
    availability_zone: Annotated[str, Field(description="Name of its zone, such as eu-central-1a."), IMMUTABLE]
    vpc_ipv6_cidr_block: Annotated[
        str | None, Field(description="The VPC's /56, of which it takes a /64."), AS_CIDR, IMMUTABLE
    ] = None
    ipv6_index: Annotated[int | None, Field(description="Which /64 of the /56: 0 to 255.", ge=0, le=255), IMMUTABLE] = (
        None
    )
    map_public_ip_on_launch: Annotated[
        bool, Field(description="Whether machines get public IPv4 addresses by themselves.")
    ] = False
    assign_ipv6_address_on_creation: Annotated[
        bool, Field(description="Whether interfaces get IPv6 addresses by themselves.")
    ] = False

    @model_validator(mode="after")
    def _ipv6_is_whole(self) -> Self:
        if self.ipv6_index is not None and self.vpc_ipv6_cidr_block is None:
            raise ValueError("`ipv6_index` needs `vpc_ipv6_cidr_block`")
        if self.assign_ipv6_address_on_creation and self.ipv6_index is None:
            raise ValueError("`assign_ipv6_address_on_creation` needs IPv6: give `ipv6_index`")
        return self


class SubnetOutputs(NativeOutputs):
    """Outputs of `ec2:Subnet`; its id is the subnet's."""

    availability_zone: Annotated[str, Field(description="Name of its zone.")]
    ipv6_cidr_block: Annotated[str | None, Field(description="Its /64; none without IPv6."), Computed()]
