"""What route tables, routes and gateways are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import AS_CIDR, IMMUTABLE, STABLE, Computed, Isolates, OwnedInputs
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs

TARGETS = (
    "gateway_id",
    "nat_gateway_id",
    "egress_only_internet_gateway_id",
    "network_interface_id",
    "vpc_peering_connection_id",
    "transit_gateway_id",
    "vpc_endpoint_id",
)
"""Inputs of a route of which exactly one is given."""


class RouteTableInputs(TaggedInputs):
    """Inputs of `ec2:RouteTable`."""

    vpc_id: Annotated[str, Field(description="Id of its VPC."), IMMUTABLE]


class RouteTableOutputs(NativeOutputs):
    """Outputs of `ec2:RouteTable`; its id is the table's."""

    owner_id: Annotated[str, Field(description="Account that owns it."), STABLE]


class RouteInputs(OwnedInputs):
    """Inputs of `ec2:Route`. It belongs to whom its table belongs to: routes have no tags."""

    route_table_id: Annotated[str, Field(description="Id of its table."), IMMUTABLE]
    destination: Annotated[
        str,
        Field(description="Range of IPv4 or IPv6, or id of a prefix list (`pl-…`)."),
        AS_CIDR,
        IMMUTABLE,
        Isolates(),
    ]
    gateway_id: Annotated[
        str | None, Field(description="Target: an internet gateway or virtual private gateway."), Isolates()
    ] = None
    nat_gateway_id: Annotated[str | None, Field(description="Target: a NAT gateway."), Isolates()] = None
    egress_only_internet_gateway_id: Annotated[
        str | None, Field(description="Target: an egress-only gateway, for IPv6."), Isolates()
    ] = None
    network_interface_id: Annotated[str | None, Field(description="Target: a network interface.")] = None
    vpc_peering_connection_id: Annotated[str | None, Field(description="Target: a peering connection.")] = None
    transit_gateway_id: Annotated[str | None, Field(description="Target: a transit gateway.")] = None
    vpc_endpoint_id: Annotated[str | None, Field(description="Target: a gateway load balancer's endpoint.")] = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        given = [name for name in TARGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a route has exactly one target; given: {', '.join(given) or 'none'}")
        return self


class RouteOutputs(NativeOutputs):
    """Outputs of `ec2:Route`; its id is `TABLE|DESTINATION`."""

    state: Annotated[str, Field(description="`active`, or `blackhole` when the target is gone."), Computed()]


class RouteTableAssociationInputs(OwnedInputs):
    """Inputs of `ec2:RouteTableAssociation`. It belongs to whom its table belongs to: associations have no tags."""

    route_table_id: Annotated[str, Field(description="Id of the table."), IMMUTABLE]
    subnet_id: Annotated[str, Field(description="Id of the subnet that uses it."), IMMUTABLE]


class RouteTableAssociationOutputs(NativeOutputs):
    """Outputs of `ec2:RouteTableAssociation`; its id is `TABLE|ASSOCIATION`."""

    association_id: Annotated[str, Field(description="EC2's id of the association."), STABLE]


class InternetGatewayInputs(TaggedInputs):
    """Inputs of `ec2:InternetGateway`; it is attached to its VPC."""

    vpc_id: Annotated[str, Field(description="Id of the VPC."), IMMUTABLE]


class InternetGatewayOutputs(NativeOutputs):
    """Outputs of `ec2:InternetGateway`; its id is the gateway's."""

    owner_id: Annotated[str, Field(description="Account that owns it."), STABLE]


class NatGatewayInputs(TaggedInputs):
    """Inputs of `ec2:NatGateway`."""

    subnet_id: Annotated[str, Field(description="Id of the subnet that it stands in."), IMMUTABLE]
    connectivity_type: Annotated[
        Literal["public", "private"], Field(description="Whether it leads to the internet."), IMMUTABLE
    ] = "public"
    allocation_id: Annotated[
        str | None, Field(description="Id of the elastic IP address of a public one."), IMMUTABLE
    ] = None
    private_ip_address: Annotated[str | None, Field(description="Its address in the subnet."), IMMUTABLE] = None

    @model_validator(mode="after")
    def _public_has_an_address(self) -> Self:
        if (self.connectivity_type == "public") != (self.allocation_id is not None):
            raise ValueError("a public NAT gateway needs `allocation_id`, and a private one has none")
        return self


class NatGatewayOutputs(NativeOutputs):
    """Outputs of `ec2:NatGateway`; its id is the gateway's."""

    vpc_id: Annotated[str, Field(description="Id of its VPC."), STABLE]
    public_ip: Annotated[str | None, Field(description="Address that the internet sees."), STABLE]
    private_ip_address: Annotated[str, Field(description="Its address in the subnet."), Computed()]
    network_interface_id: Annotated[str | None, Field(description="Id of its interface."), STABLE]


class EgressOnlyGatewayInputs(TaggedInputs):
    """Inputs of `ec2:EgressOnlyGateway`: IPv6 to the internet, and nothing from there."""

    vpc_id: Annotated[str, Field(description="Id of the VPC."), IMMUTABLE]


class EgressOnlyGatewayOutputs(NativeOutputs):
    """Outputs of `ec2:EgressOnlyGateway`; its id is the gateway's."""

    state: Annotated[str, Field(description="Of the attachment to the VPC: `attached`."), Computed()]
