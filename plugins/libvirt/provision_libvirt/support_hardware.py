"""What of a machine's board, firmware and memory is enforced."""

from collections.abc import Callable, Mapping

from pydantic import ValidationError

from provision.models import Firmware
from provision.spi import ENFORCED, Capabilities, FeatureUse, Support, unsupported
from provision_libvirt.translate.overrides import MachineOverrides

_NO_MICROVM = {
    "qemu": "an emulated microvm has no timer that a guest's kernel finds, so that it hangs while it looks for one",
    "kvm": "a microvm has no bus on which devices can come and go while it runs, and its starts are not tried with KVM",
}
"""Tried with QEMU 7.2 and Linux 6.1: libvirt starts a microvm with a card when all devices have virtio-mmio addresses,
the card has no `rom`, and USB is off; emulated, its kernel then says "tsc: No reference (HPET/PMTIMER)" and no more."""


def _firmware(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value is Firmware.UEFI and "efi" not in (capabilities.facts.get("firmware") or ()):
        return unsupported(
            "the hypervisor has no UEFI firmware (virsh domcapabilities names none)",
            "on the hypervisor: apt-get install ovmf",
        )
    return ENFORCED


def _overrides(use: FeatureUse, capabilities: Capabilities) -> Support:
    if isinstance(use.value, dict) and use.value.get("machine_type") == "microvm":
        accelerator = str(capabilities.facts.get("accelerator", "qemu"))
        return unsupported(_NO_MICROVM.get(accelerator, _NO_MICROVM["qemu"]), "write 'machine_type: q35'")
    try:
        MachineOverrides.model_validate(use.value)
    except ValidationError as error:
        found = error.errors(include_input=False)[0]
        known = ", ".join(MachineOverrides.model_fields)
        where = ".".join(map(str, found["loc"]))
        return unsupported(f"'{where}': {found['msg']}", f"a machine's native fields for libvirt are: {known}")
    return ENFORCED


ANSWERS: Mapping[str, Callable[[FeatureUse, Capabilities], Support]] = {
    "machines.firmware": _firmware,
    "machines.overrides": _overrides,
}
