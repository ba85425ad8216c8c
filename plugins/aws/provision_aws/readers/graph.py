"""Reading a translated graph: what its groups, routes and interfaces will let pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from provision.packets.sets import Prefix
from provision.spi import EXISTING, NicAddress, Node, Output, Readout, ResourceGraph, RulesRequest
from provision_aws.readers.model import (
    AclEntry,
    Card,
    Network,
    NotUnderstood,
    Own,
    Rule,
    Surroundings,
    Target,
    Traffic,
    Way,
)
from provision_aws.readers.sets import Filter

_MACHINES = "machines/"
_OTHER_TARGETS = ("network_interface_id", "vpc_peering_connection_id", "transit_gateway_id", "vpc_endpoint_id")
_IPV6_PREFIX = 64


def read_rules(request: RulesRequest) -> Readout:
    """What the native resources of a graph let pass."""
    return Filter(request.space, Graph(request).network()).read()


@dataclass
class Graph:
    """Reads one graph; things are called by the name of their node, or by their id where they are not the stack's."""

    request: RulesRequest
    found: Network = field(default_factory=Network)

    @property
    def _graph(self) -> ResourceGraph:
        return self.request.graph

    def network(self) -> Network:
        """Everything that decides on packets."""
        self.found.ranges = {node.name: tuple(self._ranges_of(node)) for node in self._graph.of_type("ec2:Vpc")}
        for node in self._graph.of_type("ec2:Instance"):
            self._machine(node)
        for node in self._graph.of_type("ec2:SecurityGroup"):
            self.found.rules.setdefault(node.name, [])
        for node in self._graph.of_type("ec2:SecurityGroupRule"):
            self._rule(node)
        for card in self.found.cards:
            for group in sorted(card.groups):
                self._known_group(group)
        return self.found

    def _name(self, value: Any, token: str) -> str:
        node = self._graph.referred(value, token)
        return str(value) if node is None else node.name

    # --- machines

    def _machine(self, node: Node) -> None:
        machine = node.name.removeprefix(_MACHINES).partition("/")[0] if node.name.startswith(_MACHINES) else ""
        addresses, nics = self.request.addresses.get(machine), node.inputs.get("nics") or ()
        if addresses is None or len(addresses) != len(nics):
            self.found.odd(f"{node.name} has {len(nics)} network cards, and the file gives it {len(addresses or ())}")
            return
        options = node.inputs.get("metadata_options") or {}
        versions = set[int]()
        if options.get("http_endpoint", "enabled") != "disabled":
            versions = {4, 6} if options.get("http_protocol_ipv6") == "enabled" else {4}
        for position, address in enumerate(addresses):
            self._card(node, position, machine, address, frozenset(versions))

    def _card(self, node: Node, position: int, machine: str, given: NicAddress, versions: frozenset[int]) -> None:
        nic: Mapping[str, Any] = node.inputs["nics"][position]
        own, name = nic, f"{node.name}, network card {position}"
        separate = nic.get("network_interface_id")
        if separate is not None:
            interface = self._graph.referred(separate, "ec2:NetworkInterface")
            if interface is None:
                self.found.odd(f"{name} is the interface {separate}, which is not the stack's")
                return
            own, name = interface.inputs, interface.name
        subnet = self._subnet(own.get("subnet_id"))
        groups = frozenset(self._name(group, "ec2:SecurityGroup") for group in own.get("security_group_ids") or ())
        if not groups:
            self.found.odd(f"{name} has no security group, so that EC2 gives it the VPC's default one")
        public = own.get("associate_public_ip_address")
        if separate is not None:
            public = False
        elif public is None:
            public = self._is_public(own.get("subnet_id"))
        public = public or self._has_elastic_ip(node, position, separate)
        self.found.cards.append(
            Card(
                machine,
                name,
                subnet,
                tuple(self._addresses(name, own, given)),
                groups,
                own.get("source_dest_check", True) is not False,
                bool(public),
                versions,
            )
        )

    def _addresses(self, name: str, own: Mapping[str, Any], given: NicAddress) -> Iterator[Own]:
        """The addresses of an interface; EC2 gives the leading half of those of IPv6."""
        real = own.get("private_ip_address")
        if given.ipv4 is None:
            self.found.odd(f"{name} has an IPv4 address of which the file knows nothing")
        elif real != given.ipv4:
            self.found.odd(f"{name} has the address {real or 'that EC2 chooses'} instead of {given.ipv4}")
        else:
            yield Own(ip_address(given.ipv4), ip_address(given.ipv4))
        addresses = list(own.get("ipv6_addresses") or ())
        if given.ipv6 is None:
            if addresses:
                self.found.odd(f"{name} has an IPv6 address of which the file knows nothing")
            return
        known = IPv6Address(given.ipv6)
        if len(addresses) != 1 or not isinstance(addresses[0], str):
            self.found.absent.append(ip_network(known))
            return
        wanted, block = IPv6Address(addresses[0]), own.get("subnet_ipv6_cidr_block")
        self.found.reserve(IPv6Network((known, _IPV6_PREFIX), strict=False))
        if int(wanted) >> _IPV6_PREFIX:
            if wanted != known:
                self.found.odd(f"{name} has the address {wanted} instead of {known}")
            yield Own(known, wanted)
        elif int(wanted) != int(known) & ((1 << _IPV6_PREFIX) - 1):
            self.found.odd(f"{name} has the address {wanted} of its subnet instead of {known}")
        elif isinstance(block, str):
            yield Own(known, IPv6Address(int(IPv6Network(block).network_address) | int(wanted)))
        else:
            yield Own(known, None)

    def _is_public(self, subnet: Any) -> bool:
        node = self._graph.referred(subnet, "ec2:Subnet")
        if node is None:
            return bool(self._there.get("subnets", {}).get(str(subnet), {}).get("public"))
        return bool(node.inputs.get("map_public_ip_on_launch"))

    def _has_elastic_ip(self, machine: Node, position: int, separate: Any) -> bool:
        interface = None if separate is None else self._graph.referred(separate, "ec2:NetworkInterface")
        for node in self._graph.of_type("ec2:ElasticIpAssociation"):
            target = self._graph.referred(node.inputs.get("network_interface_id"), "ec2:NetworkInterface")
            if target is not None and target is interface:
                return True
            if position == 0 and self._graph.referred(node.inputs.get("instance_id"), "ec2:Instance") is machine:
                return True
        return False

    # --- groups

    def _known_group(self, group: str) -> None:
        told = self._there.get("groups", {}).get(group)
        if self._graph.named.get(group) is None and told is not None and not told["rules"]:
            self.found.rules.setdefault(group, [])
        elif self._graph.named.get(group) is None:
            self.found.odd(f"the security group {group} is not the stack's: its rules can be read live only")

    def _rule(self, node: Node) -> None:
        inputs = node.inputs
        try:
            traffic = Traffic.of(str(inputs.get("ip_protocol")), inputs.get("from_port"), inputs.get("to_port"))
            peer = self._peer(inputs)
        except NotUnderstood as reason:
            self.found.odd(f"{node.name}: {reason} is not understood")
            return
        except ValueError as reason:
            self.found.odd(f"{node.name}: {reason}")
            return
        owner = self._name(inputs.get("security_group_id"), "ec2:SecurityGroup")
        rule = Rule(node.name, inputs.get("direction") == "egress", traffic, **peer)
        self.found.rules.setdefault(owner, []).append(rule)

    def _peer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The other end of a rule: its ranges, those that only the file knows, or its group.

        Raises:
            NotUnderstood: there is none.
        """
        if (group := inputs.get("referenced_security_group_id")) is not None:
            name = self._name(group, "ec2:SecurityGroup")
            self._known_group(name)
            return {"group": name}
        if (listed := inputs.get("prefix_list_id")) is not None:
            prefixes, left_out = self._listed(listed)
            return {"prefixes": prefixes, "left_out": left_out}
        for name in ("cidr_ipv4", "cidr_ipv6"):
            if (cidr := inputs.get(name)) is not None:
                return {"known": self._block(cidr)} if isinstance(cidr, Output) else {"prefixes": (ip_network(cidr),)}
        raise NotUnderstood("a rule without a peer")

    def _listed(self, value: Any) -> tuple[tuple[Prefix, ...], frozenset[Prefix]]:
        """The ranges of a prefix list, and the addresses that it leaves out though they are in them.

        Raises:
            NotUnderstood: it is not the stack's.
        """
        node = self._graph.referred(value, "ec2:PrefixList")
        if node is None:
            raise NotUnderstood(f"the prefix list {value}, which is not the stack's,")
        prefixes = [ip_network(entry["cidr"]) for entry in node.inputs.get("entries") or ()]
        left_out = set[Prefix]()
        for cidr in node.inputs.get("left_out") or ():
            if isinstance(cidr, Output):
                left_out.update(ip_network(one) for one in self._inside(cidr))
            else:
                prefixes = [part for one in prefixes for part in _without(one, ip_network(cidr))]
        return tuple(prefixes), frozenset(left_out)

    def _block(self, cidr: Output) -> tuple[Prefix, ...]:
        """What a subnet's, or a VPC's, own IPv6 range holds, as the file tells it.

        Raises:
            NotUnderstood: it is something else.
        """
        return tuple(dict.fromkeys(IPv6Network((one, _IPV6_PREFIX), strict=False) for one in self._inside(cidr)))

    def _inside(self, cidr: Output) -> list[IPv6Address]:
        """The machines' addresses in a subnet's, or a VPC's, own IPv6 range.

        Raises:
            NotUnderstood: it is something else.
        """
        node = self._graph.named.get(cidr.node)
        if node is None or cidr.property != "ipv6_cidr_block" or node.type.token not in ("ec2:Subnet", "ec2:Vpc"):
            raise NotUnderstood(f"the range {cidr.node}.{cidr.property}")
        return [
            own.known
            for card in self.found.cards
            for own in card.own
            if isinstance(own.known, IPv6Address) and node.name in (card.subnet, self.found.subnets[card.subnet].vpc)
        ]

    # --- subnets

    def _subnet(self, value: Any) -> str:
        node = self._graph.referred(value, "ec2:Subnet")
        name = str(value) if node is None else node.name
        if name in self.found.subnets:
            return name
        if node is None:
            self._referred(name)
            return name
        vpc = self._name(node.inputs.get("vpc_id"), "ec2:Vpc")
        if vpc not in self._graph.named and not self._looked_at(vpc):
            self.found.odd(f"the VPC {vpc} is not the stack's: its routes and network ACL can be read live only")
        self.found.subnets[name] = Surroundings(vpc, tuple(self._ways(node)))
        cidr = node.inputs.get("cidr_block")
        if isinstance(cidr, str):
            self.found.reserve(ip_network(cidr))
        return name

    @property
    def _there(self) -> Mapping[str, Any]:
        """What was looked at because the file refers to it."""
        return self.request.capabilities.facts.get(EXISTING) or {}

    def _looked_at(self, vpc: str) -> bool:
        """Whether the VPC is known, though it is not the stack's; its ranges are then."""
        told = self._there.get("vpcs", {}).get(vpc)
        if told is not None:
            blocks = [ip_network(one) for one in (*told["ranges"], *told["ranges6"])]
            self.found.ranges = {**self.found.ranges, vpc: tuple(blocks)}
        return told is not None

    def _referred(self, name: str) -> None:
        """A subnet that is not the stack's."""
        told = self._there.get("subnets", {}).get(name)
        if told is None or not self._looked_at(told["vpc"]):
            self.found.odd(f"the subnet {name} is not the stack's: its routes and network ACL can be read live only")
            self.found.subnets[name] = Surroundings(name)
            return
        for text in told["unclear"]:
            self.found.odd(f"{name}: {text}")
        ways = tuple(Way(tuple(map(ip_network, to)), Target[target]) for to, target in told["ways"])
        acl = tuple(
            AclEntry(number, egress, allow, Traffic(protocol, first, last), ip_network(prefix))
            for number, egress, allow, protocol, first, last, prefix in told["acl"]
        )
        self.found.subnets[name] = Surroundings(told["vpc"], ways, acl)
        self.found.reserve(ip_network(told["cidr"]))

    def _ways(self, subnet: Node) -> Iterator[Way]:
        """The routes of a subnet; one that is in no table of its own has the main one, which leads nowhere else."""
        for association in self._graph.of_type("ec2:RouteTableAssociation"):
            if self._graph.referred(association.inputs.get("subnet_id"), "ec2:Subnet") is subnet:
                table = association.inputs.get("route_table_id")
                if self._graph.referred(table, "ec2:RouteTable") is None:
                    self.found.odd(f"{association.name}: the table {table} is not the stack's")
                for route in self._graph.of_type("ec2:Route"):
                    if route.inputs.get("route_table_id") == table:
                        yield from self._way(route)

    def _way(self, route: Node) -> Iterator[Way]:
        target, destination = self._target(route), route.inputs.get("destination")
        if target is None:
            return
        if self._graph.referred(destination, "ec2:PrefixList") is not None:
            yield Way(self._listed(destination)[0], target)
        elif isinstance(destination, str) and "/" in destination:
            yield Way((ip_network(destination),), target)
        else:
            self.found.odd(f"{route.name}: the destination {destination} is not understood")

    def _target(self, route: Node) -> Target | None:
        inputs = route.inputs
        gateway, nat = inputs.get("gateway_id"), inputs.get("nat_gateway_id")
        if self._graph.referred(gateway, "ec2:InternetGateway") is not None or str(gateway).startswith("igw-"):
            return Target.INTERNET
        if self._graph.referred(inputs.get("egress_only_internet_gateway_id"), "ec2:EgressOnlyGateway") is not None:
            return Target.EGRESS_ONLY
        if (node := self._graph.referred(nat, "ec2:NatGateway")) is not None:
            return self._through(node)
        given = next((inputs[name] for name in _OTHER_TARGETS if inputs.get(name)), gateway or nat)
        self.found.odd(f"{route.name}: where {given or 'no target'} leads is not known")
        return None

    def _through(self, gateway: Node) -> Target | None:
        """Where a NAT gateway leads: out, when the subnet that it stands in has a way out."""
        if gateway.inputs.get("connectivity_type", "public") != "public":
            self.found.odd(f"{gateway.name}: where a private NAT gateway leads is not known")
            return None
        subnet = self._graph.referred(gateway.inputs.get("subnet_id"), "ec2:Subnet")
        if subnet is None:
            self.found.odd(f"{gateway.name} stands in a subnet which is not the stack's")
            return None
        ways = [way.target for way in self._ways(subnet)]
        return Target.NAT if Target.INTERNET in ways else Target.NOWHERE

    def _ranges_of(self, vpc: Node) -> Iterator[Prefix]:
        for cidr in (vpc.inputs.get("cidr_block"), *(vpc.inputs.get("secondary_cidr_blocks") or ())):
            if isinstance(cidr, str):
                yield ip_network(cidr)
            else:
                self.found.odd(f"{vpc.name}: the range {cidr} is not understood")


def _without(prefix: Prefix, hole: Prefix) -> list[Prefix]:
    """The parts of a range that are not in another one."""
    if not prefix.overlaps(hole):
        return [prefix]
    if hole.prefixlen <= prefix.prefixlen:
        return []
    low, high = prefix.subnets()
    return [*_without(low, hole), *_without(high, hole)]
