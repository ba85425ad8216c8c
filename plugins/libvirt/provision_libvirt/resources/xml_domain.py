"""Domains in libvirt's XML, both ways."""

import string
from collections.abc import Sequence
from typing import Any

from provision_libvirt.resources.domain_model import Disk, DomainInputs, Nic
from provision_libvirt.resources.xml_filter import parameters_of, reference_element
from provision_libvirt.resources.xml_protection import (
    add_cpu_features,
    add_features,
    add_firmware,
    add_label,
    add_tpm,
    protection_of,
)
from provision_libvirt.resources.xml_tools import (
    NAMESPACE,
    Element,
    add,
    attribute,
    element,
    from_text,
    owner_element,
    owner_of,
    to_text,
)
from provision_libvirt.resources.xml_tuning import (
    add_balloon,
    add_bandwidth,
    add_io_limits,
    add_tuning,
    bandwidth_of,
    kib,
    tuning_of,
)

CHANNEL = "org.provision.probe.0"
GUEST_AGENT = "org.qemu.guest_agent.0"
_CPU_MODES = {"kvm": "host-passthrough", "qemu": "maximum"}


def render(inputs: DomainInputs, uuid: str, *, stack: str, urn: str, console_path: str | None) -> str:
    """The definition of a domain; `console_path` is the log of its console on the hypervisor."""
    root = element("domain", type=inputs.accelerator)
    add(root, "name", inputs.name)
    add(root, "uuid", uuid)
    owner = owner_element(stack, urn, pool=inputs.pool, machine=inputs.machine)
    for generation in inputs.generations:
        add(owner, f"{{{NAMESPACE}}}generation", generation)
    add(root, "metadata").append(owner)
    add(root, "memory", str(inputs.memory_mib), unit="MiB")
    add_tuning(root, inputs)
    add(root, "vcpu", str(inputs.vcpus))
    os = add(root, "os")
    add(os, "type", "hvm", arch="x86_64", machine=inputs.machine)
    add_firmware(os, inputs)
    for tag in ("kernel", "initrd", "cmdline"):
        if value := getattr(inputs, tag):
            add(os, tag, value)
    add(os, "boot", dev="hd")
    features = add(root, "features")
    add(features, "acpi")
    add(features, "apic")
    add_features(features, inputs)
    add_cpu_features(add(root, "cpu", mode=_CPU_MODES[inputs.accelerator]), inputs)
    add(root, "clock", offset="utc")
    add(root, "on_poweroff", "destroy")
    add(root, "on_reboot", "restart")
    add(root, "on_crash", "destroy")
    _devices(add(root, "devices"), inputs, console_path)
    add_label(root, inputs)
    return to_text(root)


def _devices(devices: Element, inputs: DomainInputs, console_path: str | None) -> None:
    for position, disk in enumerate(inputs.disks):
        made = _disk(position, disk.path, disk.format, disk.serial, disk.secret)
        add_io_limits(made, inputs)
        devices.append(made)
    if inputs.seed:
        seed = _disk(len(inputs.disks), inputs.seed, "raw", None)
        add(seed, "readonly")
        add_io_limits(seed, inputs)
        devices.append(seed)
    devices.extend(nic_element(nic) for nic in inputs.nics)
    for tag in ("serial", "console"):
        console = add(devices, tag, type="pty")
        if console_path and tag == "serial":
            add(console, "log", file=console_path, append="on")
        add(console, "target", type="isa-serial" if tag == "serial" else "serial", port="0")
    agent = CHANNEL if inputs.probe_channel else GUEST_AGENT
    add(add(devices, "channel", type="unix"), "target", type="virtio", name=agent)
    add(devices, "controller", type="usb", model="none")
    add_tpm(devices, inputs)
    add_balloon(devices, inputs)


def _disk(position: int, path: str, format: str, serial: str | None, secret: str | None = None) -> Element:
    disk = element("disk", type="file", device="disk")
    add(disk, "driver", name="qemu", type=format, discard="unmap" if format == "qcow2" else None)
    source = add(disk, "source", file=path)
    if secret:
        add(add(source, "encryption", format="luks"), "secret", type="passphrase", uuid=secret)
    add(disk, "target", dev=f"vd{_letters(position)}", bus="virtio")
    if serial:
        add(disk, "serial", serial)
    return disk


def _letters(position: int) -> str:
    """a, b, …, z, aa, ab, … as Linux counts disks."""
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = string.ascii_lowercase[rest] + letters
    return letters


def nic_element(nic: Nic) -> Element:
    """A network card."""
    made = element("interface", type="network")
    add(made, "mac", address=nic.mac)
    add(made, "source", network=nic.network)
    add(made, "model", type="virtio")
    if nic.filter:
        made.append(reference_element(nic.filter, nic.parameters))
    if nic.mtu:
        add(made, "mtu", size=nic.mtu)
    if nic.isolated:
        add(made, "port", isolated="yes")
    add(made, "rom", enabled="no")
    add_bandwidth(made, nic)
    return made


def live_nic_with_filter(text: str, nic: Nic) -> str | None:
    """The interface of a running domain's description with the MAC of `nic`, its filter made that of `nic`."""
    for found in from_text(text).iterfind("devices/interface"):
        if attribute(found, "mac", "address") == nic.mac:
            for reference in found.findall("filterref"):
                found.remove(reference)
            if nic.filter:
                found.append(reference_element(nic.filter, nic.parameters))
            return to_text(found)
    return None


def parse(text: str) -> dict[str, Any]:
    """Everything of `DomainInputs` that a domain's description holds."""
    root = from_text(text)
    owner = owner_of(root)
    disks = [disk for disk in root.iterfind("devices/disk") if disk.get("device", "disk") == "disk"]
    seeds = [disk for disk in disks if disk.find("readonly") is not None]
    return {
        "name": root.findtext("name", ""),
        "pool": "" if owner is None else owner.get("pool", ""),
        "memory_mib": _memory_mib(root),
        "vcpus": _vcpus(root),
        "accelerator": root.get("type", ""),
        "machine": attribute(root, "os/type", "machine") or "",
        "kernel": root.findtext("os/kernel"),
        "initrd": root.findtext("os/initrd"),
        "cmdline": root.findtext("os/cmdline"),
        "disks": [_read_disk(disk) for disk in disks if disk not in seeds],
        "seed": attribute(seeds[0], "source", "file") if seeds else None,
        "nics": [_read_nic(nic) for nic in root.iterfind("devices/interface")],
        "generations": []
        if owner is None
        else [found.text or "" for found in owner.findall(f"{{{NAMESPACE}}}generation")],
        "probe_channel": any(
            attribute(channel, "target", "name") == CHANNEL for channel in root.iterfind("devices/channel")
        ),
        "console_log": root.find("devices/serial/log") is not None,
        **tuning_of(root, _vcpus(root)),
        **protection_of(root),
    }


def _memory_mib(root: Element) -> int:
    current = root.find("currentMemory")
    return kib(root.find("memory") if current is None else current) // 1024


def _vcpus(root: Element) -> int:
    found = root.find("vcpu")
    return 1 if found is None else int(found.get("current") or found.text or "1")


def _read_disk(disk: Element) -> Disk:
    source = disk.find("source")
    path = "" if source is None else next((value for name, value in source.attrib.items() if name != "index"), "")
    kind = attribute(disk, "driver", "type")
    secret = attribute(disk, "source/encryption/secret", "uuid") or attribute(disk, "encryption/secret", "uuid")
    return Disk.model_construct(
        path=path, format="raw" if kind == "raw" else "qcow2", serial=disk.findtext("serial"), secret=secret
    )


def _read_nic(nic: Element) -> Nic:
    reference = nic.find("filterref")
    mtu = attribute(nic, "mtu", "size")
    return Nic.model_construct(
        network=attribute(nic, "source", "network") or "",
        mac=(attribute(nic, "mac", "address") or "").lower(),
        filter=None if reference is None else reference.get("filter"),
        parameters={} if reference is None else parameters_of(reference),
        mtu=int(mtu) if mtu else None,
        isolated=True if attribute(nic, "port", "isolated") == "yes" else None,
        **bandwidth_of(nic),
    )


def used_filters(texts: Sequence[str]) -> set[str]:
    """Names of all filters that these domains or filters refer to."""
    return {name for text in texts for found in from_text(text).iter("filterref") if (name := found.get("filter"))}


_IMPLIED = frozenset(
    (
        *("uuid", "metadata", "memory", "currentMemory", "vcpu", "os", "os/boot", "resource", "pm"),
        *("cpu", "clock", "features", "devices/emulator", "devices/controller", "devices/input", "devices/audio"),
        *("devices/watchdog", "devices/console", "devices/serial"),
    )
)


def undescribed(text: str, inputs: DomainInputs, console_path: str | None) -> list[str]:
    """Parts of a domain that `DomainInputs` cannot say, such as `devices/tpm`, sorted; fine print of devices aside."""
    described = render(inputs, "", stack="", urn="", console_path=console_path)
    return sorted(_parts(from_text(text)) - _parts(from_text(described)) - _IMPLIED)


_LOOKED_INTO = ("devices", "os", "features", "cputune", "memtune", "memoryBacking", "numatune")


def _parts(root: Element) -> set[str]:
    found: set[str] = set()
    for child in root:
        found.add(child.tag)
        if child.tag in _LOOKED_INTO:
            found |= {f"{child.tag}/{grandchild.tag}" for grandchild in child}
    for disk in root.iterfind("devices/disk"):
        bus, kind = attribute(disk, "target", "bus"), disk.get("device", "disk")
        if kind != "disk" or bus != "virtio" or disk.get("type") != "file":
            found.add(f"devices/disk of the kind {disk.get('type')}/{kind} on {bus}")
    for nic in root.iterfind("devices/interface"):
        if nic.get("type") != "network":
            found.add(f"devices/interface of the kind {nic.get('type')}")
    return found
