"""What a look at an object says of its inputs, and what has to be taken from the record all the same."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from provision.host.plugin.diffing import equal
from provision.host.plugin.shapes import Field, Record, record_of
from provision.host.plugin.walking import ABSENT, Path, at, transformed
from provision.host.plugin.wire import rewrap
from provision.host.values import SecretValue, plain
from provision.spi.properties import has_unknown

STACK_ID = "stackId"


def settled(model: BaseModel, read: Mapping[str, Any], recorded: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Read inputs, with recorded ones where those count.

    The record counts where reading cannot tell (what was not set, secrets that came back empty), where something else
    may change the value, and where the two are the same but for their spelling.

    Args:
        model: what the plugin returned.
        read: the same on the wire.
        recorded: inputs on the wire.
        record: their shape.
    """

    def change(path: Path, field: Field, value: Any) -> Any:
        before = at(recorded, path)
        if before is ABSENT:
            return value
        if field.drifts:
            return before
        if value is not ABSENT and field.normalized and not has_unknown(plain(before)):
            same = equal(field.normal(plain(value)), field.normal(plain(before)))
            return before if same else value
        return value

    carried: dict[str, Any] = transformed(_carried(model, read, recorded, record), record, change)
    wrapped: dict[str, Any] = rewrap(carried, recorded)
    return wrapped


def _carried(model: BaseModel, read: Mapping[str, Any], recorded: Mapping[str, Any], record: Record) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for wire, field in record.fields.items():
        unset = field.name not in model.model_fields_set
        empty_secret = field.secret and not plain(read.get(wire))
        if (unset or empty_secret or (wire == STACK_ID and not read.get(wire))) and wire in recorded:
            result[wire] = recorded[wire]
        elif wire in read:
            value, nested = read[wire], model.__dict__.get(field.name)
            if isinstance(nested, BaseModel) and isinstance(recorded.get(wire), Mapping) and isinstance(value, Mapping):
                value = _carried(nested, value, recorded[wire], record_of(type(nested)))
            result[wire] = SecretValue(plain(value)) if field.secret else value
    return result
