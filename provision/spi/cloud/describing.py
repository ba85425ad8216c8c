"""What inputs live objects have, how they differ from what is wanted, and refusals to touch what is another's."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from provision.errors import CreatedButUnhealthy, ForeignObject, ProvisionError, RetriableError, UserError
from provision.spi.operation import Cancelled, Operation
from provision.spi.properties import Normalized, OnChange, Properties, reasons

P = TypeVar("P", bound=Properties)


def foreign(noun: str, identity: str) -> ForeignObject:
    """The refusal to touch what somebody else made."""
    return ForeignObject(
        f"the {noun} {identity} does not belong to this stack; it was not touched",
        "remove it by hand, or give what stands in the stack file another name or address",
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


class Indescribable(UserError):
    """A type has no inputs that say what an object is like."""


def built(model: type[P], what: str, values: Mapping[str, Any]) -> P:
    """Inputs of what was read.

    Raises:
        Indescribable: the type cannot describe it.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Indescribable(
            f"{what} cannot be described by this type: {reasons(error)}", "leave it to whoever manages it now"
        ) from None


def unfit(live: Properties, wanted: Properties) -> list[str]:
    """Inputs in which two differ, also inside of others, and which cannot be changed."""
    found = []
    for name, field in type(wanted).model_fields.items():
        before, after = getattr(live, name), getattr(wanted, name)
        if any(isinstance(mark, OnChange) and mark.replaces for mark in field.metadata):
            differ = normal(before, field.metadata) != normal(after, field.metadata)
            found += [name] if differ and after is not None else []
            continue
        lists = isinstance(before, list) and isinstance(after, list)
        pairs = zip(before, after, strict=False) if lists else [(before, after)]
        for one, other in pairs:
            if isinstance(one, Properties) and isinstance(other, Properties):
                found += [f"{name}.{inner}" for inner in unfit(one, other)]
    return found


def normal(value: Any, marks: Iterable[Any]) -> Any:
    """A value as it is compared, given the annotations of its field."""
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
    return before if normal(_plain(before), marks) == normal(_plain(value), marks) else value


def _plain(value: Any) -> Any:
    """Models as mappings, in lists too."""
    if isinstance(value, Properties):
        return value.model_dump()
    return [_plain(item) for item in value] if isinstance(value, list) else value
