"""Machines that are kept apart or together: each where the state records it, and these places as the policy says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.models import PackPolicy, SpreadPolicy, Topology
from provision.spi import DeployedMachine, Shown
from provision.spi.evidence import accepted
from provision_libvirt import hostcaps
from provision_libvirt.effective import Effective
from provision_libvirt.evidence.look import Look
from provision_libvirt.resources import cpusets
from provision_libvirt.resources.domain import Domain

_ON_PART = (Topology.CORE, Topology.NUMA)


def apart(look: Look, policy: SpreadPolicy, members: Sequence[DeployedMachine]) -> Iterator[Shown]:
    """Whether at most so many machines of the policy share a core, NUMA node or host."""
    if policy.over not in _ON_PART:
        few = len(members) <= policy.max_per
        yield accepted(few, f"{len(members)} of its machines on one hypervisor, at most {policy.max_per} may be")
        yield look.applied(lambda now: (few, "its process runs on the hypervisor's host"))
        return
    places = _places(look, policy.over, members)
    own = places.get(look.machine.name, frozenset())
    near = [name for name, place in places.items() if place & own]
    holds = bool(own) and len(near) <= policy.max_per
    others = [name for name in near if name != look.machine.name]
    shared = f"shared with {', '.join(others)}" if others else "which no other machine of the policy has"
    yield from _shown(look, policy.over, holds, f"{_where(look, policy.over)}, {shared}")


def together(look: Look, policy: PackPolicy, members: Sequence[DeployedMachine]) -> Iterator[Shown]:
    """Whether all machines of the policy are on one core set, NUMA node or host."""
    if policy.over not in _ON_PART:
        yield accepted(True, f"{len(members)} of its machines on one hypervisor")
        yield look.applied(lambda now: (True, "its process runs on the hypervisor's host"))
        return
    places = _places(look, policy.over, members)
    own = places.get(look.machine.name, frozenset())
    away = [name for name, place in places.items() if place != own]
    text = f"{', '.join(away)} elsewhere" if away else f"as all {len(members)} machines of the policy"
    yield from _shown(look, policy.over, bool(own) and not away, f"{_where(look, policy.over)}, {text}")


def _shown(look: Look, over: Topology, holds: bool, text: str) -> Iterator[Shown]:
    """That libvirt has the machine where the state records it, and that its threads keep to that."""
    recorded, live = _cpus(look.recorded), _cpus(look.live)
    node, found = look.recorded.get("numa_node"), look.live["numa_node"]
    moved = live != recorded or found != node
    yield accepted(holds and not moved, text + ("" if not moved else ", which libvirt says otherwise"))

    def kept(now: Effective) -> tuple[bool, str]:
        seen = frozenset(now.emulator_cpus).union(*now.vcpu_cpus)
        within = seen <= recorded and (over is not Topology.NUMA or now.numa_nodes == frozenset({node}))
        said = f"its threads keep to CPU {cpusets.written(seen)}"
        if over is Topology.NUMA:
            said += ", its memory to NUMA node " + (cpusets.written(now.numa_nodes) if now.numa_nodes else "none")
        return holds and within, said

    yield look.applied(kept)


def _where(look: Look, over: Topology) -> str:
    node = look.recorded.get("numa_node")
    return (
        f"on NUMA node {node}" if over is Topology.NUMA else f"on CPU {cpusets.written(_cpus(look.recorded)) or 'any'}"
    )


def _places(look: Look, over: Topology, members: Sequence[DeployedMachine]) -> dict[str, frozenset[int]]:
    """By machine: the NUMA node that it is recorded on, or the first CPUs of all cores that it may use."""
    found: dict[str, frozenset[int]] = {}
    for member in members:
        native = member.native(Domain.token)
        inputs: Mapping[str, Any] = {} if native is None else native.inputs
        if over is Topology.NUMA:
            node = inputs.get("numa_node")
            found[member.name] = frozenset() if node is None else frozenset({int(node)})
        else:
            cores = look.once("cores", lambda: _cores(look))
            found[member.name] = frozenset(cores.get(cpu, cpu) for cpu in _cpus(inputs))
    return found


def _cores(look: Look) -> dict[int, int]:
    """By CPU of the host, the first CPU of its core."""
    topology = hostcaps.host_topology(look.connection)
    return {
        int(cpu["id"]): min(cpusets.read(str(cpu["siblings"])), default=int(cpu["id"]))
        for node in topology
        for cpu in node["cpus"]
    }


def _cpus(inputs: Mapping[str, Any]) -> frozenset[int]:
    """All CPUs of the host that a machine may use, by its pins; none without pins."""
    pins = [*(inputs.get("vcpu_pins") or ()), inputs.get("emulator_pin") or ""]
    return frozenset[int]().union(*(cpusets.read(text) for text in pins))
