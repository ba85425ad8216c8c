"""How large machines become: what a change does to CPUs, memory, sizes and disks.

Which inputs of native resources those are, their types say: an input names the field of the stack file that it is from.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provision.cli.changes import Action, Change, Changes, machines
from provision.errors import ProvisionError
from provision.host.events import LATER, Value
from provision.spi import ResourceType, registry
from provision.translate.drift import Written, written
from provision.translate.instances import by_number

_LABELS = {"machines.cpus": "CPUs", "machines.memory": "memory", "machines.root.size": "boot disk"}
_SIZE = "machines.size."
_DISK = "machines.disks.size"
_SUMMED = {"CPUs": "CPUs", "memory": "memory", "boot disk": "disks"}


@dataclass(frozen=True)
class Sized:
    """Machines whose sizes change alike.

    Attributes:
        machines: their names.
        values: what it is, such as `memory`, with the value before and after; None where there is no machine or disk.
        action: what becomes of the machines.
    """

    machines: tuple[str, ...]
    values: tuple[tuple[str, str | None, str | None], ...]
    action: Action = Action.UPDATE


@dataclass(frozen=True)
class Sizes:
    """All sizes that change.

    Attributes:
        rows: machines that are alike, together.
        more: of what there is more or less in all, and how much: `+2GiB`. Sizes with names cannot be added up.
    """

    rows: tuple[Sized, ...] = ()
    more: tuple[tuple[str, str], ...] = ()


def sizes(changes: Changes) -> Sizes:
    """The sizes that a run changes, of machines that it makes, changes or removes."""
    ends = machines(changes.found)
    types = _types(changes.native())
    by_machine: dict[str, list[tuple[str, str | None, str | None]]] = {}
    sums: dict[str, dict[Written, int | float]] = {}
    for change in changes.native():
        for item, label, before, after in _changed(change, types):
            machine = change.name.split("/")[1]
            by_machine.setdefault(machine, []).append((label, _spelt(item, before), _spelt(item, after)))
            total = sums.setdefault(_SUMMED.get(label, "disks"), {})
            if more := _number(after) - _number(before):
                total[item] = total.get(item, 0) + more
    alike: dict[tuple[Action, tuple[tuple[str, str | None, str | None], ...]], list[str]] = {}
    for machine in sorted(by_machine, key=by_number):
        end = ends.get(machine, Action.UPDATE)
        alike.setdefault((end, tuple(sorted(by_machine[machine], key=lambda one: one[0]))), []).append(machine)
    rows = (Sized(tuple(names), values, end) for (end, values), names in alike.items())
    return Sizes(tuple(rows), tuple(_totals(sums)))


def _types(changes: Iterable[Change]) -> Mapping[str, type[ResourceType[Any, Any, Any]]]:
    found = {}
    for package in {change.type.partition(":")[0] for change in changes}:
        try:
            plugin = registry.load(package.removeprefix("provision-"))
        except ProvisionError:  # it is gone from this machine: its resources are listed all the same
            continue
        found.update({f"{package}:{kind.token}": kind for kind in plugin.resource_types})
    return found


def _changed(
    change: Change, types: Mapping[str, type[ResourceType[Any, Any, Any]]]
) -> Iterator[tuple[Written, str, Value | None, Value | None]]:
    kind = types.get(change.type)
    if kind is None or change.failed or (change.kept and change.action is Action.DELETE):
        return
    for name, item in written(kind.Inputs).items():
        label = _label(item, change.name)
        before, after = change.before.get(name), change.after.get(name)
        if label is not None and before != after:
            yield item, label, before, after


def _label(item: Written, resource: str) -> str | None:
    """What an input is the size of."""
    field = item.field(resource) or ""
    if field == _DISK:
        return f"disk {resource.rpartition('/')[2].removeprefix('disk-')}"
    return "size" if field.startswith(_SIZE) else _LABELS.get(field)


def _spelt(item: Written, value: Value | None) -> str | None:
    if value is None or value == LATER or item.mark.spell is None:
        return None if value is None else str(value)
    return str(item.mark.spell(value))


def _number(value: Value | None) -> int | float:
    return value if isinstance(value, int | float) else 0


def _totals(sums: Mapping[str, Mapping[Written, int | float]]) -> Iterator[tuple[str, str]]:
    for what in sorted(sums):
        if len(sums[what]) == 1:  # those of several platforms may be told in units of their own
            ((item, more),) = sums[what].items()
            if more:
                yield what, f"{'+' if more > 0 else '-'}{_spelt(item, abs(more))}"
