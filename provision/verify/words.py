"""Differences and gaps in words, the same in every form of the report."""

from provision.spi import Evidence
from provision.verify.evidence import APPLIED, NATIVE, of_proof
from provision.verify.guardrails.check import Checked
from provision.verify.intent import DEFAULT_ALLOW, DEFAULT_DENY, NO_ADDRESS, NO_DISCOVERY, NO_ROUTE
from provision.verify.judge import Outcome
from provision.verify.report import FALSE, SHARE, PolicyEvidence, Row, Standing, VerifyReport


def counter_example(row: Row, file: str) -> str:
    """One difference as a sentence: the packet, what became of it, and what the file says."""
    if row.service.startswith(FALSE):
        way = f"{row.source} ({row.source_address}) -> {row.destination} ({row.destination_address})"
        return f"{row.service} {way} arrives, sent {row.note}, but {_denying(row.why, file)}"
    protocol, _, port = row.service.partition("/")
    target = f"[{row.destination_address}]" if row.family == 6 and port else row.destination_address
    way = f"{row.source} ({row.source_address}) -> {row.destination} ({target})" + (f":{port}" if port else "")
    if row.expected:
        return f"{protocol} {way} is closed ({_seen(row)}), but {_allowing(row.why, file)}"
    answered = "answers" if not port else "is open" if row.seen == "open" else "is not closed (refused by its target)"
    return f"{protocol} {way} {answered}, but {_denying(row.why, file)}"


def _seen(row: Row) -> str:
    return f"{row.seen}: {row.note}" if row.note else row.seen


def _allowing(why: str, file: str) -> str:
    if why == DEFAULT_ALLOW:
        return f"{file} allows what no policy denies"
    return f"{_policy(why)} in {file} allows it"


def _denying(why: str, file: str) -> str:
    match why:
        case _ if why == DEFAULT_DENY:
            return f"no policy in {file} allows it"
        case _ if why in (NO_ROUTE, NO_ADDRESS):
            return f"the networks in {file} give it no route"
        case _ if why == NO_DISCOVERY:
            return f"{file} switches neighbour discovery off (services.nd), without which IPv6 is closed"
        case _:
            return f"{_policy(why)} in {file} denies it"


def _policy(why: str) -> str:
    return f"isolation.{why}" if why.startswith("services.") else f"policy '{why}'"


def summary(report: VerifyReport) -> str:
    """The whole in one line."""
    counts = report.counts
    parts = [f"{counts['probed']} probes: {counts['agreed']} agree" if counts["probed"] else "nothing was probed"]
    if counts["differ"]:
        parts.append(f"{counts['differ']} differ")
    if counts["unproven"]:
        parts.append(f"{counts['unproven']} prove nothing")
    found = sum(False in beyond_probes(item).values() for item in (*report.policies, *report.shares))
    if found:
        parts.append(f"other evidence contradicts {found} {'policy' if found == 1 else 'policies'}")
    if report.proof is not None and not report.proof.holds:
        parts.append("the native rules are not proven")
    if report.applied is not None and not report.applied.holds:
        parts.append("the rules that the platform applies are not proven")
    if report.rules is not None and report.rules.broken:
        parts.append(f"rules are broken in {len(report.rules.broken)} place{'s' * (len(report.rules.broken) != 1)}")
    if report.unmet:
        parts.append(f"required evidence is missing in {len(report.unmet)} place{'s' * (len(report.unmet) != 1)}")
    return ", ".join(parts)


def coverage(report: VerifyReport) -> str:
    """How many probes there are, and what they cover; empty when none are planned."""
    found = report.coverage
    if not found.possible:
        return ""
    machines = f"{found.machines} machine{'s' * (found.machines != 1)}"
    pairs = f" and {found.pairs:,} ordered pair{'s' * (found.pairs != 1)} of them" if found.pairs else ""
    if not found.shared:
        return f"all {found.possible:,} probes of {machines}{pairs}"
    both = "what passes and what does not in each pair"
    each = "each packet at each machine, to and from each kind of peer"
    return f"{found.sent:,} probes stand for {found.possible:,} of {machines}{pairs}: {each}, and {both}"


def beyond_probes(item: PolicyEvidence) -> dict[Evidence, bool | None]:
    """Whether each kind of evidence agrees, but that of probes that are in rows."""
    measured = item.probes and item.kind == SHARE
    return {kind: holds for kind, holds in item.holds.items() if measured or kind is not Evidence.PROBED}


def differences(report: VerifyReport) -> list[str]:
    """Every difference as a sentence."""
    found = [counter_example(row, report.file) for row in report.having(Outcome.DIFFERS)]
    if report.proof is not None:
        found += [f"translated: {item}" for item in report.proof.differences]
    told = set[str]()
    if report.proof is not None:
        told.add(of_proof(report.proof, NATIVE).text)
    if report.applied is not None:
        found += [f"{report.applied.kind}: {item}" for item in report.applied.differences]
        told.add(of_proof(report.applied, APPLIED).text)  # packets say it better than each policy
    return found + [
        f"{_name(item)} is contradicted by what is {kind}: {item.evidence[kind]}"
        for item in (*report.policies, *report.shares)
        for kind, holds in beyond_probes(item).items()
        if holds is False and item.evidence[kind] not in told
    ]


def _name(item: PolicyEvidence) -> str:
    return f"share '{item.name}'" if item.kind == SHARE else f"policy '{item.name}' ({item.kind})"


def shown(report: VerifyReport) -> list[str]:
    """What else than packets agrees with policies, each in one line; the proof of rules speaks for itself."""
    names: dict[tuple[Evidence, str], list[str]] = {}
    for item in (*report.policies, *report.shares):
        for kind, holds in beyond_probes(item).items():
            if holds and kind is not Evidence.TRANSLATED:
                names.setdefault((kind, item.evidence[kind]), []).append(item.name)
    return [f"{', '.join(who)}, {kind}: {text}" for (kind, text), who in names.items()]


def gaps(report: VerifyReport) -> list[str]:
    """What the report cannot vouch for, each in one line."""
    found = [f"{name} was not probed: {reason}" for name, reason in report.not_probed.items()]
    unproven: dict[str, int] = {}
    for row in report.having(Outcome.UNPROVEN):
        unproven[row.note] = unproven.get(row.note, 0) + 1
    found += [
        f"{count} probe{'s' * (count != 1)} prove{'s' * (count == 1)} nothing: {note}"
        for note, count in unproven.items()
    ]
    found += [f"left out: {item.count} {item.what} ({item.why})" for item in report.left_out]
    missing: dict[tuple[Evidence, str], list[str]] = {}
    for policy in (*report.policies, *report.shares):
        if policy.standing is not Standing.DOWNGRADED:
            for kind, holds in beyond_probes(policy).items():
                if holds is None:
                    missing.setdefault((kind, policy.evidence[kind]), []).append(policy.name)
    found += [f"no evidence '{kind}' of {', '.join(names)}: {text}" for (kind, text), names in missing.items()]
    without = [policy.name for policy in report.policies if policy.standing is Standing.NOT_SHOWN]
    return found + ([f"nothing at all is shown of {', '.join(without)}"] if without else [])


def of_rules(checked: Checked | None) -> list[str]:
    """What rules of the organisation say of the file, each in one line."""
    return [] if checked is None else list(map(str, checked.diagnostics))


def downgrades(report: VerifyReport) -> list[str]:
    """Every policy that is not enforced, each in one line."""
    return [
        f"policy '{policy.name}' ({policy.kind}) is preferred and NOT enforced: {policy.reason or 'no reason recorded'}"
        for policy in report.downgraded
    ]
