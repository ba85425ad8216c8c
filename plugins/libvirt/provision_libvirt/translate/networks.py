"""Networks of the stack as networks of libvirt."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from provision.models import Internet, Network, Stack
from provision.spi import Capabilities, GraphBuilder, Node
from provision.spi.flows import End
from provision_libvirt import resources
from provision_libvirt.translate.closing import own_addresses
from provision_libvirt.translate.hostside import gateway, has_host_address
from provision_libvirt.translate.names import Names

_MODES = {Internet.NONE: "isolated", Internet.NAT: "nat", Internet.ROUTED: "routed"}


def add_networks(
    stack: Stack,
    names: Names,
    places: Sequence[End],
    builder: GraphBuilder,
    pool: Node,
    capabilities: Capabilities,
) -> Mapping[str, Node]:
    """Add every network; gives the nodes by name."""
    by_network: dict[str, list[End]] = defaultdict(list)
    for place in places:
        by_network[place.network].append(place)
    made = {}
    for name, network in stack.networks.items():
        builder.component("Network", f"networks/{name}")
        made[name] = builder.add(
            resources.Network,
            f"networks/{name}/network",
            {
                "pool": pool.output("name"),
                **_inputs(stack, names, name, network, by_network[name]),
                **_closed(stack, network, capabilities),
            },
            parent=f"networks/{name}",
        )
    return made


def _inputs(stack: Stack, names: Names, name: str, network: Network, places: Sequence[End]) -> dict[str, Any]:
    present = has_host_address(stack, network)
    dns = present and bool(stack.isolation.services.dns or network.dns or network.domain)
    inputs: dict[str, Any] = {
        "name": names.native(name),
        "mode": _MODES[network.internet],
        "bridge": names.bridge(name),
        "dns": dns,
    }
    if present:
        for key, family, prefix in (("ipv4", 4, network.cidr), ("ipv6", 6, network.cidr6)):
            if prefix is not None:
                inputs[key] = {"address": str(gateway(network, family)), "prefix": prefix.prefixlen}
    if network.domain:
        inputs["domain"] = network.domain
    if network.mtu is not None:
        inputs["mtu"] = network.mtu
    if network.dhcp.enabled and network.cidr is not None:
        if network.dhcp.range is not None:
            inputs["dhcp_range"] = {"start": str(network.dhcp.range[0]), "end": str(network.dhcp.range[1])}
        inputs["dhcp_hosts"] = [
            {"mac": place.address.mac, "ip": place.address.ipv4, "name": place.machine}
            for place in places
            if place.address.ipv4
        ]
    if dns:
        inputs["dns_hosts"] = _names(network, places)
    return inputs


def _closed(stack: Stack, network: Network, capabilities: Capabilities) -> dict[str, Any]:
    """What the stack's filters know of the hypervisor, where all else of it can be closed.

    On a network without a way out they close all but its own address anyway.
    """
    if network.internet is Internet.NONE or not capabilities.facts.get("closes_host"):
        return {}
    further = capabilities.facts.get("host_addresses", ())
    known = [address for family in (4, 6) for address in own_addresses(stack, family, further)]
    own = [prefix for prefix in (network.cidr, network.cidr6) if prefix is not None]
    return {"host_addresses": [one for one in known if not any(ip_address(one) in prefix for prefix in own)]}


def _names(network: Network, places: Sequence[End]) -> list[dict[str, Any]]:
    """What the network's DNS answers: its machines, and the names that the file adds."""
    found: dict[str, list[str]] = {}
    for place in places:
        for address in (place.address.ipv4, place.address.ipv6):
            if address is not None:
                full = [f"{place.machine}.{network.domain}"] if network.domain else []
                found.setdefault(address, []).extend([place.machine, *full])
    for name, ip in (network.dns or {}).items():
        found.setdefault(str(ip), []).append(name)
    return [{"ip": ip, "names": list(dict.fromkeys(called))} for ip, called in found.items()]
