"""How EC2 describes each kind of object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_IN_A_FILTER = 200
"""Values of one filter (EC2 API Reference, "Filter")."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    Attributes:
        noun: what people call it.
        type: what `TagSpecifications` call it.
        describe: the client's method that describes it.
        answer: what the answer holds it in.
        id: which field of a description is its identity.
        id_filter: name of the filter for its identity; empty when there is none, then `ids` is used.
        ids: name of the parameter for identities.
        filters: name of the parameter for filters.
        page: most objects of one answer, for methods that answer page by page; 0 for those that do not.
        states: field with its state.
        gone: states of an object that is as good as gone.
        by_tag: whether there is a filter for tags with their values; else one for their keys alone.
        extra: further parameters.
        many: what is described are parts; all that have the same `id` are one object with `Parts`.
    """

    noun: str
    type: str
    describe: str
    answer: str
    id: str
    id_filter: str = ""
    ids: str = ""
    filters: str = "Filters"
    page: int = 1000
    states: str = "State"
    gone: tuple[str, ...] = ()
    many: bool = False
    by_tag: bool = True
    extra: tuple[tuple[str, Any], ...] = ()

    def is_gone(self, live: Mapping[str, Any]) -> bool:
        """Whether EC2 only remembers the object."""
        return self.state(live) in self.gone

    def state(self, live: Mapping[str, Any]) -> str:
        """Its state in EC2's words."""
        state = live.get(self.states)
        return str(state.get("Name", "")) if isinstance(state, Mapping) else str(state or "")


VPC = Kind("VPC", "vpc", "describe_vpcs", "Vpcs", "VpcId", "vpc-id")
SUBNET = Kind("subnet", "subnet", "describe_subnets", "Subnets", "SubnetId", "subnet-id")
ROUTE_TABLE = Kind(
    "route table", "route-table", "describe_route_tables", "RouteTables", "RouteTableId", "route-table-id", page=100
)
INTERNET_GATEWAY = Kind(
    "internet gateway", "internet-gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId",
    "internet-gateway-id",
)  # fmt: skip
NAT_GATEWAY = Kind(
    "NAT gateway", "natgateway", "describe_nat_gateways", "NatGateways", "NatGatewayId", "nat-gateway-id",
    filters="Filter", gone=("deleted", "failed"),
)  # fmt: skip
EGRESS_ONLY_GATEWAY = Kind(
    "egress-only gateway", "egress-only-internet-gateway", "describe_egress_only_internet_gateways",
    "EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId", ids="EgressOnlyInternetGatewayIds", page=255,
)  # fmt: skip
VPC_ENDPOINT = Kind(
    "VPC endpoint", "vpc-endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", ids="VpcEndpointIds",
    gone=("deleting", "deleted", "Deleting", "Deleted"),
)  # fmt: skip
NETWORK_ACL = Kind(
    "network ACL", "network-acl", "describe_network_acls", "NetworkAcls", "NetworkAclId", "network-acl-id"
)
SECURITY_GROUP = Kind(
    "security group", "security-group", "describe_security_groups", "SecurityGroups", "GroupId", "group-id"
)
SECURITY_GROUP_RULE = Kind(
    "rule of a security group", "security-group-rule", "describe_security_group_rules", "SecurityGroupRules",
    "SecurityGroupRuleId", "security-group-rule-id",
)  # fmt: skip
RULES_OF_GROUP = Kind(
    "rules of a security group", "security-group-rule", "describe_security_group_rules", "SecurityGroupRules",
    "GroupId", "group-id", many=True,
)  # fmt: skip
PREFIX_LIST = Kind(
    "prefix list", "prefix-list", "describe_managed_prefix_lists", "PrefixLists", "PrefixListId", "prefix-list-id",
    page=100, gone=("delete-complete",),
)  # fmt: skip
NETWORK_INTERFACE = Kind(
    "network interface", "network-interface", "describe_network_interfaces", "NetworkInterfaces",
    "NetworkInterfaceId", "network-interface-id", states="Status",
)  # fmt: skip
ELASTIC_IP = Kind(
    "elastic IP address", "elastic-ip", "describe_addresses", "Addresses", "AllocationId", "allocation-id", page=0
)
KEY_PAIR = Kind(
    "key pair", "key-pair", "describe_key_pairs", "KeyPairs", "KeyPairId", "key-pair-id", page=0,
    extra=(("IncludePublicKey", True),),
)  # fmt: skip
PLACEMENT_GROUP = Kind(
    "placement group", "placement-group", "describe_placement_groups", "PlacementGroups", "GroupId", ids="GroupIds",
    page=0, gone=("deleted",),
)  # fmt: skip
DEDICATED_HOST = Kind(
    "dedicated host", "dedicated-host", "describe_hosts", "Hosts", "HostId", ids="HostIds", filters="Filter",
    page=500, gone=("released", "released-permanent-failure"), by_tag=False,
)  # fmt: skip
IMAGE = Kind("image", "image", "describe_images", "Images", "ImageId", "image-id")
SNAPSHOT = Kind("snapshot", "snapshot", "describe_snapshots", "Snapshots", "SnapshotId", "snapshot-id")
VOLUME = Kind("volume", "volume", "describe_volumes", "Volumes", "VolumeId", "volume-id", page=500, gone=("deleted",))
INSTANCE = Kind(
    "machine", "instance", "describe_instances", "Instances", "InstanceId", "instance-id",
    gone=("terminated", "shutting-down"),
)  # fmt: skip
