"""The report of a verification: what was expected, what was seen, and what that proves of each policy."""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from provision.models import Level, Stack, TrafficPolicy
from provision.packets import Service
from provision.spi import Evidence
from provision.verify.endpoints import Family
from provision.verify.judge import Outcome, judge
from provision.verify.plan import LeftOut, ProbePlan
from provision.verify.run import RunResult
from provision.verify.state import DeployedStack, PolicyRecord

NOT_ASKED: Mapping[Evidence, str] = {
    Evidence.TRANSLATED: "not asked here: 'provision verify --static' proves the native rules",
    Evidence.ACCEPTED: "not asked by this release: the platform's own record of the rules is not yet read back",
    Evidence.EFFECTIVE: "not asked by this release: the host's own tables are not yet read",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One probe: who, to whom, what, expected and seen.

    Attributes:
        source: name of the machine, or `outside`.
        source_address: its address.
        destination: name of the machine, `outside`, or `host (NETWORK)`.
        destination_address: the address that was probed.
        service: `tcp/80`, `udp/53`, `icmp` or `icmpv6` (an echo).
        family: 4 or 6.
        expected: whether packets are to pass.
        passed: whether they did, None when that is not known.
        seen: what the probe saw.
        why: the policy that decides, or `default deny`, `default allow`, `no route`, `services.NAME`.
        outcome: whether they agree, differ, or nothing is proven.
        note: what stands in the way of proof.
        attempts: how often it was sent.
    """

    source: str
    source_address: str
    destination: str
    destination_address: str
    service: str
    family: int
    expected: bool
    passed: bool | None
    seen: str
    why: str
    outcome: Outcome
    note: str = ""
    attempts: int = 1


class Standing(enum.StrEnum):
    """What a verification found of one policy."""

    PROVEN = "proven"
    DIFFERS = "differs"
    UNPROVEN = "unproven"
    NOT_PROBED = "not probed"
    DOWNGRADED = "downgraded"


@dataclass(frozen=True, slots=True)
class PolicyEvidence:
    """What is known of one policy.

    Attributes:
        standing: the outcome of its probes.
        rows: positions in the report's rows that this policy decides.
        evidence: per kind of evidence, what is held or why it is not.
    """

    name: str
    kind: str
    level: str
    standing: Standing
    rows: tuple[int, ...] = ()
    evidence: Mapping[Evidence, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VerifyReport:
    """The outcome of one verification.

    Attributes:
        file: name of the stack file.
        rows: every probe.
        policies: every policy of the file.
        downgraded: policies that are not enforced because their author let them be `preferred`.
        not_probed: machines that could not be probed, with the reason.
        broken: those of them for which that is a failure.
        left_out: what was not probed on purpose, and why.
        rule: how pairs of machines were chosen.
    """

    project: str
    stack: str
    platform: str
    file: str
    rows: tuple[Row, ...]
    policies: tuple[PolicyEvidence, ...] = ()
    downgraded: tuple[PolicyRecord, ...] = ()
    not_probed: Mapping[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    left_out: tuple[LeftOut, ...] = ()
    rule: str = ""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many probes were judged, and how."""
        found = Counter(row.outcome for row in self.rows)
        return {
            "probed": len(self.rows),
            "agreed": found[Outcome.AGREES],
            "differ": found[Outcome.DIFFERS],
            "unproven": found[Outcome.UNPROVEN],
            "not_probed": len(self.not_probed),
            "left_out": sum(item.count for item in self.left_out),
        }

    def having(self, outcome: Outcome) -> Iterator[Row]:
        """The rows of one outcome."""
        return (row for row in self.rows if row.outcome is outcome)

    @property
    def exit_code(self) -> int:
        """0 all agrees; 3 something differs, or what is required is not proven; 1 nothing could be verified."""
        counts = self.counts
        if counts["differ"]:
            return 3
        if self.broken and counts["unproven"] == counts["probed"]:
            return 1
        preferred = {policy.name for policy in self.policies if policy.level == Level.PREFERRED}
        short = any(row.why not in preferred for row in self.having(Outcome.UNPROVEN))
        unproven = any(p.standing is Standing.UNPROVEN and p.name not in preferred for p in self.policies)
        return 3 if short or unproven or self.broken else 0


def make_report(
    stack: Stack, deployed: DeployedStack, file: str, plan: ProbePlan, ran: RunResult, missing: Mapping[str, str] = {}
) -> VerifyReport:
    """Judge all that was seen.

    Args:
        stack: the stack file.
        deployed: the stack as deployed.
        file: name of the stack file.
        plan: what was to be done.
        ran: what was seen.
        missing: things beyond machines that could not be probed, with the reason.
    """
    rows = tuple(_rows(ran))
    return VerifyReport(
        deployed.project,
        deployed.name,
        deployed.platform,
        file,
        rows,
        tuple(_policies(stack, rows, {policy.name for policy in deployed.downgraded}, ran.failures)),
        deployed.downgraded,
        {**plan.not_probed, **ran.failures, **missing},
        frozenset(ran.failures),
        plan.left_out,
        plan.rule,
    )


def _rows(ran: RunResult) -> Iterator[Row]:
    for result in ran.results:
        expectation = result.expectation
        outcome, passed, note = judge(result, ran.health)
        yield Row(
            str(expectation.source),
            str(expectation.source.address(expectation.family)),
            str(expectation.destination),
            expectation.address,
            service_name(expectation.service, expectation.family),
            int(expectation.family),
            expectation.verdict.allowed,
            passed,
            str(result.seen),
            expectation.verdict.why,
            outcome,
            note or _reason(result.detail, outcome, passed),
            result.attempts,
        )


def _reason(detail: str, outcome: Outcome, passed: bool | None) -> str:
    """Why packets did not arrive, when a channel says it; a bare number is how long the probe took."""
    return detail if outcome is Outcome.DIFFERS and not passed and not detail.isdecimal() else ""


def service_name(service: Service, family: Family) -> str:
    """How a probed service is shown: an echo is just `icmp` or `icmpv6`."""
    return str(service.protocol) if service == family.echo else str(service)


def _policies(
    stack: Stack, rows: Sequence[Row], downgraded: Iterable[str], failures: Mapping[str, str]
) -> Iterator[PolicyEvidence]:
    weakened = frozenset(downgraded)
    by_policy: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_policy.setdefault(row.why, []).append(index)
    for name, policy in stack.isolation.policies.items():
        own = tuple(by_policy.get(name, ()))
        if name in weakened:
            standing, probed = Standing.DOWNGRADED, "none: the policy is not enforced here"
        elif not isinstance(policy, TrafficPolicy) and not own:
            standing, probed = Standing.NOT_PROBED, "not asked by this release: no probe speaks of this kind of policy"
        else:
            standing, probed = _standing([rows[index] for index in own], bool(failures))
        yield PolicyEvidence(
            name, policy.kind, str(policy.level), standing, own, {Evidence.PROBED: probed, **NOT_ASKED}
        )


def _standing(rows: Sequence[Row], broken: bool) -> tuple[Standing, str]:
    found = Counter(row.outcome for row in rows)
    if found[Outcome.DIFFERS]:
        return Standing.DIFFERS, f"{found[Outcome.DIFFERS]} of {len(rows)} probes differ"
    if found[Outcome.UNPROVEN]:
        return Standing.UNPROVEN, f"{found[Outcome.UNPROVEN]} of {len(rows)} probes prove nothing"
    if not rows:
        if broken:
            return Standing.UNPROVEN, "none: a machine that it speaks of could not be probed"
        return Standing.NOT_PROBED, "none: no probe could be sent that it alone decides"
    return Standing.PROVEN, f"{len(rows)} probe{'' if len(rows) == 1 else 's'} agree{'s' if len(rows) == 1 else ''}"
