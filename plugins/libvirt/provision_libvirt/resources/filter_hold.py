"""Keeping the old packet rules while libvirt changes them.

Each time libvirt 9.0 applies a filter to a NIC it takes its jumps out of the kernel's FORWARD and INPUT chains and puts
them back one command later each: for that long no connection of any machine on the host is looked at. So where the
host can be reached, what the kernel holds is copied to a table that is asked before, in one transaction, and goes
in one again when the new rules are in place. In between a packet must pass both.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from provision_libvirt.hostview import HostView, host_view
from provision_libvirt.lock_files import opened, taken

_LOCK = "run/lock/provision-packet-rules.lock"
_MARK = b"held\n"
_PREFIX = "hold-"
_ROOTS = {"libvirt-in": "FORWARD", "libvirt-out": "FORWARD", "libvirt-host-in": "INPUT"}


@contextmanager
def old_rules_held(uri: str) -> Iterator[bool]:
    """Let no packet pass that the rules of now stop, until the block is left; gives whether that could be done.

    Several may hold at once, also from several processes. One that is killed leaves its copy, which stops too much and
    nothing else; the next one, or `let_go`, takes it away.
    """
    view = host_view(uri)
    if view is None or os.geteuid() != 0:
        yield False
        return
    with _lock(view.root / _LOCK) as lock:
        os.pwrite(lock, _MARK, 0)
        held = _copy(view)
        try:
            yield held
        finally:
            if _alone(lock):
                _drop(view)
                os.ftruncate(lock, 0)
            else:
                _copy(view)


def let_go(uri: str) -> None:
    """Take away what a killed run left; costs nothing when there is nothing."""
    view = host_view(uri)
    file = None if view is None else view.root / _LOCK
    with contextlib.suppress(OSError):
        if view is None or file is None or os.geteuid() != 0 or not file.stat().st_size:
            return
        with _lock(file) as lock:
            if _alone(lock):
                _drop(view)
                os.ftruncate(lock, 0)


@contextmanager
def _lock(file: Path) -> Iterator[int]:
    """A lock that all who hold share; the file is not empty while there may be a copy."""
    with opened(file) as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield handle


def _alone(lock: int) -> bool:
    """Whether nobody else holds; then nobody begins to until this one is done."""
    if taken(lock):
        return True
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_SH)
    return False


def _copy(view: HostView) -> bool:
    """Copy what is in force now, in place of any earlier copy; gives whether that was possible for all."""
    return all([_change(view, tool, held=True) for tool in ("iptables", "ip6tables")])


def _drop(view: HostView) -> None:
    """Take the copy away."""
    for tool in ("iptables", "ip6tables"):
        _change(view, tool, held=False)


def _change(view: HostView, tool: str, *, held: bool) -> bool:
    saved = view.run(f"{tool}-save")
    if saved is None:
        return False
    text = changed(saved, held=held)
    return not text or view.run(f"{tool}-restore", "--noflush", given=text) is not None


def changed(saved: str, *, held: bool) -> str:
    """What to give to `iptables-restore`, from what `iptables-save` printed; empty when there is nothing to do."""
    rules, table = dict[str, list[list[str]]](), ""
    there: set[str] = set()
    jumps: set[str] = set()
    for line in saved.splitlines():
        words = line.split()
        if line.startswith("*"):
            table = line[1:]
        elif table == "mangle" and line.startswith(f":{_PREFIX}"):
            there.add(words[0][1:])
        elif table == "mangle" and line.startswith("-A ") and words[-2:-1] == ["-j"] and words[-1].startswith(_PREFIX):
            jumps.add(words[-1]) if not words[1].startswith(_PREFIX) else None
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
        if root in wanted and f"{_PREFIX}{root}" not in jumps:
            lines.append(f"-A {base} -j {_PREFIX}{root}")
        if root not in wanted and f"{_PREFIX}{root}" in jumps:
            lines.append(f"-D {base} -j {_PREFIX}{root}")
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
