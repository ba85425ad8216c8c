"""Limits of a machine: in libvirt's description, in its control groups, in its emulator."""

from collections.abc import Iterator

import libvirt

from provision.models import Share
from provision.spi import Evidence, Shown
from provision.spi.evidence import accepted, instead
from provision_libvirt.evidence.look import NOT_RUNNING, Look, or_none
from provision_libvirt.evidence.protection import shared, unshared
from provision_libvirt.evidence.shaping import held
from provision_libvirt.session import explained
from provision_libvirt.translate.hostpart import CAP_PERIOD_US, cpu_shares


def limits(look: Look, share: Share) -> Iterator[Shown]:
    """Whether each limit of a share is the one that holds."""
    if share.cpu is not None and share.cpu.weight is not None:
        weight = share.cpu.weight
        version = 2 if look.now is None else look.now.cgroup_version
        wanted = cpu_shares(weight, version)
        yield _equal(look, "cpu_shares", wanted, "CPU weight")
        yield look.applied(
            lambda now: (
                now.cpu_weight == wanted,
                f"CPU weight {now.cpu_weight} in its control group{instead(now.cpu_weight == wanted, wanted)}",
            )
        )
    if share.cpu is not None and share.cpu.cap is not None:
        quota = int(share.cpu.cap * CAP_PERIOD_US)
        yield accepted(look.live["cpu_quota_us"] == quota, _cap(look.live["cpu_quota_us"], quota))
        yield look.applied(
            lambda now: (now.cpu_quota_us == quota, f"{_cap(now.cpu_quota_us, quota)} in its control group")
        )
    if share.memory is not None:
        if share.memory.maximum is not None:
            limit = share.memory.maximum.mib
            yield _equal(look, "memory_limit_mib", limit, "memory limit", " MiB")
            yield look.applied(
                lambda now: (
                    now.memory_limit_mib == limit,
                    f"memory limit {or_none(now.memory_limit_mib, ' MiB')} in its control group"
                    + instead(now.memory_limit_mib == limit, f"{limit} MiB"),
                )
            )
        if share.memory.minimum is not None:
            least, has = share.memory.minimum.mib, look.live["balloon_mib"] or look.live["memory_mib"]
            yield accepted(has >= least, f"{has} MiB of memory{instead(has >= least, f'at least {least} MiB')}")
        if share.memory.balloon:
            balloon = look.live["balloon"] is True
            yield accepted(balloon, "a balloon" if balloon else "no balloon")
        if share.memory.page_sharing is not None:
            yield from shared(look) if share.memory.page_sharing else unshared(look)
    if share.disk is not None:
        yield from _disk_limits(look, share)
    if share.nic is not None:
        for way in ("inbound", "outbound"):
            if (rate := getattr(share.nic, way)) is not None:
                yield from held(look, way, int(rate // 8000))


def _disk_limits(look: Look, share: Share) -> Iterator[Shown]:
    if share.disk is None or not look.live["disks"]:
        return
    running = bool(look.domain.isActive())
    for name, key, wanted, unit in (
        ("disk_iops", "total_iops_sec", share.disk.iops, " operations/s"),
        ("disk_bytes_s", "total_bytes_sec", share.disk.throughput, " bytes/s"),
    ):
        if wanted is None:
            continue
        limit = int(wanted)
        yield _equal(look, name, limit, "disks limited to", unit)
        if not running:
            yield Shown(Evidence.EFFECTIVE, None, NOT_RUNNING)
            continue
        with explained(f"asking the emulator of '{look.machine.name}' for its limits"):
            seen = {
                int(look.domain.blockIoTune(disk.path, libvirt.VIR_DOMAIN_AFFECT_LIVE)[key])
                for disk in look.live["disks"]
            }
        holds = seen == {limit}
        said = ", ".join(or_none(one or None, unit) for one in sorted(seen))
        yield Shown(Evidence.EFFECTIVE, holds, f"its emulator holds disks to {said}{instead(holds, f'{limit}{unit}')}")


def _equal(look: Look, name: str, wanted: int, what: str, unit: str = "") -> Shown:
    found = look.live[name]
    holds = bool(found == wanted)
    return accepted(holds, f"{what} {or_none(found, unit)}{instead(holds, f'{wanted}{unit}')}")


def _cap(quota: int | None, wanted: int) -> str:
    seen = "no CPU cap" if quota is None else f"at most {quota / CAP_PERIOD_US:g} CPUs"
    return seen + instead(quota == wanted, f"{wanted / CAP_PERIOD_US:g}")
