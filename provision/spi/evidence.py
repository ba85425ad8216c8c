"""Evidence beside packets: what the platform records of a machine, and what its host applies to it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from provision.spi.probes import DeployedMachine, NativeState
from provision.spi.support import Evidence

if TYPE_CHECKING:  # every process of a plugin imports this module, and only verification needs the models
    from provision.models import Policy, Share
    from provision.spi.graph import ResourceGraph
    from provision.spi.support import Capabilities


@dataclass(frozen=True, slots=True)
class Shown:
    """What one look at a machine shows of one policy.

    Attributes:
        kind: `TRANSLATED` for what native resources say before anything is made, `ACCEPTED` for what the platform's API
            reads back, `EFFECTIVE` for what the host is seen to apply.
        holds: whether it is as the policy says; None when it cannot be seen.
        text: what was seen, with its numbers, in words that may follow the name of the machine: `vCPU 0 runs on CPU 3
            alone`; when it cannot be seen, why.
    """

    kind: Evidence
    holds: bool | None
    text: str


def accepted(holds: bool | None, text: str) -> Shown:
    """Evidence of what the platform's description of a machine says."""
    return Shown(Evidence.ACCEPTED, holds, text)


def instead(holds: bool, wanted: object) -> str:
    """What was asked for, when something else was found; goes on where a text ends."""
    return "" if holds else f" instead of {wanted}"


def number(count: int, what: str) -> str:
    """`1 disk`, `2 disks`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class EvidenceRequest:
    """What is asked about one machine.

    Attributes:
        machine: as the state has it.
        asked: policies that are enforced for it, and shares that limit it, as the file says them now.
        shared: native resources of the stack that belong to no machine.
        members: for each thing asked, all deployed machines that it selects, this one among them.
        kept: what the plugin keeps of the platform for the other machines of the location, in one look at them all.
    """

    machine: DeployedMachine
    asked: "tuple[Policy | Share, ...]"
    shared: tuple[NativeState, ...] = ()
    members: tuple[tuple[DeployedMachine, ...], ...] = ()
    kept: dict[Any, Any] = field(default_factory=dict)


@runtime_checkable
class CanShowEvidence(Protocol):
    """Without it no evidence of the kinds *accepted* and *effective* can be had on the platform, and reports say so."""

    def evidence(self, session: Any, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        """Look at a machine: for each thing asked, in that order, what is shown; empty when nothing can be told.

        Compared is with what the file says, and where the file leaves a choice (which core), with what the state
        records. Nothing is changed.

        Raises:
            provision.errors.ProvisionError: the machine is not there, or cannot be looked at.
        """


L = TypeVar("L")


def shown_by(
    look: L,
    request: EvidenceRequest,
    alone: Mapping[type, Callable[[L, Any], Iterable[Shown]]],
    beside: Mapping[type, Callable[[L, Any, Sequence[DeployedMachine]], Iterable[Shown]]],
) -> Sequence[Sequence[Shown]]:
    """The answers of functions by the class of what is asked about; empty for what none of them is about.

    Args:
        look: at the machine, handed to each function.
        request: what is asked.
        alone: functions about one machine.
        beside: functions about several, which get all that the policy selects.
    """
    found: list[list[Shown]] = []
    for position, asked in enumerate(request.asked):
        compared, answer = beside.get(type(asked)), alone.get(type(asked))
        if compared is not None:
            found.append(list(compared(look, asked, request.members[position] if request.members else ())))
        else:
            found.append([] if answer is None else list(answer(look, asked)))
    return found


@dataclass(frozen=True)
class SettingsRequest:
    """What is asked about one machine of a graph that is not made yet.

    Attributes:
        graph: native resources, as translation made them.
        capabilities: what the platform said of itself.
        machine: name of the instance (`web-0`).
        asked: policies that are to be enforced for it, and shares that limit it.
        members: for each thing asked, all instances that it selects, this one among them.
    """

    graph: "ResourceGraph"
    capabilities: "Capabilities"
    machine: str
    asked: "tuple[Policy | Share, ...]"
    members: tuple[tuple[str, ...], ...] = ()


@runtime_checkable
class CanReadSettings(Protocol):
    """Without it nobody shows that native settings say what policies and shares ask: only rules are *translated*."""

    def read_settings(self, request: SettingsRequest) -> Sequence[Sequence[Shown]]:
        """Look at native resources: for each thing asked, in that order, what they say of it; pure.

        Empty when no setting of theirs carries it, such as where packet rules do. Written without the translation's
        code, so that a mistake there does not hide here.
        """
