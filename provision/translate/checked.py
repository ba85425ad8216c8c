"""A plugin's graph held against its own models, before the engine sees any of it."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Required

from pydantic import (
    BaseModel,
    ConfigDict,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
    create_model,
)
from typing_extensions import TypedDict

from provision.errors import PluginError
from provision.spi import Node, OwnedInputs, Provider, ResourceGraph, references

_STACK_ID = "0" * 32


def checked(provider: Provider[Any, Any], graph: ResourceGraph) -> ResourceGraph:
    """The graph, once every input of every node fits its model; what refers to an output is not known yet and passes.

    Raises:
        PluginError: naming node, input and expectation.
    """
    kinds = set(provider.resource_types)
    components = {component.name for component in graph.components}
    for node in graph.nodes:
        if node.type not in kinds:
            raise _wrong(provider, node.name, f"'{node.type.__name__}' is not among the plugin's resource types")
        if node.parent is not None and node.parent not in components:
            raise _wrong(provider, node.name, f"its parent '{node.parent}' is not in the graph")
        _references(provider, node, graph.named)
        try:
            _inputs(node)
        except ValidationError as error:
            raise _wrong(provider, node.name, _first(error, node)) from None
    return graph


def _wrong(provider: Provider[Any, Any], node: str, problem: str) -> PluginError:
    return PluginError(f"plugin '{provider.name}' translated '{node}' wrongly: {problem}", "report this to its author")


def _first(error: ValidationError, node: Node) -> str:
    """The first of pydantic's findings, by Python name."""
    found = error.errors(include_input=False, include_url=False)[0]
    names = {field.alias: name for name, field in node.type.Inputs.model_fields.items() if field.alias}
    head, *rest = [str(part) for part in found["loc"]] or [""]
    return f"input '{'.'.join([names.get(head, head), *rest])}': {found['msg']}"


def _references(provider: Provider[Any, Any], node: Node, nodes: Mapping[str, Node]) -> None:
    for reference in references(node.inputs):
        target = nodes.get(reference.node)
        if target is None:
            raise _wrong(provider, node.name, f"it refers to '{reference.node}', which is not in the graph")
        if reference.property != "id" and reference.property not in target.type.Outputs.model_fields:
            raise _wrong(
                provider, node.name, f"it refers to '{reference.property}' of '{target.name}', which has no such output"
            )


def _inputs(node: Node) -> None:
    model = node.type.Inputs
    given: dict[str, Any] = _in_the_clear(node.inputs)
    if issubclass(model, OwnedInputs):
        given.setdefault("stack_id", _STACK_ID)
    open_fields = {name for name, value in given.items() if next(references(value), None) is not None}
    if not open_fields:
        model.model_validate(given)
        return
    # Rules across fields cannot be asked while one is open; the plugin's own process asks them again with all values.
    _shape(model, frozenset(given)).model_validate(dict.fromkeys(given))
    for name, value in given.items():
        if name not in open_fields:
            alias = model.model_fields[name].alias or name
            _field(model, name).validate_python({alias: value})


def _in_the_clear(value: Any) -> Any:
    """Secrets may stand anywhere, also where the model wants text: on the wire the mark is around the value."""
    if isinstance(value, SecretStr | SecretBytes):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _in_the_clear(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_the_clear(item) for item in value]
    return value


@cache
def _shape(model: type[BaseModel], given: frozenset[str]) -> type[BaseModel]:
    """A model that accepts anything under the names of `model`, and nothing under others."""
    fields: dict[str, Any] = {
        name: (Any, ... if field.is_required() else None) for name, field in model.model_fields.items()
    }
    return create_model(f"{model.__name__}Shape", __config__=ConfigDict(extra="forbid"), **fields)


@cache
def _field(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """A validator for one field alone, whose errors name it."""
    info = model.model_fields[name]
    alias = info.alias or name
    return TypeAdapter(TypedDict("Field", {alias: Required[Annotated[info.annotation, info]]}))  # type: ignore[operator]
