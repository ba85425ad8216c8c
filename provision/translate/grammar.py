"""Everything that a stack file can ask of a platform, and what one plugin says to it.

`features` gives the questions of one file; here are those of every file: each field of the grammar with values of its
type, one question for each value that may matter. `plugin show` and the generated tables come from the answers.
"""

import enum
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from provision.diagnostics import Path
from provision.models import Peer, Selector, Stack
from provision.packets import Service
from provision.spi import Capabilities, Evidence, FeatureUse, Provider, Support, unsupported
from provision.translate.features import AS_ONE, asked_fields

POLICIES = "isolation.policies"
EXAMPLE = "example"
"""The name that everything with a free name has in a question."""

Sample: TypeAlias = tuple[str, Any]
"""A value as a person would write it, and as it is when validated."""

_AS_WRITTEN = frozenset({"existing", "overrides", "size"})
"""Maps by platform in the platform's own words: what is said to them depends on each word."""
_PEERS = (
    "outside",
    "internet",
    "host",
    "machine.web",
    "label.tier=web",
    "network.lan",
    "reference.other.cidr",
    "10.20.0.0/16",
    "fd00:20::/32",
)
_SERVICES = ("tcp/80", "udp/53", "icmp", "icmpv6", "protocol/47", "any")
_WRITTEN: tuple[Any, ...] = (
    "example",
    "2GiB",
    "90s",
    "100Mbit/s",
    "125MiB/s",
    "10.20.1.0/24",
    "10.20.1.5",
    "fd00:20:1::/64",
    "fd00:20:1::5",
    "02:00:00:00:00:05",
    "https://example.org/image.qcow2",
    1,
    1000,
    1.5,
    "0" * 64,
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL3y9a1s5Bm9JxK2e3S3f+cHxR2rDwyz8pW89Tek678a example",
)
"""Texts and numbers of which one or another fits every scalar of the grammar; the first that fits is taken."""


@dataclass(frozen=True)
class Question:
    """One field of the grammar, or a policy or image source as a whole (`label` is empty): what may be written."""

    use: FeatureUse
    label: str = ""


@dataclass(frozen=True)
class Answer:
    """What a plugin says to one field, by the value that is written; one item with an empty value for a whole."""

    feature: str
    said: tuple[tuple[str, Support], ...]

    @property
    def enforced(self) -> bool:
        """Whether it is enforced for at least one value."""
        return any(support.enforced for _, support in self.said)

    @property
    def refused(self) -> tuple[tuple[str, Support], ...]:
        """The values that are refused, with why; one with an empty value when all are refused for one reason."""
        found = [(value, support) for value, support in self.said if not support.enforced]
        # That a switch may be left off says nothing: what is refused is the field.
        rest = [value for value, support in self.said if support.enforced and value != "false"]
        if found and not rest and len({(item.reason, item.fix) for _, item in found}) == 1:
            return (("", found[0][1]),)
        return tuple(found)


@dataclass(frozen=True)
class PolicyAnswer:
    """What a plugin says to one kind of policy: to the whole, and to its fields."""

    kind: str
    model: type[BaseModel]
    whole: Support
    fields: tuple[Answer, ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The kinds of evidence that can be had, in the order of their strength."""
        return tuple(kind for kind in Evidence if kind in self.whole.evidence) if self.whole.enforced else ()


@dataclass(frozen=True)
class Refusal:
    """Fields that are refused for one reason; a value follows those that are refused for some values only."""

    fields: tuple[str, ...]
    reason: str
    fix: str


def questions() -> Iterator[Question]:
    """Everything that a stack file can ask, in the order of the models.

    Left out are `existing`, `overrides` and the sizes of machines by platform: they hold the platform's own words.
    """
    yield from _model(Stack, "", ())


def answers(provider: Provider[Any, Any], capabilities: Capabilities) -> Sequence[Answer]:
    """What the plugin says to every question; a question that it fails on is refused with the failure as reason."""
    found: dict[str, list[tuple[str, Support]]] = {}
    for question in questions():
        found.setdefault(question.use.feature, []).append(
            (question.label, _asked(provider, question.use, capabilities))
        )
    return [Answer(feature, tuple(said)) for feature, said in found.items()]


def policies(found: Sequence[Answer]) -> Sequence[PolicyAnswer]:
    """The answers that concern policies, by kind."""
    by_feature = {answer.feature: answer for answer in found}
    return [
        PolicyAnswer(
            kind,
            model,
            by_feature[feature].said[0][1],
            tuple(answer for answer in found if answer.feature.startswith(f"{feature}.")),
        )
        for kind, model in policy_kinds().items()
        for feature in [f"{POLICIES}.{kind}"]
    ]


def refusals(found: Sequence[Answer]) -> Sequence[Refusal]:
    """What is refused, by reason; of policies that are refused as a whole, and of what lies below a whole, no more."""
    whole = [f"{POLICIES}.{policy.kind}" for policy in policies(found) if not policy.whole.enforced]
    everything = [answer.feature for answer in found]
    fields: dict[tuple[str, str], list[str]] = {}
    values: dict[tuple[str, str], list[str]] = {}
    for answer in found:
        if any(f"{answer.feature}.".startswith(f"{policy}.") for policy in whole):
            continue
        for value, support in answer.refused:
            reason = (support.reason, support.fix)
            fields.setdefault(reason, [])
            if value:
                values.setdefault(reason, []).append(f"{answer.feature}: {value}")
            else:
                fields[reason].append(answer.feature)
    return [
        Refusal((*_outermost(names, everything), *values.get(reason, ())), *reason) for reason, names in fields.items()
    ]


def policy_kinds() -> Mapping[str, type[BaseModel]]:
    """The model of each kind of policy."""
    isolation = Stack.model_fields["isolation"].annotation
    assert isolation is not None
    return {kind_of(model): model for _, model in models_in(isolation.model_fields["policies"].annotation)}


def models_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Models that a type holds, each with how its path goes on from the field: `.NAME` in maps, `[]` in lists."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
    elif origin is Annotated:
        yield from models_in(arguments[0])
    elif origin is dict:
        yield from ((f".NAME{rest}", model) for rest, model in models_in(arguments[1]))
    elif origin in (list, tuple):
        yield from ((f"[]{rest}", model) for rest, model in models_in(arguments[0]))
    else:
        for argument in arguments:
            yield from models_in(argument)


def kind_of(model: type[BaseModel]) -> str:
    """The word by which a model of a tagged union is chosen."""
    return str(get_args(model.model_fields["kind"].annotation)[0])


def _asked(provider: Provider[Any, Any], use: FeatureUse, capabilities: Capabilities) -> Support:
    try:
        support = provider.supports(use, capabilities)
    except Exception as error:
        return unsupported(
            f"the plugin fails on it: {type(error).__name__}: {error}", "report this to the plugin's author"
        )
    if not isinstance(support, Support):
        return unsupported("the plugin does not answer with a `Support`", "report this to the plugin's author")
    return support


def _outermost(features: Sequence[str], everything: Sequence[str]) -> Iterator[str]:
    """The features, and for a branch that is in them as a whole only its root."""
    left = list(features)
    while left:
        root = left[0]
        parts = root.split(".")
        for end in range(1, len(parts)):
            branch = ".".join(parts[:end])
            if {item for item in everything if item.startswith(f"{branch}.") or item == branch} <= set(left):
                root = branch
                break
        left = [item for item in left if item != root and not item.startswith(f"{root}.")]
        yield root


def _model(model: type[BaseModel], prefix: str, path: Path) -> Iterator[Question]:
    for name, alias in asked_fields(model):
        field = model.model_fields[name]
        if name in _AS_WRITTEN and get_origin(field.annotation) is dict:
            continue
        feature, where = f"{prefix}.{name}" if prefix else name, (*path, alias)
        inner = [(rest, found) for rest, found in models_in(field.annotation) if not issubclass(found, AS_ONE)]
        if not inner:
            for label, value in _samples(field.annotation, tuple(field.metadata)):
                yield Question(FeatureUse(feature, where, value, _made(model, {name: value})), label)
        for rest, found in inner:
            below = where + tuple(EXAMPLE if part == ".NAME" else 0 for part in _steps(rest))
            place = feature
            if "kind" in found.model_fields:
                place = f"{feature}.{kind_of(found)}"
                yield Question(FeatureUse(place, below, _made(found), _made(model)))
            yield from _model(found, place, below)


def _steps(rest: str) -> Iterator[str]:
    while rest:
        step = ".NAME" if rest.startswith(".NAME") else "[]"
        yield step
        rest = rest.removeprefix(step)


def _made(model: type[BaseModel], given: Mapping[str, Any] | None = None) -> BaseModel:
    """An instance with what must be given, and what is given here; how fields go together is not checked."""
    values = {
        name: _samples(field.annotation, tuple(field.metadata))[0][1]
        for name, field in model.model_fields.items()
        if field.is_required()
    }
    return model.model_construct(None, **{**values, **(given or {})})


def _samples(annotation: Any, marks: tuple[Any, ...] = ()) -> Sequence[Sample]:
    """Values of a type: all of a switch or an enumeration, each kind of peer and service, else one."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _samples(arguments[0], (*arguments[1:], *marks))
    if origin in (Union, types.UnionType):
        members = [item for item in arguments if item not in (type(None), SecretStr)]
        return [sample for member in members for sample in _samples(member, marks)]
    if origin is Literal:
        return [(str(item), item) for item in arguments]
    if origin is list:
        return [(f"[{label}]", [value]) for label, value in _samples(arguments[0])]
    if origin is tuple:
        first = [_samples(item)[0] for item in arguments]
        return [(f"[{', '.join(label for label, _ in first)}]", tuple(value for _, value in first))]
    if origin is dict:
        label, value = _samples(arguments[1])[0]
        return [(f"{{{EXAMPLE}: {label}}}", {EXAMPLE: value})]
    if annotation is bool:
        return [("true", True), ("false", False)]
    if annotation is Any:
        return [(EXAMPLE, EXAMPLE)]
    if isinstance(annotation, type):
        if issubclass(annotation, enum.Enum):
            return [(str(item.value), item) for item in annotation]
        if issubclass(annotation, Selector):
            return [(text, Selector.parse(text)) for text in ("machine.web", "label.tier=web")]
        if issubclass(annotation, Peer):
            return [(text, Peer.parse(text)) for text in _PEERS]
        if issubclass(annotation, Service):
            return [(text, Service.parse(text)) for text in _SERVICES]
        if issubclass(annotation, BaseModel):
            return [("{…}", _made(annotation))]
    return [_scalar(annotation, marks)]


def _scalar(annotation: Any, marks: tuple[Any, ...]) -> Sample:
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[annotation, *marks] if marks else annotation)
    for written in _WRITTEN:
        try:
            return str(written), adapter.validate_python(written)
        except ValidationError:
            continue
    raise AssertionError(f"no example fits {annotation}; add one to the examples of the grammar")
