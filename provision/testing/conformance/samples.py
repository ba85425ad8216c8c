"""What an author tells the conformance kit: the platform, and samples of what his plugin makes on it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from provision.testing.harness import Made

Others = Mapping[str, Made]
"""The objects that a sample needs, by the id of their samples, as they were made."""

Values = Mapping[str, Any] | Callable[[Others], Mapping[str, Any]]
"""Inputs by Python's or Pulumi's names, or a function that makes them from the objects that the sample needs."""


class _Removed:
    def __repr__(self) -> str:
        return "REMOVED"


REMOVED: Any = _Removed()
"""In `Sample.updates` and `Sample.replaces`: the input is left out."""


@dataclass(frozen=True)
class Platform:
    """A platform that is ready to be used, with nothing of the plugin on it.

    Attributes:
        config: the plugin's configuration, by Python's or Pulumi's names.
        leftovers: asks the platform itself, not the plugin, for everything on it that the plugin could have made: one
            text for each object, with its name or identity. The kit compares before and after.
        handle: whatever the functions of samples need to reach the platform by hand.
        clean: removes by hand what is left on it, after a check that failed; needed where checks share a platform.
        wrong_configs: configurations that cannot work, such as an address where nothing answers.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    leftovers: Callable[[], Collection[str]] = lambda: ()
    handle: Any = None
    clean: Callable[[], None] | None = None
    wrong_configs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Foreign:
    """An object on the platform that no stack made.

    Attributes:
        look: all that can be seen of it; the kit compares before and after.
        remove: takes it off the platform again; nothing happens when it is gone.
        id: its identity, by which a delete is tried too; empty for none.
    """

    look: Callable[[], object]
    remove: Callable[[], None]
    id: str = ""


@dataclass(frozen=True)
class Sample:
    """One object of a resource type, and what may happen to it.

    Attributes:
        token: `module:Name` of the resource type.
        inputs: of the object.
        name: tells samples of the same type apart; the id of the sample is `token`, or `token/name`.
        needs: ids of samples that must exist first; they are made for it and removed after it.
        updates: changes of inputs, each by itself, that are made in place.
        replaces: changes of inputs, each by itself, that need another object.
        same: changes of inputs, each by itself, that only spell the same otherwise, so that nothing differs.
        older: of the object as it is recorded, what an older release of the plugin would have recorded.
        wrong: changes of inputs, each by itself, that must be refused before anything is planned.
        outside: changes the live object by hand, so that a refresh must see it (`handle`, object). By default the first
            update is made behind the engine's back.
        vanish: removes the live object by hand (`handle`, object). By default the plugin itself does, behind the
            engine's back.
        foreign: makes by hand an object that stands in the way of the sample (`handle`, inputs by wire names), such as
            one with its name.
        unhealthy: what is made inside of it does not become healthy (`handle`, inputs by wire names).
        secrets: further texts that must never be seen in the clear; those of secret inputs are known.
        volatile: names of outputs that change by themselves.
        not_imported: by name of an input that `read` cannot tell, why not. Secret ones need no mention.
        calls: how many of the calls of one operation are made to fail, None for the suite's number.
        seconds: how long one operation of it may take.
    """

    token: str
    inputs: Values = field(default_factory=dict)
    name: str = ""
    needs: Sequence[str] = ()
    updates: Sequence[Values] = ()
    replaces: Sequence[Values] = ()
    same: Sequence[Values] = ()
    older: Sequence[Callable[[Made], Made]] = ()
    wrong: Sequence[Values] = ()
    outside: Callable[[Any, Made], None] | None = None
    vanish: Callable[[Any, Made], None] | None = None
    foreign: Callable[[Any, Mapping[str, Any]], Foreign] | None = None
    unhealthy: Callable[[Any, Mapping[str, Any]], AbstractContextManager[Any]] | None = None
    secrets: Collection[str] = ()
    volatile: Collection[str] = ()
    not_imported: Mapping[str, str] = field(default_factory=dict)
    calls: int | None = None
    seconds: float = 30.0

    @property
    def id(self) -> str:
        """What checks, gaps and `needs` call it."""
        return f"{self.token}/{self.name}" if self.name else self.token


@dataclass(frozen=True)
class FunctionSample:
    """One call of a data function.

    Attributes:
        token: `module:name` of the function.
        arguments: as `Sample.inputs`.
        name: as `Sample.name`.
        needs: ids of samples that must exist for it.
        volatile: names of results that change by themselves.
    """

    token: str
    arguments: Values = field(default_factory=dict)
    name: str = ""
    needs: Sequence[str] = ()
    volatile: Collection[str] = ()

    @property
    def id(self) -> str:
        """What checks and gaps call it."""
        return f"{self.token}/{self.name}" if self.name else self.token


@dataclass(frozen=True)
class StackSample:
    """A stack file that the plugin translates.

    Attributes:
        name: what checks and gaps call it.
        text: the stack file.
        facts: what the platform can do (`Capabilities.facts`); None asks the platform.
        silent: by feature (`machines.ready_timeout`), why it changes no native resource although it is enforced.
    """

    name: str
    text: str
    facts: Mapping[str, Any] | None = None
    silent: Mapping[str, str] = field(default_factory=dict)
