"""A control-group subtree of the lab's own, in every hierarchy that is mounted: version 1, version 2 or both."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from provision_libvirt.lab.linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, mount


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy: where (`point`), its type, and the options that mount it again."""

    point: Path
    kind: str
    options: str


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The writable hierarchies in the text of a `mountinfo` file (proc(5))."""
    found: dict[tuple[str, str], Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) < 6 or len(rest) < 3 or rest[0] not in ("cgroup", "cgroup2"):
            continue
        if "ro" in fields[5].split(",") or fields[3] != "/":
            continue
        skipped = {"rw", "ro", "seclabel", "nsdelegate", "memory_recursiveprot", "memory_localevents", "favordynmods"}
        options = [word for word in rest[2].split(",") if word not in skipped and not word.startswith("release_agent")]
        found.setdefault((rest[0], rest[2]), Hierarchy(Path(fields[4]), rest[0], ",".join(options)))
    return list(found.values())


def enter(name: str) -> list[Hierarchy]:
    """Make the subtree `name` at the root of every hierarchy and move this process into it.

    Gives the hierarchies in which that worked; elsewhere the lab goes without.
    """
    entered = []
    for hierarchy in hierarchies(Path("/proc/self/mountinfo").read_text()):
        own = hierarchy.point / name
        with contextlib.suppress(OSError):
            own.mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):  # an empty set takes no process (version 1)
                if hierarchy.kind == "cgroup" and (own / file).exists() and not (own / file).read_text().strip():
                    (own / file).write_text((hierarchy.point / file).read_text())
            (own / "cgroup.procs").write_text(str(os.getpid()))
            entered.append(hierarchy)
    return entered


def show(entered: list[Hierarchy]) -> None:
    """Mount the subtrees alone under /sys/fs/cgroup; to be called in a cgroup namespace rooted at them."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    top = Path("/sys/fs/cgroup")
    if [hierarchy.kind for hierarchy in entered] == ["cgroup2"]:
        mount("cgroup2", str(top), "cgroup2", flags)
        _leave_root(top)
        return
    mount("tmpfs", str(top), "tmpfs", flags, "mode=755")
    for hierarchy in entered:
        point = top / hierarchy.point.name
        point.mkdir()
        mount(hierarchy.kind, str(point), hierarchy.kind, flags, hierarchy.options)
        if hierarchy.kind == "cgroup2":
            _leave_root(point)


def _leave_root(point: Path) -> None:
    """In version 2 only a group without processes can hand controllers to its children."""
    own = point / "init"
    own.mkdir(exist_ok=True)
    for pid in (point / "cgroup.procs").read_text().split():
        (own / "cgroup.procs").write_text(pid)
    for controller in (point / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (point / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(name: str, seconds: float = 5.0) -> list[Path]:
    """Remove the subtree `name` everywhere; gives what could not be removed within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        mounted = hierarchies(Path("/proc/self/mountinfo").read_text())
        left = [own for hierarchy in mounted if (own := hierarchy.point / name).exists()]
        for top in left:
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        left = [top for top in left if top.exists()]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)
