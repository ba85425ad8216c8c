"""Inputs and outputs of resource types, and the annotations from which schema, diff and replacement come."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Properties(BaseModel):
    """Base of every resource type's inputs and outputs, and of provider configuration.

    Python names are `snake_case`; on Pulumi's wire and in its schema they are `camelCase`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class OwnedInputs(Properties):
    """Inputs of a type whose native objects carry the stack's ownership marker.

    The host fills `stack_id` in: the random identity of the stack, made once and kept in Pulumi's state.
    """

    stack_id: str


class Change(enum.StrEnum):
    """What a change of a field does to the native object."""

    IN_PLACE = "in place"
    RESTART = "restart"
    REPLACE = "replace"
    DESTROYS_DATA = "destroys data"


@dataclass(frozen=True, slots=True)
class OnChange:
    """Field annotation: what a change of this input does. Without it a change is `Change.IN_PLACE`."""

    change: Change

    @property
    def replaces(self) -> bool:
        """Whether the object must be replaced."""
        return self.change in (Change.REPLACE, Change.DESTROYS_DATA)


@dataclass(frozen=True, slots=True)
class Secret:
    """Field annotation: the value is secret in state, logs and previews. Implied by `SecretStr`."""


@dataclass(frozen=True, slots=True)
class Computed:
    """Field annotation of an output: known only after the object exists.

    An output with the name of an input mirrors that input unless it is annotated `Computed`; an output without such
    an input is computed.

    Attributes:
        depends_on: names of inputs whose change makes the output unknown in the preview of an update; with none the
            output stays as it is.
    """

    depends_on: tuple[str, ...] = ()


IMMUTABLE = OnChange(Change.REPLACE)
RESTARTS = OnChange(Change.RESTART)
DESTROYS_DATA = OnChange(Change.DESTROYS_DATA)


class Unknown(enum.Enum):
    """The one value that stands for "not known before the update", anywhere inside inputs."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        """Short, as it may show in messages."""
        return "<unknown>"


UNKNOWN = Unknown.UNKNOWN


def has_unknown(value: Any) -> bool:
    """Whether `value` is, or contains, the unknown."""
    if isinstance(value, Mapping):
        return any(has_unknown(v) for v in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(has_unknown(v) for v in value)
    return value is UNKNOWN
