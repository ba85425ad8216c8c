"""Checking inputs against a model while some of them are not known yet.

What is known is validated even when other inputs are not; a complaint that hangs on an unknown is dropped, since only
the update can tell.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from provision.host.plugin.diffing import format_wire_path
from provision.host.plugin.shapes import Entries, Items, Leaf, Record, Shape, child, record_of
from provision.host.plugin.walking import Path
from provision.host.plugin.wire import adapter, dump, marked
from provision.spi.properties import SIMPLE, UNKNOWN, has_unknown


@dataclass(frozen=True)
class Failure:
    """One input that cannot be used, by wire path; an empty path means the object as a whole."""

    path: Path
    reason: str

    @property
    def property(self) -> str:
        """The path as Pulumi writes it."""
        return format_wire_path(self.path)


def check(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
    """Validate wire values without secrets' wrappers; they may hold `UNKNOWN` anywhere.

    Returns:
        The values with defaults filled in, normalised and with declared secrets wrapped; and what is wrong with them.
    """
    record = record_of(model)
    unknown_names = list(_undeclared(values, record, ()))
    failures = [failure for _, failure in unknown_names]
    known = _without(values, {path for path, _ in unknown_names}) if unknown_names else dict(values)
    if not has_unknown(known):
        try:
            return dump(model.model_validate(known)), failures
        except ValidationError as error:
            return {}, failures + explain(error, known)
    unknowns = list(_unknowns(known, ()))
    try:
        model.model_validate(_pruned(known))
    except ValidationError as error:
        failures += _joined(_certain(_complaints(error, known), unknowns))
    except Exception:  # a validator of the plugin that misses what is unknown; the fields can be told without it
        failures += _piecewise(known, record, ())
    return ({}, failures) if failures else (_partial(model, known), failures)


def _piecewise(value: Any, shape: Shape, path: Path) -> Iterator[Failure]:
    """What is wrong with single known fields, whatever the models say of them together."""
    if isinstance(shape, Record) and len(shape.models) == 1 and isinstance(value, Mapping):
        for wire, field in shape.fields.items():
            item = value.get(wire, UNKNOWN)
            if has_unknown(item):
                yield from _piecewise(item, field.shape, (*path, wire))
                continue
            try:
                adapter(field).validate_python(item)
            except ValidationError as error:
                for failure in explain(error, item):
                    yield Failure((*path, wire, *failure.path), failure.reason)
            except Exception:
                continue
    elif isinstance(shape, Items) and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _piecewise(item, shape.item, (*path, index))
    elif isinstance(shape, Entries) and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _piecewise(item, shape.item, (*path, key))


def explain(error: ValidationError, values: Any) -> list[Failure]:
    """Pydantic's errors as wire paths with one short reason each; a choice between types gives its reasons at once."""
    return _joined(_complaints(error, values))


@dataclass(frozen=True)
class _Complaint:
    """One error; `members` are those of unions that it is about, each with the place of its union."""

    path: Path
    reason: str
    members: tuple[tuple[Path, str], ...]


def _complaints(error: ValidationError, values: Any) -> list[_Complaint]:
    return [
        _Complaint(path, _reason(item), members)
        for item in error.errors(include_url=False, include_input=False)
        for path, members in [_place(item["loc"], values, item["type"] == "missing")]
    ]


def _joined(complaints: Iterable[_Complaint]) -> list[Failure]:
    found: dict[Path, list[str]] = {}
    for item in complaints:
        reasons = found.setdefault(item.path, [])
        if item.reason not in reasons:
            reasons.append(item.reason)
    return [Failure(path, ", or ".join(reasons)) for path, reasons in found.items()]


def _certain(complaints: Sequence[_Complaint], unknowns: Sequence[Path]) -> list[_Complaint]:
    """Those that stay whatever the unknowns turn out to be.

    A member of a union that only an unknown stands against may still be the right one; then nothing that stands
    against the other members counts.
    """
    members: dict[tuple[Path, str], list[_Complaint]] = {}
    for item in complaints:
        for member in item.members:
            members.setdefault(member, []).append(item)
    open_unions: set[Path] = set()

    def doubtful(item: _Complaint) -> bool:
        unions = (union for union, _ in item.members)
        return any(_related(item.path, place) for place in unknowns) or any(union in open_unions for union in unions)

    while more := {
        union for (union, _), found in members.items() if union not in open_unions and all(map(doubtful, found))
    }:
        open_unions |= more
    return [item for item in complaints if not doubtful(item)]


def _reason(item: ErrorDetails) -> str:
    if item["type"] == "missing":
        return "is required"
    if item["type"] == "extra_forbidden":
        return "is not a property of this type"
    text = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    for start in ("Input should be ", "Input should "):
        if text.startswith(start):
            text = ("must be " if start.endswith("be ") else "must ") + text.removeprefix(start)
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def _place(location: Sequence[str | int], values: Any, missing: bool) -> tuple[Path, tuple[tuple[Path, str], ...]]:
    """The part of pydantic's location that is a place in the values; the others are names of union members."""
    path: list[str | int] = []
    members: list[tuple[Path, str]] = []
    here = values
    for index, part in enumerate(location):
        in_mapping = isinstance(here, Mapping) and part in here
        in_list = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        if in_mapping or in_list:
            here = here[part]
        elif missing and index == len(location) - 1:
            here = None
        else:
            members.append((tuple(path), str(part)))
            continue
        path.append(part)
    return tuple(path), tuple(members)


def _undeclared(value: Any, shape: Shape, path: Path) -> Iterator[tuple[Path, Failure]]:
    """Properties that no model declares. Python's spelling of a name is one too: the wire has only one spelling."""
    if type(value) in SIMPLE:
        return
    if isinstance(value, Mapping) and isinstance(shape, Record):
        open_models = any(model.model_config.get("extra") != "forbid" for model in shape.models)
        fields = shape.fields
        for key, item in value.items():
            if key in fields:
                if type(item) not in SIMPLE:
                    yield from _undeclared(item, fields[key].shape, (*path, key))
            elif not open_models:
                spelt = {field.name: wire for wire, field in fields.items()}
                close = spelt.get(key) or next(iter(get_close_matches(key, fields, 1)), None)
                hint = f"; did you mean '{close}'?" if close else f"; it has {', '.join(fields) or 'none'}"
                yield (*path, key), Failure((*path, key), f"is not a property of this type{hint}")
    elif isinstance(value, Mapping) and isinstance(shape, Entries):
        for key, item in value.items():
            yield from _undeclared(item, shape.item, (*path, key))
    elif isinstance(value, list | tuple) and isinstance(shape, Items):
        for index, item in enumerate(value):
            yield from _undeclared(item, shape.item, (*path, index))


def _without(value: Any, places: set[Path], path: Path = ()) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(item, places, (*path, key)) for key, item in value.items() if (*path, key) not in places}
    if isinstance(value, list | tuple):
        return [_without(item, places, (*path, index)) for index, item in enumerate(value)]
    return value


def _unknowns(value: Any, path: Path) -> Iterator[Path]:
    if value is UNKNOWN:
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unknowns(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _unknowns(item, (*path, index))


def _pruned(value: Any) -> Any:
    """Without the unknown properties; in lists they stay, so that positions are right."""
    if isinstance(value, Mapping):
        return {key: _pruned(item) for key, item in value.items() if item is not UNKNOWN}
    if isinstance(value, list | tuple):
        return [_pruned(item) for item in value]
    return value


def _related(one: Path, other: Path) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _partial(model: type[BaseModel], known: Mapping[str, Any]) -> dict[str, Any]:
    """Known fields normalised one by one and defaults filled in; a field with an unknown inside stays as it came."""
    result: dict[str, Any] = {}
    record = record_of(model)
    for wire, field in record.fields.items():
        if wire not in known:
            if not field.info.is_required():
                result |= marked({wire: _default(model, field.name)}, record)
        elif has_unknown(known[wire]):
            result |= marked({wire: _partial_value(known[wire], field.shape)}, record)
        else:
            result |= _one(model, field.name, wire, known[wire])
    return result


def _partial_value(value: Any, shape: Shape) -> Any:
    if isinstance(value, Mapping) and isinstance(shape, Record) and len(shape.models) == 1:
        return _partial(shape.models[0], value)
    if isinstance(value, Mapping):
        return {key: _partial_value(item, child(shape, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        inner = shape.item if isinstance(shape, Items) else Leaf()
        return [_partial_value(item, inner) for item in value]
    return value


def _default(model: type[BaseModel], name: str) -> Any:
    made_anew = model.model_fields[name].default_factory is not None
    return _new_default(model, name) if made_anew else _fixed_default(model, name)


def _new_default(model: type[BaseModel], name: str) -> Any:
    carrier = copy(_blank(model))
    carrier.__dict__[name] = model.model_fields[name].get_default(call_default_factory=True, validated_data={})
    return next(iter(carrier.model_dump(mode="python", by_alias=True, include={name}, warnings=False).values()), None)


@cache
def _fixed_default(model: type[BaseModel], name: str) -> Any:
    """As it is on the wire; nobody changes it, since `marked` makes all that holds something anew."""
    return _new_default(model, name)


def _one(model: type[BaseModel], name: str, wire: str, value: Any) -> dict[str, Any]:
    """One field, through its own validators alone."""
    loose = _unfrozen(model)
    try:
        carrier: Any = loose.__pydantic_validator__.validate_assignment(copy(_blank(loose)), name, value)
        dumped = carrier.model_dump(mode="python", by_alias=True, include={name}, warnings=False)
    except Exception:  # a validator of the whole model that needs the fields which are unknown
        dumped = {wire: value}
    return marked(dumped, record_of(model))


@cache
def _blank(model: type[BaseModel]) -> BaseModel:
    """With nothing but defaults, to be copied: making one takes the longer the more fields there are."""
    return model.model_construct(None)


@cache
def _unfrozen(model: type[BaseModel]) -> type[BaseModel]:
    class Loose(model):  # type: ignore[valid-type, misc]
        model_config = model.model_config | {"frozen": False}

    return Loose
