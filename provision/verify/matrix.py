"""The matrix of a report: sources by destinations, in each cell the services that pass and those that differ."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from provision.verify.judge import Outcome
from provision.verify.report import Row, VerifyReport


class Mark(enum.StrEnum):
    """What one entry of a cell says."""

    PASSES = "passes"
    LEAKS = "leaks"
    BLOCKED = "blocked"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Entry:
    """One service in a cell; `text` is what is shown."""

    mark: Mark
    text: str


@dataclass(frozen=True)
class Matrix:
    """Entries by source and destination; a missing cell was not probed, an empty one passes nothing."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    cells: Mapping[tuple[str, str], tuple[Entry, ...]]


def matrix(report: VerifyReport) -> Matrix:
    """Arrange the rows of a report."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in report.rows:
        grouped.setdefault((row.source, row.destination), []).append(row)
    sources = tuple(dict.fromkeys(source for source, _ in grouped))
    destinations = dict.fromkeys(destination for _, destination in grouped)
    order = [name for name in sources if name in destinations] + [name for name in destinations if name not in sources]
    return Matrix(sources, tuple(order), {pair: _cell(rows) for pair, rows in grouped.items()})


def _cell(rows: list[Row]) -> tuple[Entry, ...]:
    by_service: dict[tuple[str, Mark], list[Row]] = {}
    for row in rows:
        mark = _mark(row)
        if mark is not None:
            by_service.setdefault((row.service, mark), []).append(row)
    entries = []
    for (service, mark), marked in by_service.items():
        families = {row.family for row in marked}
        everywhere = families == {row.family for row in rows if row.service == service}
        text = service if everywhere else f"{service} (v{min(families)})"
        entries.append(Entry(mark, _SHOWN[mark].format(text)))
    unproven = sum(_mark(row) is Mark.UNPROVEN for row in rows)
    kept = [entry for entry in entries if entry.mark is not Mark.UNPROVEN]
    return (*kept, Entry(Mark.UNPROVEN, f"{unproven} unproven")) if unproven else tuple(kept)


_SHOWN = {Mark.PASSES: "{}", Mark.LEAKS: "!{} open", Mark.BLOCKED: "!{} closed", Mark.UNPROVEN: "{}"}


def _mark(row: Row) -> Mark | None:
    if row.outcome is Outcome.UNPROVEN:
        return Mark.UNPROVEN
    if row.outcome is Outcome.DIFFERS:
        return Mark.LEAKS if row.passed else Mark.BLOCKED
    return Mark.PASSES if row.passed else None
