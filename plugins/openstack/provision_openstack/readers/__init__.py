"""Reading Neutron's rules back: written from OpenStack's documents, without any code of the translation."""

from provision_openstack.readers.graph import read_rules
from provision_openstack.readers.live import read_live_rules
from provision_openstack.readers.settings import read_settings

__all__ = ["read_live_rules", "read_rules", "read_settings"]
