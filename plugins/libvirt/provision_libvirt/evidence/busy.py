"""Limits of a machine that is made busy: its CPU time by its control group, its disk by what it gets of it."""

import time
from collections.abc import Iterator, Sequence

from provision.models import Share
from provision.spi import Evidence, EvidenceRequest, ProbeChannel, Shown
from provision_libvirt.effective import cpu_use
from provision_libvirt.evidence.look import NOT_RUNNING, UNSEEN, Look
from provision_libvirt.probes import AgentChannel
from provision_libvirt.session import Session

_SECONDS = 2.0
# Where time is given out in pieces of 100 ms, one piece more or less is a twentieth of what is measured.
_TOLERANCE = 0.15
_FREE = 2  # reads: all that a slow disk may make in the time is not many more
_WANTED = 1.5  # a machine that could do so much more than its limit shows that the limit holds it
_SMALL, _LARGE = 4096, 1 << 20
_NO_DISK = "it has no disk of its own to read from"
_NO_CARDS = "nobody measures how fast its network cards are"


def measure(session: Session, channel: ProbeChannel, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
    """What a busy machine shows of each share that is asked about.

    Raises:
        PlatformError: the machine is not there, or its agent cannot make it busy.
    """
    look = Look.at(session, request)
    return [
        list(_measured(look, channel, one)) if isinstance(one, Share) and isinstance(channel, AgentChannel) else []
        for one in request.asked
    ]


def _measured(look: Look, channel: AgentChannel, share: Share) -> Iterator[Shown]:
    if share.cpu is not None and share.cpu.cap is not None:
        yield _cpu(look, channel, share.cpu.cap)
    if share.disk is not None and share.disk.iops is not None:
        yield _disk(look, channel, "operations/s", share.disk.iops, _SMALL, 1)
    if share.disk is not None and share.disk.throughput is not None:
        rate = int(share.disk.throughput)
        size = _size(rate, share.disk.iops)
        yield _disk(look, channel, "bytes/s", rate, size, size)
    if share.nic is not None:
        yield Shown(Evidence.PROBED, None, _NO_CARDS)


def _cpu(look: Look, channel: AgentChannel, cap: float) -> Shown:
    """Whether its control group let it have no more CPU time than its cap, and stopped it there."""
    if look.view is None:
        return Shown(Evidence.PROBED, None, UNSEEN)
    name = look.domain.name()
    before, began = cpu_use(look.view, name), time.monotonic()
    channel.burn(_SECONDS)
    after, ended = cpu_use(look.view, name), time.monotonic()
    if before is None or after is None:
        return Shown(Evidence.PROBED, None, look.why_blind)
    used, stopped = (after.seconds - before.seconds) / (ended - began), after.throttled - before.throttled
    return judged_cpu(used, stopped, cap)


def judged_cpu(used: float, stopped: int, cap: float) -> Shown:
    """What the use of a machine that was kept busy shows.

    Args:
        used: CPUs' worth of time that it had.
        stopped: how often its cap stopped it.
        cap: CPUs' worth of time that it may have.
    """
    text = f"{used:.2f} CPUs used while busy, of at most {cap:g}"
    if used > cap * (1 + _TOLERANCE):
        return Shown(Evidence.PROBED, False, text)
    if not stopped:
        return Shown(Evidence.PROBED, None, f"{text}: its host gave it no more, so nothing is shown of its cap")
    return Shown(Evidence.PROBED, True, f"{text}: stopped {stopped} times at its cap")


def _disk(look: Look, channel: AgentChannel, unit: str, limit: int, size: int, each: int) -> Shown:
    if not look.domain.isActive():
        return Shown(Evidence.PROBED, None, NOT_RUNNING)
    if not look.live["disks"]:
        return Shown(Evidence.PROBED, None, _NO_DISK)
    found = channel.read("vda", size, _SECONDS)
    able, one = each / max(found.quick_seconds, 1e-9), each / found.seconds
    return judged_disk(found.count * one, able, limit, unit, _FREE * one)


def judged_disk(rate: float, able: float, limit: int, unit: str, free: float = 0.0) -> Shown:
    """What the reads of a machine from its disk show.

    Args:
        rate: how much it got in a second.
        able: how much it would get if all were as quick as the quickest, which no limit had held up yet.
        limit: how much it may get.
        unit: of all these.
        free: what the first few reads make of the rate, which a throttle lets pass at once.
    """
    text = f"{rate:.0f} {unit} read from its first disk, of at most {limit}"
    if rate > limit * (1 + _TOLERANCE) + free:
        return Shown(Evidence.PROBED, False, text)
    if able < limit * _WANTED:
        return Shown(Evidence.PROBED, None, f"{text}: it could do no more, so nothing is shown of its limit")
    return Shown(Evidence.PROBED, True, f"{text}: it could do {able:.0f}")


def _size(rate: int, iops: int | None) -> int:
    """Bytes of one read, such that the limit of bytes is reached before that of operations."""
    wanted = _LARGE if iops is None else 2 * rate // iops
    size = 1 << 16
    while size < wanted and size < _LARGE:
        size *= 2
    return size
