"""What a run of the engine on a stack does, and what came of it."""

from dataclasses import dataclass, field
from signal import Signals
from typing import Any, Literal

from provision.host.events import UNCHANGED_OPS, Message, ResourceStep

Command = Literal["preview", "up", "refresh", "destroy", "preview-destroy", "preview-refresh"]


@dataclass
class RunResult:
    """What a run did.

    Attributes:
        succeeded: whether it ended well.
        changes: number of resources by Pulumi's operation.
        steps: all steps, in the order in which they happened.
        messages: all messages.
        outputs: of the stack, after an `up` that went well; what is secret is replaced by `[secret]`.
        interrupted: the signal that asked it to stop.
        downgraded: policies that are not enforced, and why.
        isolation_kept: whether it surely allows, once it ended well, just what was allowed; None when nothing was told.
    """

    succeeded: bool
    changes: dict[str, int] = field(default_factory=dict)
    steps: list[ResourceStep] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    interrupted: Signals | None = None
    downgraded: dict[str, str] = field(default_factory=dict)
    isolation_kept: bool | None = None

    @property
    def changed(self) -> int:
        """How many resources changed, or would."""
        return sum(count for op, count in self.changes.items() if op not in UNCHANGED_OPS)
