# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What network interfaces and elastic addresses are made from."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from provision.spi import AS_CIDR, IGNORE_ORDER, IMMUTABLE, STABLE, Computed, Isolates, OwnedInputs
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs
from provision_aws.resources.spelling import Ipv4, Ipv6


class NetworkInterfaceInputs(TaggedInputs):
    """Inputs of `ec2:NetworkInterface`."""

    subnet_id: Annotated[str, Field(description="Id of its subnet."), IMMUTABLE]
    private_ip_address: Annotated[
        Ipv4 | None, Field(description="Its IPv4 address; without one EC2 takes a free one."), IMMUTABLE
    ] = None
    ipv6_addresses: Annotated[
        list[Ipv6],
        Field(description="Its IPv6 addresses; such as `::10` are put into `subnet_ipv6_cidr_block`."),
        IGNORE_ORDER,
        IMMUTABLE,
    ] = []
    subnet_ipv6_cidr_block: Annotated[
        str | None, Field(description="The subnet's /64, for `ipv6_addresses` without a prefix."), AS_CIDR, IMMUTABLE
    ] = None
    security_group_ids: Annotated[
        list[str],
        Field(description="Ids of its security groups.", min_length=1, max_length=16),
        IGNORE_ORDER,
        Isolates(),
    ]
    source_dest_check: Annotated[
        bool, Field(description="Whether packets that are not from or to its own addresses are dropped."), Isolates()
    ] = True
    description: Annotated[str, Field(description="What people read of it.", max_length=255)] = ""


class NetworkInterfaceOutputs(NativeOutputs):
    """Outputs of `ec2:NetworkInterface`; its id is the interface's."""

    private_ip_address: Annotated[str, Field(description="Its IPv4 address."), Computed()]
    ipv6_addresses: Annotated[list[str], Field(description="Its IPv6 addresses, with prefix."), Computed()]
    mac_address: Annotated[str, Field(description="Its MAC address."), STABLE]
    availability_zone: Annotated[str, Field(description="Name of its zone."), STABLE]
    vpc_id: Annotated[str, Field(description="Id of its VPC."), STABLE]


class ElasticIpInputs(TaggedInputs):
    """Inputs of `ec2:ElasticIp`: a public IPv4 address that is kept until the resource goes."""

    public_ipv4_pool: Annotated[
        str | None, Field(description="Pool that it is taken from; default: Amazon's."), IMMUTABLE
    ] = None


class ElasticIpOutputs(NativeOutputs):
    """Outputs of `ec2:ElasticIp`; its id is the allocation's."""

    public_ip: Annotated[str, Field(description="The address."), STABLE]


class ElasticIpAssociationInputs(OwnedInputs):
    """Inputs of `ec2:ElasticIpAssociation`. It belongs to whom the address belongs to: associations have no tags."""

    allocation_id: Annotated[str, Field(description="Id of the elastic IP address."), IMMUTABLE]
    network_interface_id: Annotated[str | None, Field(description="Id of the interface that gets it."), IMMUTABLE] = (
        None
    )
    instance_id: Annotated[
        str | None, Field(description="Id of the machine whose first interface gets it."), IMMUTABLE
    ] = None
    private_ip_address: Annotated[
        str | None, Field(description="Which of the interface's addresses; default: the first."), IMMUTABLE
    ] = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.network_interface_id is None) == (self.instance_id is None):
            raise ValueError("give either `network_interface_id` or `instance_id`")
        return self


class ElasticIpAssociationOutputs(NativeOutputs):
    """Outputs of `ec2:ElasticIpAssociation`; its id is `ALLOCATION|ASSOCIATION`."""

    public_ip: Annotated[str, Field(description="The address."), STABLE]
    association_id: Annotated[str, Field(description="EC2's id of the association."), STABLE]
