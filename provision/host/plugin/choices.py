"""Sticky choices: made once, kept while what they were made for stays the same."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from provision.errors import UserError
from provision.host.plugin.checking import Failure, check
from provision.host.plugin.diffing import compare
from provision.host.plugin.shapes import Field, Record, record_of, to_python_names
from provision.host.plugin.wire import marked
from provision.host.values import plain
from provision.spi.operation import Operation
from provision.spi.properties import UNKNOWN, Sticky, has_unknown
from provision.spi.resource import ChoiceRequest

Choose = Callable[[ChoiceRequest], Any]


def chosen(
    model: type[BaseModel],
    checked: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    choose: Choose,
    operation: Operation | None,
) -> tuple[dict[str, Any], list[Failure]]:
    """Checked inputs with every choice made that the program left open, and what stands against that.

    Args:
        model: of the inputs.
        checked: checked wire inputs.
        old: plain recorded inputs, None for a new object.
        choose: asks the plugin.
        operation: for the question; None while the provider's configuration is not known, and then a choice that is
            not recorded is unknown.
    """
    record, result, failures = record_of(model), dict(checked), list[Failure]()
    for wire, field in record.fields.items():
        if field.sticky is None or plain(result.get(wire)) is not None:
            continue
        try:
            if old is not None and _stays(model, field.sticky, result, old):
                # Also when none is recorded: an object that was made without a choice is not made anew for one.
                value = old.get(wire)
            else:
                value = _choice(field, field.sticky, result, record, choose, operation)
        except UserError as error:
            failures.append(Failure((wire,), str(error)))
            continue
        result, more = check(model, {**plain(result), **plain(marked({wire: _dumped(value)}, record))})
        if more:
            return result, failures + more
    return result, failures


def _choice(
    field: Field,
    sticky: Sticky,
    inputs: Mapping[str, Any],
    record: Record,
    choose: Choose,
    operation: Operation | None,
) -> Any:
    python = to_python_names(plain(inputs), record)
    asked = [python.get(name) for name in (*sticky.request, *([sticky.refresh] if sticky.refresh else []))]
    if operation is None or has_unknown(asked):
        return UNKNOWN
    return choose(ChoiceRequest(operation, field.name, python))


def _stays(model: type[BaseModel], sticky: Sticky, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether the inputs that a choice was made for are still the same."""
    names = {field.name: wire for wire, field in record_of(model).fields.items()}
    if sticky.refresh and plain(inputs.get(names.get(sticky.refresh, ""))) not in (None, False):
        return False
    asked = {names.get(name, name) for name in sticky.request}
    return not any(item.path[0] in asked for item in compare(model, old, inputs))


def _dumped(value: Any) -> Any:
    return value.model_dump(mode="python", by_alias=True, warnings=False) if isinstance(value, BaseModel) else value
