"""Ways to Amazon's own services for networks without the internet."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from provision.models import Stack
from provision.spi import Node, Objection
from provision_aws.resources import SecurityGroup, SecurityGroupRule, Subnet, VpcEndpoint
from provision_aws.translate.layout import ENDPOINT_RANGE
from provision_aws.translate.names import plain
from provision_aws.translate.networks import Networks
from provision_aws.translate.overrides import NetworkOverrides, of, referred

_BY_ROUTE = ("s3", "dynamodb")
"""Services that a route leads to; the others have network interfaces (VPC User Guide, "Gateway endpoints")."""

_HTTPS = 443


def add(networks: Networks, region: str) -> None:
    """Add the endpoints of all networks, one for each service: a VPC has no two."""
    asked = _asked(networks.stack)
    for service, names in asked.items():
        if service in _BY_ROUTE:
            _gateway(networks, region, service, names)
    interfaces = {service: names for service, names in asked.items() if service not in _BY_ROUTE}
    if interfaces:
        _interfaces(networks, region, interfaces)


def objections(stack: Stack) -> Iterator[Objection]:
    """What EC2 cannot make."""
    for name, network in stack.networks.items():
        path, services = ("networks", name, "overrides"), of(NetworkOverrides, network.overrides).endpoints
        if services and referred(network) is not None:
            yield Objection(
                path,
                "endpoints are a VPC's, and the network is in one that is not the stack's to change",
                "make them where the VPC is made, and remove 'endpoints'",
            )
        if any(one not in _BY_ROUTE for one in services) and not stack.isolation.services.dns:
            yield Objection(
                path,
                "machines find endpoints other than s3 and dynamodb by the VPC's name server, which is closed",
                "write 'isolation: {services: {dns: true}}'",
            )
        if services and network.cidr is not None and network.cidr.overlaps(ENDPOINT_RANGE):
            yield Objection(
                ("networks", name, "cidr"),
                f"{network.cidr} overlaps with {ENDPOINT_RANGE}, where the stack's endpoints stand",
                "give the network another range",
            )


def _asked(stack: Stack) -> Mapping[str, list[str]]:
    """By service, the networks that ask for it."""
    found: dict[str, list[str]] = {}
    for name, network in stack.networks.items():
        for service in dict.fromkeys(of(NetworkOverrides, network.overrides).endpoints):
            found.setdefault(service, []).append(name)
    return dict(sorted(found.items()))


def _gateway(networks: Networks, region: str, service: str, names: list[str]) -> None:
    tables = [networks.tables[name, part.suffix] for name in names for part in networks.layout.parts[name]]
    _add(networks, region, service, names, {
        "endpoint_type": "Gateway",
        "route_table_ids": [table.output("id") for table in tables],
    })  # fmt: skip


def _interfaces(networks: Networks, region: str, services: Mapping[str, list[str]]) -> None:
    """Interfaces in subnets of their own, so that none has an address that a machine may be given."""
    names = list(dict.fromkeys(name for asking in services.values() for name in asking))
    subnets = [_subnet(networks, zone) for zone in networks.layout.zones_of(names)]
    group = _group(networks, [part.cidr for name in names for part in networks.layout.parts[name]])
    for service, asking in services.items():
        _add(networks, region, service, asking, {
            "endpoint_type": "Interface",
            "subnet_ids": [subnet.output("id") for subnet in subnets],
            "security_group_ids": [group.output("id")],
            "private_dns_enabled": True,
        })  # fmt: skip


def _subnet(networks: Networks, zone: str) -> Node:
    return networks.builder.add(
        Subnet,
        f"endpoints/{zone}/subnet",
        {
            "name": networks.names.native("endpoints", zone),
            "vpc_id": networks.vpc_id,
            "cidr_block": str(networks.layout.endpoint_range(zone)),
            "availability_zone": zone,
        },
    )


def _group(networks: Networks, ranges: list[IPv4Network]) -> Node:
    """The group of the interfaces: machines of the networks may ask; whether one may is what its own groups say."""
    name = networks.names.native("endpoints")
    group = networks.builder.add(
        SecurityGroup,
        "endpoints/group",
        {
            "vpc_id": networks.vpc_id,
            "name": name,
            "group_name": plain(name),
            "description": "endpoints of services",
            "exclusive": networks.exclusive,
        },
    )
    for cidr in dict.fromkeys(ranges):
        networks.builder.add(
            SecurityGroupRule,
            f"endpoints/group/in-{str(cidr).replace('/', '-')}",
            {
                "name": networks.names.native("endpoints", str(cidr)),
                "security_group_id": group.output("id"),
                "direction": "ingress",
                "ip_protocol": "tcp",
                "from_port": _HTTPS,
                "to_port": _HTTPS,
                "cidr_ipv4": str(cidr),
                "description": "endpoints of services",
            },
        )
    return group


def _add(networks: Networks, region: str, service: str, names: list[str], inputs: Mapping[str, Any]) -> None:
    """An endpoint, to which machines in the networks of these names have a way."""
    common = {
        "name": networks.names.native(service),
        "vpc_id": networks.vpc_id,
        "service_name": f"com.amazonaws.{region}.{service}",
    }
    node = networks.builder.add(VpcEndpoint, f"endpoints/{service}", {**common, **inputs})
    for name in names:
        for part in networks.layout.parts[name]:
            networks.ways[name, part.suffix].append(node.name)
