"""Networks of the stack as a VPC with subnets, and their ways out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.models import Internet, Network, Stack
from provision.spi import GraphBuilder, Node, Output
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
from provision_aws.translate.layout import Layout, Part
from provision_aws.translate.names import Names
from provision_aws.translate.overrides import NetworkOverrides, of

_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a network card is.

    Attributes:
        part: the subnet in the layout.
        id: the subnet's id.
        ipv6: the subnet's range of IPv6.
        ways: names of the nodes of the routes out of it.
    """

    part: Part
    id: Output | str
    ipv6: Output | str
    ways: tuple[str, ...] = ()


@dataclass
class Networks:
    """Adds the stack's networks to a graph.

    Attributes:
        stack: what the file says.
        names: of native objects.
        builder: where nodes go.
        layout: where they lie.
        exclusive: whether rules that others put into the stack's groups are taken away.
        ways: by subnet, the nodes of the routes out of it.
        tables: by subnet, the node of its route table.
    """

    stack: Stack
    names: Names
    builder: GraphBuilder
    layout: Layout
    exclusive: bool = False
    subnets: dict[tuple[str, str], Node] = field(default_factory=dict)
    ways: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    tables: dict[tuple[str, str], Node] = field(default_factory=dict)
    _own: Node | None = None
    _gateway: Node | None = None
    _egress_only: Node | None = None
    _nat: dict[str, Node] = field(default_factory=dict)

    def add(self) -> None:
        """Add all of them that are not there already."""
        if not self.layout.refers:
            self._own = self._vpc()
        for name, network in self.stack.networks.items():
            self.builder.component("Network", f"networks/{name}", {"vpc": self.vpc_id})
            for part in self.layout.parts[name]:
                if not part.existing:
                    self._subnet(name, network, part)

    @property
    def vpc_id(self) -> Output | str:
        """Id of the VPC."""
        return self.layout.vpc if self._own is None else self._own.output("id")

    @property
    def ipv6_blocks(self) -> list[Output | str]:
        """Ranges of IPv6 that the VPC has."""
        if self._own is None:
            return list(self.layout.vpc_facts.get("ranges6", ()))
        return [self._own.output("ipv6_cidr_block")]

    def subnet(self, network: str, address: str) -> Place:
        """The subnet that an address lies in."""
        part = self.layout.part(network, address)
        if part.existing:
            return Place(part, part.existing, part.cidr6)
        node = self.subnets[network, part.suffix]
        return Place(part, node.output("id"), node.output("ipv6_cidr_block"), tuple(self.ways[network, part.suffix]))

    def gateway(self) -> Node | None:
        """The way to the internet and from there; None when the VPC has it already."""
        if self._gateway is None and self._own is not None:
            self._gateway = self.builder.add(
                InternetGateway, "internet-gateway", {"vpc_id": self.vpc_id, "name": self.names.native()}
            )
        return self._gateway

    def after_gateway(self) -> list[str]:
        """What public addresses need to be there."""
        node = self.gateway()
        return [] if node is None else [node.name]

    def _gateway_id(self) -> Output | str:
        node = self.gateway()
        return str(self.layout.vpc_facts["gateway"]) if node is None else node.output("id")

    def _vpc(self) -> Node:
        blocks = [str(block) for block in self.layout.blocks]
        further = blocks[1:] + [str(one) for one in self.layout.further]
        return self.builder.add(
            Vpc,
            "vpc",
            {
                "name": self.names.native(),
                "cidr_block": blocks[0],
                "secondary_cidr_blocks": further,
                "amazon_provided_ipv6": self.layout.ipv6,
                "enable_dns_support": self.stack.isolation.services.dns,
                "enable_dns_hostnames": self.layout.has_endpoints,
            },
        )

    def _subnet(self, name: str, network: Network, part: Part) -> None:
        inputs: dict[str, Any] = {
            "name": self.names.native(name) + part.suffix,
            "vpc_id": self.vpc_id,
            "cidr_block": str(part.cidr),
            "availability_zone": part.zone,
            "tags": {**network.labels, **of(NetworkOverrides, network.overrides).tags},
        }
        if network.cidr6 is not None:
            inputs["vpc_ipv6_cidr_block"] = self.ipv6_blocks[0]
            inputs["ipv6_index"] = self.layout.indexes[name, part.suffix]
        parent = f"networks/{name}"
        subnet = self.builder.add(Subnet, f"{parent}/subnet{part.suffix}", inputs, parent=parent)
        self.subnets[name, part.suffix] = subnet
        targets: dict[int, Mapping[str, Any]] = {}
        if network.internet is Internet.ROUTED:
            targets = {family: {"gateway_id": self._gateway_id()} for family in (4, 6)}
        if network.internet is Internet.NAT:
            targets = {4: {"nat_gateway_id": self._nat_gateway(part.zone).output("id")}}
            if network.cidr6 is not None:
                targets[6] = {"egress_only_internet_gateway_id": self._out().output("id")}
        if network.cidr6 is None:
            targets.pop(6, None)
        self.tables[name, part.suffix], self.ways[name, part.suffix] = self._table(
            f"{parent}/", part.suffix, subnet, targets, parent=parent, name=inputs["name"], tags=inputs["tags"]
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
        tags: Mapping[str, str] | None = None,
    ) -> tuple[Node, list[str]]:
        """A route table of a subnet's own: what people do to the VPC's main one does not matter."""
        table = self.builder.add(
            RouteTable,
            f"{prefix}routes{suffix}",
            {"vpc_id": self.vpc_id, "name": name, "tags": dict(tags or {})},
            parent=parent,
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
        return table, made

    def _nat_gateway(self, zone: str) -> Node:
        if zone not in self._nat:
            name = self.names.native("nat", zone)
            prefix = f"nat/{zone}/"
            subnet = self.builder.add(
                Subnet,
                f"{prefix}subnet",
                {
                    "name": name,
                    "vpc_id": self.vpc_id,
                    "cidr_block": str(self.layout.nat_range(zone)),
                    "availability_zone": zone,
                },
            )
            out = {4: {"gateway_id": self._gateway_id()}}
            _, ways = self._table(prefix, "", subnet, out, parent=None, name=name)
            address = self.builder.add(ElasticIp, f"{prefix}address", {"name": name}, depends_on=self.after_gateway())
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
                {"vpc_id": self.vpc_id, "name": self.names.native()},
            )
        return self._egress_only
