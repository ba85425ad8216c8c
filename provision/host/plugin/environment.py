"""Inputs and settings that come from the environment when nothing else gives them."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from provision.host.plugin.shapes import Entries, Field, Items, Record
from provision.host.plugin.walking import ABSENT, Path, transformed


def with_environment(values: Mapping[str, Any], record: Record, environment: Mapping[str, str]) -> dict[str, Any]:
    """Plain wire values, with those of `FromEnvironment` fields filled in that nobody gave.

    Lists, maps and objects are read as JSON; every other text is left to the model.
    """

    def change(path: Path, field: Field, value: Any) -> Any:
        if value is not ABSENT and value is not None:
            return value
        text = next((environment[name] for name in field.environment if environment.get(name)), None)
        return value if text is None else read_text(text, field)

    filled: dict[str, Any] = transformed(values, record, change)
    return filled


def read_text(text: str, field: Field) -> Any:
    """What a text says where the model wants a list, a map or an object; other texts as they are."""
    if isinstance(field.shape, Items | Entries | Record):
        with suppress(ValueError, RecursionError):  # the model says what it wants instead
            return json.loads(text)
    return text
