"""The report for people, for pipelines and for documents."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from provision.spi import Evidence
from provision.verify import proof as proofs
from provision.verify.guardrails.check import Checked
from provision.verify.judge import Outcome
from provision.verify.matrix import Entry, Mark, Matrix, matrix
from provision.verify.report import PolicyEvidence, Row, Standing, VerifyReport
from provision.verify.words import counter_example, coverage, differences, downgrades, gaps, of_rules, shown, summary

SCHEMA = 1
"""Version of the JSON form; keys are added to it, never renamed or removed."""

_WIDTH = 80
_CORNER = "from \\ to"
_STYLE = {Mark.PASSES: "green", Mark.LEAKS: "bold red", Mark.BLOCKED: "bold red", Mark.UNPROVEN: "yellow"}
_STANDING = {
    Standing.PROVEN: "green",
    Standing.ACCEPTED: "green",
    Standing.DIFFERS: "bold red",
    Standing.UNPROVEN: "yellow",
    Standing.NOT_PROBED: "dim",
    Standing.NOT_SHOWN: "yellow",
    Standing.DOWNGRADED: "yellow",
}
_NOTHING, _NOT_PROBED = "-", "."
_LEGEND = "Cells: what passes; ! differs from the file; - nothing passes; . not probed."
_SHARED_LEGEND = "Cells: what passes of what was sent there; ! differs from the file; - nothing passes; . not probed."
_EVIDENCE = "Evidence: T translated, A accepted, E effective, P probed; ! contradicts the file; - none."


def human(report: VerifyReport) -> RenderableType:
    """A table for a terminal, then policies, differences, downgrades and gaps in words."""
    parts: list[RenderableType] = []
    if report.rows:
        parts += [*_tables(matrix(report)), Text(_legend(report), style="dim")]
    if report.policies or report.shares:
        parts += [_policy_table([*report.policies, *report.shares]), Text(_EVIDENCE, style="dim")]
    parts += [Text(f"sent: {line}") for line in [coverage(report)] if line]
    parts += [Text(f"shown: {line}") for line in shown(report)]
    parts += [Text(f"difference: {line}", style="bold red") for line in differences(report)]
    parts += [Text(f"required: {line}", style="bold red") for line in report.unmet]
    parts += [Text(f"rule: {line}", style="bold red" if ": error: " in line else "") for line in of_rules(report.rules)]
    parts += [Text(f"downgraded: {line}", style="yellow") for line in downgrades(report)]
    parts += [Text(f"note: {line}", style="dim") for line in gaps(report)]
    bad = report.exit_code != 0
    parts.append(Text(summary(report), style="bold red" if bad else "bold green"))
    return Group(*parts)


def _legend(report: VerifyReport) -> str:
    return _SHARED_LEGEND if report.coverage.shared else _LEGEND


def _tables(grid: Matrix) -> Iterator[Table]:
    for number, columns in enumerate(_parts(grid)):
        table = Table(title=None if number else "who reaches whom", title_justify="left", show_lines=True)
        table.add_column(_CORNER, style="bold", no_wrap=True)
        for name in columns:
            table.add_column(escape(name), no_wrap=True)
        for source in grid.sources:
            table.add_row(escape(source), *(_cell(grid, source, name) for name in columns))
        yield table


def _parts(grid: Matrix) -> Iterator[list[str]]:
    """The destinations in parts that fit a terminal: nothing in a cell may be cut off."""
    first = max(map(len, (_CORNER, *grid.sources))) + 4
    shown: list[str] = []
    used = first
    for name in grid.destinations:
        entries = (entry.text for source in grid.sources for entry in grid.cells.get((source, name), ()))
        width = max(map(len, (name, *entries))) + 3
        if shown and used + width > _WIDTH:
            yield shown
            shown, used = [], first
        shown.append(name)
        used += width
    yield shown


def _cell(grid: Matrix, source: str, destination: str) -> Text:
    entries = grid.cells.get((source, destination))
    if not entries:
        return Text(_NOT_PROBED if entries is None else _NOTHING, style="dim")
    return Text("\n").join(Text(entry.text, style=_STYLE[entry.mark]) for entry in entries)


def _policy_table(policies: Sequence[PolicyEvidence]) -> Table:
    table = Table(title="policies", title_justify="left")
    for title in ("policy", "kind", "level", "standing", "evidence", "probed"):
        table.add_column(title, overflow="fold", no_wrap=title in ("policy", "standing", "evidence"))
    for policy in policies:
        standing = Text(policy.standing, style=_STANDING[policy.standing])
        table.add_row(escape(policy.name), policy.kind, policy.level, standing, _marks(policy), escape(_probed(policy)))
    return table


def _marks(policy: PolicyEvidence) -> str:
    """One letter for each kind of evidence that holds: `T A E -`."""
    letters = {True: "", None: "-", False: "!"}
    return " ".join(kind[0].upper() if policy.holds.get(kind) else letters[policy.holds.get(kind)] for kind in Evidence)


def _probed(policy: PolicyEvidence) -> str:
    """What probes showed; nothing for what they cannot show."""
    return policy.evidence.get(Evidence.PROBED, "") if policy.probes else ""


def as_data(report: VerifyReport) -> dict[str, Any]:
    """The report as plain data, in a schema that stays."""
    return {
        "schema": SCHEMA,
        "project": report.project,
        "stack": report.stack,
        "platform": report.platform,
        "file": report.file,
        "exit_code": report.exit_code,
        "counts": dict(report.counts),
        "pairs": report.rule,
        "coverage": {
            "sent": report.coverage.sent,
            "possible": report.coverage.possible,
            "machines": report.coverage.machines,
            "pairs": report.coverage.pairs,
            "text": coverage(report),
        },
        "rows": [_row(row, report.file) for row in report.rows],
        "policies": [_item(policy) for policy in report.policies],
        "downgraded": [
            {"name": p.name, "kind": p.kind, "level": p.level, "verdict": p.verdict, "reason": p.reason}
            for p in report.downgraded
        ],
        "not_probed": [
            {"name": name, "reason": reason, "failure": name in report.broken}
            for name, reason in report.not_probed.items()
        ],
        "left_out": [{"count": item.count, "what": item.what, "why": item.why} for item in report.left_out],
        "shares": [_item(share) for share in report.shares],
        "unmet": list(report.unmet),
        "translated": None if report.proof is None else proofs.as_data(report.proof),
        **{str(kind): _applied(report, kind) for kind in (Evidence.ACCEPTED, Evidence.EFFECTIVE)},
        "rules": rules_data(report.rules),
    }


def _applied(report: VerifyReport, kind: Evidence) -> dict[str, Any] | None:
    """The proof of the live rules, where they are evidence of that kind."""
    return proofs.as_data(report.applied) if report.applied is not None and report.applied.kind is kind else None


def rules_data(checked: Checked | None) -> dict[str, Any] | None:
    """What rules of the organisation say of the file, as plain data."""
    if checked is None:
        return None
    found = [
        {
            "severity": str(item.severity),
            "summary": item.summary,
            "fix": item.fix,
            "place": str(item.position) if item.position else "",
        }
        for item in checked.diagnostics
    ]
    return {"checked": checked.rules, "broken": len(checked.broken), "findings": found}


def _item(policy: PolicyEvidence) -> dict[str, Any]:
    return {
        "name": policy.name,
        "kind": policy.kind,
        "level": policy.level,
        "standing": str(policy.standing),
        "rows": list(policy.rows),
        "evidence": {str(kind): text for kind, text in policy.evidence.items()},
        "holds": {str(kind): holds for kind, holds in policy.holds.items()},
    }


def _row(row: Row, file: str) -> dict[str, Any]:
    return {
        "source": row.source,
        "source_address": row.source_address,
        "destination": row.destination,
        "destination_address": row.destination_address,
        "service": row.service,
        "family": row.family,
        "expected": "open" if row.expected else "closed",
        "seen": row.seen,
        "passed": row.passed,
        "why": row.why,
        "outcome": str(row.outcome),
        "agrees": row.outcome is Outcome.AGREES,
        "note": row.note,
        "attempts": row.attempts,
        "counter_example": counter_example(row, file) if row.outcome is Outcome.DIFFERS else None,
    }


def as_json(report: VerifyReport) -> str:
    """The data as JSON text."""
    return json.dumps(as_data(report), indent=2)


def markdown(report: VerifyReport) -> str:
    """A document: for a pull request or a pipeline's summary."""
    lines = [
        f"## Verification of {report.project}/{report.stack} on {report.platform}",
        "",
        f"**{summary(report)}**",
        "",
    ]
    grid = matrix(report)
    if report.rows:
        lines += ["| from \\ to | " + " | ".join(grid.destinations) + " |", "|---" * (len(grid.destinations) + 1) + "|"]
        for source in grid.sources:
            cells = (_markdown_cell(grid.cells.get((source, name))) for name in grid.destinations)
            lines.append(f"| {source} | " + " | ".join(cells) + " |")
        lines += ["", _legend(report), "", *([f"Sent: {sent}.", ""] if (sent := coverage(report)) else [])]
    if report.policies or report.shares:
        lines += ["| policy | kind | level | standing | evidence | probed |", "|---|---|---|---|---|---|"]
        for item in (*report.policies, *report.shares):
            columns = (item.name, item.kind, item.level, str(item.standing), _marks(item), _probed(item))
            lines.append(f"| {' | '.join(columns)} |")
        lines += ["", _EVIDENCE, ""]
    for title, found in (
        ("Differences", differences(report)),
        ("Required evidence that is missing", report.unmet),
        ("Rules of the organisation", of_rules(report.rules)),
        ("Shown beside packets", shown(report)),
        ("Downgraded policies", downgrades(report)),
        ("Not shown by this report", gaps(report)),
    ):
        if found:
            lines += [f"### {title}", "", *(f"- {line}" for line in found), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_cell(entries: tuple[Entry, ...] | None) -> str:
    if not entries:
        return _NOT_PROBED if entries is None else _NOTHING
    return ", ".join(
        f"**{entry.text}**" if entry.mark in (Mark.LEAKS, Mark.BLOCKED) else entry.text for entry in entries
    )
