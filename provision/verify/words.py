"""Differences and gaps in words, the same in every form of the report."""

from provision.spi import Evidence
from provision.verify.intent import DEFAULT_ALLOW, DEFAULT_DENY, NO_ADDRESS, NO_DISCOVERY, NO_ROUTE
from provision.verify.judge import Outcome
from provision.verify.report import Row, VerifyReport


def counter_example(row: Row, file: str) -> str:
    """One difference as a sentence: the packet, what became of it, and what the file says."""
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
    if not counts["probed"]:
        return "nothing was probed"
    parts = [f"{counts['probed']} probes: {counts['agreed']} agree"]
    if counts["differ"]:
        parts.append(f"{counts['differ']} differ")
    if counts["unproven"]:
        parts.append(f"{counts['unproven']} prove nothing")
    return ", ".join(parts)


def differences(report: VerifyReport) -> list[str]:
    """Every difference as a sentence."""
    return [counter_example(row, report.file) for row in report.having(Outcome.DIFFERS)]


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
    missing = dict.fromkeys(
        (str(kind), text)
        for policy in report.policies
        for kind, text in policy.evidence.items()
        if kind is not Evidence.PROBED
    )
    return found + [f"evidence '{kind}': {text}" for kind, text in missing]


def downgrades(report: VerifyReport) -> list[str]:
    """Every policy that is not enforced, each in one line."""
    return [
        f"policy '{policy.name}' ({policy.kind}) is preferred and NOT enforced: {policy.reason or 'no reason recorded'}"
        for policy in report.downgraded
    ]
