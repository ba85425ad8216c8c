"""What a preview may say of outputs: known where an output mirrors an input, unknown where only the object can tell."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from provision.host.plugin.shapes import Field, fields_of, record_of
from provision.host.plugin.wire import marked, mirrored
from provision.host.values import SecretValue
from provision.spi.properties import UNKNOWN


def of_create(
    inputs_model: type[BaseModel], outputs_model: type[BaseModel], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Outputs of an object that does not exist yet."""
    result: dict[str, Any] = {}
    for wire, field in fields_of(outputs_model).items():
        if _hidden(inputs_model, field):
            continue
        if not _mirrors(inputs_model, field):
            result[wire] = _unknown(field)
        elif wire in inputs:
            result[wire] = inputs[wire]
    return mirrored(marked(result, record_of(outputs_model)), inputs)


def of_update(
    inputs_model: type[BaseModel],
    outputs_model: type[BaseModel],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    changed: Collection[str],
    *,
    unhealthy: bool = False,
) -> dict[str, Any]:
    """Outputs after an update in place.

    Args:
        inputs_model: of the inputs.
        outputs_model: of the outputs.
        inputs: new inputs on the wire.
        outputs: recorded outputs on the wire.
        changed: wire names of the inputs that change.
        unhealthy: whether the last start of the object failed, so that all that depends on inputs may come out anew,
            and what is not recorded may still come to be.
    """
    names = {wire: field.name for wire, field in fields_of(inputs_model).items()}
    changed_names = {names.get(wire, wire) for wire in changed}
    result = dict(outputs)
    for wire, field in fields_of(outputs_model).items():
        if _hidden(inputs_model, field):
            result.pop(wire, None)
        elif _mirrors(inputs_model, field):
            if wire in inputs:
                result[wire] = inputs[wire]
            else:
                result.pop(wire, None)
        elif _may_change(field, changed_names, unhealthy) or (
            wire not in outputs and (unhealthy or not field.omits_null)
        ):
            result[wire] = _unknown(field)
    return mirrored(marked(result, record_of(outputs_model)), inputs)


def _may_change(field: Field, changed: Collection[str], unhealthy: bool) -> bool:
    if field.computed is None:
        return False
    return any(unhealthy or name in changed for name in field.computed.depends_on)


def _mirrors(inputs_model: type[BaseModel], output: Field) -> bool:
    declared = fields_of(inputs_model).get(output.wire)
    return output.computed is None and declared is not None


def _hidden(inputs_model: type[BaseModel], output: Field) -> bool:
    declared = fields_of(inputs_model).get(output.wire)
    return declared is not None and declared.write_only


def _unknown(field: Field) -> Any:
    return SecretValue(UNKNOWN) if field.secret else UNKNOWN
