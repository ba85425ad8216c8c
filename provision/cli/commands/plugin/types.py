"""Resource types and functions of a plugin as plain data: their fields, and what a change of each does."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from provision.host.plugin.schema import schema
from provision.host.plugin.shapes import fields_of
from provision.spi import (
    AutoName,
    CanCheck,
    CanChoose,
    CanDelete,
    CanList,
    CanRead,
    CanUpdate,
    CanWait,
    Change,
    Computed,
    Drift,
    Normalized,
    OnChange,
    OwnedInputs,
    Provider,
    ResourceType,
    Sticky,
    WriteOnly,
)

AnyType = type[ResourceType[Any, Any, Any]]

_ABILITIES: Mapping[type, str] = {
    CanRead: "read (refresh, import)",
    CanUpdate: "update",
    CanDelete: "delete",
    CanCheck: "check",
    CanWait: "wait",
    CanChoose: "choose",
    CanList: "list",
}
_LACKING: Mapping[type, str] = {
    CanRead: "no read: a refresh keeps the last known state, and import is impossible",
    CanUpdate: "no update: every change replaces the object",
    CanDelete: "no delete: a delete only forgets the object",
}


def summary(documented: Any) -> str:
    """The first paragraph of a docstring."""
    return " ".join((documented.__doc__ or "").strip().split("\n\n")[0].split())


def resource_type(provider: Provider[Any, Any], kind: AnyType) -> dict[str, Any]:
    """Everything about one resource type."""
    described = schema(provider, [kind])
    found = described["resources"][f"provision-{provider.name}:{kind.token}"]
    made = kind()  # protocols with attributes can only be asked of instances
    can = [word for protocol, word in _ABILITIES.items() if isinstance(made, protocol)]
    lacks = [word for protocol, word in _LACKING.items() if not isinstance(made, protocol)]
    replaces = not isinstance(made, CanUpdate)
    return {
        "token": f"provision-{provider.name}:{kind.token}",
        "description": summary(kind),
        "can": ["create", *can],
        "lacks": lacks,
        "replacement": kind.replacement.value,
        "owned": issubclass(kind.Inputs, OwnedInputs),
        "service": kind.service,
        "timeouts": {
            name: seconds
            for name in ("create", "read", "update", "delete")
            if (seconds := getattr(kind.timeouts, name)) is not None
        },
        "schema_version": kind.schema_version,
        "inputs": [
            {**item, "change": _change(kind.Inputs, item["name"], replaces)}
            for item in _fields(kind.Inputs, found["inputProperties"], found.get("requiredInputs", ()))
        ],
        "outputs": [
            {**item, "known": _known(kind, item["name"])} for item in _fields(kind.Outputs, found["properties"], None)
        ],
        "types": _types(described, (found["inputProperties"], found["properties"])),
    }


def functions(provider: Provider[Any, Any]) -> list[dict[str, Any]]:
    """Every data function, by its arguments and its result."""
    described = schema(provider, [])
    found = []
    for function in provider.functions:
        token = f"provision-{provider.name}:{function.token}"
        spec = described["functions"][token]
        parts = [spec.get(part) or {} for part in ("inputs", "outputs")]
        arguments, result = (_listed(part.get("properties", {}), part.get("required", ())) for part in parts)
        found.append(
            {
                "token": token,
                "description": summary(function),
                "service": function.service,
                "arguments": arguments,
                "result": result,
                "types": _types(described, (part.get("properties", {}) for part in parts)),
            }
        )
    return found


def settings(provider: Provider[Any, Any]) -> list[dict[str, Any]]:
    """The plugin's configuration."""
    variables = schema(provider, [])["config"]["variables"]
    required = [field.alias or name for name, field in provider.Config.model_fields.items() if field.is_required()]
    return [
        {**item, "name": f"provision-{provider.name}:{item['name']}"}
        for item in _fields(provider.Config, variables, required)
    ]


def _fields(
    model: type[BaseModel], described: Mapping[str, Any], required: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    shapes = fields_of(model)
    for wire, spec in described.items():
        info = shapes[wire].info if wire in shapes else None
        default = None
        if info is not None and required is not None and not info.is_required():
            default = info.get_default(call_default_factory=True)
        yield {
            "name": wire,
            "type": type_words(spec),
            "required": None if required is None else wire in required,
            "default": _shown(default),
            "environment": list(spec.get("defaultInfo", {}).get("environment", ())),
            "secret": bool(spec.get("secret")) or _marked(model, wire, WriteOnly) is not None,
            "notes": list(_notes(model, wire)),
            "deprecated": spec.get("deprecationMessage"),
            "description": info.description or "" if info is not None else spec.get("description", ""),
        }


def _shown(default: Any) -> Any:
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json", by_alias=True)
    return default if default is None or isinstance(default, bool | int | float | str | list | dict) else str(default)


def _marked(model: type[BaseModel], wire: str, mark: type) -> Any:
    field = fields_of(model).get(wire)
    return next((item for item in field.info.metadata if isinstance(item, mark)), None) if field else None


def _notes(model: type[BaseModel], wire: str) -> Iterator[str]:
    if issubclass(model, OwnedInputs) and wire == "stackId":
        yield "given by the framework"
    if _marked(model, wire, WriteOnly):
        yield "write-only: state holds a digest"
    if (normal := _marked(model, wire, Normalized)) is not None:
        yield str(normal.description)
    if _marked(model, wire, Drift) is Drift.IGNORE:
        yield "changes made outside are left alone"
    if _marked(model, wire, AutoName):
        yield "a name is made when none is given"
    if (choice := _marked(model, wire, Sticky)) is not None:
        yield f"chosen once, for {', '.join(choice.request)}, and kept"


def _change(model: type[BaseModel], wire: str, replaces: bool) -> str:
    mark = _marked(model, wire, OnChange)
    change = mark.change if mark is not None else Change.IN_PLACE
    return str(Change.REPLACE if replaces and change in (Change.IN_PLACE, Change.RESTART) else change)


def _known(kind: AnyType, output: str) -> str:
    """When an output is known."""
    computed = _marked(kind.Outputs, output, Computed)
    if computed is None:
        if output in fields_of(kind.Inputs):
            return "as the input"
        return "after create"
    if computed.depends_on:
        wire = {field.name: name for name, field in fields_of(kind.Inputs).items()}
        return f"after create, and after a change of {', '.join(wire.get(name, name) for name in computed.depends_on)}"
    return "after create; never changes"


def type_words(spec: Mapping[str, Any]) -> str:
    """A type of Pulumi's schema as a person would say it."""
    if "oneOf" in spec:
        return " or ".join(type_words(item) for item in spec["oneOf"])
    if "const" in spec:
        return f"'{spec['const']}'"
    reference = str(spec.get("$ref", ""))
    if reference.startswith("#/types/"):
        return reference.rpartition(":")[2]
    match spec.get("type"):
        case "array":
            return f"list of {type_words(spec.get('items', {}))}"
        case "object":
            return f"map of {type_words(spec.get('additionalProperties', {}))}"
        case str(word):
            return word
        case _:
            return "any value"


def _listed(properties: Mapping[str, Any], required: Collection[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": wire,
            "type": type_words(spec),
            "required": wire in required,
            "secret": bool(spec.get("secret")),
            "description": spec.get("description", ""),
        }
        for wire, spec in properties.items()
    ]


def _types(described: Mapping[str, Any], roots: Iterable[Any]) -> list[dict[str, Any]]:
    """The nested objects and enumerations that are reached from some properties."""
    types = described.get("types", {})
    left, reached = list(roots), dict[str, Any]()
    while left:
        for token in re.findall(r'"#/types/([^"]+)"', json.dumps(left.pop(0))):
            name = token.replace("%2F", "/")
            if name in types and name not in reached:
                reached[name] = types[name]
                left.append(types[name])
    return [
        {
            "name": token.rpartition(":")[2],
            "description": spec.get("description", ""),
            "values": [item["value"] for item in spec.get("enum", ())],
            "fields": _listed(spec.get("properties", {}), spec.get("required", ())),
        }
        for token, spec in reached.items()
    ]
