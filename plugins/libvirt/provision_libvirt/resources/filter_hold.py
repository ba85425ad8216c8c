"""Keeping the old packet rules while libvirt changes them.

Each time libvirt 9.0 applies a filter to a NIC it takes its jumps out of the kernel's FORWARD and INPUT chains and puts
them back one command later each: for that long no connection of any machine on the host is looked at. So where the
host can be reached, what the kernel holds is copied to a table that is asked before, in one transaction, and goes
in one again when the new rules are in place. In between a packet must pass both.
"""

import contextlib
import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from provision_libvirt.hostview import HostView, host_view
from provision_libvirt.lock_files import one_at_a_time, opened, taken

_HELD, _GATE = "run/lock/provision-packet-rules.lock", "run/lock/provision-packet-rules.gate"
_MARK = b"held\n"
_PREFIX = "hold-"
_ROOTS = {"libvirt-in": "FORWARD", "libvirt-out": "FORWARD", "libvirt-host-in": "INPUT"}
_TOOLS = ("iptables", "ip6tables")
_TRIES = 5
"""Libvirt, or somebody else, may have changed the table since it was read."""


@contextmanager
def old_rules_held(uri: str) -> Iterator[bool]:
    """Let no packet pass that the rules of now stop, until the block is left; gives whether that could be done.

    Several may hold at once, also from several processes: the last takes the copy away. One that is killed leaves it,
    which stops too much and nothing else; the next one, or `drop_left_copy`, takes it away.
    """
    view = host_view(uri)
    if view is None or os.geteuid() != 0:
        yield False
        return
    with opened(view.root / _HELD) as held:
        with one_at_a_time(view.root / _GATE):
            fcntl.flock(held, fcntl.LOCK_SH)
            os.pwrite(held, _MARK, 0)
            there = _copy(view)
        try:
            yield there
        finally:
            with one_at_a_time(view.root / _GATE):
                if not _dropped_by_the_last(view, held):
                    _copy(view)  # what others hold is to be what is in force now
                fcntl.flock(held, fcntl.LOCK_UN)


def drop_left_copy(uri: str) -> None:
    """Take away what a killed run left; costs nothing when there is nothing."""
    view = host_view(uri)
    with contextlib.suppress(OSError):
        if view is None or os.geteuid() != 0 or not (view.root / _HELD).stat().st_size:
            return
        with opened(view.root / _HELD) as held, one_at_a_time(view.root / _GATE):
            _dropped_by_the_last(view, held)


def _dropped_by_the_last(view: HostView, held: int) -> bool:
    """Take the copy away if nobody else holds; while that fails the file stays marked, and the next one tries again."""
    if not taken(held):
        return False
    if all([_change(view, tool, held=False) for tool in _TOOLS]):
        os.ftruncate(held, 0)
    return True


def _copy(view: HostView) -> bool:
    """Copy what is in force now, in place of any earlier copy; gives whether that was possible for all."""
    return all([_change(view, tool, held=True) for tool in _TOOLS])


def _change(view: HostView, tool: str, *, held: bool) -> bool:
    for _ in range(_TRIES):
        saved = view.run(f"{tool}-save")
        if saved is None:
            return False
        text = changed(saved, held=held)
        if not text or view.run(f"{tool}-restore", "--wait", "--noflush", given=text) is not None:
            return True
    return False


def changed(saved: str, *, held: bool) -> str:
    """What to give to `iptables-restore`, from what `iptables-save` printed; empty when there is nothing to do."""
    rules, table = dict[str, list[list[str]]](), ""
    there: set[str] = set()
    jumps = Counter[tuple[str, str]]()
    for line in saved.splitlines():
        words = line.split()
        if line.startswith("*"):
            table = line[1:]
        elif table == "mangle" and line.startswith(f":{_PREFIX}"):
            there.add(words[0][1:])
        elif table == "mangle" and line.startswith("-A ") and words[-2:-1] == ["-j"] and words[-1].startswith(_PREFIX):
            jumps[words[1], words[-1]] += 1
        elif table == "filter" and line.startswith(":"):
            rules.setdefault(words[0][1:], [])
        elif table == "filter" and line.startswith("-A "):
            rules.setdefault(words[1], []).append(words[2:])
    wanted = _reachable(rules) if held else []
    lines = [f":{_PREFIX}{chain} - [0:0]" for chain in wanted]
    lines += [f":{chain} - [0:0]" for chain in sorted(there - {f"{_PREFIX}{chain}" for chain in wanted})]  # emptied
    for chain in wanted:
        lines += [f"-A {_PREFIX}{chain} {_copied(words, wanted)}" for words in rules[chain]]
    for root, base in _ROOTS.items():
        more = (root in wanted) - jumps[base, f"{_PREFIX}{root}"]
        lines += [f"-{'A' if more > 0 else 'D'} {base} -j {_PREFIX}{root}"] * abs(more)
    lines += [f"-X {chain}" for chain in sorted(there - {f"{_PREFIX}{chain}" for chain in wanted})]
    return "\n".join(["*mangle", *lines, "COMMIT", ""]) if lines else ""


def _reachable(rules: dict[str, list[list[str]]]) -> list[str]:
    """The chains that hold libvirt's rules of connections."""
    found: list[str] = []
    todo = [root for root in _ROOTS if root in rules]
    while todo:
        chain = todo.pop()
        if chain not in found:
            found.append(chain)
            todo += [words[-1] for words in rules[chain] if words[-2:-1] in (["-j"], ["-g"]) and words[-1] in rules]
    return found


def _copied(words: list[str], chains: Sequence[str]) -> str:
    """A rule in the copy: `ACCEPT` there means that the rules proper are asked as well."""
    if words[-2:-1] in (["-j"], ["-g"]) and words[-1] in chains:
        words = [*words[:-1], f"{_PREFIX}{words[-1]}"]
    if "REJECT" in words and words[words.index("REJECT") - 1] == "-j":  # only the proper table knows it
        words = [*words[: words.index("REJECT")], "DROP"]
    return " ".join(words)
