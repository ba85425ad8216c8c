"""Small native graphs, and what a reader is asked about them."""

from provision_aws.resources import (
    EgressOnlyGateway,
    ElasticIpAssociation,
    Instance,
    InternetGateway,
    NatGateway,
    NetworkInterface,
    PrefixList,
    Route,
    RouteTable,
    RouteTableAssociation,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)

from provision.packets.sets import PacketSpace
from provision.spi import Capabilities, GraphBuilder, NicAddress, RulesRequest

_PEERS = {"cidr": "cidr_ipv4", "cidr6": "cidr_ipv6", "group": "referenced_security_group_id", "list": "prefix_list_id"}


class Graphs:
    """Collects the nodes of one VPC, with two subnets: 10.0.1.0/24 (`front`) and 10.0.2.0/24 (`back`)."""

    def __init__(self, *, six=False):
        self.made = GraphBuilder()
        self.addresses = {}
        self.vpc = self.made.add(Vpc, "vpc", {"cidr_block": "10.0.0.0/16", "amazon_provided_ipv6": six})
        self.subnets = {}
        for position, name in enumerate(("front", "back"), 1):
            inputs = {"vpc_id": self.vpc.output("id"), "cidr_block": f"10.0.{position}.0/24"}
            self.subnets[name] = self.made.add(Subnet, f"networks/{name}/subnet", inputs)
        self._count = 0

    def group(self, name):
        return self.made.add(SecurityGroup, name, {"vpc_id": self.vpc.output("id"), "group_name": name})

    def rule(self, group, direction, protocol, first=None, last=None, /, **peer):
        self._count += 1
        (kind, value), *_ = peer.items()
        inputs = {
            "security_group_id": group.output("id") if hasattr(group, "output") else group,
            "direction": direction,
            "ip_protocol": protocol,
            "from_port": first,
            "to_port": first if last is None else last,
            _PEERS[kind]: value.output("id") if hasattr(value, "inputs") else value,
        }
        return self.made.add(SecurityGroupRule, f"rule-{self._count}", inputs)

    def prefix_list(self, *cidrs, left_out=()):
        family = "IPv6" if ":" in cidrs[0] else "IPv4"
        inputs = {"prefix_list_name": "listed", "address_family": family, "max_entries": len(cidrs)}
        inputs |= {"entries": [{"cidr": cidr} for cidr in cidrs], "left_out": list(left_out)}
        return self.made.add(PrefixList, "listed", inputs)

    def machine(self, name, subnet, last, groups, *, six=False, own=False, **more):
        """A machine with one interface; the last byte of its address; `own`: an interface of its own."""
        four = f"10.0.{1 if subnet == 'front' else 2}.{last}"
        nic = {
            "subnet_id": self.subnets[subnet].output("id"),
            "private_ip_address": four,
            "security_group_ids": [group.output("id") if hasattr(group, "output") else group for group in groups],
        }
        known6 = f"fd00:0:0:{1 if subnet == 'front' else 2}::{last}" if six else None
        if six:
            nic |= {
                "ipv6_addresses": [f"::{last}"],
                "subnet_ipv6_cidr_block": self.subnets[subnet].output("ipv6_cidr_block"),
            }
        options = {key: more.pop(key) for key in ("metadata_options",) if key in more} or {
            "metadata_options": {"http_endpoint": "disabled"}
        }
        nic |= more
        if own:
            interface = self.made.add(NetworkInterface, f"machines/{name}/nic-0/interface", nic)
            nic = {"network_interface_id": interface.output("id")}
        self.addresses[name] = (NicAddress(subnet, "02:00:00:00:00:01", four, known6),)
        return self.made.add(Instance, f"machines/{name}/instance", {"nics": [nic], **options})

    def table(self, subnet, **routes):
        """A route table with routes: `internet`, `nat`, `egress_only`, each to a destination."""
        table = self.made.add(RouteTable, f"{subnet}-table", {"vpc_id": self.vpc.output("id")})
        inputs = {"route_table_id": table.output("id"), "subnet_id": self.subnets[subnet].output("id")}
        self.made.add(RouteTableAssociation, f"{subnet}-association", inputs)
        kinds = {
            "internet": ("gateway_id", InternetGateway, {}),
            "egress_only": ("egress_only_internet_gateway_id", EgressOnlyGateway, {}),
            "nat": ("nat_gateway_id", NatGateway, {"subnet_id": self.subnets["front"].output("id")}),
        }
        for kind, destination in routes.items():
            field, type_, more = kinds[kind.rstrip("6")]
            gateway = self.made.add(type_, f"{subnet}-{kind}", {"vpc_id": self.vpc.output("id")} | more)
            inputs = {"route_table_id": table.output("id"), "destination": destination, field: gateway.output("id")}
            self.made.add(Route, f"{subnet}-{kind}-route", inputs)

    def elastic_ip(self, machine):
        inputs = {"allocation_id": "eipalloc-1", "instance_id": machine.output("id")}
        self.made.add(ElasticIpAssociation, f"{machine.name}/address", inputs)

    def request(self, space=None):
        space = space or PacketSpace()
        return RulesRequest(space, self.made.build(), self.addresses, Capabilities("aws"))
