"""Where the machines of a translated graph are to run: their cores and NUMA nodes, held against policies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.models import DedicatedCpusPolicy, PackPolicy, SpreadPolicy, Topology
from provision_libvirt.readers.planned import Plan
from provision_libvirt.resources import cpusets

Said = Iterator[tuple[bool, str]]
_PARTS = (Topology.CORE, Topology.NUMA)


def dedicated(plan: Plan, policy: DedicatedCpusPolicy) -> Said:
    """Whether each vCPU has one CPU of the host, and no other machine of the graph may run there."""
    pins = _pins(plan.machine)
    emulator = cpusets.read(plan.machine.get("emulator_pin") or "")
    own = frozenset[int]().union(*pins)
    single = len(pins) == plan.machine.get("vcpus", 1) and all(len(pin) == 1 for pin in pins) and len(own) == len(pins)
    where = ", ".join(cpusets.written(pin) for pin in pins) or "none"
    yield single and own <= _all(plan), f"a CPU of its own for each vCPU: {where}"
    placed = bool(emulator) and emulator <= _all(plan)
    apart = emulator.isdisjoint(own) if policy.emulator else emulator <= own
    yield placed and apart, f"emulator on {cpusets.written(emulator) or 'any CPU'}"
    yield from _neighbours(plan, policy, own | emulator)
    if policy.numa:
        nodes = {_nodes(plan).get(cpu) for cpu in own | emulator}
        node = plan.machine.get("numa_node")
        yield nodes == {node} and node is not None, f"memory of NUMA node {'any' if node is None else node}"


def _neighbours(plan: Plan, policy: DedicatedCpusPolicy, own: frozenset[int]) -> Said:
    """Whether nobody else of the graph may use the machine's CPUs, and their siblings where the policy says so."""
    cores = _cores(plan)
    of_cores = [{cpu for cpu, core in cores.items() if core == cores.get(mine)} for mine in own]
    kept = own if policy.smt == "share" else own.union(*of_cores)
    there = [
        name
        for name, other in plan.domains.items()
        if name != plan.request.machine and (not _used(other) or _used(other) & kept)
    ]
    yield not there, f"{', '.join(there)} may run there too" if there else "no other machine may run there"
    if policy.smt == "isolate":
        yield len({cores.get(cpu) for cpu in own}) == len(own), "one thread of each core"
    if policy.smt == "require":
        paired = all(len(core) > 1 for core in of_cores) and len(own) > 1
        yield paired and frozenset[int]().union(*of_cores) <= own, "whole cores with all their threads"


def apart(plan: Plan, policy: SpreadPolicy, members: Sequence[str]) -> Said:
    """Whether at most so many machines of the policy are to share a core, NUMA node or host."""
    here = [name for name in members if name in plan.domains]
    if policy.over not in _PARTS:
        few = len(here) <= policy.max_per
        yield few, f"{len(here)} of its machines on one hypervisor, at most {policy.max_per} may be"
        return
    places = {name: _place(plan, plan.domains[name], policy.over) for name in here}
    own = places.get(plan.request.machine, frozenset())
    near = [name for name, place in places.items() if place & own]
    others = ", ".join(name for name in near if name != plan.request.machine)
    said = f"{policy.over.value} {cpusets.written(own) or 'any'}" + (f", as {others}" if others else "")
    yield bool(own) and len(near) <= policy.max_per and _consistent(plan, policy.over), said


def together(plan: Plan, policy: PackPolicy, members: Sequence[str]) -> Said:
    """Whether all machines of the policy are to be on one hypervisor, NUMA node or set of cores."""
    away = [name for name in members if name not in plan.domains]
    if policy.over in _PARTS:
        own = _place(plan, plan.machine, policy.over)
        away += [
            name
            for name in members
            if name in plan.domains and (not own or _place(plan, plan.domains[name], policy.over) != own)
        ]
    holds = not away and _consistent(plan, policy.over)
    yield holds, f"{', '.join(away)} elsewhere" if away else f"all {len(members)} machines of the policy together"


def _consistent(plan: Plan, over: Topology) -> bool:
    """Whether a machine that is held to a NUMA node runs on CPUs of that node, and only on CPUs that there are."""
    used, node = _used(plan.machine), plan.machine.get("numa_node")
    pinned = len(_pins(plan.machine)) in (0, plan.machine.get("vcpus", 1))
    right = over is not Topology.NUMA or all(_nodes(plan).get(cpu) == node for cpu in used)
    return pinned and right and used <= _all(plan)


def _place(plan: Plan, machine: Mapping[str, Any], over: Topology) -> frozenset[int]:
    if over is Topology.NUMA:
        node = machine.get("numa_node")
        return frozenset() if node is None else frozenset({int(node)})
    cores = _cores(plan)
    whole = len(_pins(machine)) == machine.get("vcpus", 1) and machine.get("emulator_pin")
    return frozenset(cores.get(cpu, cpu) for cpu in _used(machine)) if whole else frozenset()


def _pins(machine: Mapping[str, Any]) -> list[frozenset[int]]:
    return [cpusets.read(text) for text in machine.get("vcpu_pins") or ()]


def _used(machine: Mapping[str, Any]) -> frozenset[int]:
    """All CPUs that a machine may use by its pins; none when some of its threads have no pin."""
    pins, emulator = _pins(machine), cpusets.read(machine.get("emulator_pin") or "")
    if len(pins) != machine.get("vcpus", 1) or not emulator:
        return frozenset()
    return emulator.union(*pins)


def _all(plan: Plan) -> frozenset[int]:
    return frozenset(_nodes(plan))


def _nodes(plan: Plan) -> Mapping[int, int]:
    """By CPU of the host, its NUMA node."""
    return {int(cpu["id"]): int(node["id"]) for node in plan.topology for cpu in node["cpus"]}


def _cores(plan: Plan) -> Mapping[int, int]:
    """By CPU of the host, the first CPU of its core."""
    return {
        int(cpu["id"]): min(cpusets.read(str(cpu["siblings"])), default=int(cpu["id"]))
        for node in plan.topology
        for cpu in node["cpus"]
    }
