"""What a look for drift finds."""

import enum
from dataclasses import dataclass

from provision.diagnostics import Position
from provision.models import DriftPolicy


class Kind(enum.StrEnum):
    """Sorts of drift; the values are the names of rules in reports, and stay."""

    RULES = "isolation-rules"
    POLICY = "isolation-policy"
    GONE = "resource-gone"
    CHANGED = "resource-changed"
    FOREIGN = "foreign-object"
    UNSEEN = "not-seen"


ABOUT = {
    Kind.RULES: "The platform lets packets pass that the stack file forbids, or stops what it allows.",
    Kind.POLICY: "The platform does not hold a policy or share as the stack file says it.",
    Kind.GONE: "A resource of the stack does not exist any more.",
    Kind.CHANGED: "A resource of the stack was changed by something else than this stack.",
    Kind.FOREIGN: "A machine that is none of the stack's is on one of its networks.",
    Kind.UNSEEN: "A part of the platform could not be looked at, so that nothing is known of it.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was deployed.

    Attributes:
        kind: what sort of thing.
        name: Pulumi's name of the resource, or the path of a policy: `isolation/web-open`.
        summary: one line.
        details: further lines, such as the properties that changed; never a secret.
        isolates: whether isolation or sharing depends on it.
        position: where the stack file speaks of it.
        policy: what the stack file says of such drift.
    """

    kind: Kind
    name: str
    summary: str
    details: tuple[str, ...] = ()
    isolates: bool = False
    position: Position | None = None
    policy: DriftPolicy = DriftPolicy.OWN

    @property
    def rank(self) -> tuple[bool, int, str]:
        """Isolation first, then by kind, then by name."""
        return not self.isolates, list(Kind).index(self.kind), self.name


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found.

    Attributes:
        project: Pulumi project.
        stack: Pulumi stack.
        findings: the gravest first.
        unchanged: how many resources are as recorded.
        ignored: what the stack file wants to be left alone; it is no drift.
    """

    project: str
    stack: str
    findings: tuple[Finding, ...]
    unchanged: int
    ignored: tuple[Finding, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether anything is not as it was deployed."""
        return any(finding.kind is not Kind.UNSEEN for finding in self.findings)

    @property
    def to_adopt(self) -> tuple[Finding, ...]:
        """What the stack file wants to take over."""
        return tuple(finding for finding in self.findings if finding.policy is DriftPolicy.ADOPT)

    @property
    def exit_code(self) -> int:
        """0 no drift, 1 something could not be looked at, 2 drift, 3 drift of what isolates."""
        if any(finding.isolates for finding in self.findings if finding.kind is not Kind.UNSEEN):
            return 3
        return 2 if self.drifted else 1 if self.findings else 0
