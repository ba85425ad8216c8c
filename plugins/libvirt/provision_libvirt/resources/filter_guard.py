"""Keeping the packet rules of all machines in force while one of them starts or gets a network card.

Libvirt 9.0 takes its jumps out of the kernel's FORWARD and INPUT chains then, and puts them back, by a command for
each: until they are back no connection of any machine on the host is looked at. The chains that they lead to stay as
they are. So where the host can be reached, a second way into them is put there before, in one transaction for each IP
version, and taken away afterwards. Libvirt's `libvirt-out` and `libvirt-in-post` accept for good, and each may be asked
alone meanwhile: so the first asks `libvirt-in` before, and the second asks the first. Nothing more is stopped than
always, however long it lasts, and nothing is copied: rules that change meanwhile count at once.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from provision_libvirt.hostview import HostView, host_view
from provision_libvirt.lock_files import one_at_a_time, opened, taken

_TOOLS = ("iptables", "ip6tables")
_HELD, _GATE = "run/lock/provision-packet-ways.lock", "run/lock/provision-packet-ways.gate"
_MARK = b"there\n"
_LIBVIRTS = ("libvirt-in", "libvirt-out", "libvirt-in-post", "libvirt-host-in")
_OURS = ("provision-way", "provision-way-host")
_WAYS = (
    "libvirt-out -j libvirt-in",
    "libvirt-in-post -j libvirt-out",
    "provision-way -j libvirt-out",
    "provision-way-host -j libvirt-host-in",
    "FORWARD -j provision-way",
    "INPUT -j provision-way-host",
)
_TRIES = 5
"""Libvirt may have made its chains since the table was read."""


@contextmanager
def rules_kept(uri: str, others_run: Callable[[], bool] = lambda: True) -> Iterator[bool]:
    """Keep every machine's rules in force while libvirt puts those of another there; gives whether that is done.

    Several may do so at once, also from several processes: the first makes the second way, the last removes it. A run
    that is killed leaves it, which costs the kernel time and nothing else, until the next one ends or `drop_left_way`.

    Args:
        uri: of the connection.
        others_run: whether any machine runs; asked when nobody else is starting one. Else there is nothing to keep.
    """
    view = host_view(uri)
    if view is None or not view.may_change_rules():
        yield False
        return
    with opened(view.root / _HELD) as held:
        with one_at_a_time(view.root / _GATE):
            alone = taken(held)
            there = os.fstat(held).st_size > 0
            if (alone and (there or others_run())) or not (alone or there):
                os.pwrite(held, _MARK, 0)  # before, so that one that is killed on the way is known to leave something
                there = all([_change(view, tool, wanted=True) for tool in _TOOLS])
            fcntl.flock(held, fcntl.LOCK_SH)
        try:
            yield there
        finally:
            with one_at_a_time(view.root / _GATE):
                _removed_by_the_last(view, held)


def drop_left_way(uri: str) -> None:
    """Remove what a killed run left; costs nothing when there is nothing."""
    view = host_view(uri)
    with contextlib.suppress(OSError):
        if view is None or not (view.root / _HELD).stat().st_size or not view.may_change_rules():
            return
        with opened(view.root / _HELD) as held, one_at_a_time(view.root / _GATE):
            _removed_by_the_last(view, held)


def _removed_by_the_last(view: HostView, held: int) -> None:
    if taken(held) and os.fstat(held).st_size and all([_change(view, tool, wanted=False) for tool in _TOOLS]):
        os.ftruncate(held, 0)


def _change(view: HostView, tool: str, *, wanted: bool) -> bool:
    """Bring the second way, or take it; the table is read only when it is not as it should be."""
    text = changed(_LIBVIRTS if wanted else (*_LIBVIRTS, *_OURS), () if wanted else _WAYS, wanted=wanted)
    for _ in range(_TRIES):
        if not text or view.run(f"{tool}-restore", "--wait", "--noflush", given=text) is not None:
            return True
        saved = view.run(f"{tool}-save", "-t", "filter")
        if saved is None:
            return False
        lines = saved.splitlines()
        chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
        text = changed(chains, [line[3:] for line in lines if line.startswith("-A ")], wanted=wanted)
    return False


def changed(chains: Collection[str], rules: Collection[str], *, wanted: bool) -> str:
    """What to give to `iptables-restore`, by what is there; empty when there is nothing to do.

    Args:
        chains: of the table `filter`.
        rules: of it, as `iptables-save` spells them behind `-A`.
        wanted: whether the second way is to be there.
    """
    if wanted:
        # Without any machine libvirt's are missing; it takes those that it finds.
        lines = [f"-N {chain}" for chain in (*_LIBVIRTS, *_OURS) if chain not in chains]
        lines += [f"-I {rule}" for rule in _WAYS if rule not in rules]
    else:
        lines = [f"-D {rule}" for rule in reversed(_WAYS) if rule in rules]
        lines += [f"-X {chain}" for chain in _OURS if chain in chains]
    return "\n".join(["*filter", *lines, "COMMIT", ""]) if lines else ""
