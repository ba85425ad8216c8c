"""Pulumi's schema of a plugin, from its pydantic models: what every language's SDK and the engine's tools read."""

import enum
import inspect
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from typing_extensions import TypeAliasType

from provision.host.plugin.shapes import Field, fields_of
from provision.host.setup import semantic_version
from provision.spi.provider import Provider
from provision.spi.resource import ResourceType

ANY = {"$ref": "pulumi.json#/Any"}
_SCALARS = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}


def schema_json(provider: Provider[Any, Any], kinds: Sequence[type[ResourceType[Any, Any, Any]]]) -> str:
    """The schema document."""
    return json.dumps(schema(provider, kinds))


def schema(provider: Provider[Any, Any], kinds: Sequence[type[ResourceType[Any, Any, Any]]]) -> dict[str, Any]:
    """The schema as Pulumi's metaschema (`pkg/codegen/schema/pulumi.json`) wants it."""
    package = f"provision-{provider.name}"
    builder = _Builder(package)
    config = builder.object(provider.Config, "config", always_present=False)
    resources = {f"{package}:{kind.token}": builder.resource(kind) for kind in kinds}
    return {
        "name": package,
        "version": semantic_version(provider.version),
        "description": _text(type(provider)),
        "config": {"variables": config["properties"], "defaults": config["required"]},
        "provider": {
            "description": _text(provider.Config),
            "inputProperties": config["properties"],
            "requiredInputs": config["required"],
        },
        "resources": resources,
        "types": builder.types,
    }


class _Builder:
    def __init__(self, package: str) -> None:
        self.types: dict[str, Any] = {}
        self._package = package
        self._tokens: dict[Any, str] = {}

    def resource(self, kind: type[ResourceType[Any, Any, Any]]) -> dict[str, Any]:
        module = kind.token.split(":")[0]
        inputs = self.object(kind.Inputs, module, always_present=False)
        outputs = self.object(kind.Outputs, module, always_present=True)
        return {
            "description": _text(kind),
            "inputProperties": inputs["properties"],
            "requiredInputs": inputs["required"],
            "properties": outputs["properties"],
            "required": outputs["required"],
        }

    def object(self, model: type[BaseModel], module: str, *, always_present: bool) -> dict[str, Any]:
        """Properties of a model; outputs are present even when they have a default, unless they may be null."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        for wire, field in fields_of(model).items():
            if wire in ("id", "urn"):  # every resource has them
                continue
            properties[wire] = self._property(field, module)
            if always_present:
                properties[wire].pop("default", None)
            if (field.info.is_required() or always_present) and not field.nullable:
                required.append(wire)
        return {"properties": properties, "required": sorted(required)}

    def _property(self, field: Field, module: str) -> dict[str, Any]:
        info = field.info
        spec: dict[str, Any] = dict(self._type(info.annotation, info.metadata, module, field.name))
        if info.description:
            spec["description"] = info.description
        if field.secret:
            spec["secret"] = True
        if field.replaces:
            spec["willReplaceOnChanges"] = True
        default = info.default.value if isinstance(info.default, enum.Enum) else info.default
        if isinstance(default, bool | int | float | str) and spec.get("type") in _SCALARS and not info.is_required():
            spec["default"] = default
        if info.deprecated:
            spec["deprecationMessage"] = info.deprecated if isinstance(info.deprecated, str) else "deprecated"
        return spec

    def _type(self, annotation: Any, metadata: Iterable[Any], module: str, name: str) -> Mapping[str, Any]:
        origin = get_origin(annotation)
        if origin is typing.Annotated:
            inner, *marks = get_args(annotation)
            return self._type(inner, [*metadata, *marks], module, name)
        if isinstance(annotation, TypeAliasType):
            return self._type(annotation.__value__, metadata, module, name)
        if origin in (Union, types.UnionType):
            return self._union([a for a in get_args(annotation) if a is not type(None)], metadata, module, name)
        if origin is Literal:
            return self._literal(get_args(annotation))
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
            item = self._type(arguments[1], (), module, name) if len(arguments) == 2 else ANY
            return {"type": "object", "additionalProperties": item}
        if issubclass(kind, Iterable) and not issubclass(kind, str | bytes) and arguments:
            members = list(dict.fromkeys(a for a in arguments if a is not Ellipsis))
            return {"type": "array", "items": self._union(members, (), module, name)}
        return _scalar(annotation, metadata)

    def _union(self, members: Sequence[Any], metadata: Iterable[Any], module: str, name: str) -> Mapping[str, Any]:
        found: list[Mapping[str, Any]] = []
        for member in members:
            spec = self._type(member, metadata if len(members) == 1 else (), module, name)
            if spec not in found:
                found.append(spec)
        if len(found) == 1:
            return found[0]
        return ANY if ANY in found else {"oneOf": found}

    def _literal(self, values: Sequence[Any]) -> Mapping[str, Any]:
        values = [value.value if isinstance(value, enum.Enum) else value for value in values]
        kinds = {type(value) for value in values}
        return _scalar(kinds.pop(), ()) if len(kinds) == 1 else ANY

    def _enum(self, kind: type[enum.Enum], module: str) -> Mapping[str, Any]:
        values = [{"name": member.name, "value": member.value} for member in kind]
        scalar = _scalar(type(next(iter(kind)).value), ())
        if "type" not in scalar:
            return ANY
        if kind not in self._tokens:
            token = self._tokens[kind] = self._token(kind.__name__, module)
            self.types[token] = {"type": scalar["type"], "description": _text(kind), "enum": values}
        return {"type": scalar["type"], "$ref": f"#/types/{self._tokens[kind]}"}

    def _model(self, model: Any, module: str) -> str:
        if model not in self._tokens:
            token = self._tokens[model] = self._token(model.__name__, module)
            self.types[token] = {}  # keeps the place: a model may contain itself
            self.types[token] = {
                "type": "object",
                "description": _text(model),
                **self.object(model, module, always_present=False),
            }
        return self._tokens[model]

    def _token(self, name: str, module: str) -> str:
        cleaned = "".join(c for c in name if c.isalnum())
        base = token = f"{self._package}:{module}:{cleaned}"
        number = 2
        while token in self._tokens.values():
            token, number = f"{base}{number}", number + 1
        return token


def _scalar(annotation: Any, metadata: Iterable[Any]) -> Mapping[str, Any]:
    """The kind of JSON value that a leaf is written as."""
    try:
        described = TypeAdapter(typing.Annotated[annotation, *metadata] if metadata else annotation).json_schema(
            mode="serialization"
        )
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return ANY
    kind = described.get("type")
    return {"type": _SCALARS[kind]} if isinstance(kind, str) and kind in _SCALARS else ANY


def _text(documented: Any) -> str:
    """The docstring's meaning, without the section on attributes."""
    text = inspect.cleandoc(documented.__doc__ or "")
    return text.split("\n\nAttributes:")[0].strip()
