"""The hypervisor's own machine, as far as it can be looked at from here: this machine's, or a private hypervisor's."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision_libvirt.place import is_own_host, lab_directory

_RUN = Path("run/libvirt/qemu")
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_COMMAND_SECONDS = 30.0
_DAEMONS = ("run/libvirtd.pid", "run/virtqemud.pid", "run/libvirt/libvirtd.pid", "run/libvirt/virtqemud.pid")
_TIME_PORT = 123
_LOOPBACKS = ("0100007F", "00000000000000000000000001000000")  # as /proc/net/udp writes them
_SYS_RESOURCE = 24  # CAP_SYS_RESOURCE, capabilities(7)
# What libvirt does for <bandwidth> (virNetDevBandwidthSet): each line needs something else of the kernel.
_SHAPING = (
    ("htb", "tc qdisc add dev lo root handle 1: htb default 1"),
    ("htb", "tc class add dev lo parent 1: classid 1:1 htb rate 100kbps"),
    ("sfq", "tc qdisc add dev lo parent 1:1 handle 2: sfq perturb 10"),
    ("fw", "tc filter add dev lo parent 1:0 protocol all prio 1 handle 1 fw flowid 1"),
    ("ingress", "tc qdisc add dev lo ingress"),
    (
        "police",
        "tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 "
        "police rate 100kbps burst 100kb mtu 64kb drop flowid :1",
    ),
)


@dataclass(frozen=True, slots=True)
class HostView:
    """Files of the hypervisor's machine: `root` is its `/`, with a `/proc` in its own numbers."""

    root: Path

    def emulator(self, domain: str) -> Path | None:
        """`/proc/PID` of the process of a running domain; None when it does not run or cannot be seen."""
        pid = _number(self.root / _RUN / f"{domain}.pid")
        place = None if pid is None else self.root / "proc" / str(pid)
        return place if place is not None and place.exists() else None

    def emulators(self) -> list[int]:
        """Numbers of all QEMU processes, whoever started them.

        Raises:
            OSError: they may not be looked at.
        """
        found = [int(place.name) for place in (self.root / "proc").iterdir() if place.name.isdigit()]
        return sorted(pid for pid in found if _text(self.root / "proc" / str(pid) / "comm").startswith("qemu-"))

    def run(self, *command: str, given: str = "") -> str | None:
        """What a command prints in the host's network namespace, with `given` as its input; None when it fails."""
        inside = [] if self.root == Path("/") else ["nsenter", f"--net={self.root.parent / 'ns/net'}"]
        program, *words = [*inside, *command]
        try:
            done = subprocess.run(
                [shutil.which(program, path=_PATH) or program, *words], input=given, capture_output=True, text=True,
                timeout=_COMMAND_SECONDS, check=False, env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout if done.returncode == 0 else None

    def may_change_rules(self) -> bool:
        """Whether the packet rules of the host's kernel may be changed from here."""
        return os.geteuid() == 0 and all(shutil.which(name, path=_PATH) for name in ("iptables", "ip6tables"))

    def merges_pages(self) -> bool | None:
        """Whether the kernel merges equal pages now (KSM); None when it cannot be seen."""
        said = _text(self.root / "sys/kernel/mm/ksm/run").strip()
        return said == "1" if said else None

    def daemon(self) -> Path | None:
        """`/proc/PID` of the daemon that starts machines."""
        for name in _DAEMONS:
            pid = _number(self.root / name)
            if pid is not None and (self.root / "proc" / str(pid)).exists():
                return self.root / "proc" / str(pid)
        return None


def host_view(uri: str) -> HostView | None:
    """The host of the hypervisor at `uri`; None when it is elsewhere or may not be looked at."""
    directory = lab_directory(uri)
    if directory is None:
        return HostView(Path("/")) if is_own_host(uri) else None
    try:
        pid = int(json.loads((directory / "lab.json").read_text())["pid"])
        root = Path(f"/proc/{pid}/root")
        return HostView(root) if (root / "proc/1").exists() else None
    except (OSError, ValueError, KeyError):
        return None


def facts(uri: str) -> dict[str, Any]:
    """What negotiation needs of the host; each is None when it cannot be seen from here."""
    view = host_view(uri)
    controllers = None if view is None else cgroups(view)
    return {
        "cgroup_version": None if controllers is None else controllers[0],
        "cgroup_controllers": None if controllers is None else controllers[1],
        "shaping_missing": None if view is None else shaping_missing(),
        "may_lock_memory": None if view is None else may_lock_memory(view),
        "huge_pages_mounted": None if view is None else huge_pages_mounted(view),
        "seccomp": None if view is None else seccomp(view),
        "time_service": None if view is None else time_service(view),
        "closes_host": None if view is None else view.may_change_rules(),
    }


def cgroups(view: HostView) -> tuple[int, list[str]]:
    """The version of control groups that guests are put in, and which controllers there are."""
    top = view.root / "sys/fs/cgroup"
    if (top / "cgroup.controllers").exists():
        return 2, sorted(_text(top / "cgroup.controllers").split())
    try:
        names = {name for entry in top.iterdir() if entry.is_dir() for name in entry.name.split(",")}
    except OSError:
        names = set()
    return 1, sorted(names - {"systemd", "unified"})


def huge_pages_mounted(view: HostView) -> bool | None:
    """Whether there is a file system of huge pages, by which libvirt gives them to machines."""
    mounts = _text(view.root / "proc/1/mounts") or _text(view.root / "proc/mounts")
    return "hugetlbfs" in mounts if mounts else None


def shaping_missing() -> str | None:
    """What the kernel lacks to limit network cards, empty for nothing; None when it cannot be tried.

    It is tried on the loopback of a network namespace that is thrown away at once: kernels load such parts on demand.
    """
    path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin:/sbin"
    if shutil.which("unshare", path=path) is None or shutil.which("tc", path=path) is None or os.geteuid() != 0:
        return None
    script = "; ".join(f"{command} || echo missing {part}" for part, command in _SHAPING)
    try:
        done = subprocess.run(
            ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, timeout=10, check=False,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode:
        return None
    missing = dict.fromkeys(line.removeprefix("missing ") for line in done.stdout.splitlines())
    return ", ".join(missing)


def may_lock_memory(view: HostView) -> bool | None:
    """Whether the daemon may raise limits of locked memory (CAP_SYS_RESOURCE), which libvirt does for such machines."""
    daemon = view.daemon()
    found = None if daemon is None else re.search(r"^CapEff:\s*([0-9a-f]+)", _text(daemon / "status"), re.MULTILINE)
    return None if found is None else bool(int(found[1], 16) >> _SYS_RESOURCE & 1)


def time_service(view: HostView) -> bool | None:
    """Whether something answers at udp/123 beyond the host itself; None when it cannot be seen."""
    daemon = view.daemon()
    if daemon is None:
        return None
    lines = [line.split() for name in ("udp", "udp6") for line in _text(daemon / "net" / name).splitlines()[1:]]
    bound = [words[1].partition(":")[::2] for words in lines if len(words) > 1]
    return any(port == f"{_TIME_PORT:04X}" and address not in _LOOPBACKS for address, port in bound)


def seccomp(view: HostView) -> bool | None:
    """Whether QEMU is started with a system-call filter, by libvirt's default or as its configuration says."""
    file = view.root / "etc/libvirt/qemu.conf"
    try:
        text = file.read_text()
    except FileNotFoundError:
        text = ""
    except OSError:
        return None
    found = re.search(r"^\s*seccomp_sandbox\s*=\s*(-?\d+)", text, re.MULTILINE)
    if not Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        return False
    return found is None or int(found[1]) != 0


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
