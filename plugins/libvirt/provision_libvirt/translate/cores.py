"""Which CPUs of the host are a machine's own: chosen from its topology, the same every time, none given twice.

The highest cores go first, so that the lowest, on which most of a host's own work lands, are given away last.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision_libvirt.resources import cpusets


@dataclass(frozen=True, slots=True)
class Core:
    """A core of the host: its NUMA node and its threads (CPUs)."""

    node: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """What one machine is to have of its own.

    Attributes:
        machine: its name.
        policy: the policy that asks.
        vcpus: how many CPUs, one for each virtual one.
        emulator: one more, for the emulator's threads.
        one_node: all from one NUMA node, with `memory_mib`.
        smt: `share` (threads of a core may go to several machines), `whole` (they may not), `isolate` (one thread of
            each core, the others idle) or `require` (whole cores with several threads).
        memory_mib: its memory.
        node: the NUMA node that it must be on; None for any.
    """

    machine: str
    policy: str
    vcpus: int
    emulator: bool
    one_node: bool
    smt: str
    memory_mib: int
    node: int | None = None

    @property
    def threads(self) -> int:
        """How many CPUs that work."""
        return self.vcpus + self.emulator


@dataclass(frozen=True, slots=True)
class Placed:
    """What a machine has of its own: the host CPU of each virtual one, those of the emulator, its NUMA node."""

    vcpus: tuple[int, ...]
    emulator: tuple[int, ...]
    node: int | None


class NotEnough(Exception):
    """The host has too little; the message says how much."""


@dataclass
class Host:
    """What of a host is still free."""

    cores: Sequence[Core]
    memory_mib: Mapping[int, int]
    taken: set[int] = field(default_factory=set)
    used_mib: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, topology: Sequence[Mapping[str, Any]]) -> "Host":
        """The host as the capabilities describe it."""
        cores: dict[tuple[int, ...], Core] = {}
        for node in topology:
            online = {int(cpu["id"]) for cpu in node["cpus"]}
            for cpu in node["cpus"]:
                threads = tuple(sorted(cpusets.read(str(cpu["siblings"])) & online))
                cores.setdefault(threads, Core(int(node["id"]), threads))
        ordered = sorted(cores.values(), key=lambda core: core.cpus, reverse=True)
        return cls(ordered, {int(node["id"]): int(node["memory_mib"]) for node in topology})

    @property
    def cpus(self) -> frozenset[int]:
        """All CPUs."""
        return frozenset(cpu for core in self.cores for cpu in core.cpus)

    @property
    def free(self) -> frozenset[int]:
        """CPUs that belong to no machine, and are not kept idle for one."""
        return self.cpus - self.taken

    def place(self, want: Want) -> Placed:
        """Give a machine its own.

        Raises:
            NotEnough: there is not that much.
        """
        if want.smt == "require" and all(len(core.cpus) < 2 for core in self.cores):
            raise NotEnough("the hypervisor's cores have one thread each, so there are no sibling threads to give")
        if not want.one_node:
            chosen = self._choose(want, self.cores)
            if chosen is None:
                raise NotEnough(self._short(want, self.cores, "the hypervisor"))
            return self._take(want, chosen, None)
        for node in sorted(self.memory_mib) if want.node is None else [want.node]:
            used = self.used_mib.get(node, 0)
            chosen = self._choose(want, [core for core in self.cores if core.node == node])
            if chosen is not None and used + want.memory_mib <= self.memory_mib[node]:
                self.used_mib[node] = used + want.memory_mib
                return self._take(want, chosen, node)
        raise NotEnough("; ".join(self._short_nodes(want)))

    def _choose(self, want: Want, cores: Sequence[Core]) -> list[Core] | None:
        """Cores (or single threads, as cores of one) that are enough, and no more."""
        chosen: list[Core] = []
        count = 0
        for core in cores:
            if count >= want.threads:
                break
            if want.smt == "share":
                free = [cpu for cpu in reversed(core.cpus) if cpu not in self.taken][: want.threads - count]
                chosen += [Core(core.node, (cpu,)) for cpu in free]
                count += len(free)
            elif not self.taken.intersection(core.cpus):
                chosen.append(core)
                count += 1 if want.smt == "isolate" else len(core.cpus)
        return chosen if count >= want.threads else None

    def _take(self, want: Want, chosen: Sequence[Core], node: int | None) -> Placed:
        threads = [cpu for core in chosen for cpu in (core.cpus[:1] if want.smt == "isolate" else core.cpus)]
        self.taken.update(cpu for core in chosen for cpu in core.cpus)
        vcpus = tuple(threads[: want.vcpus])
        emulator = tuple(threads[want.vcpus : want.threads]) if want.emulator else vcpus
        return Placed(vcpus, emulator, node)

    def _short(self, want: Want, cores: Sequence[Core], where: str) -> str:
        if want.smt == "share":
            count, unit = len({cpu for core in cores for cpu in core.cpus}), "CPUs"
            free, need = len({cpu for core in cores for cpu in core.cpus} - self.taken), want.threads
        else:
            count, unit = len(cores), "cores"
            free = sum(1 for core in cores if not self.taken.intersection(core.cpus))
            per_core = max((len(core.cpus) for core in cores), default=1)
            need = want.threads if want.smt == "isolate" else -(-want.threads // per_core)
        return f"machine '{want.machine}' needs {need} {unit} of its own, but of the {count} of {where} {free} are left"

    def _short_nodes(self, want: Want) -> Iterator[str]:
        for node, memory in sorted(self.memory_mib.items()):
            if want.node not in (None, node):
                continue
            cores = [core for core in self.cores if core.node == node]
            if self._choose(want, cores) is None:
                yield self._short(want, cores, f"NUMA node {node}")
            else:
                left = memory - self.used_mib.get(node, 0)
                yield f"machine '{want.machine}' needs {want.memory_mib} MiB, but NUMA node {node} has {left} MiB left"


@dataclass(frozen=True)
class Placement:
    """What came of all wants: the placed machines, why policies were refused, and the CPUs of all others."""

    placed: Mapping[str, Placed]
    refused: Mapping[str, str]
    rest: frozenset[int]


def place_all(topology: Sequence[Mapping[str, Any]], wants: Sequence[Want], others: int) -> Placement:
    """Place the machines of each policy, in the order of `wants`; a policy that does not fit is refused as a whole.

    Args:
        topology: of the host.
        wants: by machine, those of one policy together.
        others: how many further machines there are, which need at least one CPU that is nobody's own.
    """
    refused: dict[str, str] = {}
    while True:
        host = Host.of(topology)
        placed: dict[str, Placed] = {}
        left_out = others
        for policy in dict.fromkeys(want.policy for want in wants):
            own = [want for want in wants if want.policy == policy]
            if policy in refused:
                left_out += len(own)
                continue
            before = set(host.taken), dict(host.used_mib)
            try:
                made = {want.machine: host.place(want) for want in own}
            except NotEnough as reason:
                host.taken, host.used_mib = before
                refused[policy] = str(reason)
                left_out += len(own)
            else:
                placed |= made
        if host.free or not left_out or not placed:
            return Placement(placed, refused, host.free)
        last = [want.policy for want in wants if want.machine in placed][-1]
        refused[last] = (
            f"of the hypervisor's {len(host.cpus)} CPUs none would be left for the {left_out} "
            f"machine{'s' if left_out > 1 else ''} without CPUs of their own"
        )
