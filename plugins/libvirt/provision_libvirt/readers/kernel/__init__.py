"""What the kernel of the hypervisor's machine really applies to packets, read without a look at libvirt's filters."""

from provision_libvirt.readers.kernel.live import read_live_rules

__all__ = ["read_live_rules"]
