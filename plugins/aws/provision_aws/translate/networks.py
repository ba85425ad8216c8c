"""Networks of the stack as a VPC with subnets, and their ways out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.models import Internet, Network, Stack
from provision.spi import GraphBuilder, Node
from provision_aws.resources import (
    EgressOnlyGateway,
    ElasticIp,
    InternetGateway,
    NatGateway,
    Route,
    RouteTable,
    RouteTableAssociation,
    Subnet,
    Vpc,
)
from provision_aws.translate.layout import NAT_RANGE, Layout, Part
from provision_aws.translate.names import Names
from provision_aws.translate.overrides import NetworkOverrides, of

_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass
class Networks:
    """Adds the stack's networks to a graph.

    Attributes:
        stack: what the file says.
        names: of native objects.
        builder: where nodes go.
        layout: where they lie.
        vpc: the node of the VPC, once it is added.
        ways: by subnet, the nodes of the routes out of it.
    """

    stack: Stack
    names: Names
    builder: GraphBuilder
    layout: Layout
    vpc: Node = field(init=False)
    subnets: dict[tuple[str, str], Node] = field(default_factory=dict)
    ways: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _gateway: Node | None = None
    _egress_only: Node | None = None
    _nat: dict[str, Node] = field(default_factory=dict)

    def add(self) -> None:
        """Add all of them."""
        self.vpc = self._vpc()
        for name, network in self.stack.networks.items():
            self.builder.component("Network", f"networks/{name}", {"vpc": self.vpc.output("id")})
            for part in self.layout.parts[name]:
                self._subnet(name, network, part)

    def subnet(self, network: str, address: str) -> tuple[Node, Part]:
        """The subnet that an address lies in."""
        part = self.layout.part(network, address)
        return self.subnets[network, part.suffix], part

    def gateway(self) -> Node:
        """The way to the internet and from there."""
        if self._gateway is None:
            self._gateway = self.builder.add(
                InternetGateway, "internet-gateway", {"vpc_id": self.vpc.output("id"), "name": self.names.native()}
            )
        return self._gateway

    def _vpc(self) -> Node:
        blocks = [str(block) for block in self.layout.blocks]
        further = blocks[1:] + ([str(NAT_RANGE)] if self.layout.nat_zones else [])
        return self.builder.add(
            Vpc,
            "vpc",
            {
                "name": self.names.native(),
                "cidr_block": blocks[0],
                "secondary_cidr_blocks": further,
                "amazon_provided_ipv6": self.layout.ipv6,
                "enable_dns_support": self.stack.isolation.services.dns,
            },
        )

    def _subnet(self, name: str, network: Network, part: Part) -> None:
        inputs: dict[str, Any] = {
            "name": self.names.native(name) + part.suffix,
            "vpc_id": self.vpc.output("id"),
            "cidr_block": str(part.cidr),
            "availability_zone": part.zone,
            "tags": of(NetworkOverrides, network.overrides).tags,
        }
        if network.cidr6 is not None:
            inputs["vpc_ipv6_cidr_block"] = self.vpc.output("ipv6_cidr_block")
            inputs["ipv6_index"] = self.layout.indexes[name, part.suffix]
        parent = f"networks/{name}"
        subnet = self.builder.add(Subnet, f"{parent}/subnet{part.suffix}", inputs, parent=parent)
        self.subnets[name, part.suffix] = subnet
        targets: dict[int, Mapping[str, Any]] = {}
        if network.internet is Internet.ROUTED:
            targets = {family: {"gateway_id": self.gateway().output("id")} for family in (4, 6)}
        if network.internet is Internet.NAT:
            targets = {4: {"nat_gateway_id": self._nat_gateway(part.zone).output("id")}}
            if network.cidr6 is not None:
                targets[6] = {"egress_only_internet_gateway_id": self._out().output("id")}
        if network.cidr6 is None:
            targets.pop(6, None)
        self.ways[name, part.suffix] = self._table(
            f"{parent}/", part.suffix, subnet, targets, parent=parent, name=self.names.native(name) + part.suffix
        )

    def _table(
        self,
        prefix: str,
        suffix: str,
        subnet: Node,
        targets: Mapping[int, Mapping[str, Any]],
        *,
        parent: str | None,
        name: str,
    ) -> list[str]:
        """A route table of a subnet's own: what people do to the VPC's main one does not matter."""
        table = self.builder.add(
            RouteTable, f"{prefix}routes{suffix}", {"vpc_id": self.vpc.output("id"), "name": name}, parent=parent
        )
        made = [
            self.builder.add(
                RouteTableAssociation,
                f"{prefix}association{suffix}",
                {"route_table_id": table.output("id"), "subnet_id": subnet.output("id")},
                parent=parent,
            ).name
        ]
        for family, target in targets.items():
            made.append(
                self.builder.add(
                    Route,
                    f"{prefix}default{family}{suffix}",
                    {"route_table_id": table.output("id"), "destination": _EVERYWHERE[family], **target},
                    parent=parent,
                ).name
            )
        return made

    def _nat_gateway(self, zone: str) -> Node:
        if zone not in self._nat:
            name = self.names.native("nat", zone)
            prefix = f"nat/{zone}/"
            subnet = self.builder.add(
                Subnet,
                f"{prefix}subnet",
                {
                    "name": name,
                    "vpc_id": self.vpc.output("id"),
                    "cidr_block": str(self.layout.nat_range(zone)),
                    "availability_zone": zone,
                },
            )
            out = {4: {"gateway_id": self.gateway().output("id")}}
            ways = self._table(prefix, "", subnet, out, parent=None, name=name)
            address = self.builder.add(ElasticIp, f"{prefix}address", {"name": name}, depends_on=[self.gateway().name])
            self._nat[zone] = self.builder.add(
                NatGateway,
                f"{prefix}gateway",
                {"name": name, "subnet_id": subnet.output("id"), "allocation_id": address.output("id")},
                depends_on=ways,
            )
        return self._nat[zone]

    def _out(self) -> Node:
        if self._egress_only is None:
            self._egress_only = self.builder.add(
                EgressOnlyGateway,
                "egress-only-gateway",
                {"vpc_id": self.vpc.output("id"), "name": self.names.native()},
            )
        return self._egress_only
