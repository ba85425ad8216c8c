"""A domain's part of its host in libvirt's XML, both ways: limits, weights, places, the kind of its memory."""

from collections.abc import Mapping
from typing import Any

from provision_libvirt.resources.domain_model import DomainInputs, Nic
from provision_libvirt.resources.xml_tools import Element, add, attribute, element

QUOTA_PERIOD_US = 100_000
"""The stretch of time that a quota counts for; libvirt's own default."""
IO_GROUP = "machine"
"""Of all disks of a machine, which share one limit."""
_KIB = {"b": 1 / 1024, "bytes": 1 / 1024, "k": 1, "KiB": 1, "M": 1024, "MiB": 1024, "G": 1 << 20, "GiB": 1 << 20}


def kib(found: Element | None) -> int:
    """An amount of memory; 0 when it is not there."""
    return 0 if found is None else round(int(found.text or "0") * _KIB.get(found.get("unit", "KiB"), 1))


def add_tuning(root: Element, inputs: DomainInputs) -> None:
    """Everything that stands at the top of the domain."""
    _add_memory(root, inputs)
    if inputs.numa_node is not None:
        add(add(root, "numatune"), "memory", mode="strict", nodeset=inputs.numa_node)
    tune = element("cputune")
    if inputs.cpu_shares is not None:
        add(tune, "shares", str(inputs.cpu_shares))
    if inputs.cpu_quota_us is not None:
        add(tune, "global_period", str(QUOTA_PERIOD_US))
        add(tune, "global_quota", str(inputs.cpu_quota_us))
    for vcpu, cpus in enumerate(inputs.vcpu_pins or ()):
        add(tune, "vcpupin", vcpu=vcpu, cpuset=cpus)
    if inputs.emulator_pin is not None:
        add(tune, "emulatorpin", cpuset=inputs.emulator_pin)
    if len(tune):
        root.append(tune)


def _add_memory(root: Element, inputs: DomainInputs) -> None:
    backing = element("memoryBacking")
    if inputs.huge_page_kib is not None:
        add(add(backing, "hugepages"), "page", size=inputs.huge_page_kib, unit="KiB")
    if inputs.share_pages is False:
        add(backing, "nosharepages")
    if inputs.locked:
        add(backing, "locked")
    if len(backing):
        root.append(backing)
    if inputs.memory_limit_mib is not None:
        add(add(root, "memtune"), "hard_limit", str(inputs.memory_limit_mib), unit="MiB")


def add_io_limits(disk: Element, inputs: DomainInputs) -> None:
    """The limit that the disk shares with all others of the machine."""
    if inputs.disk_iops is None and inputs.disk_bytes_s is None:
        return
    tune = add(disk, "iotune")
    if inputs.disk_bytes_s is not None:
        add(tune, "total_bytes_sec", str(inputs.disk_bytes_s))
    if inputs.disk_iops is not None:
        add(tune, "total_iops_sec", str(inputs.disk_iops))
    add(tune, "group_name", IO_GROUP)


def add_balloon(devices: Element, inputs: DomainInputs) -> None:
    """The balloon, by which the guest gives idle pages back, or word that there is none."""
    if inputs.balloon:
        add(devices, "memballoon", model="virtio", autodeflate="on", freePageReporting="on")
    else:
        add(devices, "memballoon", model="none")


def add_bandwidth(interface: Element, nic: Nic) -> None:
    """Limits of a network card; libvirt counts in 1000 bytes per second."""
    limits = {"inbound": nic.inbound_kilobytes_s, "outbound": nic.outbound_kilobytes_s}
    if any(limits.values()):
        bandwidth = add(interface, "bandwidth")
        for direction, average in limits.items():
            if average is not None:
                add(bandwidth, direction, average=average)


def bandwidth_of(interface: Element) -> dict[str, Any]:
    """What `add_bandwidth` made."""
    found = {name: attribute(interface, f"bandwidth/{name}", "average") for name in ("inbound", "outbound")}
    return {f"{name}_kilobytes_s": int(text) if text else None for name, text in found.items()}


def tuning_of(root: Element, vcpus: int) -> Mapping[str, Any]:
    """What `add_tuning`, `add_io_limits` and `add_balloon` made, None for what is not there."""
    disks = [disk for disk in root.iterfind("devices/disk") if disk.get("device", "disk") == "disk"]
    node = attribute(root, "numatune/memory", "nodeset")
    limit = kib(root.find("memtune/hard_limit"))
    page = root.find("memoryBacking/hugepages/page")
    balloon = attribute(root, "devices/memballoon", "model")
    return {
        "cpu_shares": _number(root, "cputune/shares"),
        "cpu_quota_us": _quota(root),
        "vcpu_pins": _pins(root, vcpus),
        "emulator_pin": attribute(root, "cputune/emulatorpin", "cpuset"),
        "numa_node": int(node) if node is not None and node.isdigit() else None,
        "memory_limit_mib": limit // 1024 or None,
        "share_pages": None if root.find("memoryBacking/nosharepages") is None else False,
        "huge_page_kib": None if page is None else kib(_sized(page)),
        "locked": None if root.find("memoryBacking/locked") is None else True,
        "balloon": True if balloon not in (None, "none") else None,
        "disk_iops": _shared(disks, "total_iops_sec"),
        "disk_bytes_s": _shared(disks, "total_bytes_sec"),
    }


def _sized(page: Element) -> Element:
    return element("size", page.get("size", "0"), unit=page.get("unit", "KiB"))


def _number(root: Element, path: str) -> int | None:
    text = root.findtext(path)
    return int(text) if text else None


def _quota(root: Element) -> int | None:
    quota, period = _number(root, "cputune/global_quota"), _number(root, "cputune/global_period")
    if quota is None or quota <= 0:
        return None
    return quota * QUOTA_PERIOD_US // (period or QUOTA_PERIOD_US)


def _pins(root: Element, vcpus: int) -> list[str] | None:
    pins = {pin.get("vcpu"): pin.get("cpuset", "") for pin in root.iterfind("cputune/vcpupin")}
    return [pins.get(str(vcpu), "") for vcpu in range(vcpus)] if pins else None


def _shared(disks: list[Element], limit: str) -> int | None:
    """The limit of all disks together; 0 when they have no common one, which no input ever says."""
    if not disks:
        return None
    found = {(_number(disk, f"iotune/{limit}"), disk.findtext("iotune/group_name")) for disk in disks}
    if len(found) > 1:
        return 0
    value, group = found.pop()
    return value if value is None or group == IO_GROUP or len(disks) == 1 else 0
