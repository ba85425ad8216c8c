"""How a domain is confined, hidden and booted in libvirt's XML, both ways."""

from collections.abc import Mapping
from typing import Any

from provision_libvirt.resources.domain_model import DomainInputs
from provision_libvirt.resources.xml_tools import Element, add, attribute

MANDATORY = ("apparmor", "selinux")
"""Security models that hold QEMU to its own files whatever user it runs as."""
_NESTING = ("vmx", "svm")
# Guest policies of AMD's "SEV API" (table 2) and "SNP firmware ABI" (table 9): no debugging by the host, no sharing of
# the key, never sent to another host; of SNP, threads of a core may be shared, and bit 17 is always 1.
_SEV_CLOSED = 0x0001 | 0x0002 | 0x0008
_SEV_STATE = 0x0004
_SNP_CLOSED = 0x30000


def add_firmware(os: Element, inputs: DomainInputs) -> None:
    """UEFI, or such as runs only what is signed by the keys that come with it; libvirt finds the fitting file."""
    if inputs.secure_boot or inputs.firmware is not None:
        os.set("firmware", "efi")
        firmware = add(os, "firmware")
        for name in ("enrolled-keys", "secure-boot"):
            add(firmware, "feature", enabled="yes" if inputs.secure_boot else "no", name=name)


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


def add_launch_security(root: Element, inputs: DomainInputs) -> None:
    """Memory that the hypervisor cannot read; what the board needs for it libvirt and QEMU add themselves."""
    match inputs.memory_encryption:
        case "sev" | "sev-es":
            policy = _SEV_CLOSED | (_SEV_STATE if inputs.memory_encryption == "sev-es" else 0)
            add(add(root, "launchSecurity", type="sev"), "policy", f"{policy:#06x}")
        case "sev-snp":
            add(add(root, "launchSecurity", type="sev-snp"), "policy", f"{_SNP_CLOSED:#x}")
        case "tdx":
            add(root, "launchSecurity", type="tdx")


def _encryption_of(root: Element) -> str | None:
    kind = attribute(root, "launchSecurity", "type")
    if kind != "sev":
        return kind if kind in ("sev-snp", "tdx") else None
    return "sev-es" if int(root.findtext("launchSecurity/policy") or "0", 16) & _SEV_STATE else "sev"


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
    uefi = attribute(root, "os", "firmware") == "efi" or root.find("os/loader[@type='pflash']") is not None
    return {
        "firmware": "uefi" if uefi and not secure else None,
        "hide_hypervisor": hidden or None,
        "nested": False if off.issuperset(_NESTING) else None,
        "secure_boot": (secure and attribute(root, "features/smm", "state") == "on") or None,
        "tpm": attribute(root, "devices/tpm/backend", "type") == "emulator" or None,
        "memory_encryption": _encryption_of(root),
        "confinement": next((label for label in labels if label in MANDATORY), None),
    }
