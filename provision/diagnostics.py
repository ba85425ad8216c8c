"""What the product tells a person about their input: severity, summary, fix, and the place in the stack file.

Diagnostics are collected, never raised one by one: a `DiagnosticSink` gathers all that one run finds, and whoever
owns the sink raises a single `provision.errors.StackFileError` with them.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Where a value sits in a document: keys and list indexes from the root, as in `("machines", "web", "disks", 0)`."""


class Severity(enum.StrEnum):
    """How much a diagnostic matters. An `ERROR` stops the run before anything is changed."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; `line` and `column` count from 1, `length` is the number of characters to underline."""

    file: str
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        """The form that editors and terminals turn into a link: `file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what is wrong (`summary`, one line) and how to mend it (`fix`)."""

    severity: Severity
    summary: str
    fix: str = ""
    path: Path = ()
    position: Position | None = None

    def __str__(self) -> str:
        """One line, without the source excerpt: `stack.yaml:3:5: error: summary (fix)`."""
        place = f"{self.position}: " if self.position else f"{format_path(self.path)}: " if self.path else ""
        return f"{place}{self.severity}: {self.summary}" + (f" ({self.fix})" if self.fix else "")


def format_path(path: Path) -> str:
    """Write a path as a person would: `machines.web.disks[0].size`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@lru_cache(maxsize=8)
def source_lines(source: str) -> tuple[str, ...]:
    """Split as YAML does, which knows fewer line ends than `str.splitlines`; cached for files with many mistakes."""
    return tuple(re.split("\r\n|[\n\r\x85\u2028\u2029]", source))


@dataclass(frozen=True, slots=True)
class SourceMap:
    """Where each path of the loaded document was written, so that later stages can point at the file.

    Merged documents (overlays) keep the position of the file that had the last word.
    """

    keys: Mapping[Path, Position] = field(default_factory=dict)
    values: Mapping[Path, Position] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def locate(self, path: Path, *, key: bool = False) -> Position | None:
        """The position of `path`, or of its nearest ancestor that has one.

        Args:
            path: the place in the document.
            key: point at the key rather than at the value (for "unknown key").
        """
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        for end in range(len(path), -1, -1):
            found = first.get(path[:end]) or second.get(path[:end])
            if found:
                return found
        return None

    def line(self, position: Position) -> str | None:
        """The source line of `position`, or None when the text is not at hand."""
        source = self.sources.get(position.file)
        lines = source_lines(source) if source is not None else ()
        return lines[position.line - 1] if 0 < position.line <= len(lines) else None

    def excerpt(self, position: Position) -> str | None:
        """The source line of `position` with a caret line below it, or None when the text is not at hand."""
        line = self.line(position)
        if line is None:
            return None
        start, window = max(0, position.column - 61), 120
        shown = line[start : start + window].expandtabs(1)
        carets = "^" * max(1, min(position.length, len(shown) - (position.column - 1 - start)))
        gutter = f"{position.line:>5} | "
        pad = " " * (len(gutter) - 2) + "| "
        return f"{gutter}{shown}\n{pad}{' ' * (position.column - 1 - start)}{carets}"


class DiagnosticSink:
    """Collects diagnostics and gives each its position from a `SourceMap`."""

    def __init__(self, source_map: SourceMap | None = None) -> None:
        """Collect for the document that `source_map` describes; without one, diagnostics keep only their path."""
        self.source_map = source_map or SourceMap()
        self._found: list[Diagnostic] = []

    def add(self, diagnostic: Diagnostic) -> None:
        """Add one that is already complete."""
        self._found.append(diagnostic)

    def error(self, path: Path, summary: str, fix: str = "", *, key: bool = False) -> None:
        """Report something that stops the run."""
        self._report(Severity.ERROR, path, summary, fix, key)

    def warning(self, path: Path, summary: str, fix: str = "", *, key: bool = False) -> None:
        """Report something that a person should know but that does not stop the run."""
        self._report(Severity.WARNING, path, summary, fix, key)

    def note(self, path: Path, summary: str, fix: str = "", *, key: bool = False) -> None:
        """Report a fact, such as a choice made by search."""
        self._report(Severity.NOTE, path, summary, fix, key)

    def _report(self, severity: Severity, path: Path, summary: str, fix: str, key: bool) -> None:
        self._found.append(Diagnostic(severity, summary, fix, path, self.source_map.locate(path, key=key)))

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Add several; those without a position get it from the source map."""
        for item in diagnostics:
            position = item.position or self.source_map.locate(item.path)
            self._found.append(Diagnostic(item.severity, item.summary, item.fix, item.path, position))

    def __iter__(self) -> Iterator[Diagnostic]:
        """All diagnostics in the order of the file, then in the order they were found."""
        far = Position("\uffff", 0, 0)
        return iter(sorted(self._found, key=lambda d: d.position or far))

    def __len__(self) -> int:
        """How many have been collected, of any severity."""
        return len(self._found)

    @property
    def has_errors(self) -> bool:
        """Whether any of them stops the run."""
        return any(d.severity is Severity.ERROR for d in self._found)
