"""Every field that a stack file sets, as questions to the platform.

What is asked about are the *leaves*: fields that hold no further model. A policy or image source is asked about as a
whole too, under its kind, before its fields. Matters of the framework alone (names, counts, labels, parameters) are
never asked: it carries them out itself on every platform.
"""

from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import BaseModel

from provision.diagnostics import Path
from provision.models import CloudInit, HostPool, Image, Machine, Model, Network, RootDisk, Stack, UserData
from provision.spi import FeatureUse

_FRAMEWORK: Mapping[type[BaseModel], frozenset[str]] = {
    Stack: frozenset(
        {
            *("version", "description", "platform", "parameters", "references", "locations", "drift", "outputs"),
            *("include", "modules"),
        }
    ),
    Image: frozenset({"least_memory"}),
    Machine: frozenset({"count", "labels", "location", "renamed_from"}),
    Network: frozenset({"labels", "location", "renamed_from"}),
    HostPool: frozenset({"location"}),
    RootDisk: frozenset({"disposable"}),
}
_EVERYWHERE = frozenset({"kind", "level", "evidence", "renamed_from"})
AS_ONE = (UserData, CloudInit)
"""Models that platforms are asked about as a whole: the framework makes one text of them."""
_PER_PLATFORM = frozenset({"existing", "overrides", "size"})


def features(stack: Stack, platform: str) -> Iterator[FeatureUse]:
    """Every question that the stack file raises on `platform`, in the order of the models.

    Defaults raise none: they are what every platform must do. Of images, explicit sizes, native overrides and what
    exists already only what is written for `platform` is asked.
    """
    yield from _model(stack, "", (), platform)


def _model(model: BaseModel, prefix: str, path: Path, platform: str) -> Iterator[FeatureUse]:
    written = model.model_fields_set
    for name, alias in asked_fields(type(model)):
        if name not in written:
            continue
        value = getattr(model, name)
        where, feature = (*path, alias), f"{prefix}.{name}" if prefix else name
        if isinstance(value, dict) and name in _PER_PLATFORM:
            if platform in value:
                yield FeatureUse(feature, (*where, platform), value[platform], model)
        elif isinstance(model, Image) and name == "sources":
            key = platform if platform in value else "any"
            if key in value:
                yield from _value(value[key], feature, (*where, key), platform, model)
        else:
            yield from _value(value, feature, where, platform, model)


def _value(value: object, feature: str, path: Path, platform: str, owner: BaseModel) -> Iterator[FeatureUse]:
    if isinstance(value, Model) and not isinstance(value, AS_ONE):
        kind = getattr(value, "kind", None)
        if isinstance(kind, str):
            feature = f"{feature}.{kind}"
            yield FeatureUse(feature, path, value, owner)
        yield from _model(value, feature, path, platform)
    elif isinstance(value, dict) and value and isinstance(next(iter(value.values())), Model):
        for key, item in value.items():
            yield from _value(item, feature, (*path, key), platform, owner)
    elif isinstance(value, list) and value and isinstance(value[0], Model):
        for index, item in enumerate(value):
            yield from _value(item, feature, (*path, index), platform, owner)
    elif value is not None and value != {} and value != []:
        yield FeatureUse(feature, path, value, owner)


@cache
def asked_fields(kind: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """Names and written names of the fields that platforms are asked about."""
    left_out = _EVERYWHERE | _FRAMEWORK.get(kind, frozenset())
    return tuple((name, field.alias or name) for name, field in kind.model_fields.items() if name not in left_out)
