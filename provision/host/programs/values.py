"""Values of a program on their way into inputs: outputs of other resources, models, secrets."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pydantic import BaseModel, SecretBytes, SecretStr

from provision.host.deploying.wire import wire_inputs
from provision.host.kinds import SecretValue
from provision.spi import Output

_RUN = secrets.token_hex(4)
_TOKEN = re.compile(f"later-{_RUN}-([0-9]+)-")
_NOTES = "_provision_notes"


@dataclass
class _Notes:
    """What is kept of one program, on its root resource, with which it goes.

    Attributes:
        outputs: those that texts of `later` stand for.
        identity: the program's identity, once it is asked for.
    """

    outputs: list[pulumi.Output[Any]] = field(default_factory=list)
    identity: pulumi.Output[str] | None = None


def _notes() -> _Notes:
    root = pulumi.runtime.get_root_resource()
    if root is None:
        raise RuntimeError("there is no Pulumi program here: call this inside of one")
    found: _Notes = root.__dict__.setdefault(_NOTES, _Notes())
    return found


def later(output: pulumi.Output[str]) -> str:
    """A text that stands for a value which is known later, for a field of a model whose type is `str`.

    It may be a part of a longer text. Where a model wants another form, such as a MAC address, or another type, give
    the inputs as a mapping: there outputs may stand as they are.
    """
    outputs = _notes().outputs
    outputs.append(output)
    return f"later-{_RUN}-{len(outputs)}-"


def stack_id() -> str:
    """The identity by which plugins know the native objects of this program: for `stack_id` of a model of inputs.

    It is made once and kept in Pulumi's state. Inputs that are given as a mapping have it by themselves.
    """
    return later(_identity())


def _identity() -> pulumi.Output[str]:
    notes = _notes()
    if notes.identity is None:
        notes.identity = _Stash("provision-stack-id", secrets.token_hex(16)).output
    return notes.identity


class _Stash(pulumi.CustomResource):
    output: pulumi.Output[str]

    def __init__(self, name: str, value: str) -> None:
        super().__init__(
            "pulumi:index:Stash",
            name,
            {"input": value, "output": None},
            pulumi.ResourceOptions(ignore_changes=["input"]),
        )


def inputs_for(model: type[BaseModel], given: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by wire name, as Pulumi's SDK takes them.

    Args:
        model: the model of the inputs.
        given: an instance of it, or values by Python or wire name with outputs anywhere inside.
    """
    values = given if isinstance(given, Mapping) else _fields(given)
    found: list[pulumi.Output[Any]] = []
    marked = {key: _marked(value, found) for key, value in values.items()}
    if "stack_id" in model.model_fields and not {"stack_id", "stackId"} & set(marked):
        marked["stack_id"] = _marked(_identity(), found)
    wired = wire_inputs(model, marked, lambda output: _Held(found[int(output.node)]))
    return {key: _unwrapped(value) for key, value in wired.items()}


class _Held:
    """An output among values of the wire, which must not be taken for anything else."""

    def __init__(self, output: pulumi.Output[Any]) -> None:
        self.output = output


def _fields(model: BaseModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields if name in model.model_fields_set}


def _marked(value: Any, found: list[pulumi.Output[Any]]) -> Any:
    """`value` with a mark in place of every output; the marks count `found`."""
    if isinstance(value, str):
        output = _of_text(value)
        return value if output is None else _marked(output, found)
    if isinstance(value, pulumi.Output):
        found.append(value)
        return Output(str(len(found) - 1), "")
    if isinstance(value, BaseModel):
        # By name, not as a mapping: the names of fields are then still told from the keys of maps.
        return type(value).model_construct(**{key: _marked(item, found) for key, item in _fields(value).items()})
    if isinstance(value, Mapping):
        return {key: _marked(item, found) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_marked(item, found) for item in value]
    return value


def _of_text(text: str) -> pulumi.Output[str] | None:
    """The output that a text with marks of `later` stands for; None for any other text."""
    parts = _TOKEN.split(text)
    if len(parts) == 1:
        return None
    known = _notes().outputs
    pieces = [known[int(part) - 1] if index % 2 else part for index, part in enumerate(parts)]
    present = [part for part in pieces if not isinstance(part, str) or part]
    if len(present) == 1 and isinstance(present[0], pulumi.Output):
        return present[0]
    return pulumi.Output.concat(*present)


def _unwrapped(value: Any) -> Any:
    """Values of the wire as Pulumi's SDK has them."""
    if isinstance(value, _Held):
        return value.output
    if isinstance(value, SecretValue):
        return pulumi.Output.secret(_unwrapped(value.value))
    if isinstance(value, SecretStr | SecretBytes):
        return pulumi.Output.secret(value.get_secret_value())
    if isinstance(value, Mapping):
        return {key: _unwrapped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unwrapped(item) for item in value]
    return value
