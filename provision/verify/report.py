"""The report of a verification: what was expected, what was seen, and what that proves of each policy."""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from provision.models import Level, Policy, Stack, TrafficPolicy
from provision.packets import Service
from provision.spi import Evidence
from provision.verify.endpoints import Family
from provision.verify.evidence import Gathered
from provision.verify.forging import Forged
from provision.verify.guardrails.check import Checked
from provision.verify.held import UNSPOKEN, Held
from provision.verify.judge import Outcome, judge
from provision.verify.plan import LeftOut, ProbePlan
from provision.verify.proof import Proof
from provision.verify.run import RunResult
from provision.verify.sharing import Coverage
from provision.verify.state import DeployedStack, PolicyRecord

FALSE = "false "
"""Begins the service of a row about a false sender."""
SHARE = "share"
"""Kind of what is no policy but a share."""


@dataclass(frozen=True, slots=True)
class Row:
    """One probe: who, to whom, what, expected and seen.

    Attributes:
        source: name of the machine, or `outside`.
        source_address: its address.
        destination: name of the machine, `outside`, or `host (NETWORK)`.
        destination_address: the address that was probed.
        service: `tcp/80`, `udp/53`, `icmp` or `icmpv6` (an echo); `false mac`, `false ip` or `false arp` for a frame of
            which that is another's.
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
    """What a verification found of one policy; `ACCEPTED`: the platform says so, and no more than that can be seen."""

    PROVEN = "proven"
    ACCEPTED = "accepted"
    DIFFERS = "differs"
    UNPROVEN = "unproven"
    NOT_PROBED = "not probed"
    NOT_SHOWN = "not shown"
    DOWNGRADED = "downgraded"


@dataclass(frozen=True, slots=True)
class PolicyEvidence:
    """What is known of one policy, or of one share.

    Attributes:
        standing: the outcome of all its evidence.
        rows: positions in the report's rows that this policy decides.
        evidence: per kind of evidence, what is held or why it is not.
        holds: per kind, whether what was seen agrees with the file; None when nothing was seen.
        probes: whether probes speak of it at all.
    """

    name: str
    kind: str
    level: str
    standing: Standing
    rows: tuple[int, ...] = ()
    evidence: Mapping[Evidence, str] = field(default_factory=dict)
    holds: Mapping[Evidence, bool | None] = field(default_factory=dict)
    probes: bool = True


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
        shares: every share of the file.
        proof: of the native rules, when the plugin can read them.
        applied: of the rules that the platform applies, when the plugin can see them.
        unmet: required evidence that is missing, in words.
        rules: what rules of the organisation say of the file; None when there are none.
        coverage: how far probes stand for all that could be sent; false senders are none of them.
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
    shares: tuple[PolicyEvidence, ...] = ()
    proof: Proof | None = None
    applied: Proof | None = None
    unmet: tuple[str, ...] = ()
    rules: Checked | None = None
    coverage: Coverage = field(default_factory=Coverage)

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
        """0 all agrees; 3 something differs, is not proven or breaks a rule; 1 nothing could be verified."""
        counts = self.counts
        judged = (*self.policies, *self.shares)
        proofs = [proof for proof in (self.proof, self.applied) if proof is not None]
        unproved = not all(proof.holds for proof in proofs)  # also where there is no policy but to deny
        broken = self.rules is not None and bool(self.rules.broken)
        if counts["differ"] or unproved or broken or any(item.standing is Standing.DIFFERS for item in judged):
            return 3
        if self.broken and counts["unproven"] == counts["probed"]:
            return 1
        preferred = {policy.name for policy in self.policies if policy.level == Level.PREFERRED}
        short = any(row.why not in preferred for row in self.having(Outcome.UNPROVEN))
        unproven = any(item.standing is Standing.UNPROVEN and item.level != Level.PREFERRED for item in judged)
        return 3 if short or unproven or self.broken or self.unmet else 0


def make_report(
    stack: Stack,
    deployed: DeployedStack,
    file: str,
    plan: ProbePlan,
    ran: RunResult,
    missing: Mapping[str, str] = {},
    gathered: Gathered | None = None,
    false: Sequence[Forged] = (),
) -> VerifyReport:
    """Judge all that was seen.

    Args:
        stack: the stack file.
        deployed: the stack as deployed.
        file: name of the stack file.
        plan: what was to be done.
        ran: what was seen.
        missing: things beyond machines that could not be probed, with the reason.
        gathered: all evidence but that of probes.
        false: what came of false senders.
    """
    rows = (*_rows(ran), *map(_false, false))
    known = Gathered() if gathered is None else gathered
    weakened = {policy.name for policy in deployed.downgraded}
    return VerifyReport(
        deployed.project,
        deployed.name,
        deployed.platform,
        file,
        rows,
        tuple(_policies(stack, rows, weakened, ran.failures, known)),
        deployed.downgraded,
        {**plan.not_probed, **ran.failures, **missing},
        frozenset(ran.failures),
        plan.left_out,
        plan.rule,
        tuple(
            _share(name, {Evidence.TRANSLATED: UNSPOKEN, **held}, known.measured.get(name))
            for name, held in known.shares.items()
        ),
        known.proof,
        known.applied,
        coverage=plan.coverage,
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


def _false(tried: Forged) -> Row:
    """A false sender as a row: what it claims to be never may pass."""
    forgery = tried.forgery
    outcomes = {True: Outcome.DIFFERS, False: Outcome.AGREES, None: Outcome.UNPROVEN}
    return Row(
        str(forgery.source),
        str(forgery.source.address(forgery.family)),
        str(forgery.witness),
        str(forgery.witness.address(forgery.family)),
        f"{FALSE}{forgery.claim}",
        int(forgery.family),
        False,
        tried.passed,
        {True: "open", False: "timeout", None: "failed"}[tried.passed],
        forgery.policy,
        outcomes[tried.passed],
        f"as {forgery.said}" if tried.passed else tried.note,
        tried.attempts,
    )


def _reason(detail: str, outcome: Outcome, passed: bool | None) -> str:
    """Why packets did not arrive, when a channel says it; a bare number is how long the probe took."""
    return detail if outcome is Outcome.DIFFERS and not passed and not detail.isdecimal() else ""


def service_name(service: Service, family: Family) -> str:
    """How a probed service is shown: an echo is just `icmp` or `icmpv6`."""
    return str(service.protocol) if service == family.echo else str(service)


def _policies(
    stack: Stack, rows: Sequence[Row], downgraded: Iterable[str], failures: Mapping[str, str], known: Gathered
) -> Iterator[PolicyEvidence]:
    weakened = frozenset(downgraded)
    by_policy: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_policy.setdefault(row.why, []).append(index)
    for name, policy in stack.isolation.policies.items():
        own = tuple(by_policy.get(name, ()))
        if name in weakened:
            none = dict.fromkeys(Evidence, Held(None, "not enforced here"))
            yield _evidence(name, policy.kind, str(policy.level), Standing.DOWNGRADED, own, none)
        elif isinstance(policy, TrafficPolicy) or own:
            yield _probed(name, policy, own, rows, bool(failures), known.of(name, policy))
        else:
            yield _of_machines(name, policy.kind, str(policy.level), known.of(name, policy))


def _probed(
    name: str,
    policy: Policy,
    own: tuple[int, ...],
    rows: Sequence[Row],
    broken: bool,
    held: Mapping[Evidence, Held],
) -> PolicyEvidence:
    """A policy that probes speak of: they decide, unless other evidence contradicts."""
    standing, text = _standing([rows[index] for index in own], broken)
    holds = {Standing.PROVEN: True, Standing.DIFFERS: False}.get(standing)
    if any(item.holds is False for item in held.values()):
        standing = Standing.DIFFERS
    elif standing is not Standing.DIFFERS and any(item.failed for item in held.values()):
        standing = Standing.UNPROVEN
    return _evidence(name, policy.kind, str(policy.level), standing, own, {**held, Evidence.PROBED: Held(holds, text)})


def _of_machines(name: str, kind: str, level: str, held: Mapping[Evidence, Held]) -> PolicyEvidence:
    """A policy or share that no probe speaks of."""
    found = {item.holds for item in held.values() if not (item.said and item.holds)}
    beyond = [item.holds for kind, item in held.items() if kind is not Evidence.ACCEPTED and not item.said]
    if False in found:
        standing = Standing.DIFFERS
    elif any(item.failed for item in held.values()):
        standing = Standing.UNPROVEN
    elif True in beyond:
        standing = Standing.PROVEN
    else:
        standing = Standing.ACCEPTED if True in found else Standing.NOT_SHOWN
    none = Held(None, "no probe speaks of this kind of policy")
    return replace(_evidence(name, kind, level, standing, (), {Evidence.PROBED: none, **held}), probes=False)


def _share(name: str, held: Mapping[Evidence, Held], measured: Held | None) -> PolicyEvidence:
    """A share, of which machines that were made busy may show something."""
    if measured is None:
        return _of_machines(name, SHARE, "required", held)
    found = _of_machines(name, SHARE, "required", {**held, Evidence.PROBED: measured})
    return replace(found, probes=True)


def _evidence(
    name: str, kind: str, level: str, standing: Standing, rows: tuple[int, ...], held: Mapping[Evidence, Held]
) -> PolicyEvidence:
    known = {kind: held[kind] for kind in Evidence if kind in held}
    return PolicyEvidence(
        name,
        kind,
        level,
        standing,
        rows,
        {kind: item.text for kind, item in known.items()},
        {kind: item.holds for kind, item in known.items()},
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
