# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What networks, subnets and routers are made from."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import AS_CIDR, IGNORE_ORDER, IMMUTABLE, STABLE, Computed, OwnedInputs, Properties, StackField
from provision_openstack.resources.native_model import NamedInputs, NativeOutputs
from provision_openstack.resources.spelling import AS_ADDRESS, Address, Cidr

Ipv6Mode = Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"]


class NetworkInputs(NamedInputs):
    """Inputs of `network:Network`."""

    mtu: Annotated[
        int | None,
        Field(description="Largest packet in bytes; None: what the cloud has.", ge=68),
        StackField(("networks.mtu",)),
    ] = None
    port_security_enabled: Annotated[
        bool, Field(description="Whether ports of it are held to their addresses and groups unless they say otherwise.")
    ] = True
    qos_policy_id: Annotated[str | None, Field(description="QoS policy of ports that have none of their own.")] = None
    external: Annotated[
        bool, Field(description="Whether routers may have it as their gateway; for administrators."), IMMUTABLE
    ] = False
    shared: Annotated[bool, Field(description="Whether all projects may use it; for administrators.")] = False
    provider_network_type: Annotated[
        str | None, Field(description="Kind of segment, such as vlan; for administrators."), IMMUTABLE
    ] = None
    provider_physical_network: Annotated[
        str | None, Field(description="Physical network of the segment; for administrators."), IMMUTABLE
    ] = None
    provider_segmentation_id: Annotated[
        int | None, Field(description="Number of the segment; for administrators."), IMMUTABLE
    ] = None


class NetworkOutputs(NativeOutputs):
    """Outputs of `network:Network`; its id is the network's."""

    status: Annotated[str, Field(description="As Neutron says."), Computed()]
    mtu: Annotated[int, Field(description="Largest packet in bytes."), Computed(depends_on=("mtu",))]


class Pool(Properties):
    """Addresses that may be given to ports."""

    start: Annotated[Address, Field(description="The first."), AS_ADDRESS]
    end: Annotated[Address, Field(description="The last."), AS_ADDRESS]


class HostRoute(Properties):
    """A route that DHCP tells machines."""

    destination: Annotated[Cidr, Field(description="Where to."), AS_CIDR]
    nexthop: Annotated[Address, Field(description="By what address."), AS_ADDRESS]


class SubnetInputs(NamedInputs):
    """Inputs of `network:Subnet`."""

    network_id: Annotated[str, Field(description="Id of its network."), IMMUTABLE]
    cidr: Annotated[Cidr, Field(description="Its addresses."), AS_CIDR, IMMUTABLE]
    gateway_ip: Annotated[
        Address | None, Field(description="Address of the way out; None: there is none."), AS_ADDRESS
    ] = None
    enable_dhcp: Annotated[bool, Field(description="Whether Neutron answers DHCP on it.")] = False
    allocation_pools: Annotated[
        list[Pool], Field(description="Addresses that Neutron may choose from; empty: all but the gateway's."),
        IGNORE_ORDER,
    ] = []  # fmt: skip
    dns_nameservers: Annotated[list[Address], Field(description="Name servers that machines are told of.")] = []
    host_routes: Annotated[list[HostRoute], Field(description="Routes that machines are told of."), IGNORE_ORDER] = []
    ipv6_address_mode: Annotated[
        Ipv6Mode | None, Field(description="How machines get IPv6 addresses; None: not from Neutron."), IMMUTABLE
    ] = None
    ipv6_ra_mode: Annotated[
        Ipv6Mode | None, Field(description="What routers of the cloud advertise; None: nothing."), IMMUTABLE
    ] = None

    @model_validator(mode="after")
    def _one_family(self) -> Self:
        version = ipaddress.ip_network(self.cidr).version
        if self.gateway_ip is not None and ipaddress.ip_address(self.gateway_ip).version != version:
            raise ValueError(f"the gateway {self.gateway_ip} is not of IPv{version}, as {self.cidr} is")
        if version == 4 and (self.ipv6_address_mode or self.ipv6_ra_mode):
            raise ValueError("an IPv4 subnet has no modes of IPv6")
        return self


class SubnetOutputs(NativeOutputs):
    """Outputs of `network:Subnet`; its id is the subnet's."""

    ip_version: Annotated[int, Field(description="4 or 6."), STABLE]


class RouterRoute(Properties):
    """A route of a router's own."""

    destination: Annotated[Cidr, Field(description="Where to."), AS_CIDR]
    nexthop: Annotated[Address, Field(description="By what address."), AS_ADDRESS]


class RouterInputs(NamedInputs):
    """Inputs of `network:Router`."""

    external_network_id: Annotated[
        str | None, Field(description="Id of the external network that it has its way out by; None: no way out.")
    ] = None
    enable_snat: Annotated[
        bool | None,
        Field(
            description="Whether it hides machines behind its own address. None: as the cloud has it (mostly true); "
            "most clouds let only administrators say."
        ),
    ] = None
    routes: Annotated[list[RouterRoute], Field(description="Further routes."), IGNORE_ORDER] = []

    @model_validator(mode="after")
    def _has_a_way_out(self) -> Self:
        if self.external_network_id is None and self.enable_snat is not None:
            raise ValueError("a router without `externalNetworkId` hides nobody: leave `enableSnat` out")
        return self


class RouterOutputs(NativeOutputs):
    """Outputs of `network:Router`; its id is the router's."""

    external_addresses: Annotated[
        list[str], Field(description="Its addresses on the external network."),
        Computed(depends_on=("external_network_id",)),
    ]  # fmt: skip
    status: Annotated[str, Field(description="As Neutron says."), Computed()]


class RouterInterfaceInputs(OwnedInputs):
    """Inputs of `network:RouterInterface`: a router is on a subnet, at the subnet's gateway address."""

    router_id: Annotated[str, Field(description="Id of the router."), IMMUTABLE]
    subnet_id: Annotated[str, Field(description="Id of the subnet."), IMMUTABLE]


class RouterInterfaceOutputs(NativeOutputs):
    """Outputs of `network:RouterInterface`; its id is `ROUTER|SUBNET`."""

    port_id: Annotated[str, Field(description="Id of the router's port."), STABLE]
    ip_address: Annotated[str, Field(description="The router's address."), STABLE]
