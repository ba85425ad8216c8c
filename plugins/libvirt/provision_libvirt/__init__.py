"""The local hypervisor: libvirt and QEMU."""
