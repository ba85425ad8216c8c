"""A running domain's part of its host and its protection: what is changed while it runs, and what by a restart."""

import time
from collections.abc import Mapping
from typing import Any

import libvirt

from provision.errors import PlatformError
from provision.spi import Operation, Pending
from provision_libvirt.resources import cpusets
from provision_libvirt.resources.domain_model import DomainInputs
from provision_libvirt.resources.xml_tools import attribute, from_text
from provision_libvirt.resources.xml_tuning import IO_GROUP, QUOTA_PERIOD_US

RESTARTING = (
    "share_pages", "balloon", "numa_node", "huge_page_kib", "locked",
    "hide_hypervisor", "nested", "secure_boot", "tpm", "memory_encryption",
)  # fmt: skip
_MEANS_NOTHING: Mapping[str, Any] = {
    "share_pages": True, "balloon": False, "locked": False,
    "hide_hypervisor": False, "nested": True, "secure_boot": False, "tpm": False,
}  # fmt: skip
"""Values that ask for what is there anyway, so that nothing of them is written into a definition."""
_UNLIMITED_KIB = 9_007_199_254_740_991  # VIR_DOMAIN_MEMORY_PARAM_UNLIMITED
_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_TOLD_SECONDS = 30.0
BALLOON_SECONDS = 60.0
"""How long a guest's balloon may take to its new size."""


def needs_restart(live: Mapping[str, Any], wanted: DomainInputs) -> bool:
    """Whether the running domain's part of its host can be made that of `wanted` only by starting it anew."""
    for name in RESTARTING:
        value = getattr(wanted, name)
        if live[name] != (None if value == _MEANS_NOTHING.get(name) else value):
            return True
    if live["firmware"] != ("uefi" if wanted.firmware and not wanted.secure_boot else None):
        return True
    if wanted.confinement not in (None, live["confinement"]):
        return True
    # What weight it would have without one only the hypervisor's kernel knows.
    return live["cpu_shares"] is not None and wanted.cpu_shares is None


def change(domain: Any, live: Mapping[str, Any], wanted: DomainInputs) -> None:
    """Change what of it can be changed while the domain runs.

    Raises:
        libvirt.libvirtError: the hypervisor refuses.
    """
    scheduler: dict[str, int] = {}
    if wanted.cpu_shares is not None and wanted.cpu_shares != live["cpu_shares"]:
        scheduler["cpu_shares"] = wanted.cpu_shares
    if wanted.cpu_quota_us != live["cpu_quota_us"]:
        scheduler["global_period"] = QUOTA_PERIOD_US
        scheduler["global_quota"] = -1 if wanted.cpu_quota_us is None else wanted.cpu_quota_us
    if scheduler:
        domain.setSchedulerParametersFlags(scheduler, _LIVE)
    if wanted.memory_limit_mib != live["memory_limit_mib"]:
        limit = _UNLIMITED_KIB if wanted.memory_limit_mib is None else wanted.memory_limit_mib * 1024
        domain.setMemoryParameters({"hard_limit": limit}, _LIVE)
    if (wanted.disk_iops, wanted.disk_bytes_s) != (live["disk_iops"], live["disk_bytes_s"]):
        _limit_disks(domain, wanted)
    _pin(domain, live, wanted)


def takes_vcpus(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Why a running machine does not come to have fewer virtual CPUs, as inputs say; empty when it is not to."""
    room = before.get("vcpus", 1)
    if room != wanted.get("vcpus", 1) or not isinstance(room, int):  # it starts anew
        return ""
    has, then = (inputs.get("online_vcpus") or room for inputs in (before, wanted))
    if not (isinstance(has, int) and isinstance(then, int) and then < has):
        return ""
    return (
        f"a guest gives no virtual CPU back when it is asked to (from {has} to {then}); switch the machine off first "
        "(power: stopped), or change how many there is room for, which starts it anew"
    )


def change_vcpus(operation: Operation, domain: Any, live: Mapping[str, Any], wanted: DomainInputs) -> None:
    """Plug virtual CPUs in, up to those that there is room for, and have the guest use them where it can be asked.

    Raises:
        libvirt.libvirtError: the hypervisor refuses.
        PlatformError: somebody plugged more in by hand, and the guest keeps them.
    """
    has, aim = (live["online_vcpus"] or live["vcpus"], wanted.online_vcpus or wanted.vcpus)
    if has == aim:
        return
    try:
        domain.setVcpusFlags(aim, _LIVE)
    except libvirt.libvirtError as error:
        if aim > has:
            raise
        raise PlatformError(
            f"the guest of the machine '{wanted.name}' has {has} virtual CPUs, not {aim}, and gives none back: {error}",
            "switch the machine off (power: stopped) and on again",
        ) from None
    if aim > has and (why := _untold(operation, domain, wanted, aim)):
        operation.note(
            f"the machine '{wanted.name}' has {aim} virtual CPUs now; its system uses the new ones when it brings them "
            f"online by itself, or after a restart, since it could not be told to: {why}"
        )


def _untold(operation: Operation, domain: Any, wanted: DomainInputs, cpus: int) -> str:
    """Tell the guest to use so many virtual CPUs; gives why that could not be done, empty when it was.

    Raises:
        Cancelled: the run was cancelled meanwhile.
    """
    if wanted.ready != "agent":
        return "no agent of the guest is known"
    end = time.monotonic() + _TOLD_SECONDS

    def tell() -> Pending | str:
        try:
            domain.setVcpusFlags(cpus, libvirt.VIR_DOMAIN_VCPU_GUEST)
        except libvirt.libvirtError as error:  # the guest takes a moment to see what was plugged in
            return str(error) if time.monotonic() >= end else Pending("waiting for the guest to see its virtual CPUs")
        return ""

    return operation.wait_until(tell, longest=1.0)


def balloon_aim(domain: Any, live: Mapping[str, Any], config: int | None) -> int | None:
    """What a balloon leaves the guest, or is about to: a guest takes its time, and one that just started has it all.

    Raises:
        libvirt.libvirtError: it cannot be read.
    """
    most = int(live["memory_mib"])
    now = _balloon_mib(domain, most)
    return config if config is not None and now > config else (now if now < most else None)


def _balloon_mib(domain: Any, most: int) -> int:
    """What the guest has by its balloon; the description of a running domain is late with it."""
    return int(domain.memoryStats().get("actual", most * 1024)) // 1024


def change_balloon(operation: Operation, domain: Any, wanted: DomainInputs) -> None:
    """Let the balloon take or give back memory, and wait until it has.

    Raises:
        libvirt.libvirtError: the hypervisor refuses.
        PlatformError: the guest's balloon does not get there in time.
        Cancelled: the run was cancelled meanwhile.
    """
    aim = wanted.balloon_mib or wanted.memory_mib
    if aim == _balloon_mib(domain, wanted.memory_mib):
        return
    domain.setMemoryFlags(aim * 1024, _LIVE)
    end = time.monotonic() + BALLOON_SECONDS

    def look() -> Pending | int:
        has = _balloon_mib(domain, wanted.memory_mib)
        if has == aim or time.monotonic() >= end:
            return has
        return Pending(f"waiting for the guest's balloon: {has} MiB, to be {aim} MiB")

    has = operation.wait_until(look, longest=1.0)
    if has != aim:
        raise PlatformError(
            f"the guest of the machine '{wanted.name}' has {has} MiB of memory after {BALLOON_SECONDS:.0f} s, not "
            f"{aim} MiB: its balloon did not follow",
            "see that the guest has a driver for virtio balloons and can spare the memory, then run again",
        )


def _limit_disks(domain: Any, wanted: DomainInputs) -> None:
    limits: dict[str, Any] = {
        "total_iops_sec": wanted.disk_iops or 0,
        "total_bytes_sec": wanted.disk_bytes_s or 0,
    }
    if any(limits.values()):
        limits["group_name"] = IO_GROUP
    for disk in from_text(domain.XMLDesc(0)).iterfind("devices/disk"):
        target = attribute(disk, "target", "dev")
        if target is not None:
            domain.setBlockIoTune(target, limits, _LIVE)


def _pin(domain: Any, live: Mapping[str, Any], wanted: DomainInputs) -> None:
    if cpusets.canonical(live["vcpu_pins"]) != cpusets.canonical(wanted.vcpu_pins):
        for vcpu in range(wanted.online_vcpus or wanted.vcpus):
            pins = wanted.vcpu_pins or ()
            domain.pinVcpuFlags(vcpu, _map(domain, pins[vcpu] if vcpu < len(pins) else None), _LIVE)
    if cpusets.canonical(live["emulator_pin"]) != cpusets.canonical(wanted.emulator_pin):
        domain.pinEmulator(_map(domain, wanted.emulator_pin), _LIVE)


def _map(domain: Any, cpus: str | None) -> tuple[bool, ...]:
    """The CPUs as libvirt's calls take them; None: all."""
    count = _host_cpus(domain)
    chosen = range(count) if cpus is None else cpusets.read(cpus)
    return tuple(cpu in chosen for cpu in range(count))


def _host_cpus(domain: Any) -> int:
    return int(domain.connect().getCPUMap(0)[0])


def as_recorded(domain: Any, values: dict[str, Any], recorded: DomainInputs) -> dict[str, Any]:
    """`values` with what means the same as what was recorded written as that was.

    Raises:
        libvirt.libvirtError: the hypervisor did not say how many CPUs it has.
    """
    found = dict(values)
    for name, nothing in _MEANS_NOTHING.items():
        if found[name] is None and getattr(recorded, name) == nothing:
            found[name] = nothing
    if recorded.firmware and found["secure_boot"]:
        found["firmware"] = recorded.firmware
    if recorded.confinement is None:  # the hypervisor's default is not of the machine's making
        found["confinement"] = None
    for name in ("vcpu_pins", "emulator_pin"):
        now, then = found[name], getattr(recorded, name)
        if now == then:
            continue
        if then is None and now is not None:  # a pin taken off while the machine ran leaves one to every CPU
            everything = cpusets.written(range(_host_cpus(domain)))
            if all(cpusets.canonical(item) == everything for item in ([now] if isinstance(now, str) else now)):
                found[name] = None
        elif cpusets.canonical(now) == cpusets.canonical(then):
            found[name] = then
    return found
