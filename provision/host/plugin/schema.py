"""Pulumi's schema of a plugin, from its pydantic models: what every language's SDK and the engine's tools read."""

import enum
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from provision.host.plugin.schema_types import SCALARS, Types, literal, text
from provision.host.plugin.shapes import Field, fields_of
from provision.host.setup import semantic_version
from provision.spi.functions import AnyFunction
from provision.spi.properties import Change
from provision.spi.provider import Provider
from provision.spi.resource import CanList, CanRead, CanUpdate, ResourceType

LANGUAGES = ("nodejs", "python", "go", "csharp")

_CHANGES = {
    Change.RESTART: "A change restarts the object.",
    Change.REPLACE: "A change makes the object anew.",
    Change.DESTROYS_DATA: "A change makes the object anew and destroys its data.",
}


def schema_json(provider: Provider[Any, Any], kinds: Sequence[type[ResourceType[Any, Any, Any]]]) -> str:
    """The schema document."""
    return json.dumps(schema(provider, kinds))


def schema(provider: Provider[Any, Any], kinds: Sequence[type[ResourceType[Any, Any, Any]]]) -> dict[str, Any]:
    """The schema as Pulumi's metaschema (`pkg/codegen/schema/pulumi.json`) wants it."""
    package = f"provision-{provider.name}"
    builder = _Builder(package)
    config = builder.object(provider.Config, "config")
    resources = {f"{package}:{kind.token}": builder.resource(kind) for kind in kinds}
    functions = {f"{package}:{kind.token}": builder.function(kind) for kind in provider.functions}
    return {
        "name": package,
        "version": semantic_version(provider.version),
        "description": text(type(provider)),
        "meta": {"moduleFormat": "(.*)"},
        "language": {language: {"respectSchemaVersion": True} for language in LANGUAGES},
        "config": {"variables": config["properties"], "defaults": config["required"]},
        "provider": {
            "description": text(provider.Config) or text(type(provider)),
            "inputProperties": config["properties"],
            "requiredInputs": config["required"],
        },
        "resources": resources,
        "functions": functions,
        "types": builder.types.named,
    }


class _Builder:
    def __init__(self, package: str) -> None:
        self.types = Types(package, self.object)

    def resource(self, kind: type[ResourceType[Any, Any, Any]]) -> dict[str, Any]:
        module = kind.token.split(":")[0]
        inputs = self.object(kind.Inputs, module)
        outputs = self.object(kind.Outputs, module, present=True)
        hidden = {wire for wire, field in fields_of(kind.Inputs).items() if field.write_only}
        for wire, spec in outputs["properties"].items():  # what mirrors an input is described by it
            words = fields_of(kind.Inputs)[wire].info.description if wire in inputs["properties"] else None
            if words:
                spec.setdefault("description", words)
        described = {
            "description": "\n\n".join(filter(None, (text(kind), *_limits(kind)))),
            "inputProperties": inputs["properties"],
            "requiredInputs": inputs["required"],
            "properties": {wire: item for wire, item in outputs["properties"].items() if wire not in hidden},
            "required": [wire for wire in outputs["required"] if wire not in hidden],
        }
        if isinstance(can_list := kind(), CanList):
            described["listInputs"] = {"type": "object", **self.object(can_list.Query, module)}
        return described

    def function(self, kind: type[AnyFunction]) -> dict[str, Any]:
        module = kind.token.split(":")[0]
        return {
            "description": text(kind),
            "inputs": {"type": "object", "description": text(kind.Arguments), **self.object(kind.Arguments, module)},
            "outputs": {
                "type": "object",
                "description": text(kind.Result),
                **self.object(kind.Result, module, present=True, own=False),
            },
        }

    def object(self, model: type[BaseModel], module: str, *, present: bool = False, own: bool = True) -> dict[str, Any]:
        """Properties of a model.

        Args:
            model: the model.
            module: that its types are put into.
            present: whether properties are there even when they have a default, as outputs are, unless they may be
                null.
            own: whether it is a resource, which has an `id` and a `urn` by itself.
        """
        properties: dict[str, Any] = {}
        required: list[str] = []
        for wire, field in fields_of(model).items():
            if own and present and wire in ("id", "urn"):
                continue
            properties[wire] = self._property(field, model, module)
            if present:
                for key in ("default", "defaultInfo", "willReplaceOnChanges"):
                    properties[wire].pop(key, None)
            if (field.info.is_required() or present) and not field.nullable:
                required.append(wire)
        return {"properties": properties, "required": sorted(required)}

    def _property(self, field: Field, model: type[BaseModel], module: str) -> dict[str, Any]:
        info = field.info
        name = _owner(model) + field.wire[:1].upper() + field.wire[1:]
        spec: dict[str, Any] = dict(self.types.of(info.annotation, [*info.metadata, info], module, name))
        if described := _description(field):
            spec["description"] = described
        if field.secret:
            spec["secret"] = True
        if field.replaces:
            spec["willReplaceOnChanges"] = True
        values = literal(info.annotation)
        plain = spec.get("type") in SCALARS
        if len(values) == 1 and plain:
            spec["const"] = values[0]
            spec.setdefault("description", f"Always `{values[0]}`.")
        default = info.default.value if isinstance(info.default, enum.Enum) else info.default
        if isinstance(default, bool | int | float | str) and plain and not info.is_required() and "const" not in spec:
            spec["default"] = default
        if field.environment and plain:
            spec["defaultInfo"] = {"environment": list(field.environment)}
        if field.deprecation:
            spec["deprecationMessage"] = field.deprecation
        return spec


def _owner(model: type[BaseModel]) -> str:
    name = model.__name__
    for end in ("Inputs", "Outputs"):
        name = name.removesuffix(end)
    return name


def _description(field: Field) -> str:
    """The field's own words, and what its annotations promise."""
    said = [field.info.description or ""]
    said += [_CHANGES[field.change]] if field.change in _CHANGES else []
    said += [f"{mark.description[:1].upper()}{mark.description[1:]}." for mark in field.normalized]
    if field.write_only:
        said.append("Write-only: Pulumi's state holds a salted digest of it.")
    if field.auto_name:
        said.append("When it is not given, a name is made once and kept.")
    if field.sticky:
        said.append("When it is not given, it is chosen once and kept.")
    if field.drifts:
        said.append("It may be changed by others: a refresh keeps what was recorded.")
    if field.environment:
        said.append(f"When it is not given, it comes from the environment: {', '.join(field.environment)}.")
    return " ".join(filter(None, said))


def _limits(kind: type[ResourceType[Any, Any, Any]]) -> list[str]:
    said = []
    if not issubclass(kind, CanUpdate):
        said.append("Every change makes the object anew.")
    if not issubclass(kind, CanRead):
        said.append("It cannot be looked at: a refresh keeps the last known state, and it cannot be imported.")
    return said
