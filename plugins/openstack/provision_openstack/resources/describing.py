"""Whose live objects are, what inputs they have, and how they differ from what is wanted."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from provision.errors import CreatedButUnhealthy, ForeignObject, ProvisionError, RetriableError, UserError
from provision.spi import Cancelled, Normalized, OnChange, Operation, Properties
from provision_openstack.kinds import Kind
from provision_openstack.ownership import made_by, stack_of


def ours(kind: Kind, live: Mapping[str, Any], stack_id: str | None, outputs: Any = None) -> bool:
    """Whether an object belongs to the stack; without recorded inputs (None): to any stack."""
    if getattr(outputs, "adopted", False):
        return True
    return bool(stack_of(kind.place, live)) if stack_id is None else made_by(kind.place, live, stack_id)


def foreign(noun: str, identity: str) -> ForeignObject:
    """The refusal to touch what somebody else made."""
    return ForeignObject(
        f"the {noun} {identity} does not belong to this stack; it was not touched",
        "remove it by hand, or give what stands in the stack file another name or address",
    )


def taken(called: str, why: str) -> ForeignObject:
    """The name is somebody else's."""
    return ForeignObject(
        f"there is a {called} already, which this resource did not make; it was not touched ({why})",
        "give it another name in the stack file, or remove that one by hand",
    )


@contextlib.contextmanager
def kept(operation: Operation, identity: str, known: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Have an object that exists kept in state when what comes after it fails for good.

    What is tried again finds it by its mark.

    Args:
        operation: of the `create`.
        identity: of the object.
        known: gives what is known of its outputs.
    """
    try:
        yield
    except (CreatedButUnhealthy, RetriableError):
        raise
    except (ProvisionError, Cancelled):
        operation.made(identity, known())
        raise


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
    """Inputs in which two differ, and which cannot be changed."""
    found = []
    for name, field in type(wanted).model_fields.items():
        before, after = getattr(live, name), getattr(wanted, name)
        if (
            after is not None
            and any(isinstance(mark, OnChange) and mark.replaces for mark in field.metadata)
            and normal(before, field.metadata) != normal(after, field.metadata)
        ):
            found.append(name)
    return found


def normal(value: Any, marks: Iterable[Any]) -> Any:
    """A value as it is compared."""
    for mark in marks:
        if isinstance(mark, Normalized):
            value = mark.by(value)
    return value


def respelt(model: type[Properties], name: str, value: Any, recorded: Properties | None) -> Any:
    """What was read, in the spelling of what is recorded where both mean the same."""
    if recorded is None:
        return value
    before = getattr(recorded, name)
    marks = model.model_fields[name].metadata
    return before if normal(plain(before), marks) == normal(plain(value), marks) else value


def plain(value: Any) -> Any:
    """Models as mappings, in lists too."""
    if isinstance(value, Properties):
        return value.model_dump()
    return [plain(item) for item in value] if isinstance(value, list) else value
