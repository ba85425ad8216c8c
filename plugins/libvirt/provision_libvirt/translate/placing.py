"""Where on the host each machine of a stack runs: CPUs of its own, its NUMA node, the cores that it keeps to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision.models import DedicatedCpusPolicy, Level, Machine, PackPolicy, SpreadPolicy, Topology
from provision_libvirt.resources import cpusets
from provision_libvirt.translate.cores import Placement, Want, place_all
from provision_libvirt.translate.neighbours import Neighbours, choose_cores, choose_nodes

Named = Sequence[tuple[str, Any]]
"""Policies with their names."""


@dataclass(frozen=True)
class Placing:
    """Where every machine runs.

    Attributes:
        own: CPUs that are some machine's own, and what is left.
        nodes: the NUMA node of each machine that is held to one.
        cpus: the CPUs of each machine that shares those that it is held to.
        refused: why policies cannot be carried out, by name.
    """

    own: Placement
    nodes: Mapping[str, int]
    cpus: Mapping[str, frozenset[int]]
    refused: Mapping[str, str]

    def domain(self, name: str, vcpus: int) -> dict[str, Any]:
        """Inputs of the domain of a machine that has room for so many virtual CPUs."""
        own = self.own.placed.get(name)
        if own is not None:
            made: dict[str, Any] = {
                "vcpu_pins": [str(cpu) for cpu in own.vcpus],
                "emulator_pin": cpusets.written(own.emulator),
            }
            return made if own.node is None else made | {"numa_node": own.node}
        # Cores are a machine's own only when the others keep away from them.
        held = self.cpus.get(name, self.own.rest if self.own.placed else None)
        made = {} if held is None else {"vcpu_pins": [cpusets.written(held)] * vcpus}
        made |= {} if held is None else {"emulator_pin": cpusets.written(held)}
        return made | {"numa_node": self.nodes[name]} if name in self.nodes else made


def place_machines(
    topology: Sequence[Mapping[str, Any]],
    everyone: Sequence[tuple[str, str, Machine]],
    enforced: Callable[[type[Any]], Named],
    selected: Mapping[str, frozenset[str]],
) -> Placing:
    """Choose for all machines: first NUMA nodes, then CPUs of their own, then the cores that others keep to.

    Args:
        topology: of the host.
        everyone: name, entry in the file, and what the file says of each machine.
        enforced: policies of a kind that are to be carried out.
        selected: entries that each policy selects.
    """
    apart = list(_neighbours(everyone, enforced, selected))
    of_nodes = [one for over, one in apart if over is Topology.NUMA]
    of_cores = [one for over, one in apart if over is Topology.CORE]
    vcpus = {name: machine.cpus for name, _, machine in everyone}
    nodes = choose_nodes(topology, of_nodes, {name: machine.memory.mib for name, _, machine in everyone})
    whole = {name for one in of_cores if one.apart for name in one.members}
    wants = list(_wants(everyone, enforced, selected, nodes.nodes, whole))
    own = place_all(topology, wants, len(everyone) - len(wants))
    cpus_of = {name: frozenset({*placed.vcpus, *placed.emulator}) for name, placed in own.placed.items()}
    siblings = _whole_cores(topology, cpus_of)
    cores = choose_cores(topology, of_cores, siblings, nodes.nodes, vcpus)
    refused = {**nodes.refused, **own.refused, **cores.refused}
    of_node = {int(node["id"]): frozenset(int(cpu["id"]) for cpu in node["cpus"]) for node in topology}
    held: dict[str, frozenset[int]] = dict(cores.cpus)
    for name, node in nodes.nodes.items():
        if name in own.placed:
            continue
        here = held.get(name, own.rest) & of_node[node]
        if not here:
            policy = next(one.policy for one in of_nodes if name in one.members)
            refused.setdefault(policy, f"of NUMA node {node} no CPU is left for machine '{name}'")
            continue
        held[name] = here
    return Placing(own, nodes.nodes, held, refused)


def _neighbours(
    everyone: Sequence[tuple[str, str, Machine]],
    enforced: Callable[[type[Any]], Named],
    selected: Mapping[str, frozenset[str]],
) -> Iterator[tuple[Topology, Neighbours]]:
    for kind in (SpreadPolicy, PackPolicy):
        for name, policy in enforced(kind):
            members = tuple(machine for machine, entry, _ in everyone if entry in selected[name])
            most = policy.max_per if kind is SpreadPolicy else 1
            yield policy.over, Neighbours(name, kind is SpreadPolicy, members, most)


def _wants(
    everyone: Sequence[tuple[str, str, Machine]],
    enforced: Callable[[type[Any]], Named],
    selected: Mapping[str, frozenset[str]],
    nodes: Mapping[str, int],
    whole: set[str],
) -> Iterator[Want]:
    # Policies that are required have the first choice.
    chosen = sorted(enforced(DedicatedCpusPolicy), key=lambda item: item[1].level is Level.PREFERRED)
    taken: set[str] = set()
    for policy_name, policy in chosen:
        for name, entry, machine in everyone:
            if entry in selected[policy_name] and name not in taken:
                taken.add(name)
                yield Want(
                    name,
                    policy_name,
                    machine.cpus,
                    policy.emulator,
                    policy.numa or name in nodes,
                    "whole" if policy.smt == "share" and name in whole else policy.smt,
                    machine.memory.mib,
                    nodes.get(name),
                )


def _whole_cores(topology: Sequence[Mapping[str, Any]], own: Mapping[str, frozenset[int]]) -> dict[str, frozenset[int]]:
    """What machines have of their own, with the siblings of their cores."""
    cores = [cpusets.read(str(cpu["siblings"])) for node in topology for cpu in node["cpus"]]
    return {name: cpus.union(*(core for core in cores if core & cpus)) if cpus else cpus for name, cpus in own.items()}
