"""Names of properties: from Pulumi's spelling in the state to Python's, down to the innermost structure."""

import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def snake(name: str) -> str:
    """`camelCase` as Python writes it: `camel_case`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def by_python_name(found: Mapping[str, Any], *models: type[BaseModel]) -> dict[str, Any]:
    """A structure with the names of its properties as in Python.

    Args:
        found: the structure, as the state has it.
        models: which may describe it; what none of them knows is converted by rule, and keys of maps stay.
    """
    fields = {info.alias or name: (name, info.annotation) for one in models for name, info in one.model_fields.items()}
    return {
        name: _within(value, annotation)
        for (name, annotation), value in ((fields.get(key, (snake(key), None)), item) for key, item in found.items())
    }


def _within(value: Any, annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _within(value, arguments[0])
    if origin in (Union, types.UnionType):
        return next((_within(value, one) for one in arguments if _fits(value, one)), value)
    if isinstance(value, Mapping):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return by_python_name(value, annotation)
        if origin is dict:
            return {key: _within(item, arguments[1]) for key, item in value.items()}
    elif isinstance(value, list) and origin in (list, tuple) and arguments:
        return [_within(item, arguments[0]) for item in value]
    return value


def _fits(value: Any, annotation: Any) -> bool:
    """Whether one way of several may be that of a value."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _fits(value, get_args(annotation)[0])
    if isinstance(value, Mapping):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return set(value) <= {info.alias or name for name, info in annotation.model_fields.items()}
        return origin is dict
    return isinstance(value, list) and origin in (list, tuple)
