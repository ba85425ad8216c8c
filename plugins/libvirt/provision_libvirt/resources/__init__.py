"""The native resource types."""

from provision_libvirt.resources.domain import Domain
from provision_libvirt.resources.filter import Filter
from provision_libvirt.resources.network import Network
from provision_libvirt.resources.pool import Pool
from provision_libvirt.resources.seed import Seed
from provision_libvirt.resources.volume import Volume

__all__ = ["Domain", "Filter", "Network", "Pool", "Seed", "Volume"]
