"""What the hypervisor's host really applies to a running machine: read from its kernel, whatever libvirt says."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from provision_libvirt import varstore
from provision_libvirt.hostview import HostView
from provision_libvirt.lab.cgroups import hierarchies
from provision_libvirt.resources import cpusets

_VCPU = re.compile(r"^CPU (\d+)/")
_PERIOD_US = 100_000
_NO_LIMIT = 1 << 60  # version 1 writes a number near 2^63 for no limit
_NAMESPACES = ("mnt", "net", "pid", "ipc", "uts", "user", "cgroup")


@dataclass(frozen=True, slots=True)
class Effective:
    """What applies to the process of one machine.

    Attributes:
        cpu_weight: weight of its control group, None without one of its own; `cgroup_version` says how it counts.
        cgroup_version: of the control groups that it is in.
        cpu_quota_us: most CPU time of the whole machine in each 100 ms, None for no limit.
        memory_limit_mib: of its control group, None for no limit.
        vcpu_cpus: host CPUs on which each virtual CPU may run.
        emulator_cpus: host CPUs on which any other of its threads may run.
        huge_kib: memory in huge pages that it uses.
        locked_kib: memory that cannot be swapped out.
        mergeable: whether any of its memory may be merged with equal pages.
        numa_nodes: nodes that some of its memory is bound to, None for no binding.
        seccomp: whether every thread runs under a system-call filter.
        capabilities: privileges of the process, 0 for none.
        no_new_privileges: whether it can never gain any.
        own_namespaces: kinds of namespaces that it does not share with the daemon.
        label: of mandatory access control, None without.
        secure_firmware: whether its firmware and variables are out of the guest's reach, as secure boot needs.
        secure_variables: whether these variables have the owner's key and secure boot switched on.
    """

    cpu_weight: int | None
    cgroup_version: int
    cpu_quota_us: int | None
    memory_limit_mib: int | None
    vcpu_cpus: tuple[frozenset[int], ...]
    emulator_cpus: frozenset[int]
    huge_kib: int
    locked_kib: int
    mergeable: bool
    numa_nodes: frozenset[int] | None
    seccomp: bool
    capabilities: int
    no_new_privileges: bool
    own_namespaces: tuple[str, ...]
    label: str | None
    secure_firmware: bool
    secure_variables: bool


def effective(view: HostView, domain: str) -> Effective | None:
    """What applies to the running machine `domain`; None when it does not run or cannot be seen.

    Raises:
        OSError: it ended meanwhile, or its process may not be looked at.
    """
    process = view.emulator(domain)
    if process is None:
        return None
    tasks = {task: _status(task / "status") for task in sorted((process / "task").iterdir())}
    vcpus: dict[int, frozenset[int]] = {}
    others: set[int] = set()
    for task, status in tasks.items():
        allowed = cpusets.read(status["Cpus_allowed_list"])
        found = _VCPU.match((task / "comm").read_text())
        if found:
            vcpus[int(found[1])] = allowed
        else:
            others |= allowed
    main = _status(process / "status")
    rollup = _status(process / "smaps_rollup")
    flags = [line for line in (process / "smaps").read_text().splitlines() if line.startswith("VmFlags:")]
    groups = _Groups.of(process)
    arguments = (process / "cmdline").read_text().split("\0")
    return Effective(
        cpu_weight=groups.weight(),
        cgroup_version=groups.version,
        cpu_quota_us=groups.quota(),
        memory_limit_mib=groups.memory_limit(),
        vcpu_cpus=tuple(vcpus[number] for number in sorted(vcpus)),
        emulator_cpus=frozenset(others),
        huge_kib=sum(int(rollup.get(name, "0").split()[0]) for name in ("Shared_Hugetlb", "Private_Hugetlb")),
        locked_kib=int(main.get("VmLck", "0").split()[0]),
        mergeable=any("mg" in line.split() for line in flags),
        numa_nodes=_bound(process),
        seccomp=all(status.get("Seccomp") == "2" for status in tasks.values()),
        capabilities=int(main["CapEff"], 16),
        no_new_privileges=main.get("NoNewPrivs") == "1",
        own_namespaces=_own_namespaces(view, process),
        label=_label(process),
        secure_firmware=_secure_firmware(arguments),
        secure_variables=_secure_variables(process, arguments),
    )


@dataclass(frozen=True, slots=True)
class CpuUse:
    """CPU time that a machine as a whole has used, and how often its cap stopped it.

    Attributes:
        seconds: of CPU time, its emulator's included.
        throttled: how many times 100 ms it was stopped in, because its cap was reached.
    """

    seconds: float
    throttled: int


@dataclass(frozen=True, slots=True)
class _Groups:
    """The control groups of a machine as a whole, by controller; `""` is that of version 2."""

    version: int
    places: dict[str, Path]

    @classmethod
    def of(cls, process: Path) -> "_Groups":
        points: dict[str, Path] = {}
        for hierarchy in hierarchies(Path("/proc/self/mountinfo").read_text()):
            for name in [""] if hierarchy.kind == "cgroup2" else hierarchy.options.split(","):
                points.setdefault(name, hierarchy.point)
        places: dict[str, Path] = {}
        for line in (process / "cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            for name in names.split(","):
                if name in points:
                    places[name] = points[name] / path.removesuffix("/emulator").lstrip("/")
        return cls(1 if "cpu" in places else 2, places)

    def _candidates(self, controller: str) -> Iterator[Path]:
        """The machine's group, and under version 2 also the one that a service manager made around it."""
        place = self.places.get(controller if self.version == 1 else "")
        if place is not None:
            yield place
            if place.name == "libvirt":
                yield place.parent

    def _text(self, controller: str, file: str) -> list[str]:
        found = []
        for place in self._candidates(controller):
            with contextlib.suppress(OSError):
                found.append((place / file).read_text().strip())
        return found

    def weight(self) -> int | None:
        texts = self._text("cpu", "cpu.shares" if self.version == 1 else "cpu.weight")
        return int(texts[-1]) if texts else None

    def quota(self) -> int | None:
        found = []
        if self.version == 1:
            for quota, period in zip(
                self._text("cpu", "cpu.cfs_quota_us"), self._text("cpu", "cpu.cfs_period_us"), strict=True
            ):
                found.append((quota.replace("-1", "max"), period))
        else:
            found = [(text.split()[0], text.split()[1]) for text in self._text("cpu", "cpu.max")]
        limits = [int(quota) * _PERIOD_US // int(period) for quota, period in found if quota != "max"]
        return min(limits, default=None)

    def use(self) -> CpuUse | None:
        said = self._text("cpu", "cpu.stat")
        if not said:
            return None
        pairs = {name: int(value) for name, value in (line.split() for line in said[0].splitlines())}
        if self.version == 1:
            return CpuUse(int(self._text("cpuacct", "cpuacct.usage")[0]) / 1e9, pairs["nr_throttled"])
        return CpuUse(pairs["usage_usec"] / 1e6, pairs.get("nr_throttled", 0))

    def memory_limit(self) -> int | None:
        texts = self._text("memory", "memory.limit_in_bytes" if self.version == 1 else "memory.max")
        limits = [int(text) for text in texts if text != "max"]
        least = min(limits, default=_NO_LIMIT)
        return None if least >= _NO_LIMIT else least >> 20


def cpu_use(view: HostView, domain: str) -> CpuUse | None:
    """What the running machine `domain` has used so far; None when that cannot be seen."""
    process = view.emulator(domain)
    try:
        return None if process is None else _Groups.of(process).use()
    except (OSError, KeyError, ValueError):  # it ended meanwhile, or may not be looked at
        return None


def _status(file: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in file.read_text().splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def _bound(process: Path) -> frozenset[int] | None:
    try:
        text = (process / "numa_maps").read_text()
    except FileNotFoundError:  # a kernel without NUMA
        return None
    nodes = [cpusets.read(found) for found in re.findall(r"\bbind(?:[=:]\w+)*:([\d,-]+)", text)]
    return frozenset().union(*nodes) if nodes else None


def _own_namespaces(view: HostView, process: Path) -> tuple[str, ...]:
    daemon = view.daemon()
    if daemon is None:
        return ()
    return tuple(
        kind for kind in _NAMESPACES if os.readlink(process / "ns" / kind) != os.readlink(daemon / "ns" / kind)
    )


def _secure_firmware(arguments: list[str]) -> bool:
    """QEMU was told to let only system management mode write the flash, and to have that mode."""
    return "driver=cfi.pflash01,property=secure,value=on" in arguments and any(
        "smm=on" in argument.split(",") for argument in arguments
    )


def _secure_variables(process: Path, arguments: list[str]) -> bool:
    """The file that the emulator has as its second flash, in which the firmware keeps variables, says so."""
    for given in arguments:
        if "libvirt-pflash1-storage" in given and given.startswith("{"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                flash = process / "root" / str(json.loads(given)["filename"]).lstrip("/")
                return varstore.starts_only_what_is_signed(flash.read_bytes())
    return False


def _label(process: Path) -> str | None:
    try:
        return (process / "attr/current").read_text().strip("\0\n ") or None
    except OSError:  # a kernel without such a security module
        return None
