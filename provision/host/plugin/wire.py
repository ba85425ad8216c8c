"""Models to and from wire values: names, nulls, secrets, and tolerance towards what an older release recorded."""

import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import to_jsonable_python

from provision.host.plugin.shapes import Entries, Field, Items, Leaf, Record, Shape, record_of
from provision.host.values import OutputValue, SecretValue, encode_struct, plain
from provision.spi.properties import SIMPLE, UNKNOWN

M = TypeVar("M", bound=BaseModel)


def dump(model: BaseModel) -> dict[str, Any]:
    """The model's values under their wire names, secrets wrapped, nulls that say nothing left out."""
    return marked(model.model_dump(mode="python", by_alias=True, warnings=False), record_of(type(model)))


def marked(values: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Wire values with everything wrapped that the model calls secret, and scalars in JSON's kinds."""
    result: dict[str, Any] = {}
    fields = record.fields
    for key, item in values.items():
        declared = fields.get(key)
        if item is None and declared is not None and declared.omits_null:
            continue
        result[key] = _marked_field(item, declared)
    return result


def _marked_field(value: Any, declared: Field | None) -> Any:
    inner = _marked(value, declared.shape if declared else None)
    if declared is None or not declared.secret or value is None:
        return inner
    return SecretValue(plain(inner))


def _marked(value: Any, shape: Shape | None) -> Any:
    if type(value) in SIMPLE:
        return value
    if isinstance(value, SecretStr | SecretBytes):
        return SecretValue(value.get_secret_value())
    if isinstance(value, SecretValue):
        return SecretValue(plain(_marked(value.value, shape)))
    if value is UNKNOWN or value is None or isinstance(value, bool | int | float | str | OutputValue):
        return value
    if isinstance(value, Mapping):
        if isinstance(shape, Record):
            return marked(value, shape)
        inner = shape.item if isinstance(shape, Entries) else None
        return {str(key): _marked(item, inner) for key, item in value.items()}
    if isinstance(value, list | tuple):
        inner = shape.item if isinstance(shape, Items) else None
        return [_marked(item, inner) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_marked(item, None) for item in value)
    return to_jsonable_python(value)


def rewrap(value: Any, like: Any) -> Any:
    """`value` with everything secret that is secret at the same place of `like`."""
    if type(value) in SIMPLE and type(like) in SIMPLE:
        return value
    if isinstance(like, OutputValue):
        like = SecretValue(like.value) if like.secret else like.value
    if isinstance(value, SecretValue):
        return value
    if isinstance(like, SecretValue):
        return SecretValue(plain(value))
    if isinstance(value, Mapping) and isinstance(like, Mapping):
        return {key: rewrap(item, like[key]) if key in like else item for key, item in value.items()}
    if isinstance(value, list) and isinstance(like, list):
        return [rewrap(item, like[index]) if index < len(like) else item for index, item in enumerate(value)]
    return value


def mirrored(outputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs that keep secret what a program passed as a secret under the same name."""
    return {key: rewrap(item, inputs[key]) if key in inputs else item for key, item in outputs.items()}


def read_stored(model: type[M], values: Mapping[str, Any]) -> M:
    """A model from recorded values, whatever release recorded them.

    Properties that are no longer declared are dropped and absent ones that may be null are null. What still does not
    fit is passed on unchecked: refusing it would make the object impossible to delete.
    """
    known = _declared(plain(values), record_of(model))
    try:
        return model.model_validate(known)
    except ValidationError:
        fields = record_of(model).fields
        values = {fields[key].name: _field(fields[key], item) for key, item in known.items()}
        return model.model_construct(None, **values)


def adapter(field: Field) -> TypeAdapter[Any]:
    """What validates one field by its type and its constraints alone.

    Raises:
        PydanticSchemaGenerationError: that cannot be done without its model.
    """
    info = field.info
    kind: Any = typing.Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(kind)


def _field(field: Field, value: Any) -> Any:
    """One recorded field as the model would have it; as it is when it does not fit."""
    try:
        return adapter(field).validate_python(value)
    except (ValidationError, PydanticSchemaGenerationError):
        return _loose(value, field.shape)


def _loose(value: Any, shape: Shape) -> Any:
    if isinstance(shape, Record) and isinstance(value, Mapping):
        return read_stored(shape.models[0], value) if len(shape.models) == 1 else value
    if isinstance(shape, Entries) and isinstance(value, Mapping):
        return {key: _loose(item, shape.item) for key, item in value.items()}
    if isinstance(shape, Items) and isinstance(value, list):
        return [_loose(item, shape.item) for item in value]
    secret = isinstance(shape, Leaf) and shape.secret and isinstance(value, str)
    return SecretStr(value) if secret else value


def _declared(value: Any, shape: Shape) -> Any:
    if isinstance(value, Mapping) and isinstance(shape, Record):
        kept = {key: _declared(item, shape.fields[key].shape) for key, item in value.items() if key in shape.fields}
        for key, declared in shape.fields.items():
            if key not in kept and declared.info.is_required() and declared.nullable:
                kept[key] = None
        return kept
    if isinstance(value, Mapping) and isinstance(shape, Entries):
        return {key: _declared(item, shape.item) for key, item in value.items()}
    if isinstance(value, list) and isinstance(shape, Items):
        return [_declared(item, shape.item) for item in value]
    return value


def can_be_recorded(key: str, value: Any, record: Record) -> bool:
    """Whether the protocol can carry a property."""
    try:
        encode_struct(marked({key: value}, record), keep_unknowns=False)
    except (TypeError, ValueError):
        return False
    return True


def public(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the properties that Pulumi or this host keep for themselves (`__…`)."""
    return {key: item for key, item in values.items() if not key.startswith("__")}
