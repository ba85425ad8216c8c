"""Providers with one defect each, and the check of the kit that must find it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tiny_provider import Box, Label, TinyProvider

from provision.spi import Function, Provider, ResourceType

K = TypeVar("K", bound=type[Any])


@dataclass(frozen=True)
class Broken:
    """A provider with a defect.

    Attributes:
        name: of the defect.
        provider: that has it.
        check: that must find it.
        words: in what the check says of it.
    """

    name: str
    provider: type[Provider[Any, Any]]
    check: str
    words: str


CATALOGUE: dict[str, Broken] = {}


def found_by(check: str, words: str) -> Callable[[K], K]:
    """Enter a broken resource type, function or provider into the catalogue."""

    def enter(broken: K) -> K:
        assert broken.__name__ not in CATALOGUE
        CATALOGUE[broken.__name__] = Broken(broken.__name__, _provider(broken), check, words)
        return broken

    return enter


def _provider(broken: type[Any]) -> type[Provider[Any, Any]]:
    if issubclass(broken, TinyProvider):
        return broken
    members: dict[str, Any] = {"__doc__": "A cabinet with a fault."}
    if issubclass(broken, ResourceType):
        members["resource_types"] = tuple(broken if issubclass(broken, kind) else kind for kind in (Box, Label))
    if issubclass(broken, Function):
        members["functions"] = (broken,)
    return type("BrokenProvider", (TinyProvider,), members)
