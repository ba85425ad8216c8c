"""Pulumi's types of pydantic's: scalars, lists, maps, objects, enumerations, choices with their tags."""

import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from provision.host.plugin.shapes import fields_of

ANY = {"$ref": "pulumi.json#/Any"}
SCALARS = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}

Spec = Mapping[str, Any]


class Types:
    """The named types of one package, collected while its properties are described."""

    def __init__(self, package: str, describe: Callable[[type[BaseModel], str], dict[str, Any]]) -> None:
        """Collect for `package`; `describe` gives the properties of a model in a module."""
        self.named: dict[str, Any] = {}
        self._package = package
        self._describe = describe
        self._tokens: dict[Any, str] = {}

    def of(self, annotation: Any, metadata: Iterable[Any], module: str, name: str) -> Spec:
        """The type of an annotation; `name` is what an enumeration is called that has no name of its own."""
        origin = get_origin(annotation)
        if origin is typing.Annotated:
            inner, *marks = get_args(annotation)
            return self.of(inner, [*metadata, *marks], module, name)
        if isinstance(annotation, TypeAliasType):
            return self.of(annotation.__value__, metadata, module, name)
        if origin in (Union, types.UnionType):
            return self._union([a for a in get_args(annotation) if a is not type(None)], metadata, module, name)
        if origin is Literal:
            return self._literal(get_args(annotation), module, name)
        kind = origin or annotation
        if not isinstance(kind, type):
            return ANY
        if issubclass(kind, SecretStr | SecretBytes):
            return {"type": "string"}
        if issubclass(kind, BaseModel):
            return {"$ref": f"#/types/{self._model(annotation, module)}"}
        if issubclass(kind, enum.Enum):
            return self._enum(kind, module)
        arguments = get_args(annotation)
        if issubclass(kind, Mapping):
            item = self.of(arguments[1], (), module, name) if len(arguments) == 2 else ANY
            return {"type": "object", "additionalProperties": item}
        if issubclass(kind, Iterable) and not issubclass(kind, str | bytes) and arguments:
            members = list(dict.fromkeys(a for a in arguments if a is not Ellipsis))
            return {"type": "array", "items": self._union(members, (), module, name)}
        return scalar(annotation, metadata)

    def _union(self, members: Sequence[Any], metadata: Iterable[Any], module: str, name: str) -> Spec:
        found: list[Spec] = []
        for member in members:
            spec = self.of(member, metadata if len(members) == 1 else (), module, name)
            found += [item for item in spec.get("oneOf", [spec]) if item not in found]
        if len(found) == 1:
            return found[0]
        if ANY in found:
            return ANY
        tagged = self._tag(list(flat(members)), metadata, module)
        return {"oneOf": found, "discriminator": tagged} if tagged else {"oneOf": found}

    def _tag(self, members: Sequence[Any], metadata: Iterable[Any], module: str) -> Spec | None:
        """By which property one can tell the members apart, if every one says so."""
        if not all(isinstance(member, type) and issubclass(member, BaseModel) for member in members):
            return None
        wanted = [mark.discriminator for mark in metadata if isinstance(mark, FieldInfo) and mark.discriminator]
        for wire, field in fields_of(members[0]).items():
            if wanted and field.name not in wanted:
                continue
            values = [
                literal(fields_of(member)[wire].info.annotation) for member in members if wire in fields_of(member)
            ]
            tags = [str(value) for group in values for value in group]
            if len(values) == len(members) and all(values) and len(set(tags)) == len(tags):
                mapping = {
                    str(tag): f"#/types/{self._model(member, module)}"
                    for member, group in zip(members, values, strict=True)
                    for tag in group
                }
                return {"propertyName": wire, "mapping": mapping}
        return None

    def _literal(self, values: Sequence[Any], module: str, name: str) -> Spec:
        values = [value.value if isinstance(value, enum.Enum) else value for value in values]
        kinds = {type(value) for value in values}
        if len(kinds) != 1:
            return ANY
        found = scalar(kinds.pop(), ())
        if len(values) == 1 or found.get("type") != "string":
            return found
        key = (module, name, tuple(values))
        if key not in self._tokens:
            token = self._tokens[key] = self._token(name, module)
            self.named[token] = {
                "type": "string",
                "description": f"One of: {', '.join(f'`{value}`' for value in values)}.",
                "enum": [_named(value) for value in values],
            }
        return {"type": "string", "$ref": f"#/types/{self._tokens[key]}"}

    def _enum(self, kind: type[enum.Enum], module: str) -> Spec:
        values = [{"name": member.name, "value": member.value} for member in kind]
        found = scalar(type(next(iter(kind)).value), ())
        if "type" not in found:
            return ANY
        if kind not in self._tokens:
            token = self._tokens[kind] = self._token(kind.__name__, module)
            self.named[token] = {"type": found["type"], "description": text(kind), "enum": values}
        return {"type": found["type"], "$ref": f"#/types/{self._tokens[kind]}"}

    def _model(self, model: Any, module: str) -> str:
        if model not in self._tokens:
            token = self._tokens[model] = self._token(model.__name__, module)
            self.named[token] = {}  # keeps the place: a model may contain itself
            self.named[token] = {"type": "object", "description": text(model), **self._describe(model, module)}
        return self._tokens[model]

    def _token(self, name: str, module: str) -> str:
        cleaned = "".join(c for c in name if c.isalnum())
        base = token = f"{self._package}:{module}:{cleaned}"
        number = 2
        while token in self._tokens.values():
            token, number = f"{base}{number}", number + 1
        return token


def flat(members: Iterable[Any]) -> Iterable[Any]:
    """The members of a union, with those of unions inside of it."""
    for member in members:
        if get_origin(member) is typing.Annotated:
            yield from flat(get_args(member)[:1])
        elif get_origin(member) in (Union, types.UnionType):
            yield from flat(get_args(member))
        elif isinstance(member, TypeAliasType):
            yield from flat([member.__value__])
        else:
            yield member


def literal(annotation: Any) -> tuple[Any, ...]:
    """The values of a `Literal`; none for any other annotation."""
    if get_origin(annotation) is typing.Annotated:
        return literal(get_args(annotation)[0])
    if get_origin(annotation) is not Literal:
        return ()
    return tuple(value.value if isinstance(value, enum.Enum) else value for value in get_args(annotation))


def scalar(annotation: Any, metadata: Iterable[Any]) -> Spec:
    """The kind of JSON value that a leaf is written as."""
    marks = [mark for mark in metadata if not isinstance(mark, FieldInfo)]
    try:
        described = TypeAdapter(typing.Annotated[annotation, *marks] if marks else annotation).json_schema(
            mode="serialization"
        )
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return ANY
    kind = described.get("type")
    return {"type": SCALARS[kind]} if isinstance(kind, str) and kind in SCALARS else ANY


def text(documented: Any) -> str:
    """The docstring's meaning, without the section on attributes; one that is inherited says nothing."""
    found = inspect.cleandoc(documented.__dict__.get("__doc__") or "")
    return found.split("\n\nAttributes:")[0].strip()


def _named(value: str) -> Spec:
    """A value of an enumeration with a name that every language can have."""
    words = re.findall(r"[A-Za-z0-9]+", value)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return {"name": name if name[:1].isalpha() else f"Value{name}", "value": value}
