"""What a provider's declarations must agree on, beyond being there: looked at when a plugin is loaded."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from provision.spi.functions import Function
from provision.spi.operation import Retries, Timeouts
from provision.spi.properties import Properties, StackField, Sticky
from provision.spi.provider import Provider, RateLimit
from provision.spi.resource import CanChoose, ResourceType

_DRIFTING = ("machines.", "networks.")
Complaint = tuple[str, str]
"""The member that is wrong, and what is expected of it."""


def complaints(loaded: type[Provider[Any, Any]]) -> Iterator[Complaint]:
    """Everything that does not agree; the parts themselves are known to be of the right kinds."""
    yield from _rates(loaded)
    yield from _functions(loaded)
    for kind in loaded.resource_types:
        yield from _kind(loaded, kind)


def _rates(loaded: type[Provider[Any, Any]]) -> Iterator[Complaint]:
    for service, rate in loaded.rate_limits.items():
        if not isinstance(rate, RateLimit) or not rate.per_second > 0 or rate.burst < 1:
            yield f"`rate_limits` of '{service}'", "must be a RateLimit of more than 0 a second and 1 at once"


def _functions(loaded: type[Provider[Any, Any]]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for kind in loaded.functions:
        if not (inspect.isclass(kind) and issubclass(kind, Function)) or inspect.isabstract(kind):
            yield f"`functions` entry {kind!r}", "must be a complete subclass of provision.spi.Function"
            continue
        token = getattr(kind, "token", "")
        if token.count(":") != 1:
            yield f"`{kind.__name__}.token`", "must be 'module:name'"
        if token in seen:
            yield f"`{kind.__name__}.token`", f"'{token}' is used twice"
        seen.add(token)
        for part in ("Arguments", "Result"):
            if not _is_properties(getattr(kind, part, None)):
                yield f"`{kind.__name__}.{part}`", "must be a subclass of provision.spi.Properties"
        yield from _service(loaded, kind.__name__, kind.service)


def _kind(loaded: type[Provider[Any, Any]], kind: type[ResourceType[Any, Any, Any]]) -> Iterator[Complaint]:
    name = kind.__name__
    yield from _service(loaded, name, kind.service)
    if not isinstance(kind.timeouts, Timeouts):
        yield f"`{name}.timeouts`", "must be provision.spi.Timeouts"
    if not isinstance(kind.retries, Retries):
        yield f"`{name}.retries`", "must be provision.spi.Retries"
    yield from _upgrades(name, kind.schema_version, kind.upgrades)
    yield from _choices(name, kind)
    yield from _fields(name, kind)
    if callable(getattr(kind, "list", None)) and not _is_properties(getattr(kind, "Query", None)):
        wanted = "must be a subclass of provision.spi.Properties, beside `list`: what a search may be narrowed by"
        yield f"`{name}.Query`", wanted


def _service(loaded: type[Provider[Any, Any]], name: str, service: str) -> Iterator[Complaint]:
    if service and service not in loaded.rate_limits:
        yield f"`{name}.service`", f"'{service}' must be a name in `rate_limits`"


def _upgrades(name: str, version: int, steps: Mapping[int, Any]) -> Iterator[Complaint]:
    if version < 0:
        yield f"`{name}.schema_version`", "must not be negative"
    missing = [step for step in range(max(version, 0)) if step not in steps]
    beyond = [step for step in steps if not 0 <= step < version]
    if missing:
        wanted = ", ".join(str(step) for step in missing)
        yield f"`{name}.upgrades`", f"must have a step from every version below {version}: there is none from {wanted}"
    if beyond:
        found = ", ".join(str(step) for step in beyond)
        yield f"`{name}.upgrades`", f"has a step from {found}, but `schema_version` is {version}"


def _choices(name: str, kind: type[ResourceType[Any, Any, Any]]) -> Iterator[Complaint]:
    fields = kind.Inputs.model_fields
    for field, info in fields.items():
        for mark in info.metadata:
            if not isinstance(mark, Sticky):
                continue
            member = f"`{name}.Inputs.{field}`"
            if not issubclass(kind, CanChoose):
                yield member, f"is Sticky, so `{name}` must have `choose`"
            if info.is_required() or info.get_default(call_default_factory=True, validated_data={}) is not None:
                yield member, "is Sticky, so it must have the default None"
            for other in (*mark.request, *((mark.refresh,) if mark.refresh else ())):
                if other not in fields:
                    yield member, f"names '{other}', which is no input"


def _fields(name: str, kind: type[ResourceType[Any, Any, Any]]) -> Iterator[Complaint]:
    for field, info in kind.Inputs.model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, StackField) and not all(one.startswith(_DRIFTING) for one in mark.fields or ("",)):
                yield f"`{name}.Inputs.{field}`", "must name fields of machines or networks, such as 'machines.memory'"


def _is_properties(model: Any) -> bool:
    return inspect.isclass(model) and issubclass(model, Properties)
