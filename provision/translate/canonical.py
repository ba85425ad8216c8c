"""A graph as canonical JSON, the same bytes for the same graph: for comparison, data files of tests, and `graph`."""

import enum
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from provision.spi import Output, ResourceGraph


def graph_json(graph: ResourceGraph, *, indent: int | None = None) -> str:
    """Components and nodes in their order, keys sorted; secrets show only that they are secret."""
    return json.dumps(graph_data(graph), sort_keys=True, indent=indent, ensure_ascii=False)


def graph_data(graph: ResourceGraph) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "components": [
            {
                "kind": part.kind,
                "name": part.name,
                "outputs": data(part.outputs),
                **({"aliases": list(part.aliases)} if part.aliases else {}),
            }
            for part in graph.components
        ],
        "nodes": [
            {
                "type": node.type.token,
                "name": node.name,
                "inputs": data(node.inputs),
                **({"parent": node.parent} if node.parent is not None else {}),
                **({"dependsOn": list(node.depends_on)} if node.depends_on else {}),
                **({"keep": True} if node.keep else {}),
                **({"protect": True} if node.protect else {}),
                **({"aliases": list(node.aliases)} if node.aliases else {}),
            }
            for node in graph.nodes
        ],
    }


def data(value: Any) -> Any:
    """JSON kinds for anything that may stand in an input."""
    if isinstance(value, Output):
        return {"$output": f"{value.node}#{value.property}"}
    if isinstance(value, SecretStr | SecretBytes):
        return {"$secret": True}
    if isinstance(value, BaseModel):
        return data({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        return {str(key): data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [data(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((data(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, enum.Enum):
        return data(value.value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value
    return str(value)
