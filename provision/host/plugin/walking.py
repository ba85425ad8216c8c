"""Going through the declared properties of wire values, at any depth."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from provision.host.plugin.shapes import Entries, Field, Items, Record, Shape
from provision.host.values import SecretValue, plain

Path: TypeAlias = tuple[str | int, ...]

ABSENT: Final = object()
"""Stands for a property that is not there."""


def transformed(value: Any, shape: Shape, change: Callable[[Path, Field, Any], Any], path: Path = ()) -> Any:
    """The value with `change` applied to each declared property, from outside to inside.

    Args:
        value: wire values, secrets wrapped or not.
        shape: of the value.
        change: gets path, field and value of each property, `ABSENT` for one that is not there (not in a choice of
            several models, where nobody can tell what is missing); what it returns takes the place of the value, and
            `ABSENT` leaves it out. What it returns unchanged is gone into.
        path: of the value.
    """
    if isinstance(value, SecretValue):
        return SecretValue(plain(transformed(value.value, shape, change, path)))
    if isinstance(value, Mapping) and isinstance(shape, Record):
        result = {key: item for key, item in value.items() if key not in shape.fields}
        for wire, field in shape.fields.items():
            if wire not in value and len(shape.models) > 1:
                continue
            old = value.get(wire, ABSENT)
            new = change((*path, wire), field, old)
            if new is old and new is not ABSENT:
                new = transformed(old, field.shape, change, (*path, wire))
            if new is not ABSENT:
                result[wire] = new
        return {key: result[key] for key in (*(key for key in value if key in result), *result)}
    if isinstance(value, Mapping) and isinstance(shape, Entries):
        return {key: transformed(item, shape.item, change, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple) and isinstance(shape, Items):
        return [transformed(item, shape.item, change, (*path, index)) for index, item in enumerate(value)]
    return value


def at(value: Any, path: Sequence[str | int]) -> Any:
    """What is at `path`, without secrets' wrappers on the way; `ABSENT` when there is nothing."""
    for part in path:
        here: Any = value.value if isinstance(value, SecretValue) else value
        if isinstance(here, Mapping):
            value = here.get(part, ABSENT)
        elif isinstance(here, list | tuple) and isinstance(part, int):
            value = here[part] if part < len(here) else ABSENT
        else:
            return ABSENT
    return value


def declares(shape: Shape, test: Callable[[Field], bool]) -> bool:
    """Whether any property that `shape` declares, at any depth, passes the test."""
    return _declares(shape, test, set())


def _declares(shape: Shape, test: Callable[[Field], bool], seen: set[Record]) -> bool:
    if isinstance(shape, Items | Entries):
        return _declares(shape.item, test, seen)
    if not isinstance(shape, Record) or shape in seen:
        return False
    seen.add(shape)
    return any(test(field) or _declares(field.shape, test, seen) for field in shape.fields.values())
