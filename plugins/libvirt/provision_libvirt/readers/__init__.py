"""Independent readers: from native rules and settings back to what they mean, without any code of the translation."""

from provision_libvirt.readers.graph import read_rules
from provision_libvirt.readers.settings import read_settings

__all__ = ["read_rules", "read_settings"]
