"""Reading the settings of a translated graph back: what its machines and disks say of policies and shares.

Written from what libvirt's description of a machine means, without any code of the translation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from provision.models import (
    ConfinementPolicy,
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    HideHypervisorPolicy,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    NoHostAccessPolicy,
    PackPolicy,
    PeerIsolationPolicy,
    SecureBootPolicy,
    Share,
    SpreadPolicy,
)
from provision.spi import Output, SettingsRequest, Shown
from provision.spi.planned import said_by
from provision_libvirt.readers.placed import apart, dedicated, together
from provision_libvirt.readers.planned import Plan

_PERIOD_US = 100_000
_MANDATORY = {"apparmor", "selinux"}
Said = Iterator[tuple[bool, str]]


def read_settings(request: SettingsRequest) -> Sequence[Sequence[Shown]]:
    """What the graph says of each policy or share that is asked about."""
    return said_by(Plan(request), _ANSWERS)


def _one(answer: Callable[[Plan, Any], Said]) -> Callable[[Plan, Any, Sequence[str]], Said]:
    return lambda plan, asked, members: answer(plan, asked)


def _memory(plan: Plan, policy: MemoryIsolationPolicy) -> Said:
    if not policy.shared_pages:
        yield _is(plan, "share_pages", False, "page sharing off", "page sharing not switched off")
    if policy.huge_pages:
        size = plan.machine.get("huge_page_kib")
        offered = {int(kib) for node in plan.topology for kib, count in node["huge_pages"].items() if count}
        yield size in offered, f"huge pages of {size} KiB" if size else "no huge pages"
    if policy.locked:
        yield _is(plan, "locked", True, "memory locked", "memory not locked")


def _disk_encryption(plan: Plan, policy: DiskEncryptionPolicy) -> Said:
    disks: Sequence[Mapping[str, Any]] = plan.machine.get("disks") or ()
    plain = [
        str(disk["serial"]) for disk in disks if not (plan.volume(disk).get("encrypted") is True and _own_key(disk))
    ]
    if plain:
        yield False, f"disk {', '.join(plain)} not encrypted"
    else:
        yield True, f"{len(disks)} encrypted disk{'s' * (len(disks) != 1)}" if disks else "it has no disk"


def _own_key(disk: Mapping[str, Any]) -> bool:
    """Whether a disk is opened with the key of its own volume."""
    path, secret = disk.get("path"), disk.get("secret")
    return isinstance(path, Output) and isinstance(secret, Output) and secret == Output(path.node, "secret")


def _secure_boot(plan: Plan, policy: SecureBootPolicy) -> Said:
    yield _is(plan, "secure_boot", True, "firmware with secure boot", "firmware without secure boot")
    if policy.vtpm:
        yield _is(plan, "tpm", True, "a TPM of its own", "no TPM")


def _memory_encryption(plan: Plan, policy: MemoryEncryptionPolicy) -> Said:
    found = plan.machine.get("memory_encryption")
    offered = plan.facts.get("memory_encryption") or ()
    right = found is not None and policy.technology in ("any", found) and found in offered
    yield right, f"memory encrypted by {found.upper()}" if found else "memory not encrypted"


def _confinement(plan: Plan, policy: ConfinementPolicy) -> Said:
    if policy.mandatory_access_control:
        model = plan.machine.get("confinement")
        offered = _MANDATORY & set(plan.facts.get("security_models") or ())
        yield model in offered, f"confined by {model}" if model else "no mandatory access control"


def _hidden(plan: Plan, policy: HideHypervisorPolicy) -> Said:
    yield _is(plan, "hide_hypervisor", True, "hypervisor hidden from the CPU", "hypervisor not hidden")
    if not policy.nested:
        yield _is(plan, "nested", False, "nesting off", "nesting not switched off")


def _isolated(plan: Plan, policy: PeerIsolationPolicy) -> Said:
    cards = [nic for nic in plan.machine.get("nics") or () if not nic.get("user")]
    open_ = [str(index) for index, nic in enumerate(cards) if nic.get("isolated") is not True]
    count = f"{len(cards)} isolated port{'s' * (len(cards) != 1)}"
    yield not open_, f"network card {', '.join(open_)} has a port that is not isolated" if open_ else count


def _closed(plan: Plan, policy: NoHostAccessPolicy) -> Said:
    """Of networks with a way out: whether the kernel is to close all addresses of the host but those that filters know.

    Where it can be told to: elsewhere the policy is refused, or not enforced.
    """
    for network in plan.networks if plan.facts.get("closes_host") else ():
        if network["mode"] != "isolated":
            spared, near = network.get("host_addresses"), [network[key] for key in ("ipv4", "ipv6") if network.get(key)]
            own = [ip_network(f"{one['address']}/{one['prefix']}", strict=False) for one in near]
            known = {one for one in plan.host_addresses if not any(ip_address(one) in prefix for prefix in own)}
            right = spared is not None and set(spared) == known
            what = f"the hypervisor's addresses that no filter knows {'' if right else 'not '}closed to"
            yield right, f"{what} '{network['name']}'"


def _limits(plan: Plan, share: Share) -> Said:
    machine = plan.machine
    if share.cpu is not None and share.cpu.weight is not None:
        old = plan.facts.get("cgroup_version") == 1  # there the usual weight is 1024, and 2 the least
        weight = max(2, round(share.cpu.weight * 10.24)) if old else share.cpu.weight
        yield _equal(machine.get("cpu_shares"), weight, "CPU weight", "")
    if share.cpu is not None and share.cpu.cap is not None:
        yield _equal(machine.get("cpu_quota_us"), int(share.cpu.cap * _PERIOD_US), "CPU time", " us in 100 ms")
    if share.memory is not None:
        yield from _memory_limits(plan, share)
    if share.disk is not None and machine.get("disks"):
        if share.disk.iops is not None:
            yield _equal(machine.get("disk_iops"), share.disk.iops, "disks limited to", " operations/s")
        if share.disk.throughput is not None:
            yield _equal(machine.get("disk_bytes_s"), int(share.disk.throughput), "disks limited to", " bytes/s")
    for way in ("inbound", "outbound"):
        rate = None if share.nic is None else getattr(share.nic, way)
        if rate is None:
            continue
        for nic in machine.get("nics") or ():
            yield _equal(nic.get(f"{way}_kilobytes_s"), int(rate // 8000), way, " kB/s")


def _memory_limits(plan: Plan, share: Share) -> Said:
    machine, wanted = plan.machine, share.memory
    if wanted is None:
        return
    if wanted.maximum is not None:
        yield _equal(machine.get("memory_limit_mib"), wanted.maximum.mib, "memory limit", " MiB")
    if wanted.minimum is not None:
        has = machine.get("balloon_mib") or machine["memory_mib"]
        yield has >= wanted.minimum.mib, f"{has} MiB of memory"
    if wanted.balloon:
        yield _is(plan, "balloon", True, "a balloon", "no balloon")
    if wanted.page_sharing is False:
        yield _is(plan, "share_pages", False, "page sharing off", "page sharing not switched off")
    elif wanted.page_sharing:
        may = machine.get("share_pages") is not False
        yield may, "page sharing on" if may else "page sharing switched off"


def _is(plan: Plan, name: str, wanted: bool, right: str, wrong: str) -> tuple[bool, str]:
    holds = plan.machine.get(name) is wanted
    return holds, right if holds else wrong


def _equal(found: int | None, wanted: int, what: str, unit: str) -> tuple[bool, str]:
    said = f"{what} {'none' if found is None else f'{found}{unit}'}"
    return found == wanted, said if found == wanted else f"{said} instead of {wanted}{unit}"


_ANSWERS: Mapping[type, Callable[[Plan, Any, Sequence[str]], Said]] = {
    ConfinementPolicy: _one(_confinement),
    DedicatedCpusPolicy: _one(dedicated),
    DiskEncryptionPolicy: _one(_disk_encryption),
    HideHypervisorPolicy: _one(_hidden),
    MemoryEncryptionPolicy: _one(_memory_encryption),
    MemoryIsolationPolicy: _one(_memory),
    NoHostAccessPolicy: _one(_closed),
    PackPolicy: together,
    PeerIsolationPolicy: _one(_isolated),
    SecureBootPolicy: _one(_secure_boot),
    Share: _one(_limits),
    SpreadPolicy: apart,
}
