"""Machine instances: what `count` makes of an entry, and the names that each had before."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from provision.models import Machine, Nic, PeerKind, Selector, Stack
from provision.spi import Component, Node, ResourceGraph


@dataclass(frozen=True, slots=True)
class Instance:
    """One machine that is to exist.

    Attributes:
        name: `web`, or `web-0` … with `count`.
        entry: its key under `machines`.
        index: its place among those of the entry.
        machine: the entry.
        former: names under which it may have existed, the likeliest first.
    """

    name: str
    entry: str
    index: int
    machine: Machine
    former: tuple[str, ...]

    def nic_keys(self) -> tuple[str, ...]:
        """One stable key per NIC: by network, so that another NIC added or moved changes none."""
        return tuple(f"{self.name}/{part}" for part in _nic_parts(self.machine.nics))


def by_number(name: str) -> list[tuple[bool, int, str]]:
    """A key for sorting names of machines, which puts `web-2` before `web-10`."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def instances(stack: Stack) -> Iterator[Instance]:
    """All machines that the stack file asks for, in its order."""
    for entry, machine in stack.machines.items():
        counted = machine.count is not None
        for index, name in enumerate(machine.names(entry)):
            yield Instance(name, entry, index, machine, tuple(_former(entry, index, counted, machine.renamed_from)))


def entry_names(stack: Stack) -> dict[str, str]:
    """By name of each machine its key under `machines`."""
    return {instance.name: instance.entry for instance in instances(stack)}


def selected(stack: Stack, selectors: Sequence[Selector]) -> frozenset[str]:
    """Keys under `machines` that any of `selectors` selects."""
    return frozenset(
        entry
        for entry, machine in stack.machines.items()
        if any(_selects(selector, entry, machine) for selector in selectors)
    )


def aliased(graph: ResourceGraph, stack: Stack) -> ResourceGraph:
    """The graph with the former names of renamed machines, networks and disks as aliases.

    A former name that something else has, or has claimed, is no alias: that would be two resources with one identity.
    """
    former: dict[str, tuple[str, ...]] = {
        f"machines/{instance.name}": tuple(f"machines/{name}" for name in instance.former)
        for instance in instances(stack)
        if instance.former
    }
    former |= {
        f"networks/{name}": (f"networks/{network.renamed_from}",)
        for name, network in stack.networks.items()
        if network.renamed_from
    }
    disks = {
        f"machines/{instance.name}/disk-{name}": f"disk-{disk.renamed_from}"
        for instance in instances(stack)
        for name, disk in instance.machine.disks.items()
        if disk.renamed_from
    }
    if not former and not disks:
        return graph
    taken = {component.name for component in graph.components} | {node.name for node in graph.nodes}

    def aliases(name: str, given: tuple[str, ...]) -> tuple[str, ...]:
        head, _, tail = name.removeprefix("machines/").removeprefix("networks/").partition("/")
        root = f"{name.partition('/')[0]}/{head}"
        tails = [tail] + ([disks[name]] if name in disks else [])
        bases = (root, *former.get(root, ()))
        found = [f"{base}/{end}" if end else base for end in tails for base in bases]
        claimed = [alias for alias in dict.fromkeys(found) if alias not in taken]
        taken.update(claimed)
        return tuple(dict.fromkeys([*given, *claimed]))

    return ResourceGraph(
        tuple(
            Component(part.kind, part.name, part.outputs, aliases(part.name, part.aliases)) for part in graph.components
        ),
        tuple(_with_aliases(node, aliases(node.name, node.aliases)) for node in graph.nodes),
    )


def _with_aliases(node: Node, aliases: tuple[str, ...]) -> Node:
    if aliases == node.aliases:
        return node
    return replace(node, aliases=aliases)


def _former(entry: str, index: int, counted: bool, renamed_from: str | None) -> Iterator[str]:
    if renamed_from is not None:
        yield f"{renamed_from}-{index}" if counted else renamed_from
    if index == 0:
        yield entry if counted else f"{entry}-0"
        if renamed_from is not None:
            yield renamed_from if counted else f"{renamed_from}-0"


def _nic_parts(nics: Sequence[Nic]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for nic in nics:
        seen[nic.network] = seen.get(nic.network, 0) + 1
        yield nic.network if seen[nic.network] == 1 else f"{nic.network}-{seen[nic.network]}"


def _selects(selector: Selector, entry: str, machine: Machine) -> bool:
    if selector.kind is PeerKind.MACHINE:
        return selector.name in ("*", entry)
    return machine.labels.get(selector.name) == selector.value
