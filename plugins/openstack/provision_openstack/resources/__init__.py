"""Native resource types."""

from provision_openstack.resources.address_group import AddressGroup
from provision_openstack.resources.flavor import Flavor
from provision_openstack.resources.floating_ip import FloatingIp
from provision_openstack.resources.image import Image
from provision_openstack.resources.keypair import Keypair
from provision_openstack.resources.network import Network
from provision_openstack.resources.port import Port
from provision_openstack.resources.qos_policy import QosPolicy
from provision_openstack.resources.router import Router
from provision_openstack.resources.router_interface import RouterInterface
from provision_openstack.resources.security_group import SecurityGroup
from provision_openstack.resources.security_group_rule import SecurityGroupRule
from provision_openstack.resources.server import Server
from provision_openstack.resources.server_group import ServerGroup
from provision_openstack.resources.subnet import Subnet
from provision_openstack.resources.volume import Volume
from provision_openstack.resources.volume_attachment import VolumeAttachment

__all__ = [
    "AddressGroup",
    "Flavor",
    "FloatingIp",
    "Image",
    "Keypair",
    "Network",
    "Port",
    "QosPolicy",
    "Router",
    "RouterInterface",
    "SecurityGroup",
    "SecurityGroupRule",
    "Server",
    "ServerGroup",
    "Subnet",
    "Volume",
    "VolumeAttachment",
]
