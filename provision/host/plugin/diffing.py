"""Comparing inputs: which properties differ, exactly where, and what that does to the object."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from provision.host.plugin.shapes import SEVERITY, Entries, Field, Items, Leaf, Record, Shape, child, record_of
from provision.host.plugin.walking import ABSENT, Path
from provision.host.plugin.wire import marked
from provision.host.values import plain
from provision.spi.properties import UNKNOWN, Change, OnChange, has_unknown


class Kind(StrEnum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Difference:
    """One property that differs.

    Attributes:
        path: on the wire.
        kind: what happened to it.
        change: what that does to the object.
        uncertain: whether it only may differ, since a value is not known yet.
    """

    path: Path
    kind: Kind
    change: Change = Change.IN_PLACE
    uncertain: bool = False

    @property
    def replaces(self) -> bool:
        """Whether the object must be replaced."""
        return OnChange(self.change).replaces

    @property
    def wire_path(self) -> str:
        """The path as Pulumi writes it."""
        return format_wire_path(self.path)


def format_wire_path(path: Sequence[str | int]) -> str:
    """A property path in Pulumi's notation: `nics[0].address`, `labels["a.b"]` (`PropertyPath.String` of its SDK)."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and all(c.isascii() and (c.isalnum() or c == "_") for c in part):
            text += f".{part}" if text else part
        else:
            text += '["' + part.replace('"', '\\"') + '"]'
    return text


def compare(
    model: type[BaseModel],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    always_replaces: bool = False,
    ignored: Sequence[str] = (),
) -> list[Difference]:
    """Differences between two sets of wire inputs, by declared properties.

    A property that is absent has its default, so that a release which declares a new one changes nothing by itself. An
    unknown differs from everything. What a property's `Normalized` annotation takes for the same is no difference. A
    change inside of a property does at least what a change of the property does.

    Args:
        model: of the inputs.
        old: recorded inputs.
        new: wanted inputs.
        always_replaces: the object cannot be updated.
        ignored: wire paths below which differences do not count.
    """
    least = Change.REPLACE if always_replaces else Change.IN_PLACE
    found = _record(plain(old), plain(new), record_of(model), (), least)
    return [item for item in found if not any(_covers(path, item.wire_path) for path in ignored)]


def _covers(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith((prefix + ".", prefix + "["))


def _record(
    old: Mapping[str, Any], new: Mapping[str, Any], record: Record, path: Path, least: Change
) -> Iterator[Difference]:
    for wire, field in record.fields.items():
        if wire not in old and wire not in new:
            continue
        before, after = _or_default(old, wire, field), _or_default(new, wire, field)
        if not (field.normalized and _same(before, after, field)):
            at, change = (*path, wire), max(least, field.change, key=SEVERITY.index)
            pairs = _paired(before, after, field.keyed) if field.keyed else None
            if pairs is None:
                yield from _value(before, after, field.shape, at, change)
            else:
                for index, one, other in pairs:
                    yield from _value(one, other, child(field.shape, index), (*at, index), change)


def _paired(old: Any, new: Any, key: str) -> list[tuple[int, Any, Any]] | None:
    """Items of two lists that are the same by `key`, each with its place; None when `key` does not tell them apart."""
    before, after = _by_key(old, key), _by_key(new, key)
    if before is None or after is None:
        return None
    pairs = [(index, before.get(name, (0, ABSENT))[1], item) for name, (index, item) in after.items()]
    return pairs + [(index, item, ABSENT) for name, (index, item) in before.items() if name not in after]


def _by_key(items: Any, key: str) -> dict[str, tuple[int, Any]] | None:
    if not isinstance(items, list):
        return None
    found: dict[str, tuple[int, Any]] = {}
    for index, item in enumerate(items):
        name = item.get(key) if isinstance(item, Mapping) else None
        if not isinstance(name, str) or name in found:
            return None
        found[name] = index, item
    return found


def _same(old: Any, new: Any, field: Field) -> bool:
    """Whether two known values differ in spelling alone."""
    if old is ABSENT or new is ABSENT or has_unknown(old) or has_unknown(new):
        return False
    return equal(field.normal(old), field.normal(new))


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same on the wire, where true is not 1 but 1.0 is."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(item, other[key]) for key, item in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(equal(*pair) for pair in zip(one, other, strict=True))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _or_default(values: Mapping[str, Any], wire: str, field: Field) -> Any:
    if wire in values:
        value = values[wire]
        return ABSENT if value is None and field.omits_null else value
    if field.info.is_required():
        return ABSENT
    default = field.info.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return ABSENT
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="python", by_alias=True)
    return plain(marked({wire: default}, Record(()))[wire])


def _value(old: Any, new: Any, shape: Shape, path: Path, least: Change) -> Iterator[Difference]:
    if old is ABSENT and new is ABSENT:
        return
    if old is ABSENT:
        yield Difference(path, Kind.ADD, least, new is UNKNOWN)
    elif new is ABSENT:
        yield Difference(path, Kind.DELETE, least)
    elif old is UNKNOWN or new is UNKNOWN:
        yield Difference(path, Kind.UPDATE, least, True)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        if isinstance(shape, Record):
            yield from _record(old, new, shape, path, least)
        else:
            inner = shape.item if isinstance(shape, Entries) else Leaf()
            for key in sorted({*old, *new}):
                yield from _value(old.get(key, ABSENT), new.get(key, ABSENT), inner, (*path, key), least)
    elif isinstance(old, list) and isinstance(new, list):
        inner = shape.item if isinstance(shape, Items) else child(shape, 0)
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else ABSENT
            after = new[index] if index < len(new) else ABSENT
            yield from _value(before, after, inner, (*path, index), least)
    elif not equal(old, new):
        yield Difference(path, Kind.UPDATE, least)
