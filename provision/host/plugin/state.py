"""An object as the engine records it, and what is to be done to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provision.host.plugin.diffing import Difference

UNHEALTHY = "__unhealthy"
"""Output that marks an object whose last start failed, so that the next update knows to wait for its health again."""


@dataclass(frozen=True)
class State:
    """An object as the engine records it."""

    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any] | None = None


class Unhealthy(Exception):
    """An object exists but is not healthy: it is to be recorded, with reasons."""

    def __init__(self, state: State, summary: str, reasons: Sequence[str]) -> None:
        """Record `state`."""
        super().__init__(summary)
        self.state = state
        self.summary = summary
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Plan:
    """What is to be done to an object that exists.

    Attributes:
        differences: of its inputs.
        upgraded: whether its record must be written anew.
        stables: wire names of outputs that stay as they are.
        told: one line for the person about what the change does; empty when the display says enough by itself.
    """

    differences: list[Difference]
    upgraded: bool = False
    stables: tuple[str, ...] = ()
    told: str = ""
