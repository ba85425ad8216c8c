"""Libvirt's test driver: domains, networks and pools in the memory of a daemon, and nothing behind them.

It serves to see what a stack would become and how long that takes (`benchmarks/thousand.py`). No guest runs, no volume
can be written, no packet is filtered; so whatever needs one of these is refused, and machines are made without kernel,
seed and filters.
"""

from provision.spi import Capabilities, Support, unsupported

DRIVER = "test"
"""The type of its domains, where others say `kvm` or `qemu`."""
_REASON = "libvirt's test driver runs no guests"
_FIX = "remove it, or choose a hypervisor that does: pulumi config set provision-libvirt:uri qemu:///system"
_NEEDS_GUESTS = (
    "images",
    "isolation.policies",
    "machines.cloud_init",
    "machines.ssh_keys",
    "machines.user_data",
    "sharing",
)


def has_guests(capabilities: Capabilities) -> bool:
    """Whether machines run on this hypervisor."""
    return capabilities.facts.get("accelerator") != DRIVER


def refusal(feature: str, capabilities: Capabilities) -> Support | None:
    """Why a field of a stack file cannot be enforced without guests; None when it can."""
    if has_guests(capabilities) or not any(feature == it or feature.startswith(f"{it}.") for it in _NEEDS_GUESTS):
        return None
    return unsupported(_REASON, _FIX)
