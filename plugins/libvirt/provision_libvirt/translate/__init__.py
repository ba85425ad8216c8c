"""From a stack to native resources of libvirt: pure, and in time proportional to the stack."""

from provision_libvirt.translate.stack import translate

__all__ = ["translate"]
