"""The NoCloud seed of a machine: who it is and what its NICs are to be (network-config version 2)."""

from collections.abc import Sequence
from ipaddress import ip_network

from provision.models import Internet, Stack
from provision.spi import NicAddress
from provision_libvirt.translate.hostside import host_address
from provision_libvirt.usermode import name_server


def meta_data(instance: str, hostname: str) -> str:
    """`instance` tells cloud-init whether it has run for this very machine already."""
    return f"instance-id: {instance}\nlocal-hostname: {hostname}\n"


def network_config(stack: Stack, nics: Sequence[NicAddress], *, user: bool = False) -> str:
    """Fixed addresses by MAC; the way out is that of the first NIC, per IP version, on a network that has one.

    Args:
        stack: what the file says.
        nics: of the machine, in order.
        user: whether they have user-mode networking, which answers for names at an address of its own.
    """
    lines = ["version: 2", "ethernets:"] if nics else ["version: 2"]
    exits: set[int] = set()
    for index, nic in enumerate(nics):
        network = stack.networks[nic.network]
        lines += [f"  nic{index}:", "    match:", f'      macaddress: "{nic.mac}"']
        if network.mtu is not None:
            lines.append(f"    mtu: {network.mtu}")
        addresses, routes, servers = [], [], []
        for family, address, prefix in ((4, nic.ipv4, network.cidr), (6, nic.ipv6, network.cidr6)):
            if address is None or prefix is None:
                continue
            addresses.append(f'      - "{address}/{ip_network(prefix).prefixlen}"')
            gateway = host_address(stack, nic.network, family)
            if gateway is None:
                continue
            if network.internet is not Internet.NONE and family not in exits:
                exits.add(family)
                everything = "0.0.0.0/0" if family == 4 else "::/0"
                routes += [f'      - to: "{everything}"', f'        via: "{gateway}"']
            if stack.isolation.services.dns:
                servers.append(f'        - "{name_server(network) if user else gateway}"')
        if addresses:
            lines += ["    addresses:", *addresses]
        if routes:
            lines += ["    routes:", *routes]
        if servers:
            lines += ["    nameservers:", "      addresses:", *servers]
    return "\n".join(lines) + "\n"
