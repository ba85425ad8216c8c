"""The shape of the stack file, derived from the models: which keys a place has, and what its value may be."""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar, or anything at all (no `types`).

    Attributes:
        types: the Python types that it becomes.
        measured: whether it is written as a number with a unit, though it becomes a number.
    """

    types: tuple[Any, ...] = ()
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    item: Any


@dataclass(frozen=True, slots=True)
class Named:
    """A map whose keys a person chooses."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """A map with the keys of a model; `x-` keys besides are free.

    Attributes:
        model: the model.
        fields: the annotation of each key.
        required: the keys that must be written.
    """

    model: type[BaseModel]
    fields: Mapping[str, Any]
    required: tuple[str, ...]

    def child(self, key: str) -> "Shape":
        """The shape under `key`."""
        return shape_of(self.fields[key]) if key in self.fields else ANYTHING


@dataclass(frozen=True, slots=True, eq=False)
class Tagged:
    """One of several maps with fixed keys, told apart by `kind`."""

    kinds: Mapping[str, Fixed]


@dataclass(frozen=True, slots=True, eq=False)
class Either:
    """One of several shapes, told apart by what was written."""

    options: tuple[Any, ...]


Shape: TypeAlias = Leaf | Items | Named | Fixed | Tagged | Either
ANYTHING = Leaf()


@cache
def fixed(model: type[BaseModel]) -> Fixed:
    """The shape of a model."""
    fields = {field.alias or name: Annotated[field.annotation, field] for name, field in model.model_fields.items()}
    required = tuple(field.alias or name for name, field in model.model_fields.items() if field.is_required())
    return Fixed(model, fields, required)


def shape_of(annotation: Any) -> Shape:
    """The shape that a type annotation stands for."""
    try:
        return _shape_of(annotation)
    except TypeError:  # an annotation that cannot be hashed
        return _shape_of.__wrapped__(annotation)


@cache
def _shape_of(annotation: Any) -> Shape:
    measured = False
    while get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        measured = measured or any(_is_measured(item) for item in metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return fixed(annotation)
    if origin is dict:
        return Named(arguments[1])
    if origin is list:
        return Items(arguments[0])
    if origin is tuple:
        return Items(arguments[0])
    if origin in (Union, types.UnionType):
        options = [shape_of(option) for option in arguments if option is not type(None)]
        models = [option for option in options if isinstance(option, Fixed)]
        if len(models) > 1 and len(models) == len(options):
            return Tagged({tag_of(option): option for option in models})
        if len(options) == 1:
            return options[0]
        if all(isinstance(option, Leaf) for option in options):
            leaves = [option for option in options if isinstance(option, Leaf)]
            return Leaf(tuple(kind for leaf in leaves for kind in leaf.types), any(leaf.measured for leaf in leaves))
        return Either(tuple(options))
    if origin is Literal:
        return Leaf((annotation,))
    return ANYTHING if annotation is Any else Leaf((annotation,), measured)


def _is_measured(metadata: Any) -> bool:
    inner = metadata.metadata if isinstance(metadata, FieldInfo) else [metadata]
    return any(isinstance(item, BeforeValidator) for item in inner)


def tag_of(shape: Fixed) -> str:
    """The `kind` of a model in a tagged union."""
    annotation = shape.model.model_fields["kind"].annotation
    return str(get_args(annotation)[0])


def choose(shape: Shape, value: object) -> Shape:
    """The shape that is meant by a value: the option of a union that fits what was written."""
    if isinstance(shape, Tagged):
        kind = value.get("kind") if isinstance(value, dict) else None
        return shape.kinds.get(kind, ANYTHING) if isinstance(kind, str) else ANYTHING
    if isinstance(shape, Either):
        for option in shape.options:
            if isinstance(value, dict) and isinstance(option, Fixed | Named):
                return option
            if isinstance(value, list) and isinstance(option, Items):
                return option
            if not isinstance(value, dict | list) and isinstance(option, Leaf):
                return option
    return shape
