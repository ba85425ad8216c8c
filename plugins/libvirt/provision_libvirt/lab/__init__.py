"""The lab: a private hypervisor in namespaces of its own, which leaves the machine it runs on untouched.

Every process of the plugin looks here for traces of a lab, and few start one: what does is imported when it is used.
"""

from typing import TYPE_CHECKING, Any

from provision_libvirt.lab.accelerator import KvmVerdict, kvm_verdict

if TYPE_CHECKING:
    from provision_libvirt.lab.lifecycle import LabInfo, default_directory, start, status, stop

__all__ = ["KvmVerdict", "LabInfo", "default_directory", "kvm_verdict", "start", "status", "stop"]


def __getattr__(name: str) -> Any:
    """What belongs to the life of a lab."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from provision_libvirt.lab import lifecycle

    return getattr(lifecycle, name)
