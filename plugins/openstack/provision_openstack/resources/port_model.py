# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What ports and floating addresses are made from."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from provision.spi import AS_CIDR, IGNORE_ORDER, IMMUTABLE, STABLE, Computed, Isolates, OwnedInputs, Properties
from provision_openstack.labels import Description
from provision_openstack.resources.native_model import NamedInputs, NativeOutputs
from provision_openstack.resources.spelling import AS_ADDRESS, AS_MAC, Address, Mac


class FixedIp(Properties):
    """An address of a port."""

    subnet_id: Annotated[str | None, Field(description="Id of the subnet; None: the one that the address is in.")] = (
        None
    )
    ip_address: Annotated[Address | None, Field(description="The address; None: a free one."), AS_ADDRESS] = None


class AddressPair(Properties):
    """Addresses that a port may use besides its own."""

    ip_address: Annotated[str, Field(description="An address or a range."), AS_CIDR]
    mac_address: Annotated[Mac | None, Field(description="The MAC address; None: the port's own."), AS_MAC] = None


class PortInputs(NamedInputs):
    """Inputs of `network:Port`."""

    network_id: Annotated[str, Field(description="Id of its network."), IMMUTABLE]
    fixed_ips: Annotated[
        list[FixedIp], Field(description="Its addresses; none: one of each subnet, as Neutron chooses."), IGNORE_ORDER
    ] = []
    mac_address: Annotated[
        Mac | None, Field(description="Its MAC address; None: Neutron makes one."), AS_MAC, IMMUTABLE
    ] = None
    security_group_ids: Annotated[
        list[str], Field(description="Ids of its security groups; never the project's default one by itself."),
        IGNORE_ORDER, Isolates(),
    ] = []  # fmt: skip
    port_security_enabled: Annotated[
        bool, Field(description="Whether it is held to its addresses and groups."), Isolates()
    ] = True
    allowed_address_pairs: Annotated[
        list[AddressPair], Field(description="What it may use besides its own addresses."), IGNORE_ORDER, Isolates()
    ] = []
    admin_state_up: Annotated[bool, Field(description="Whether it passes packets at all.")] = True
    qos_policy_id: Annotated[
        str | None, Field(description="Its QoS policy; None: that of its network."), Isolates(setting=True)
    ] = None
    vnic_type: Annotated[str, Field(description="Kind of card, such as normal or direct."), IMMUTABLE] = "normal"

    @model_validator(mode="after")
    def _is_secured(self) -> Self:
        if not self.port_security_enabled and (self.security_group_ids or self.allowed_address_pairs):
            raise ValueError("without port security a port has neither security groups nor allowed address pairs")
        return self


class PortOutputs(NativeOutputs):
    """Outputs of `network:Port`; its id is the port's."""

    mac_address: Annotated[str, Field(description="Its MAC address."), STABLE]
    ip_addresses: Annotated[
        list[str], Field(description="Its addresses, IPv4 before IPv6."), Computed(depends_on=("fixed_ips",))
    ]
    status: Annotated[str, Field(description="As Neutron says."), Computed()]
    device_id: Annotated[str, Field(description="Id of the server or router that uses it."), Computed()]


class FloatingIpInputs(OwnedInputs):
    """Inputs of `network:FloatingIp`. It has no name: its address is one."""

    description: Annotated[
        Description, Field(description="What people read of it. The mark of the owner is put behind it.")
    ] = ""

    floating_network_id: Annotated[str, Field(description="Id of the external network that it is of."), IMMUTABLE]
    subnet_id: Annotated[str | None, Field(description="Id of the subnet that it is of; None: any."), IMMUTABLE] = None
    floating_ip_address: Annotated[
        Address | None, Field(description="The address; None: a free one. Most clouds let only administrators say."),
        AS_ADDRESS, IMMUTABLE,
    ] = None  # fmt: skip
    port_id: Annotated[str | None, Field(description="Id of the port that it leads to; None: nowhere.")] = None
    fixed_ip_address: Annotated[
        Address | None, Field(description="Which of the port's addresses; None: its only IPv4 address."), AS_ADDRESS
    ] = None


class FloatingIpOutputs(NativeOutputs):
    """Outputs of `network:FloatingIp`; its id is Neutron's."""

    address: Annotated[str, Field(description="The address."), STABLE]
    router_id: Annotated[
        str | None, Field(description="Id of the router that translates."), Computed(depends_on=("port_id",))
    ]
