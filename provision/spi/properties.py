"""Inputs and outputs of resource types, and the annotations from which schema, diff and replacement come."""

import enum
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
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

    stack_id: Annotated[str, Field(description="Identity of the stack; the host fills it in.")]


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


@dataclass(frozen=True, slots=True)
class WriteOnly:
    """Field annotation of an input: the plugin gets the value, Pulumi's state never does, not even encrypted.

    State holds a salted digest, by which a changed value is noticed. The value is there in `create` and `update`; in
    recorded inputs (`read`, `delete`, and `old_inputs` when the value has changed since) the digest stands in its
    place. Outputs never show it. Implies `Secret`. For texts only.
    """


@dataclass(frozen=True, slots=True)
class Normalized:
    """Field annotation of an input: two values are the same when they are the same after `by`.

    A spelling that the platform changed, or that a person changed without a change of meaning, is then no difference.
    Several of them apply one after the other.

    Attributes:
        by: gives the value to compare, from a known value as it stands on the wire; pure. What it cannot read it
            returns as it is.
        description: what does not matter, for the documentation, such as "case does not matter".
    """

    by: Callable[[Any], Any]
    description: str


@dataclass(frozen=True, slots=True)
class Isolates:
    """Field annotation of an input: it carries isolation, and so does everything inside of it.

    The self-test of `provision verify` breaks it in every way it can, and counts how often that is noticed.

    Attributes:
        setting: whether it is a setting that a policy or a share asks for; else it is part of packet rules.
        choice: of a setting, whether the file leaves it open which of several values it has, such as which core.
        always: of a setting, whether it is made also where no policy or share asks for it: breaking it counts only
            where what one of them says of it changes.
    """

    setting: bool = False
    choice: bool = False
    always: bool = False


@dataclass(frozen=True, slots=True)
class Keyed:
    """Field annotation of a list of models: a property of theirs tells the items apart, not their place.

    An item that comes or goes is a change of the list; a difference inside of an item is one of that item's properties,
    wherever it stands; a different order is none. Where the property is missing, not known yet or not unique, places
    count as in any other list.

    Attributes:
        by: Python name of the property.
    """

    by: str


class Drift(enum.Enum):
    """Field annotation of an input: what a refresh does when the live object differs from what was recorded."""

    OWN = "own"
    """The default: the difference is shown, and the next `up` makes it as the program says."""
    IGNORE = "ignore"
    """Something else may change it: the recorded value stays."""


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class StackField:
    """Field annotation of an input: the field of the stack file that it is made from.

    What `drift:` in the file says of that field holds for the input, and a value that was changed on the platform can
    be taken over into the file. An input that carries isolation is put back whatever the file says.

    Attributes:
        fields: with the names of machines, disks and networks left out: `machines.memory`, `machines.size.aws`. Several
            when the type is for several things: `machines.disks.size` of resources that are called
            `machines/NAME/disk-NAME`, `machines.root.size` of `machines/NAME/root`.
        spell: how a person writes a value that was read, as it stands on the wire; None when nobody could.
    """

    fields: tuple[str, ...]
    spell: Callable[[Any], Any] | None = _as_it_is


@dataclass(frozen=True, slots=True)
class AutoName:
    """Field annotation of an input with default None: when it is not given, a name is made, once, and kept.

    The name is the resource's own, a dash and random hexadecimal digits, unless Pulumi's `pulumi:autonaming`
    configuration says otherwise. An object of which no name is recorded keeps none.

    Attributes:
        max_length: of the whole name, in characters.
        random: number of random digits; 0 for a name without.
        allowed: characters that may stand in a name, as inside of a regular expression's brackets; of others the
            lower case is tried, then they become dashes.
    """

    max_length: int = 63
    random: int = 7
    allowed: str = "a-z0-9-"


@dataclass(frozen=True, slots=True)
class Sticky:
    """Field annotation of an input with default None: a choice that is made once and kept.

    When it is not given, `CanChoose.choose` of the resource type makes the choice; it stays as recorded while the
    inputs that it was made for stay the same. An object of which no choice is recorded gets one when they change.

    Attributes:
        request: Python names of the inputs that the choice was made for.
        refresh: Python name of a boolean input that asks for a new choice whenever it is true; empty for none.
    """

    request: tuple[str, ...]
    refresh: str = ""


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """Field annotation of an input or a setting with a default: variables to look at before the default is used.

    Attributes:
        variables: names, the first that is set and not empty wins; its text is validated like any other value.
    """

    variables: tuple[str, ...]


class Unknown(enum.Enum):
    """The one value that stands for "not known before the update", anywhere inside inputs."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        """Short, as it may show in messages."""
        return "<unknown>"


UNKNOWN = Unknown.UNKNOWN

SIMPLE = frozenset({str, int, float, bool, type(None)})
"""What most values are: asked first, since asking whether something is a mapping takes ten times as long."""


def has_unknown(value: Any) -> bool:
    """Whether `value` is, or contains, the unknown."""
    if type(value) in SIMPLE:
        return False
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return value is UNKNOWN
    return any(type(item) not in SIMPLE and has_unknown(item) for item in value)


def sorted_items(value: Any) -> Any:
    """A list in an order of its own; anything else as it is."""
    if not isinstance(value, list | tuple):
        return value
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True, default=str))


def json_value(value: Any) -> Any:
    """What a text of JSON says; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def network_value(value: Any) -> Any:
    """An address range in its one spelling, in lists too; what is none as it is.

    A single address is the range of itself alone.
    """
    if isinstance(value, list | tuple):
        return [network_value(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        return value


def casefolded(value: Any) -> Any:
    """A text without the difference between upper and lower case, in lists too; anything else as it is."""
    if isinstance(value, list | tuple):
        return [casefolded(item) for item in value]
    return value.casefold() if isinstance(value, str) else value


def spell_size(unit: str) -> Callable[[Any], Any]:
    """Writes numbers of a unit (`B`, `MiB`, `GiB`) as sizes, in the largest unit that keeps them whole."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")

    def spell(value: Any) -> Any:
        amount, at = int(value), units.index(unit)
        while amount and amount % 1024 == 0 and at < len(units) - 1:
            amount, at = amount // 1024, at + 1
        return f"{amount}{units[at]}" if at else f"{amount / 1024:.10g}KiB"

    return spell


IMMUTABLE = OnChange(Change.REPLACE)
RESTARTS = OnChange(Change.RESTART)
DESTROYS_DATA = OnChange(Change.DESTROYS_DATA)

STABLE = Computed()
"""An output that never changes while the object lives: known in the preview of every update."""

IGNORE_CASE = Normalized(casefolded, "case does not matter")
IGNORE_ORDER = Normalized(sorted_items, "the order of the items does not matter")
AS_JSON = Normalized(json_value, "compared as JSON: spaces and the order of keys do not matter")
AS_CIDR = Normalized(network_value, "compared as an address range: its spelling does not matter")


def reasons(error: ValidationError) -> str:
    """What a model says against values, without the values."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}" for item in error.errors(include_input=False)
    )
