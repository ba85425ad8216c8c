"""The lab: a private hypervisor in namespaces of its own, which leaves the machine it runs on untouched."""

from provision_libvirt.lab.accelerator import KvmVerdict, kvm_verdict
from provision_libvirt.lab.lifecycle import LabInfo, default_directory, start, status, stop

__all__ = ["KvmVerdict", "LabInfo", "default_directory", "kvm_verdict", "start", "status", "stop"]
