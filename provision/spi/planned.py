"""One machine of a translated graph, for plugins that read its settings back (`CanReadSettings`)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from provision.spi.evidence import SettingsRequest, Shown
from provision.spi.graph import Node, ResourceGraph
from provision.spi.support import Evidence

P = TypeVar("P", bound="PlannedMachine")


@dataclass(frozen=True)
class PlannedMachine:
    """One machine of a graph that is not made yet; a plugin derives its own view from it.

    Attributes:
        token: of the type that machines are.
        request: which machine of which graph.
    """

    token: ClassVar[str]

    request: SettingsRequest

    @property
    def graph(self) -> ResourceGraph:
        """Everything that is to be made."""
        return self.request.graph

    @cached_property
    def machines(self) -> Mapping[str, Node]:
        """Every machine of the graph, by the name of its instance (`machines/web-0/…` is `web-0`)."""
        return {one.name.split("/")[1]: one for one in self.graph.of_type(self.token)}

    @property
    def own(self) -> Node | None:
        """The machine; None when the graph has none of that name."""
        return self.machines.get(self.request.machine)


def said_by(
    plan: P, answers: Mapping[type, Callable[[P, Any, Sequence[str]], Iterable[tuple[bool, str]]]]
) -> Sequence[Sequence[Shown]]:
    """What a graph says, by functions for each class of what is asked about; empty for what none of them is about.

    Args:
        plan: the machine; of one that is not in the graph nothing is said.
        answers: functions that get the machine, what is asked, and all instances that it selects; they give whether it
            holds, and the words.
    """
    found = []
    for position, asked in enumerate(plan.request.asked):
        answer = answers.get(type(asked))
        members = plan.request.members[position] if plan.request.members else ()
        said = () if answer is None or plan.own is None else answer(plan, asked, members)
        found.append([Shown(Evidence.TRANSLATED, holds, text) for holds, text in said])
    return found
