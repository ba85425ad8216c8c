"""Inputs of a graph's nodes as Pulumi's wire has them: names in camel case, secrets marked, references resolved."""

import enum
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.alias_generators import to_camel

from provision.host.plugin.shapes import Record, Shape, child, record_of
from provision.host.values import SecretValue, plain
from provision.spi import UNKNOWN, Output, ResourceGraph, Unknown
from provision.spi.properties import SIMPLE

Resolve = Callable[[Output], Any]


def wire_inputs(model: type[BaseModel], values: Mapping[str, Any], resolve: Resolve) -> dict[str, Any]:
    """Inputs by wire name, without those that are None; `resolve` gives the values of outputs."""
    return _record(values, record_of(model), resolve)


def wire_value(value: Any, resolve: Resolve, shape: Shape | None = None) -> Any:
    """One value; without a shape the keys of maps stay as they are."""
    if type(value) in SIMPLE:
        return value
    if isinstance(value, Output):
        return resolve(value)
    if value is None or isinstance(value, Unknown | SecretValue | SecretStr | SecretBytes):
        return value
    if isinstance(value, enum.Enum):
        return wire_value(value.value, resolve)
    if isinstance(value, bool | str | float | bytes):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
        return _record(given, record_of(type(value)), resolve)
    if isinstance(value, Mapping):
        if isinstance(shape, Record):
            return _record(value, shape, resolve)
        inner = child(shape, "") if shape is not None else None
        return {str(key): wire_value(item, resolve, inner) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(wire_value(item, resolve) for item in value)
    if isinstance(value, Sequence):
        inner = child(shape, 0) if shape is not None else None
        return [wire_value(item, resolve, inner) for item in value]
    return str(value)


def with_unknowns(graph: ResourceGraph, mark: str) -> ResourceGraph:
    """The graph with every text that holds `mark` not known yet."""
    return ResourceGraph(
        graph.components,
        tuple(
            replace(node, inputs={key: _unmarked(item, mark) for key, item in node.inputs.items()})
            for node in graph.nodes
        ),
    )


def _unmarked(value: Any, mark: str) -> Any:
    if isinstance(value, SecretStr):
        return SecretValue(UNKNOWN) if mark in value.get_secret_value() else value
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return UNKNOWN if mark in value else value
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
        return type(value).model_construct(**{name: _unmarked(item, mark) for name, item in given.items()})
    if isinstance(value, Mapping):
        return {key: _unmarked(item, mark) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unmarked(item, mark) for item in value]
    return value


@cache
def wire_name(name: str) -> str:
    """The wire name of an output."""
    return name if name == "id" else to_camel(name)


def _record(values: Mapping[str, Any], record: Record, resolve: Resolve) -> dict[str, Any]:
    by_name = {spelling: field for field in record.fields.values() for spelling in (field.wire, field.name)}
    found: dict[str, Any] = {}
    for name, value in values.items():
        field = by_name.get(name)
        done = wire_value(value, resolve, field.shape if field else None)
        if done is None:
            continue
        if field is not None and field.secret and not isinstance(done, SecretValue | SecretStr | SecretBytes):
            done = SecretValue(plain(done))
        found[field.wire if field else name] = done
    return found
