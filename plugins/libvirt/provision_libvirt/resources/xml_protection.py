"""How a domain is confined, hidden and booted in libvirt's XML, both ways."""

from collections.abc import Mapping
from typing import Any

from provision_libvirt.resources.domain_model import DomainInputs
from provision_libvirt.resources.xml_tools import Element, add, attribute

MANDATORY = ("apparmor", "selinux")
"""Security models that hold QEMU to its own files whatever user it runs as."""
_NESTING = ("vmx", "svm")


def add_firmware(os: Element, inputs: DomainInputs) -> None:
    """Firmware that runs only what is signed by the keys that come with it; libvirt finds the fitting one."""
    if inputs.secure_boot:
        os.set("firmware", "efi")
        firmware = add(os, "firmware")
        for name in ("enrolled-keys", "secure-boot"):
            add(firmware, "feature", enabled="yes", name=name)


def add_features(features: Element, inputs: DomainInputs) -> None:
    """What the machine's board has or hides."""
    if inputs.secure_boot:  # else the guest itself could write the variables that hold the keys
        add(features, "smm", state="on")
    if inputs.hide_hypervisor:
        add(add(features, "kvm"), "hidden", state="on")


def add_cpu_features(cpu: Element, inputs: DomainInputs) -> None:
    """What the guest's CPU does not say or cannot do."""
    off = (("hypervisor",) if inputs.hide_hypervisor else ()) + (_NESTING if inputs.nested is False else ())
    for name in off:
        add(cpu, "feature", policy="disable", name=name)


def add_tpm(devices: Element, inputs: DomainInputs) -> None:
    """A TPM 2.0 of the machine's own."""
    if inputs.tpm:
        add(add(devices, "tpm", model="tpm-crb"), "backend", type="emulator", version="2.0")


def add_label(root: Element, inputs: DomainInputs) -> None:
    """The security model without which libvirt does not start the machine."""
    if inputs.confinement is not None:
        add(root, "seclabel", type="dynamic", model=inputs.confinement, relabel="yes")


def protection_of(root: Element) -> Mapping[str, Any]:
    """What the functions above made, None for what is not there."""
    off = {feature.get("name") for feature in root.iterfind("cpu/feature") if feature.get("policy") == "disable"}
    hidden = attribute(root, "features/kvm/hidden", "state") == "on" and "hypervisor" in off
    secure = any(
        feature.get("name") == "secure-boot" and feature.get("enabled") == "yes"
        for feature in root.iterfind("os/firmware/feature")
    )
    labels = [label.get("model") for label in root.iterfind("seclabel") if label.get("type") in ("dynamic", "static")]
    return {
        "hide_hypervisor": hidden or None,
        "nested": False if off.issuperset(_NESTING) else None,
        "secure_boot": (secure and attribute(root, "features/smm", "state") == "on") or None,
        "tpm": attribute(root, "devices/tpm/backend", "type") == "emulator" or None,
        "confinement": next((label for label in labels if label in MANDATORY), None),
    }
