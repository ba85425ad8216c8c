"""Independent readers: from native rules back to what they let pass, without any code of the translation."""

from provision_libvirt.readers.graph import read_rules

__all__ = ["read_rules"]
