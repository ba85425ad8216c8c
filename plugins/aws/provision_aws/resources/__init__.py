"""Native resource types."""

from provision_aws.resources.dedicated_host import DedicatedHost
from provision_aws.resources.elastic_ip import ElasticIp
from provision_aws.resources.elastic_ip_association import ElasticIpAssociation
from provision_aws.resources.gateways import EgressOnlyGateway, InternetGateway, NatGateway
from provision_aws.resources.instance import Instance
from provision_aws.resources.key_pair import KeyPair
from provision_aws.resources.network_interface import NetworkInterface
from provision_aws.resources.placement_group import PlacementGroup
from provision_aws.resources.prefix_list import PrefixList
from provision_aws.resources.route import Route
from provision_aws.resources.route_table import RouteTable
from provision_aws.resources.route_table_association import RouteTableAssociation
from provision_aws.resources.security_group import SecurityGroup
from provision_aws.resources.security_group_rule import SecurityGroupRule
from provision_aws.resources.subnet import Subnet
from provision_aws.resources.volume import Volume
from provision_aws.resources.volume_attachment import VolumeAttachment
from provision_aws.resources.vpc import Vpc
from provision_aws.resources.vpc_endpoint import VpcEndpoint

__all__ = [
    "DedicatedHost",
    "EgressOnlyGateway",
    "ElasticIp",
    "ElasticIpAssociation",
    "Instance",
    "InternetGateway",
    "KeyPair",
    "NatGateway",
    "NetworkInterface",
    "PlacementGroup",
    "PrefixList",
    "Route",
    "RouteTable",
    "RouteTableAssociation",
    "SecurityGroup",
    "SecurityGroupRule",
    "Subnet",
    "Volume",
    "VolumeAttachment",
    "Vpc",
    "VpcEndpoint",
]
