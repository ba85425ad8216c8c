"""Comparing inputs: which properties differ, exactly where, and whether the object must be replaced."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from provision.host.plugin.shapes import Entries, Field, Items, Leaf, Record, Shape, child, record_of
from provision.host.plugin.wire import marked
from provision.host.values import plain
from provision.spi.properties import UNKNOWN

_ABSENT = object()


class Kind(StrEnum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Difference:
    """One property that differs."""

    path: tuple[str | int, ...]
    kind: Kind
    replaces: bool

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
    unknown differs from everything.

    Args:
        model: of the inputs.
        old: recorded inputs.
        new: wanted inputs.
        always_replaces: the object cannot be updated.
        ignored: wire paths below which differences do not count.
    """
    found = _record(plain(old), plain(new), record_of(model), (), always_replaces)
    return [item for item in found if not any(_covers(path, item.wire_path) for path in ignored)]


def _covers(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith((prefix + ".", prefix + "["))


def _record(
    old: Mapping[str, Any], new: Mapping[str, Any], record: Record, path: tuple[str | int, ...], replaces: bool
) -> Iterator[Difference]:
    for wire, field in record.fields.items():
        before, after = _or_default(old, wire, field), _or_default(new, wire, field)
        yield from _value(before, after, field.shape, (*path, wire), replaces or field.replaces)


def _or_default(values: Mapping[str, Any], wire: str, field: Field) -> Any:
    if wire in values:
        value = values[wire]
        return _ABSENT if value is None and field.omits_null else value
    if field.info.is_required():
        return _ABSENT
    default = field.info.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return _ABSENT
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="python", by_alias=True)
    return plain(marked({wire: default}, Record(()))[wire])


def _value(old: Any, new: Any, shape: Shape, path: tuple[str | int, ...], replaces: bool) -> Iterator[Difference]:
    if old is _ABSENT and new is _ABSENT:
        return
    if old is _ABSENT:
        yield Difference(path, Kind.ADD, replaces)
    elif new is _ABSENT:
        yield Difference(path, Kind.DELETE, replaces)
    elif old is UNKNOWN or new is UNKNOWN:
        yield Difference(path, Kind.UPDATE, replaces)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        if isinstance(shape, Record):
            yield from _record(old, new, shape, path, replaces)
        else:
            inner = shape.item if isinstance(shape, Entries) else Leaf()
            for key in sorted({*old, *new}):
                yield from _value(old.get(key, _ABSENT), new.get(key, _ABSENT), inner, (*path, key), replaces)
    elif isinstance(old, list) and isinstance(new, list):
        inner = shape.item if isinstance(shape, Items) else child(shape, 0)
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            yield from _value(before, after, inner, (*path, index), replaces)
    elif isinstance(old, bool) is not isinstance(new, bool) or old != new:
        yield Difference(path, Kind.UPDATE, replaces)
