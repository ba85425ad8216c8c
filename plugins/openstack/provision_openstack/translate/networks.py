"""Networks of the stack: a segment, a subnet of each IP version, and a router for those with a way out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from provision.models import Internet, Network, Stack
from provision.spi import Capabilities, GraphBuilder, Node, Output
from provision_openstack import resources
from provision_openstack.translate.names import Names
from provision_openstack.translate.referring import network_of, referred, subnet_of


@dataclass
class Networks:
    """All networks.

    Attributes:
        networks: ids by name.
        subnets: ids by name and IP version.
        ways: nodes that a network's way out is made of, by name.
    """

    networks: dict[str, Output | str] = field(default_factory=dict)
    subnets: dict[tuple[str, int], Output | str] = field(default_factory=dict)
    ways: dict[str, list[Node]] = field(default_factory=dict)


def gateway(network: Network, family: int) -> IPv4Address | IPv6Address | None:
    """The router's address: as written, else the first of the prefix; None without a way out and a written one."""
    prefix, written = (network.cidr, network.gateway) if family == 4 else (network.cidr6, network.gateway6)
    if prefix is None or (written is None and network.internet is Internet.NONE):
        return None
    return written or (prefix[1] if prefix.num_addresses > 1 else prefix[0])


def external(capabilities: Capabilities) -> Mapping[str, str] | None:
    """The external network; None when there is none, or nobody can tell which of several is meant."""
    found = capabilities.facts.get("external_networks") or []
    named = [one for one in found if one["name"] in ("public", "external")]
    if len(found) == 1:
        return dict(found[0])
    return dict(named[0]) if len(named) == 1 else None


def add_networks(stack: Stack, names: Names, capabilities: Capabilities, builder: GraphBuilder) -> Networks:
    """Add every network that is not there already, and the router when one of them has a way out."""
    made = Networks()
    own = {name: network for name, network in stack.networks.items() if referred(network) is None}
    ways = {network.internet for network in own.values()} - {Internet.NONE}
    router = None
    if ways:
        way = external(capabilities)
        inputs: dict[str, Any] = {"name": names.native("router")}
        if way is not None:
            inputs["external_network_id"] = way["id"]
            if Internet.ROUTED in ways:
                inputs["enable_snat"] = False
        router = builder.add(resources.Router, "router", inputs)
    for name, network in stack.networks.items():
        parent = f"networks/{name}"
        builder.component("Network", parent)
        if name not in own:
            _refer(made, name, network, capabilities)
            continue
        settings: dict[str, Any] = {"name": names.native(name)}
        if network.mtu is not None:
            settings["mtu"] = network.mtu
        segment = builder.add(resources.Network, f"{parent}/network", settings, parent=parent)
        made.networks[name] = segment.output("id")
        made.ways[name] = []
        for family, prefix in ((4, network.cidr), (6, network.cidr6)):
            if prefix is None:
                continue
            way_out = gateway(network, family)
            inputs = {
                "name": names.native(name, f"v{family}"),
                "network_id": segment.output("id"),
                "cidr": str(prefix),
                "gateway_ip": None if way_out is None else str(way_out),
                **(_leases(network) if family == 4 else {}),
            }
            subnet = builder.add(resources.Subnet, f"{parent}/subnet-v{family}", inputs, parent=parent)
            made.subnets[name, family] = subnet.output("id")
            if router is not None and network.internet is not Internet.NONE:
                ends = {"router_id": router.output("id"), "subnet_id": subnet.output("id")}
                way_name = f"{parent}/router-v{family}"
                made.ways[name].append(builder.add(resources.RouterInterface, way_name, ends, parent=parent))
    return made


def _refer(made: Networks, name: str, network: Network, capabilities: Capabilities) -> None:
    """Take a network as it is; without a look at the cloud by what the file calls it."""
    reference = referred(network) or ""
    found = network_of(capabilities, reference)
    made.networks[name] = reference if found is None else found["id"]
    made.ways[name] = []
    for family, prefix in ((4, network.cidr), (6, network.cidr6)):
        if prefix is not None:
            subnet = subnet_of(found, prefix) if found is not None else None
            made.subnets[name, family] = f"{reference} {prefix}" if subnet is None else subnet["id"]


def _leases(network: Network) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if network.dhcp.enabled:
        found["enable_dhcp"] = True
    if network.dhcp.range is not None:
        first, last = network.dhcp.range
        found["allocation_pools"] = [{"start": str(first), "end": str(last)}]
    return found
