"""The hypervisor's own place on the stack's networks."""

from ipaddress import IPv4Address, IPv6Address

from provision.models import Internet, Network, Stack


def has_host_address(stack: Stack, network: Network) -> bool:
    """Whether the hypervisor has addresses on the network.

    On one without a way out it has none unless something needs it there: what is absent need not be closed.
    """
    services = stack.isolation.services
    written = network.gateway or network.gateway6 or network.dhcp.enabled or network.dns or network.domain
    return network.internet is not Internet.NONE or bool(written) or services.dhcp or services.dns or services.ntp


def gateway(network: Network, family: int) -> IPv4Address | IPv6Address | None:
    """The hypervisor's address on the network: as written, else the first of the prefix."""
    if family == 4:
        if network.cidr is None:
            return None
        return network.gateway or (network.cidr[1] if network.cidr.num_addresses > 1 else network.cidr[0])
    if network.cidr6 is None:
        return None
    return network.gateway6 or (network.cidr6[1] if network.cidr6.num_addresses > 1 else network.cidr6[0])


def host_address(stack: Stack, name: str, family: int) -> str | None:
    """The hypervisor's address on the network of that name, None when it has none there."""
    network = stack.networks[name]
    if not has_host_address(stack, network):
        return None
    found = gateway(network, family)
    return None if found is None else str(found)
