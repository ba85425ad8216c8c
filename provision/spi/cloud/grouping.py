"""Groups of network interfaces, for platforms whose rules stand in groups and can only allow.

Imported by whoever wants it, after `provision.spi.flows`: a connection passes when the groups of both its ends let it.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from provision.spi.flows import End, Key, Parts, Side

NAMED = ("machine.", "label.", "network.")
"""How peers begin that are groups of their own; a prefix stands for whatever machines have such addresses."""

R = TypeVar("R", bound=Hashable)


@dataclass
class Group(Generic[R]):
    """Interfaces that rules speak of together.

    Attributes:
        name: as a person would write it.
        nics: interfaces in it.
        rules: what passes, each with the policies that say so; none where it is the default.
    """

    name: str
    nics: frozenset[Key]
    rules: dict[R, list[str]] = field(default_factory=dict)

    def add(self, rule: R, policy: str) -> None:
        """Let something pass; `policy` is empty for the default."""
        said = self.rules.setdefault(rule, [])
        if policy and policy not in said:
            said.append(policy)


class Groups(Generic[R]):
    """The groups of a stack: those that flows ask for.

    Attributes:
        made: all so far, by name.
    """

    def __init__(self, everyone: Iterable[End]) -> None:
        """There is none yet; `everyone` is all interfaces of the stack, in the order of the file."""
        self.made: dict[str, Group[R]] = {}
        self._parts = Parts(everyone)

    def of(self, side: Side, apart: Collection[str] = ()) -> list[Group[R]]:
        """The groups that together hold the interfaces of one side of a flow; none where it has none.

        Args:
            side: what a person named is one group; anything else is taken apart into machines and interfaces.
            apart: names of groups that are taken apart too.
        """
        if not side.nics:
            return []
        if side.name.startswith(NAMED) and side.name not in apart:
            return [self._of(side.name, side.nics)]
        return [self._of(name, nics) for name, nics in self._parts.of(side.nics)]

    def _of(self, name: str, nics: frozenset[Key]) -> Group[R]:
        return self.made.setdefault(name, Group(name, nics))


def memberships(groups: Mapping[str, Group[Any]]) -> Mapping[Key, list[str]]:
    """By interface the names of its groups, in their order; those of no group are not among them."""
    found: dict[Key, list[str]] = defaultdict(list)
    for name, group in groups.items():
        for key in group.nics:
            found[key].append(name)
    return dict(found)
