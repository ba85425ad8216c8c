"""What a stack file says of drift, for native resources: which inputs are left alone, and where a value is written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from provision.diagnostics import DiagnosticSink, Path
from provision.models import DriftPolicy, DriftRules, Model
from provision.models.drift import STRANGERS
from provision.spi import Isolates, Node, Properties, Provider, ResourceGraph, ResourceType, SeesStrangers, StackField

_FIX = "leave it out: what changed is reported, and put back"


@dataclass(frozen=True, slots=True)
class Written:
    """An input that a field of the stack file says.

    Attributes:
        name: of the input, in Python.
        fields: of the stack file, one for each thing that the type is for.
        mark: the annotation.
        isolates: whether isolation depends on it, so that it is always put back.
    """

    name: str
    fields: tuple[str, ...]
    mark: StackField
    isolates: bool

    def field(self, resource: str) -> str | None:
        """The field that a resource of that name is made from."""
        part = part_of(resource)
        return next((field for field in self.fields if _under(field, part)), None) if part else None


@cache
def written(inputs: type[Properties]) -> Mapping[str, Written]:
    """The inputs of a type that fields of the file say, by their names on the wire."""
    found = {}
    for name, field in inputs.model_fields.items():
        mark = next((mark for mark in field.metadata if isinstance(mark, StackField)), None)
        if mark is not None:
            isolates = any(isinstance(mark, Isolates) for mark in field.metadata)
            found[field.alias or name] = Written(name, mark.fields, mark, isolates)
    return found


def part_of(resource: str) -> str | None:
    """What a native resource is, or is a part of, with names left out; None for what no field can be of."""
    parts = resource.split("/")
    if parts[0] == "networks" and len(parts) > 1:
        return "networks"
    if parts[0] != "machines" or len(parts) < 2:
        return None
    last = parts[-1]
    return "machines.disks" if last.startswith("disk-") else "machines.root" if last == "root" else "machines"


def place_of(field: str, resource: str, entry: str) -> Path:
    """Where the file says a field of a resource; `entry` is the machine or network in the file that it belongs to."""
    section, *rest = field.split(".")
    if rest[0] == "disks":
        return (section, entry, "disks", resource.rpartition("/")[2].removeprefix("disk-"), *rest[1:])
    return (section, entry, *rest)


def with_ignored(graph: ResourceGraph, rules: DriftRules) -> ResourceGraph:
    """The graph with every input left alone that the file wants to be."""
    if not any(policy is DriftPolicy.IGNORE for _, policy in said(rules)):
        return graph
    return ResourceGraph(graph.components, tuple(_with_ignored(node, rules) for node in graph.nodes))


def _with_ignored(node: Node, rules: DriftRules) -> Node:
    names = tuple(
        item.name
        for item in written(node.type.Inputs).values()
        if policy_of(item, node.name, rules) is DriftPolicy.IGNORE
    )
    return replace(node, ignored=names) if names else node


def policy_of(item: Written, resource: str, rules: DriftRules) -> DriftPolicy:
    """What is done about drift of an input of a resource."""
    field = item.field(resource)
    return DriftPolicy.OWN if field is None or item.isolates else rules.of(field)


def said(rules: DriftRules) -> Iterator[tuple[str, DriftPolicy]]:
    """What the file says, field by field."""

    def within(model: Model, prefix: str) -> Iterator[tuple[str, DriftPolicy]]:
        for name in type(model).model_fields:
            value = getattr(model, name)
            if isinstance(value, Model):
                yield from within(value, f"{prefix}{name}.")
            elif isinstance(value, DriftPolicy):
                yield f"{prefix}{name}", value

    return within(rules, "")


def check_drift(rules: DriftRules, providers: Sequence[Provider[Any, Any]], sink: DiagnosticSink) -> bool:
    """Report what is said of fields that no platform of the stack shows apart from others, or that isolate there.

    Returns:
        Whether there are none.
    """
    wanted = [(field, policy) for field, policy in said(rules) if policy is not DriftPolicy.OWN]
    if not wanted:
        return True
    known = _known(kind for provider in providers for kind in provider.resource_types)
    seen = {STRANGERS for provider in providers if isinstance(provider, SeesStrangers)}
    where = " or ".join(dict.fromkeys(f"'{provider.name}'" for provider in providers))
    fine = True
    for field, policy in wanted:
        items = [item for name, found in known.items() if _says(name, field) for item in found]
        path: Path = ("drift", *field.split("."))
        if field == STRANGERS and seen:
            continue
        if not items:
            fields = {_short(name) for name, found in known.items() if not _isolating(found)} | seen
            can = ", ".join(sorted(fields)) or "none"
            summary = f"'{field}' cannot be '{policy}': {where} does not show changes of it apart from others"
            sink.error(path, summary, f"{_FIX}; fields for which that can be said there: {can}")
        elif _isolating(items):
            why = f"isolation depends on it on {where}, and a policy is never silently weakened"
            sink.error(path, f"'{field}' cannot be '{policy}': {why}", _FIX)
        fine = fine and bool(items) and not _isolating(items)
    return fine


def _known(kinds: Iterable[type[ResourceType[Any, Any, Any]]]) -> Mapping[str, list[Written]]:
    found: dict[str, list[Written]] = {}
    for kind in kinds:
        for item in written(kind.Inputs).values():
            for field in item.fields:
                found.setdefault(field, []).append(item)
    return found


def _isolating(items: Iterable[Written]) -> bool:
    return any(item.isolates for item in items)


def _says(name: str, field: str) -> bool:
    return name == field or name.startswith(f"{field}.")


def _short(name: str) -> str:
    """Without the platform: sizes are spelt for each."""
    return "machines.size" if name.startswith("machines.size.") else name


def _under(field: str, part: str) -> bool:
    inner = field.removeprefix(f"{part}.")
    # A disk is a resource of its own; a boot disk may be a part of its machine's.
    return inner != field and inner.partition(".")[0] != "disks"
