"""Checks of a plugin that need neither samples nor its platform: what it says of itself must be complete."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from provision.host.plugin.process import framework_types
from provision.host.plugin.schema import schema
from provision.spi import Capabilities, Provider, registry
from provision.testing.conformance import documents
from provision.testing.conformance.report import Outcome, Result
from provision.translate.grammar import Answer, answers

_MOST_NAMED = 8


def interface(provider: Provider[Any, Any]) -> Iterator[str]:
    """What is wrong with the plugin's class: as when it is loaded, and whether it can be made more than once."""
    registry.check(provider.name, type(provider))
    for kind in provider.resource_types:
        kind()  # the framework makes them without arguments
    if len(set(provider.builtin_images())) != len(provider.builtin_images()):
        yield "`builtin_images` names an image twice"


def described(provider: Provider[Any, Any]) -> Iterator[str]:
    """What is wrong with the schema: it must be the same each time that it is made, and be read by Pulumi's tools."""
    first, second = (_schema(provider) for _ in range(2))
    if json.dumps(first) != json.dumps(second):
        yield "the schema is another one each time that it is made"
    yield from documents.faults(first)


def documented(provider: Provider[Any, Any]) -> Iterator[str]:
    """What has no description, which is all that users of other languages get to read."""
    if not (type(provider).__doc__ or "").strip():
        yield "the provider has no docstring"
    yield from (f"nothing is said of {place}" for place in documents.undocumented(_schema(provider)))


def _schema(provider: Provider[Any, Any]) -> dict[str, Any]:
    return schema(provider, [*provider.resource_types, *framework_types()])


def configured(provider: Provider[Any, Any]) -> Iterator[str]:
    """What is wrong with the configuration: unknown settings must be refused, and defaults must be what they say."""
    model = provider.Config
    try:
        model.model_validate({"noSuchSetting": "x"})
    except ValidationError:
        pass
    else:
        yield "`Config` takes settings that it does not know"
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if not required:
        try:
            model.model_validate(model().model_dump(by_alias=True))
        except ValidationError as error:
            yield f"the defaults of `Config` are not accepted: {error.errors(include_input=False)[0]['msg']}"


def answered(provider: Provider[Any, Any]) -> Iterator[str]:
    """What is wrong with the answers to everything that a stack file may ask."""
    nothing = Capabilities(provider.name)
    found, again = answers(provider, nothing), answers(provider, nothing)
    for answer, second in zip(found, again, strict=True):
        if answer != second:
            yield f"`supports` answers {answer.feature} differently when it is asked again"
        yield from _unreasoned(answer)


def _unreasoned(answer: Answer) -> Iterator[str]:
    for value, support in answer.refused:
        asked = f"{answer.feature}: {value}" if value else answer.feature
        if support.reason.startswith("the plugin "):
            failure = support.reason.removeprefix("the plugin ")
            if failure.startswith(("fails on it", "does not answer")):
                yield f"`supports` {failure} ({asked})"
        if not support.reason:
            yield f"`supports` refuses {asked} without a reason"


CHECKS: dict[str, tuple[Callable[[Provider[Any, Any]], Iterator[str]], str]] = {
    "plugin-interface": (interface, "the plugin keeps to the interface"),
    "plugin-schema": (described, "a schema can be made"),
    "plugin-docs": (documented, "everything is described"),
    "plugin-config": (configured, "the configuration is checked"),
    "plugin-answers": (answered, "every question about a stack file is answered, refusals with a reason"),
}


def run(name: str, provider: Provider[Any, Any]) -> Result:
    """Make one of `CHECKS`."""
    check, expected = CHECKS[name]
    started = time.monotonic()
    try:
        problems: Sequence[str] = list(check(provider))
    except Exception as error:
        problems = [f"{type(error).__name__}: {error}"]
    seconds = time.monotonic() - started
    if not problems:
        return Result(name, Outcome.PASSED, "", seconds)
    more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
    message = f"expected: {expected}\nseen:     {'; '.join(problems[:_MOST_NAMED])}{more}"
    return Result(name, Outcome.FAILED, message, seconds)
