"""Which machines are kept apart, or close together, on NUMA nodes and cores of one host.

A choice is the same every time, and made greedily in the order of the file: what does not fit so is refused, with the
numbers, rather than searched for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision_libvirt.translate.cores import Core, Host


@dataclass(frozen=True, slots=True)
class Neighbours:
    """One policy about machines that are to be apart or together.

    Attributes:
        policy: its name.
        apart: whether they are to be apart; else together.
        members: names of the machines, in the order of the file.
        most: of those that are apart, how many may be on one all the same.
    """

    policy: str
    apart: bool
    members: tuple[str, ...]
    most: int = 1

    @property
    def rooms(self) -> int:
        """How many nodes or sets of cores they need at least."""
        return -(-len(self.members) // self.most) if self.apart else 1


@dataclass(frozen=True)
class Chosen:
    """What came of all policies of one kind: machines with their places, and why policies were refused."""

    nodes: Mapping[str, int] = field(default_factory=dict)
    cpus: Mapping[str, frozenset[int]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


class _NoRoom(Exception):
    """A policy cannot be kept; the arguments are its name and why."""


def choose_nodes(
    topology: Sequence[Mapping[str, Any]], wanted: Sequence[Neighbours], memory_mib: Mapping[str, int]
) -> Chosen:
    """A NUMA node for each machine that a policy speaks of.

    Args:
        topology: of the host.
        wanted: the policies.
        memory_mib: of every machine.
    """
    refused: dict[str, str] = {}
    has = {int(node["id"]): int(node["memory_mib"]) for node in topology if node["cpus"]}
    while True:
        left = [one for one in wanted if one.policy not in refused]
        try:
            return Chosen(dict(_nodes(has, left, memory_mib)), refused=refused)
        except _NoRoom as reason:
            refused[reason.args[0]] = reason.args[1]


def _nodes(
    has: Mapping[int, int], wanted: Sequence[Neighbours], memory_mib: Mapping[str, int]
) -> Iterator[tuple[str, int]]:
    given: dict[str, int] = {}
    free = dict(has)
    for one in wanted:
        if one.apart and one.rooms > len(has):
            raise _NoRoom(one.policy, _too_few(one, len(has), "NUMA node"))
        if not one.apart and sum(memory_mib[name] for name in one.members) > max(has.values(), default=0):
            needs = sum(memory_mib[name] for name in one.members)
            most = max(has.values(), default=0)
            raise _NoRoom(one.policy, f"its machines need {needs} MiB together, and the largest NUMA node has {most}")
    for machine in dict.fromkeys(name for one in wanted for name in one.members):
        about = [one for one in wanted if machine in one.members]
        fitting = [
            node
            for node in sorted(free, key=lambda node: (-free[node], node))
            if free[node] >= memory_mib[machine] and all(_fits(one, node, given) for one in about)
        ]
        if not fitting:
            said = ", ".join(f"node {node} has {mib} MiB left" for node, mib in sorted(free.items()))
            raise _NoRoom(
                about[-1].policy, f"no NUMA node is left for machine '{machine}' with {memory_mib[machine]} MiB: {said}"
            )
        given[machine] = fitting[0]
        free[fitting[0]] -= memory_mib[machine]
        yield machine, fitting[0]


def _fits(one: Neighbours, node: int, given: Mapping[str, int]) -> bool:
    there = [given[name] for name in one.members if name in given]
    return there.count(node) < one.most if one.apart else all(other == node for other in there)


def _too_few(one: Neighbours, there: int, what: str) -> str:
    each = f", at most {one.most} on one" if one.most > 1 else ""
    unit = f"{there} {what}" + ("s" if there != 1 else "")
    return f"{len(one.members)} machines{each} need {one.rooms} {what}s, and the hypervisor has {unit} for them"


def choose_cores(
    topology: Sequence[Mapping[str, Any]],
    wanted: Sequence[Neighbours],
    own: Mapping[str, frozenset[int]],
    nodes: Mapping[str, int],
    vcpus: Mapping[str, int],
) -> Chosen:
    """CPUs for each machine that a policy speaks of and that has none of its own.

    Args:
        topology: of the host.
        wanted: the policies.
        own: machines that have whole cores of their own, with these.
        nodes: the NUMA node of machines that must be on one.
        vcpus: virtual CPUs of every machine.
    """
    taken = frozenset().union(*own.values()) if own else frozenset[int]()
    cores = [core for core in Host.of(topology).cores if not taken.intersection(core.cpus)]
    given: dict[str, frozenset[int]] = {}
    refused: dict[str, str] = {}
    for one in wanted:
        try:
            made = _apart(one, cores, own, nodes) if one.apart else _together(one, cores, own, nodes, vcpus)
            for machine, cpus in made.items():
                if not cpus & given.get(machine, cpus):
                    raise _NoRoom(one.policy, f"another policy holds machine '{machine}' to other cores")
        except _NoRoom as reason:
            refused[reason.args[0]] = reason.args[1]
        else:
            given |= {machine: cpus & given.get(machine, cpus) for machine, cpus in made.items()}
    return Chosen(cpus=given, refused=refused)


def _apart(
    one: Neighbours, cores: Sequence[Core], own: Mapping[str, frozenset[int]], nodes: Mapping[str, int]
) -> dict[str, frozenset[int]]:
    """Sets of whole cores that have none in common, for as many machines each as may share one."""
    made: dict[str, frozenset[int]] = {}
    others = [name for name in one.members if name not in own]
    for node in dict.fromkeys(_near(name, nodes, cores) for name in others):
        here = [name for name in others if _near(name, nodes, cores) == node]
        free = [core for core in cores if node is None or core.node == node]
        sets = -(-len(here) // one.most)
        if len(free) < sets:
            where = "core" if node is None else f"core of NUMA node {node}"
            raise _NoRoom(one.policy, _too_few(Neighbours(one.policy, True, tuple(here), one.most), len(free), where))
        for position, name in enumerate(here):
            part = position % sets
            slice_ = free[part * len(free) // sets : (part + 1) * len(free) // sets]
            made[name] = frozenset(cpu for core in slice_ for cpu in core.cpus)
    return made


def _near(machine: str, nodes: Mapping[str, int], cores: Sequence[Core]) -> int | None:
    """The node whose cores a machine may have; where some machines are on nodes, those of the others are the last's."""
    return nodes.get(machine, max(core.node for core in cores) if cores else None) if nodes else None


def _together(
    one: Neighbours,
    cores: Sequence[Core],
    own: Mapping[str, frozenset[int]],
    nodes: Mapping[str, int],
    vcpus: Mapping[str, int],
) -> dict[str, frozenset[int]]:
    """The fewest cores with a thread for each virtual CPU of the largest machine; all of them where there are less."""
    apart = next((name for name in one.members if name in own), None)
    if apart is not None:
        raise _NoRoom(one.policy, f"machine '{apart}' has cores of its own by another policy")
    held = {nodes[name] for name in one.members if name in nodes}
    if len(held) > 1:
        raise _NoRoom(one.policy, "its machines are on several NUMA nodes by another policy")
    needs = max((vcpus[name] for name in one.members), default=0)
    chosen: set[int] = set()
    for core in cores:
        if len(chosen) >= needs:
            break
        if not held or core.node in held:
            chosen.update(core.cpus)
    if not chosen:
        raise _NoRoom(one.policy, "no core of the hypervisor is left that is nobody's own")
    return dict.fromkeys(one.members, frozenset(chosen))
