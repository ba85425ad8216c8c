"""What a machine is made of beside its disks and cards: board, firmware, memory, and how it starts and stops."""

from collections.abc import Mapping
from hashlib import blake2s
from math import ceil
from typing import Any

from provision.models import Firmware, Machine
from provision_libvirt.resources.domain_model import DomainInputs
from provision_libvirt.translate.hostpart import HostParts
from provision_libvirt.translate.overrides import most_cpus, overrides_of

EMULATOR_MIB = 256
"""What QEMU needs beside the memory of its guest, or the kernel would end it under its limit."""
_SHUTDOWN_SECONDS = DomainInputs.model_fields["shutdown_timeout_s"].default


def hardware(entry: str, machine: Machine, parts: HostParts) -> dict[str, Any]:
    """Inputs of the domain of a machine."""
    made: dict[str, Any] = {
        **_memory(entry, machine, parts),
        "vcpus": most_cpus(machine),
    }
    if machine.cpus < made["vcpus"]:
        made["online_vcpus"] = machine.cpus
    if machine.shutdown_timeout != _SHUTDOWN_SECONDS:
        made["shutdown_timeout_s"] = ceil(machine.shutdown_timeout)
    board = overrides_of(machine).machine_type
    if board is not None:
        made["machine"] = board
    if machine.firmware is Firmware.UEFI:
        made["firmware"] = "uefi"
    if any(disk.keep_on_delete for disk in machine.disks.values()):
        made["shutdown_on_delete"] = True
    if machine.autostart:
        made["autostart"] = True
    return made


def _memory(entry: str, machine: Machine, parts: HostParts) -> dict[str, Any]:
    """Memory; with a balloon and a maximum, room to have more of it while the machine runs."""
    most = ballooned_mib(entry, parts)
    if most is None or most <= machine.memory.mib:
        return {"memory_mib": machine.memory.mib}
    return {"memory_mib": most, "balloon_mib": machine.memory.mib}


def ballooned_mib(entry: str, parts: HostParts) -> int | None:
    """Most memory that a machine's balloon may give it; None for what it has."""
    memory = [share.memory for _, share in parts.shares_of(entry) if share.memory is not None]
    most = next((share.maximum for share in memory if share.maximum is not None), None)
    return most.mib - EMULATOR_MIB if most is not None and any(share.balloon for share in memory) else None


def nic_settings(network_config: str) -> Mapping[int, str]:
    """A digest of what the seed says of each card, by position: what the guest reads when it starts."""
    found: dict[int, str] = {}
    for index, block in enumerate(network_config.split("\n  nic")[1:]):
        said = block.partition(":\n")[2].strip()
        found[index] = blake2s(said.encode(), digest_size=6).hexdigest()
    return found
