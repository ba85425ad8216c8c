# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What a virtual network is made from."""

from typing import Annotated, Literal

from pydantic import Field

from provision.spi import IMMUTABLE, Computed, Isolates, OwnedInputs, Properties, StackField
from provision_libvirt.resources.native_model import POOL_ONLY_ORDERS, NativeOutputs
from provision_libvirt.resources.spelling import ANY_SPELLING


class IpAddress(Properties):
    """The hypervisor's own address on a network."""

    address: Annotated[str, Field(description="The address, such as 10.20.0.1.")]
    prefix: Annotated[int, Field(description="Length of the network's prefix.", ge=1, le=127)]


class DhcpRange(Properties):
    """A pool of IPv4 addresses for machines without a fixed one."""

    start: Annotated[str, Field(description="First address.")]
    end: Annotated[str, Field(description="Last address.")]


class DhcpHost(Properties):
    """One fixed IPv4 lease."""

    mac: Annotated[str, Field(description="MAC address of the NIC.")]
    ip: Annotated[str, Field(description="Its IPv4 address.")]
    name: Annotated[str | None, Field(description="Host name sent with the lease.")] = None


class DnsHost(Properties):
    """Names of one address in the network's DNS."""

    ip: Annotated[str, Field(description="The address, IPv4 or IPv6.")]
    names: Annotated[list[str], Field(description="Its names.", min_length=1)]


class NetworkInputs(OwnedInputs):
    """Inputs of `network:Network`."""

    pool: Annotated[
        str,
        Field(description="Name of the stack's pool, which is made before and removed after everything else of it."),
        POOL_ONLY_ORDERS,
    ]
    name: Annotated[str, Field(description="Name on the hypervisor."), IMMUTABLE]
    mode: Annotated[
        Literal["isolated", "nat", "routed"],
        Field(description="Way out: none, through address translation, or routed as it is."),
        IMMUTABLE,
    ] = "isolated"
    bridge: Annotated[
        str, Field(description="Name of the bridge device.", max_length=15, pattern=r"^[A-Za-z0-9_.-]+$"), IMMUTABLE
    ]
    ipv4: Annotated[
        IpAddress | None, Field(description="IPv4 address of the hypervisor; none: no host address."), IMMUTABLE
    ] = None
    ipv6: Annotated[
        IpAddress | None, Field(description="IPv6 address of the hypervisor; none: no host address."), IMMUTABLE
    ] = None
    domain: Annotated[
        str | None,
        Field(description="DNS domain, answered by this network alone."),
        IMMUTABLE,
        StackField(("networks.domain",)),
    ] = None
    mtu: Annotated[
        int | None, Field(description="MTU in bytes.", ge=576, le=65535), IMMUTABLE, StackField(("networks.mtu",))
    ] = None  # fmt: skip
    dns: Annotated[bool, Field(description="Whether the hypervisor answers DNS on this network."), IMMUTABLE] = True
    dhcp_range: Annotated[DhcpRange | None, Field(description="Addresses for machines without a fixed one.")] = None
    dhcp_hosts: Annotated[
        list[DhcpHost],
        Field(description="Fixed IPv4 leases; with neither these nor a range there is no DHCP."),
        ANY_SPELLING,
    ] = []
    dns_hosts: Annotated[list[DnsHost], Field(description="Names in the network's DNS."), ANY_SPELLING] = []
    host_addresses: Annotated[
        list[str] | None,
        Field(
            description="Addresses of the hypervisor, beyond this network, that packet filters decide about. All its "
            "others are closed to the network by rules of the kernel, whenever it gets them; none: no such rules."
        ),
        ANY_SPELLING,
        Isolates(setting=True, always=True),
    ] = None


class NetworkOutputs(NativeOutputs):
    """Outputs of `network:Network`; its id is the UUID."""

    name: str
    bridge: str
    uuid: Annotated[str, Field(description="Derived from the stack's identity and the URN."), Computed()]
    generation: Annotated[
        str, Field(description="New each time the network is made: what is plugged into it must be plugged anew."),
        Computed(),
    ]  # fmt: skip
