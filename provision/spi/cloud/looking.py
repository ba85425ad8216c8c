"""One deployed machine as a cloud describes it now, for plugins that show evidence (`CanShowEvidence`)."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

from provision.errors import PlatformError
from provision.spi.cloud.reading import Kind, Live
from provision.spi.cloud.session import CloudSession
from provision.spi.evidence import Shown
from provision.spi.probes import DeployedMachine, NativeState
from provision.spi.support import Evidence

S = TypeVar("S", bound=CloudSession)

_BELIEVED_SECONDS = 30.0
"""How long the rules of all groups, asked for at once, are believed while machine after machine is looked at."""


@dataclass(frozen=True)
class MachineLook(ABC, Generic[S]):
    """One machine as it is now; a plugin derives its own view from it.

    Attributes:
        token: of the resource type that machines are.
        group: of the resource type of groups of packet rules.
        kind: how the platform shows a machine.
        why_unseen: why nobody outside of the platform sees what its hosts apply.
        session: to ask further.
        machine: as the state has it.
        native: the machine itself in the state.
        live: as the platform describes it.
        shared: native resources of the stack that belong to no machine.
    """

    token: ClassVar[str]
    group: ClassVar[str]
    kind: ClassVar[Kind]
    why_unseen: ClassVar[str]

    session: S
    machine: DeployedMachine
    native: NativeState
    live: Live
    shared: tuple[NativeState, ...] = ()

    @classmethod
    def at(cls, session: S, machine: DeployedMachine, shared: tuple[NativeState, ...] = ()) -> Self:
        """Look at a machine.

        Raises:
            PlatformError: it is not there, or the platform does not answer.
        """
        native = machine.native(cls.token)
        live = None if native is None else session.reader.look(cls.kind, native.id, native.stack_id)
        if native is None or live is None:
            raise PlatformError(f"the machine '{machine.name}' is not there", "run `provision up`")
        return cls(session, machine, native, live, shared)

    @abstractmethod
    def asked(self, groups: Sequence[str]) -> Iterable[tuple[str, Live]]:
        """The live rules of groups with few calls: each with the id of its group.

        Raises:
            PlatformError: the platform does not answer.
        """

    def of(self, kind: Kind, identity: str) -> Live | None:
        """An object of the same stack; None when it is gone."""
        return self.session.reader.look(kind, identity, self.native.stack_id)

    def lives(self, members: Iterable[DeployedMachine]) -> Mapping[str, Live]:
        """This machine and others of a policy as they are now, by name; those that are gone are not among them."""
        found = {self.machine.name: self.live}
        for member in members:
            native = member.native(self.token)
            if member.name not in found and native is not None and (live := self.of(self.kind, native.id)) is not None:
                found[member.name] = live
        return found

    @cached_property
    def natives(self) -> Mapping[str, NativeState]:
        """Everything of it and of the stack's shared resources, by id."""
        return {one.id: one for one in (*self.machine.natives, *self.shared)}

    def rules(self, groups: Collection[str]) -> Mapping[str, list[Live]]:
        """The live rules of groups; those of all groups of the stack are asked for at once."""
        wanted = sorted({*groups, *(one.id for one in self.natives.values() if one.token == self.group)})
        key = ("rules of groups", tuple(wanted))
        known: tuple[float, dict[str, list[Live]]] = self.session.cache.get(key, (0.0, {}))
        when, found = known
        if not when or time.monotonic() - when > _BELIEVED_SECONDS:
            found = {group: [] for group in wanted}
            for group, rule in self.asked(wanted):
                found.setdefault(group, []).append(rule)
            self.session.cache[key] = (time.monotonic(), found)
        return found

    def unseen(self) -> Shown:
        """That nobody sees what the host applies."""
        return Shown(Evidence.EFFECTIVE, None, self.why_unseen)


def in_groups(subject: str, groups: Collection[str], wanted: Collection[str]) -> Iterator[str]:
    """What is wrong when a network card is in other groups than it should be: too many, or too few."""
    if more := sorted(set(groups) - set(wanted)):
        yield f"{subject} is also in {', '.join(more)}"
    if fewer := sorted(set(wanted) - set(groups)):
        yield f"{subject} is not in {', '.join(fewer)}"


def in_rules(
    group: str,
    recorded: Iterable[NativeState],
    live: Mapping[str, Live],
    changed: Callable[[Mapping[str, Any], Live], Iterable[str]],
) -> Iterator[str]:
    """What is other in a group than the state records.

    Args:
        group: its id.
        recorded: its rules as the state has them.
        live: its rules as they are, by id.
        changed: gives the names of the fields in which a live rule is not what its inputs say.
    """
    missing = {one.id: one for one in recorded}
    for identity, rule in live.items():
        native = missing.pop(identity, None)
        if native is None:
            yield f"the rule {identity} of {group} is on no record"
        elif fields := sorted(changed(native.inputs, rule)):
            yield f"the rule {identity} of {group} has another {', '.join(fields)}"
    for identity in sorted(missing):
        yield f"the rule {identity} of {group} is gone"
