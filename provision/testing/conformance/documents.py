"""What is wrong with a Pulumi schema: references to nothing, names that no language can bind, missing descriptions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_FRAMEWORK = "index"
"""The module of the framework's own types, which every plugin serves and none can mend."""

_NAME = re.compile(r"^[a-zA-Z_$][a-zA-Z0-9_$]*$")
_TOKEN = re.compile(r"^[a-zA-Z][-a-zA-Z0-9_]*:[a-zA-Z][-a-zA-Z0-9_/]*:[a-zA-Z][a-zA-Z0-9_]*$")
_RESERVED = frozenset({"id", "urn", "pulumi"})
_SCALARS = frozenset({"boolean", "integer", "number", "string"})
_ELSEWHERE = ("pulumi.json#/",)


def faults(schema: Mapping[str, Any]) -> list[str]:
    """Everything that Pulumi's tools would refuse."""
    return list(_faults(schema))


def _faults(schema: Mapping[str, Any]) -> Iterator[str]:
    for key in ("name", "version", "resources"):
        if not schema.get(key):
            yield f"`{key}` is missing"
    types = schema.get("types", {})
    for section in ("resources", "types", "functions"):
        for token in schema.get(section, {}):
            if not _TOKEN.match(token):
                yield f"'{token}' is no token"
            elif token.split(":")[0] != schema.get("name"):
                yield f"'{token}' is not of the package '{schema.get('name')}'"
    for place, properties, required in _objects(schema):
        for name in required:
            if name not in properties:
                yield f"{place} requires '{name}', which it does not have"
        for name, spec in properties.items():
            if not _NAME.match(name):
                yield f"{place}.{name} is no name that a language can bind"
            if place.startswith("resources/") and name in _RESERVED:
                yield f"{place}.{name} is reserved by Pulumi"
            yield from _type(spec, types, f"{place}.{name}")


def _type(spec: Mapping[str, Any], types: Mapping[str, Any], place: str) -> Iterator[str]:
    reference, kind = spec.get("$ref"), spec.get("type")
    if isinstance(reference, str):
        if reference.startswith("#/types/"):
            if reference.removeprefix("#/types/").replace("%2F", "/") not in types:
                yield f"{place} refers to {reference}, which is not there"
        elif not reference.startswith(_ELSEWHERE) and not reference.startswith("/"):
            yield f"{place} refers to {reference}, which cannot be looked up"
    elif "oneOf" in spec:
        for item in spec["oneOf"]:
            yield from _type(item, types, place)
    elif kind == "array":
        yield from _type(spec.get("items") or {}, types, f"{place}[]")
    elif kind == "object":
        if "additionalProperties" in spec:
            yield from _type(spec["additionalProperties"], types, f"{place}{{}}")
    elif kind not in _SCALARS:
        yield f"{place} has no type"


def undocumented(schema: Mapping[str, Any]) -> list[str]:
    """Places that nothing is said of."""
    found = []
    for section in ("resources", "types", "functions"):
        for token, spec in schema.get(section, {}).items():
            if not _of_framework(token) and not str(spec.get("description") or "").strip():
                found.append(token)
    for place, properties, _ in _objects(schema):
        if not _of_framework(place.partition("/")[2]):
            bare = (name for name, spec in properties.items() if not str(spec.get("description") or "").strip())
            found += [f"{place}.{name}" for name in bare]
    return sorted(set(found))


def _of_framework(token: str) -> bool:
    return token.split(":")[1:2] == [_FRAMEWORK]


def _objects(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """Everything with properties: its place, the properties and which of them are required."""
    yield "config", schema.get("config", {}).get("variables", {}), schema.get("config", {}).get("defaults", [])
    for token, spec in schema.get("resources", {}).items():
        yield f"resources/{token}", spec.get("inputProperties", {}), spec.get("requiredInputs", [])
        yield f"resources/{token}", spec.get("properties", {}), spec.get("required", [])
    for token, spec in schema.get("types", {}).items():
        if "enum" not in spec:
            yield f"types/{token}", spec.get("properties", {}), spec.get("required", [])
    for token, spec in schema.get("functions", {}).items():
        for part in ("inputs", "outputs"):
            inner = spec.get(part) or {}
            yield f"functions/{token}", inner.get("properties", {}), inner.get("required", [])
