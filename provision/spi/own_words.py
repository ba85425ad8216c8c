"""What a stack file says in a platform's own words (`overrides`, `existing`), held against the plugin's models."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from provision.spi.properties import reasons
from provision.spi.support import ENFORCED, Capabilities, FeatureUse, Support, unsupported


def problem(model: type[BaseModel], values: Any) -> str:
    """What is wrong with such words; empty when nothing is."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        return reasons(error)
    return ""


def own_words(models: Mapping[Any, type[BaseModel]], meaning: str) -> Callable[[FeatureUse, Capabilities], Support]:
    """An answer for `supports`.

    Args:
        models: by the part of the stack file that the words stand in (`Machine`, `Network`, …), what may be said there.
        meaning: how the list of what may be said begins.
    """

    def answer(use: FeatureUse, capabilities: Capabilities) -> Support:
        model = models.get(type(use.owner))
        wrong = problem(model, use.value) if model is not None else "not known"
        if not wrong:
            return ENFORCED
        return unsupported(wrong, f"{meaning}: {', '.join(model.model_fields) if model is not None else ''}")

    return answer
