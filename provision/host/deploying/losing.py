"""Refusing a stack that no longer holds what has data: known from the state, before anything is registered."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError
from provision.host.permission import DATA, Permission, subject
from provision.spi import DataLoss, Node
from provision.translate import PlacedStack, instances
from provision.translate.instances import by_number

_MACHINES = "machines/"
_NATIVE = "provision-"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Held:
    """A native resource of a machine, as the state holds it.

    Attributes:
        name: Pulumi's name, without what a component puts before it.
        platform: whose resource it is.
        has_data: whether data is lost with it.
        identity: of the very platform that it lies on; empty when that is not known.
    """

    name: str
    platform: str
    has_data: bool = False
    identity: str = ""

    @property
    def machine(self) -> str:
        """The machine that it belongs to."""
        return self.name.removeprefix(_MACHINES).partition("/")[0]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A machine that the file asks for.

    Attributes:
        name: today's.
        entry: its key under `machines`.
        platform: that it is to be made on.
        location: where that is.
        identity: of the platform there; empty when it has none.
    """

    name: str
    entry: str
    platform: str
    location: str
    identity: str = ""


def held(recorded: Mapping[str, Mapping[str, Any]], prefix: str = "") -> Iterator[Held]:
    """What the state holds of machines.

    Args:
        recorded: outputs of resources by URN.
        prefix: what a component puts before every name.
    """
    for urn, outputs in recorded.items():
        kinds, _, name = urn.partition("::")[2].partition("::")[2].partition("::")
        package = kinds.rpartition("$")[2].partition(":")[0]
        if package.startswith(_NATIVE) and name.startswith(f"{prefix}{_MACHINES}"):
            data = outputs.get(DATA)
            said = data if isinstance(data, Mapping) else {}
            has_data = said.get("lost") == DataLoss.REMOVED
            identity = str(said.get("at", ""))
            yield Held(name.removeprefix(prefix), package.removeprefix(_NATIVE), has_data, identity)


def wanted(parts: Iterable[PlacedStack], identities: Mapping[str, str] | None = None) -> dict[str, Wanted]:
    """The machines that are to be, by every name that each has or may have had.

    Args:
        parts: the stack by location.
        identities: of the platforms, by location, as far as they are known.
    """
    found: dict[str, Wanted] = {}
    former: dict[str, Wanted] = {}
    for part in parts:
        identity = (identities or {}).get(part.location, "")
        for instance in instances(part.stack):
            machine = Wanted(instance.name, instance.entry, part.platform, part.location, identity)
            found[instance.name] = machine
            former |= {name: machine for name in instance.former if name not in former}
    return former | found


def refuse_missing_machines(
    found: Iterable[Held], machines: Mapping[str, Wanted], permission: Permission, sink: DiagnosticSink
) -> None:
    """Refuse that machines with data leave the file or their host, and that any machine goes to another platform.

    Args:
        found: what the state holds.
        machines: what the file asks for, by every name.
        permission: whose data may be destroyed.
        sink: where the refusals go.

    Raises:
        StackFileError: data would be lost.
    """
    leaving: dict[str, None] = {}
    switching: dict[str, tuple[str, str]] = {}
    moving: dict[str, Wanted] = {}
    for item in sorted(found, key=lambda held: by_number(held.machine)):
        machine = machines.get(item.machine)
        if permission.covers(*subject(item.name).names, *([machine.name] if machine else [])):
            continue
        if machine is None:
            if item.has_data:
                leaving[item.machine] = None
        elif item.platform != machine.platform:
            switching[item.machine] = item.platform, machine.platform
        elif item.has_data and item.identity and machine.identity and item.identity != machine.identity:
            moving[item.machine] = machine
    if leaving:
        sink.error(
            ("machines",),
            f"{_named(leaving)} would leave the stack, and the data on the boot disk would be destroyed",
            "keep it in the file (under a new name with 'renamed_from'), or allow it: "
            f"{_allowing(permission, leaving)}",
            key=True,
        )
    if switching:
        old, new = (", ".join(sorted({pair[at] for pair in switching.values()})) for at in (0, 1))
        sink.error(
            ("platform",),
            f"{_named(switching)} would go from platform '{old}' to '{new}': made anew there, and destroyed here with "
            "all data that is not on disks to be kept",
            f"use another Pulumi stack for '{new}', or allow it: {_allowing(permission, switching)}",
        )
    if moving:
        first = next(iter(moving.values()))
        sink.error(
            ("machines", first.entry, "location"),
            f"{_named(moving)} would go to another host or account (location '{first.location}'): made anew there, "
            "and the data on the boot disk would be destroyed",
            f"leave the location as it was, or allow it: {_allowing(permission, moving)}",
        )
    if leaving or switching or moving:
        raise StackFileError(tuple(sink), sink.source_map)


def refuse_missing_disks(
    found: Iterable[Held],
    machines: Mapping[str, Wanted],
    nodes: Sequence[Node],
    permission: Permission,
    sink: DiagnosticSink,
) -> None:
    """Refuse that a machine which stays loses a disk with data.

    Args:
        found: what the state holds.
        machines: what the file asks for, by every name.
        nodes: what the machines consist of.
        permission: whose data may be destroyed.
        sink: where the refusals go.

    Raises:
        StackFileError: data would be lost.
    """
    names = {name for node in nodes for name in (node.name, *node.aliases)}
    gone = {
        item.machine: machines[item.machine]
        for item in found
        if item.has_data
        and item.machine in machines
        and item.name not in names
        and not permission.covers(*subject(item.name).names, machines[item.machine].name)
    }
    if gone:
        sink.error(
            ("machines", next(iter(gone.values())).entry, "image"),
            f"{_named(gone)} would no longer have the boot disk, and the data on it would be destroyed",
            f"keep the image, or allow it: {_allowing(permission, gone)}",
        )
        raise StackFileError(tuple(sink), sink.source_map)


def _named(names: Collection[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in list(names)[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"machine{'s' if len(names) > 1 else ''} {shown}{more}"


def _allowing(permission: Permission, names: Collection[str]) -> str:
    return permission.commands(names if len(names) <= _MOST_NAMED else ["*"])
