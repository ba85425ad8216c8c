"""What a model of properties looks like on the wire: names, nesting, secrets and what a change does.

A shape is derived once per model and is all that the other modules know of pydantic's types. Where a type is a union,
its shape is the union of the shapes: Pulumi's values are structural, so nothing more is needed.
"""

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from provision.spi.properties import (
    AutoName,
    Change,
    Computed,
    Drift,
    FromEnvironment,
    Keyed,
    Normalized,
    OnChange,
    Secret,
    Sticky,
    WriteOnly,
)

M = TypeVar("M")

SEVERITY = (Change.IN_PLACE, Change.RESTART, Change.REPLACE, Change.DESTROYS_DATA)
"""What a change does, the least first."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value whose inside is not described: scalars, and `Any`."""

    secret: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Entries:
    """A map with free keys."""

    item: "Shape"


@dataclass(frozen=True)
class Record:
    """A nested object, or a choice of several; `fields` by wire name."""

    models: tuple[type[BaseModel], ...]

    @property
    def fields(self) -> Mapping[str, "Field"]:
        """Fields of all models; of a name that several have, the first."""
        return _merged(self.models)


Shape = Leaf | Items | Entries | Record


@dataclass(frozen=True)
class Field:
    """One property.

    Attributes:
        name: Python's name.
        wire: Pulumi's name.
        shape: of its value.
        secret: whether all of it is secret.
        change: what a change of it does to the object.
        marks: every annotation of it.
        info: pydantic's description.
    """

    name: str
    wire: str
    shape: Shape
    secret: bool
    change: Change
    marks: tuple[Any, ...] = field(compare=False, repr=False)
    info: FieldInfo = field(compare=False, repr=False)

    @cached_property
    def replaces(self) -> bool:
        """Whether a change of it replaces the object."""
        return OnChange(self.change).replaces

    @cached_property
    def computed(self) -> Computed | None:
        """Its `Computed` annotation, if it has one."""
        return self._mark(Computed)

    @cached_property
    def sticky(self) -> Sticky | None:
        """Its `Sticky` annotation, if it has one."""
        return self._mark(Sticky)

    @cached_property
    def auto_name(self) -> AutoName | None:
        """Its `AutoName` annotation, if it has one."""
        return self._mark(AutoName)

    @cached_property
    def write_only(self) -> bool:
        """Whether state never holds its value."""
        return self._mark(WriteOnly) is not None

    @cached_property
    def drifts(self) -> bool:
        """Whether something else may change it without anybody being told."""
        return self._mark(Drift) is Drift.IGNORE

    @cached_property
    def environment(self) -> tuple[str, ...]:
        """Variables that may hold its value."""
        return tuple(name for mark in self.marks if isinstance(mark, FromEnvironment) for name in mark.variables)

    @cached_property
    def deprecation(self) -> str:
        """Why it should no longer be used; empty when it may be."""
        return self.info.deprecation_message or ""

    def normal(self, value: Any) -> Any:
        """What of a known value counts in a comparison."""
        for mark in self.marks:
            if isinstance(mark, Normalized):
                value = mark.by(value)
        return value

    @cached_property
    def normalized(self) -> tuple[Normalized, ...]:
        """Its `Normalized` annotations."""
        return tuple(mark for mark in self.marks if isinstance(mark, Normalized))

    @cached_property
    def keyed(self) -> str:
        """Wire name of the property that tells its items apart; empty where their places do."""
        mark = self._mark(Keyed)
        item = self.shape.item if isinstance(self.shape, Items) else None
        if mark is None or not isinstance(item, Record):
            return ""
        return next((wire for wire, field in item.fields.items() if field.name == mark.by), "")

    def _mark(self, kind: type[M]) -> M | None:
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)

    @cached_property
    def omits_null(self) -> bool:
        """Whether leaving the property out says the same as null."""
        return not self.info.is_required() and self.info.default is None and self.info.default_factory is None

    @cached_property
    def nullable(self) -> bool:
        """Whether null is one of its values."""
        return type(None) in _alternatives(self.info.annotation)


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, Field]:
    """Fields of a model by wire name."""
    found: dict[str, Field] = {}
    for name, info in model.model_fields.items():
        wire = info.serialization_alias or info.alias or name
        shape = _shape(info.annotation)
        marks = (*info.metadata, *_nested_marks(info.annotation))
        secret = any(isinstance(mark, Secret | WriteOnly) for mark in marks)
        secret = secret or (isinstance(shape, Leaf) and shape.secret)
        changes = [mark.change for mark in marks if isinstance(mark, OnChange)]
        change = max(changes, key=SEVERITY.index, default=Change.IN_PLACE)
        found[wire] = Field(name, wire, shape, secret, change, marks, info)
    return found


def record_of(model: type[BaseModel]) -> Record:
    """The shape of a model itself."""
    return Record((model,))


def child(shape: Shape, key: str | int) -> Shape:
    """The shape of what is below `key`."""
    if isinstance(shape, Items | Entries):
        return shape.item
    if isinstance(shape, Record) and isinstance(key, str) and key in shape.fields:
        return shape.fields[key].shape
    return Leaf()


def to_python_names(value: Any, shape: Shape) -> Any:
    """The same value with Python's names for declared properties; undeclared names stay."""
    return _renamed(value, shape, lambda record: {wire: (f.name, f.shape) for wire, f in record.fields.items()})


def to_wire_names(value: Any, shape: Shape) -> Any:
    """The same value with Pulumi's names for declared properties; undeclared names stay."""
    return _renamed(
        value,
        shape,
        lambda record: {name: (f.wire, f.shape) for f in record.fields.values() for name in (f.name, f.wire)},
    )


def wire_path(path: str, model: type[BaseModel]) -> tuple[str | int, ...]:
    """A dotted path of Python names (`nics.0.mac_address`) as the wire has it; the empty path is the whole."""
    shape: Shape = record_of(model)
    found: list[str | int] = []
    for part in path.split(".") if path else ():
        if isinstance(shape, Record):
            declared = next((field for field in shape.fields.values() if field.name == part), None)
            key: str | int = declared.wire if declared else part
        else:
            key = int(part) if isinstance(shape, Items) and part.isdigit() else part
        found.append(key)
        shape = child(shape, key)
    return tuple(found)


def _renamed(value: Any, shape: Shape, names: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(shape, Record):
        known = names(shape)
        result = {}
        for key, item in value.items():
            name, inner = known.get(key, (key, Leaf()))
            result[name] = _renamed(item, inner, names)
        return result
    if isinstance(value, Mapping) and isinstance(shape, Entries):
        return {key: _renamed(item, shape.item, names) for key, item in value.items()}
    if isinstance(value, list | tuple) and isinstance(shape, Items):
        return [_renamed(item, shape.item, names) for item in value]
    return value


@cache
def _merged(models: tuple[type[BaseModel], ...]) -> Mapping[str, Field]:
    found: dict[str, Field] = {}
    for model in models:
        for wire, item in fields_of(model).items():
            found.setdefault(wire, item)
    return found


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a (nested, annotated) union; the annotation itself when it is none."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    elif isinstance(annotation, TypeAliasType):
        yield from _alternatives(annotation.__value__)
    else:
        yield annotation


def _nested_marks(annotation: Any) -> Iterator[Any]:
    """Annotations inside of a type alias or of the members of a union."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        inner, *marks = get_args(annotation)
        yield from marks
        yield from _nested_marks(inner)
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _nested_marks(member)
    elif isinstance(annotation, TypeAliasType):
        yield from _nested_marks(annotation.__value__)


def _shape(annotation: Any) -> Shape:
    shapes = [_single(member) for member in _alternatives(annotation) if member is not type(None)]
    return _union(shapes)


def _single(annotation: Any) -> Shape:
    origin = get_origin(annotation) or annotation
    arguments = get_args(annotation)
    if not isinstance(origin, type):
        return Leaf()
    if issubclass(origin, SecretStr | SecretBytes):
        return Leaf(secret=True)
    if issubclass(origin, BaseModel):
        return Record((annotation if isinstance(annotation, type) else origin,))
    if issubclass(origin, str | bytes):
        return Leaf()
    if issubclass(origin, Mapping):
        return Entries(_shape(arguments[1]) if len(arguments) == 2 else Leaf())
    if issubclass(origin, Iterable) and arguments:
        return Items(_union([_shape(argument) for argument in arguments if argument is not Ellipsis]))
    return Leaf()


def _union(shapes: list[Shape]) -> Shape:
    records = [shape for shape in shapes if isinstance(shape, Record)]
    if records:
        return Record(tuple(dict.fromkeys(model for record in records for model in record.models)))
    for kind in (Items, Entries):
        nested = [shape.item for shape in shapes if isinstance(shape, kind)]
        if nested:
            return kind(_union(nested))
    return Leaf(any(isinstance(shape, Leaf) and shape.secret for shape in shapes))
