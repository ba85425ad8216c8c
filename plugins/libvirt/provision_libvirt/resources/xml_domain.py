"""Domains in libvirt's XML, both ways."""

from collections.abc import Sequence
from typing import Any

from provision_libvirt.resources.domain_model import Disk, DomainInputs, Nic
from provision_libvirt.resources.xml_filter import parameters_of, reference_element
from provision_libvirt.resources.xml_places import letters
from provision_libvirt.resources.xml_protection import (
    add_cpu_features,
    add_features,
    add_firmware,
    add_label,
    add_launch_security,
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
_GENERATION, _DISK, _NIC = (f"{{{NAMESPACE}}}{name}" for name in ("generation", "disk", "nic"))
_CPU_MODES = {"kvm": "host-passthrough", "qemu": "maximum", "test": "maximum"}


def render(inputs: DomainInputs, uuid: str, *, stack: str, urn: str, console_path: str | None) -> str:
    """The definition of a domain; `console_path` is the log of its console on the hypervisor."""
    root = element("domain", type=inputs.accelerator)
    add(root, "name", inputs.name)
    add(root, "uuid", uuid)
    add(root, "metadata").append(owner_mark(inputs, stack=stack, urn=urn))
    add(root, "memory", str(inputs.memory_mib), unit="MiB")
    if inputs.balloon_mib is not None:
        add(root, "currentMemory", str(inputs.balloon_mib), unit="MiB")
    add_tuning(root, inputs)
    online = inputs.online_vcpus if inputs.online_vcpus != inputs.vcpus else None
    add(root, "vcpu", str(inputs.vcpus), current=online)
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
    add_launch_security(root, inputs)
    return to_text(root)


def owner_mark(inputs: DomainInputs, *, stack: str, urn: str) -> Element:
    """Whose the machine is, and of what making everything is that it uses."""
    owner = owner_element(stack, urn, pool=inputs.pool, machine=inputs.machine)
    for generation in inputs.generations:
        add(owner, _GENERATION, generation)
    for disk in inputs.disks:
        if disk.generation is not None:
            add(owner, _DISK, path=disk.path, generation=disk.generation)
    for nic in inputs.nics:
        if nic.generation is not None or nic.settings is not None:
            add(owner, _NIC, mac=nic.mac, generation=nic.generation, settings=nic.settings)
    return owner


def _devices(devices: Element, inputs: DomainInputs, console_path: str | None) -> None:
    for position, disk in enumerate(inputs.disks):
        devices.append(disk_element(position, disk, inputs))
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


def disk_element(position: int, disk: Disk, inputs: DomainInputs) -> Element:
    """A disk; `position` stands for the letter under which the guest first sees it."""
    made = _disk(position, disk.path, disk.format, disk.serial, disk.secret)
    add_io_limits(made, inputs)
    return made


def _disk(position: int, path: str, format: str, serial: str | None, secret: str | None = None) -> Element:
    disk = element("disk", type="file", device="disk")
    add(disk, "driver", name="qemu", type=format, discard="unmap" if format == "qcow2" else None)
    source = add(disk, "source", file=path)
    if secret:
        add(add(source, "encryption", format="luks"), "secret", type="passphrase", uuid=secret)
    add(disk, "target", dev=f"vd{letters(position)}", bus="virtio")
    if serial:
        add(disk, "serial", serial)
    return disk


def nic_element(nic: Nic) -> Element:
    """A network card."""
    made = element("interface", type="user" if nic.user else "network")
    add(made, "mac", address=nic.mac)
    if nic.user:
        address, _, prefix = nic.user.partition("/")
        add(made, "ip", family="ipv4", address=address, prefix=prefix)
    else:
        add(made, "source", network=nic.network)
    add(made, "model", type="virtio")
    if nic.filter:
        made.append(reference_element(nic.filter, nic.parameters))
    if nic.mtu:
        add(made, "mtu", size=nic.mtu)
    if nic.isolated:
        add(made, "port", isolated="yes")
    add(made, "rom", enabled="no")
    if not nic.connected:
        add(made, "link", state="down")
    add_bandwidth(made, nic)
    return made


def live_nic_changed(text: str, nic: Nic) -> str | None:
    """The interface of a running domain's description with the MAC of `nic`, with the filter and cable of `nic`."""
    for found in from_text(text).iterfind("devices/interface"):
        if attribute(found, "mac", "address") == nic.mac:
            for reference in found.findall("filterref"):
                found.remove(reference)
            if nic.filter:
                found.append(reference_element(nic.filter, nic.parameters))
            for link in found.findall("link"):
                found.remove(link)
            add(found, "link", state="up" if nic.connected else "down")
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
        "memory_mib": kib(root.find("memory")) // 1024,
        "balloon_mib": _balloon_mib(root),
        "vcpus": _vcpus(root),
        "online_vcpus": _online(root),
        "accelerator": root.get("type", ""),
        "machine": attribute(root, "os/type", "machine") or "",
        "kernel": root.findtext("os/kernel"),
        "initrd": root.findtext("os/initrd"),
        "cmdline": root.findtext("os/cmdline"),
        "disks": [_read_disk(disk, owner) for disk in disks if disk not in seeds],
        "seed": attribute(seeds[0], "source", "file") if seeds else None,
        "nics": [_read_nic(nic, owner) for nic in root.iterfind("devices/interface")],
        "generations": [] if owner is None else [found.text or "" for found in owner.findall(_GENERATION)],
        "probe_channel": any(
            attribute(channel, "target", "name") == CHANNEL for channel in root.iterfind("devices/channel")
        ),
        "console_log": root.find("devices/serial/log") is not None,
        **tuning_of(root, _vcpus(root)),
        **protection_of(root),
    }


def _balloon_mib(root: Element) -> int | None:
    """What the balloon leaves; None when that is everything."""
    current, most = (kib(root.find(tag)) // 1024 for tag in ("currentMemory", "memory"))
    return current if 0 < current < most else None


def _vcpus(root: Element) -> int:
    return int(root.findtext("vcpu") or "1")


def _online(root: Element) -> int | None:
    """How many of them are plugged in; None when that is all."""
    current = int(attribute(root, "vcpu", "current") or "0")
    return current if 0 < current < _vcpus(root) else None


def _marked(owner: Element | None, tag: str, name: str, value: str) -> Element:
    """What the owner's mark says of a device."""
    marks = () if owner is None else owner.findall(tag)
    return next((mark for mark in marks if mark.get(name) == value), element(tag))


def _read_disk(disk: Element, owner: Element | None) -> Disk:
    source = disk.find("source")
    path = "" if source is None else next((value for name, value in source.attrib.items() if name != "index"), "")
    kind = attribute(disk, "driver", "type")
    secret = attribute(disk, "source/encryption/secret", "uuid") or attribute(disk, "encryption/secret", "uuid")
    return Disk.model_construct(
        path=path,
        format="raw" if kind == "raw" else "qcow2",
        serial=disk.findtext("serial"),
        secret=secret,
        generation=_marked(owner, _DISK, "path", path).get("generation"),
    )


def _read_nic(nic: Element, owner: Element | None) -> Nic:
    reference = nic.find("filterref")
    mac = (attribute(nic, "mac", "address") or "").lower()
    mark = _marked(owner, _NIC, "mac", mac)
    mtu = attribute(nic, "mtu", "size")
    return Nic.model_construct(
        network=attribute(nic, "source", "network") or "",
        mac=mac,
        user=_user_prefix(nic),
        filter=None if reference is None else reference.get("filter"),
        parameters={} if reference is None else parameters_of(reference),
        mtu=int(mtu) if mtu else None,
        isolated=True if attribute(nic, "port", "isolated") == "yes" else None,
        connected=attribute(nic, "link", "state") != "down",
        generation=mark.get("generation"),
        settings=mark.get("settings"),
        **bandwidth_of(nic),
    )


def _user_prefix(nic: Element) -> str | None:
    """The prefix of a card with user-mode networking, which is libslirp's own where none is written."""
    if nic.get("type") != "user":
        return None
    found = nic.find("ip[@family='ipv4']")
    return "10.0.2.0/24" if found is None else f"{found.get('address')}/{found.get('prefix')}"


def used_filters(texts: Sequence[str]) -> set[str]:
    """Names of all filters that these domains or filters refer to."""
    return {name for text in texts for found in from_text(text).iter("filterref") if (name := found.get("filter"))}


_IMPLIED = frozenset(
    (
        *("uuid", "metadata", "memory", "currentMemory", "vcpu", "vcpus", "os", "os/boot", "resource", "pm"),
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
        if nic.get("type") not in ("network", "user"):
            found.add(f"devices/interface of the kind {nic.get('type')}")
    return found
