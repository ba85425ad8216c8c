"""A drift report for people, for documents and for scripts."""

import re
from collections.abc import Iterator
from typing import Any

from provision.cli.drifting.found import Finding, Kind, Report
from provision.cli.review.text import escaped
from provision.cli.words import plural

SCHEMA = 1
"""Version of the JSON form; keys are added to it, never renamed or removed."""
_MOST = 200
_QUIET = re.compile(r"^\*\*No drift: [^;]*?(?:; \d+ left alone)?\.\*\*$", re.MULTILINE)
_ADOPT = "`provision drift --adopt` writes into the stack file what it wants to take over; then `provision refresh`."
_FOREIGN = "What is none of the stack's is never touched: remove it, or give it another network."
_WAY_OUT = "`provision refresh` records what is there; `provision up` then makes it as the stack file says."


def summary(report: Report) -> str:
    """The outcome in one line."""
    found = [finding for finding in report.findings if finding.kind is not Kind.UNSEEN]
    unseen = len(report.findings) - len(found)
    blind = f"; {plural(unseen, 'thing')} could not be looked at" if unseen else ""
    blind = (f"; {len(report.ignored)} left alone" if report.ignored else "") + blind
    if not found:
        return f"No drift: {plural(report.unchanged, 'resource')} as recorded{blind}."
    isolating = sum(finding.isolates for finding in found)
    grave = f", {isolating} of what isolates" if isolating else ""
    return f"Drift: {plural(len(found), 'finding')}{grave}; {plural(report.unchanged, 'resource')} as recorded{blind}."


def human(report: Report) -> Iterator[str]:
    """Lines for a terminal."""
    for finding in report.findings:
        yield f"{'!' if finding.isolates else '~'} {finding.summary}{_at(finding)}"
        yield from (f"    {line}" for line in finding.details)
    for finding in report.ignored:
        yield f". {finding.summary}{_at(finding)}"
        yield from (f"    {line}" for line in finding.details)
    yield summary(report)
    yield from ways_out(report)


def ways_out(report: Report) -> Iterator[str]:
    """What a person can do about it."""
    kinds = {finding.kind for finding in report.findings}
    if kinds - {Kind.UNSEEN, Kind.FOREIGN}:
        yield _WAY_OUT
    if Kind.FOREIGN in kinds:
        yield _FOREIGN
    if report.to_adopt:
        yield _ADOPT


def as_data(report: Report) -> dict[str, Any]:
    """The report as plain data, in a schema that stays."""
    return {
        "schema": SCHEMA,
        "project": report.project,
        "stack": report.stack,
        "drifted": report.drifted,
        "exit_code": report.exit_code,
        "summary": summary(report),
        "unchanged": report.unchanged,
        "findings": [_data(finding) for finding in report.findings],
        "ignored": [_data(finding) for finding in report.ignored],
    }


def _data(finding: Finding) -> dict[str, Any]:
    return {
        "kind": str(finding.kind),
        "name": finding.name,
        "summary": finding.summary,
        "details": list(finding.details),
        "isolates": finding.isolates,
        "policy": str(finding.policy),
        "position": str(finding.position) if finding.position else None,
    }


def markdown(report: Report) -> str:
    """A document for an issue of a forge; its first line is how a pipeline finds the issue again."""
    said = [f"<!-- provision drift {report.project}/{report.stack} -->", f"## Drift of `{report.stack}`", ""]
    said += [f"**{summary(report)}**", ""]
    for finding in report.findings[:_MOST]:
        said.append(f"- {'**isolation**: ' if finding.isolates else ''}{escaped(finding.summary)}{_at(finding)}")
        said += [f"  - {escaped(line)}" for line in finding.details]
    if len(report.findings) > _MOST:
        said.append(f"- … and {len(report.findings) - _MOST} more")
    if report.ignored:
        said += ["", f"<details><summary>{len(report.ignored)} left alone, as the stack file says</summary>", ""]
        for finding in report.ignored[:_MOST]:
            said += [f"- {escaped(line)}" for line in (finding.summary, *finding.details)]
        said += ["", "</details>"]
    for line in ways_out(report):
        said += ["", line]
    return "\n".join(said) + "\n"


def is_quiet(document: str) -> bool:
    """Whether a `markdown` of this module says that nothing drifted and everything could be looked at."""
    return _QUIET.search(document) is not None


def _at(finding: Finding) -> str:
    return f" ({finding.position})" if finding.position else ""
