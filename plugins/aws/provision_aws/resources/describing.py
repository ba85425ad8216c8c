"""Whose live objects are, what inputs they have, and how they differ from what is wanted."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from provision.errors import ForeignObject, RetriableError, UserError
from provision.spi import Normalized, OnChange, Properties
from provision_aws.ownership import stack_of
from provision_aws.reading import Live


def ours(live: Live, stack_id: str | None, outputs: Any = None) -> bool:
    """Whether an object belongs to the stack; without recorded inputs (None): to any stack."""
    if getattr(outputs, "adopted", False):
        return True
    return bool(stack_of(live)) if stack_id is None else stack_of(live) == stack_id


def foreign(noun: str, identity: str) -> ForeignObject:
    """The refusal to touch what somebody else made."""
    return ForeignObject(
        f"the {noun} {identity} does not belong to this stack; it was not touched",
        "remove it by hand, or give what stands in the stack file another name or address",
    )


def built(model: type[Properties], what: str, values: Mapping[str, Any]) -> Properties:
    """Inputs of what was read.

    Raises:
        UserError: the type cannot describe it.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}" for item in error.errors(include_input=False)
        )
        raise UserError(
            f"{what} cannot be described by this type: {reasons}", "leave it to whoever manages it now"
        ) from None


def unfit(live: Properties, wanted: Properties) -> list[str]:
    """Inputs in which two differ, also inside of others, and which cannot be changed."""
    found = []
    for name, field in type(wanted).model_fields.items():
        before, after = getattr(live, name), getattr(wanted, name)
        if any(isinstance(mark, OnChange) and mark.replaces for mark in field.metadata):
            differ = _normal(before, field.metadata) != _normal(after, field.metadata)
            found += [name] if differ and after is not None else []
            continue
        pairs = zip(before, after, strict=False) if isinstance(after, list) else [(before, after)]
        for one, other in pairs:
            if isinstance(one, Properties) and isinstance(other, Properties):
                found += [f"{name}.{inner}" for inner in unfit(one, other)]
    return found


def _normal(value: Any, marks: Iterable[Any]) -> Any:
    for mark in marks:
        if isinstance(mark, Normalized):
            value = mark.by(value)
    return value


def refuse_unsuccessful(answer: Live, doing: str, fix: str) -> None:
    """Some calls succeed as a whole also when they failed for an object; one that is not there is fine.

    Args:
        answer: of such a call.
        doing: what was being done, such as "releasing the dedicated host".
        fix: what a person may do.

    Raises:
        RetriableError: it failed for one.
    """
    for item in answer.get("Unsuccessful") or ():
        error = item.get("Error") or {}
        code = str(error.get("Code", "no code"))
        if "NotFound" not in code:
            raise RetriableError(f"{doing} {item.get('ResourceId', '')}: {error.get('Message', '')} ({code})", fix)
