"""Gates: kinds of evidence without which a verification fails, although nothing contradicts the file."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from provision.models import Level, Policy, Stack
from provision.spi import Evidence
from provision.verify.evidence import OF_PACKETS
from provision.verify.report import PolicyEvidence, Standing, VerifyReport


@dataclass(frozen=True, slots=True)
class Unmet:
    """Evidence that is required and not there.

    Attributes:
        policy: its name.
        kind: of evidence.
        why: what is known instead.
        asked: who requires it: `the stack file`, or the command.
    """

    policy: str
    kind: Evidence
    why: str
    asked: str

    def __str__(self) -> str:
        """In one sentence."""
        return f"{self.policy}: {self.asked} requires the evidence '{self.kind}', and there is none: {self.why}"


def unmet(stack: Stack, report: VerifyReport, required: Collection[Evidence] = ()) -> tuple[Unmet, ...]:
    """Everything that is required and missing.

    What a policy of the file asks for itself (`evidence`) is required as it stands. What is asked of all policies is
    required of those with `level: required` for which evidence of that kind can exist at all: packets say nothing of
    dedicated cores. A policy that was downgraded is not enforced, which every report says; nothing more is asked of it.

    Args:
        stack: what the file says.
        report: what was seen.
        required: kinds that are asked of all policies.
    """
    return tuple(
        found
        for item in report.policies
        if item.standing is not Standing.DOWNGRADED
        for found in _of(stack.isolation.policies[item.name], item, required)
    )


def _of(policy: Policy, item: PolicyEvidence, required: Collection[Evidence]) -> Iterator[Unmet]:
    own = {Evidence(kind) for kind in policy.evidence}
    asked = dict.fromkeys(own, "the stack file")
    if policy.level is Level.REQUIRED:
        asked |= {kind: "--require" for kind in required if kind not in own and _exists(kind, policy, item)}
    for kind in Evidence:
        if kind in asked and not item.holds.get(kind):
            yield Unmet(item.name, kind, item.evidence.get(kind, "nothing was looked at"), asked[kind])


def _exists(kind: Evidence, policy: Policy, item: PolicyEvidence) -> bool:
    """Whether evidence of that kind can exist for such a policy on any platform."""
    match kind:
        case Evidence.PROBED:
            return item.probes
        case Evidence.TRANSLATED:
            return isinstance(policy, OF_PACKETS) or item.holds.get(kind) is not None
        case _:
            return True
