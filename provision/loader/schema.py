"""The JSON Schema of stack files, from which editors complete, describe and check."""

from typing import Any

from provision.models import Stack

_EXPRESSION = {"type": "string", "pattern": r"\$\{(param|ref)\.[^}]+\}", "description": "An expression."}
_REFERENCE = {"$ref": "#/$defs/Expression"}
_REPLACEABLE = ("integer", "number", "boolean", "array")
_CONSTRAINTS = ("pattern", "format", "enum")
_NAMED_BY_PEOPLE = ("properties", "patternProperties", "$defs")
_LITERAL = ("default", "examples", "enum", "const", "required", "discriminator", "propertyNames")


def json_schema() -> dict[str, Any]:
    """The schema of a stack file, by the keys that a person writes.

    Where a value is not free text, an expression such as `${param.size}` is allowed too; `x-` keys are allowed in
    every map whose keys are fixed.
    """
    written = Stack.model_json_schema(by_alias=True, mode="validation")
    schema: dict[str, Any] = _loosened(written)
    for reserved in ("include", "modules"):
        schema["properties"].pop(reserved, None)
    definitions = schema["$defs"]
    definitions["Parameter"] = _with_free_keys(written["$defs"]["Parameter"])  # it cannot hold what it makes possible
    definitions["Expression"] = _EXPRESSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file",
        "description": "Virtual machines, and how they are isolated from and share with each other.",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def _loosened(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_loosened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    done: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED_BY_PEOPLE:
            done[key] = {name: _loosened(inner) for name, inner in value.items()}
        else:
            done[key] = value if key in _LITERAL else _loosened(value)
    if "const" in done:
        return done
    done = _with_free_keys(done)
    return _or_expression(done) if _is_constrained(done) else done


def _with_free_keys(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("additionalProperties") is False:
        return {**schema, "patternProperties": {"^x-": {}}}
    if "patternProperties" in schema:  # a map of names: pydantic lets a name that does not match pass
        return {**schema, "additionalProperties": False}
    return schema


def _is_constrained(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    if kind == "string":
        return schema.get("format") != "password" and any(key in schema for key in _CONSTRAINTS)
    return kind in _REPLACEABLE


def _or_expression(schema: dict[str, Any]) -> dict[str, Any]:
    outer = {key: schema[key] for key in ("title", "description", "default", "examples") if key in schema}
    inner: dict[str, Any] = {key: value for key, value in schema.items() if key not in outer}
    return outer | {"anyOf": [inner, _REFERENCE]}
