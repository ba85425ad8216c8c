"""The platform `qemu`: virtual machines of this user, each a QEMU process, without libvirt."""
