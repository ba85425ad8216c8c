"""Diagnostics as text for a person: place, sentence, source line with carets, fix."""

from collections.abc import Iterable

from provision.diagnostics import Diagnostic, Severity, SourceMap, format_path
from provision.errors import StackFileError

_COLOURS = {Severity.ERROR: "31;1", Severity.WARNING: "33;1", Severity.NOTE: "36;1"}


def render(
    found: StackFileError | Iterable[Diagnostic], source_map: SourceMap | None = None, *, color: bool = False
) -> str:
    """Write diagnostics in the order of the file, and how many there are.

    Args:
        found: the error, or its diagnostics.
        source_map: where the excerpts come from; default: that of the error.
        color: with terminal colours.
    """
    diagnostics = found.diagnostics if isinstance(found, StackFileError) else tuple(found)
    if source_map is None:
        source_map = found.source_map if isinstance(found, StackFileError) else SourceMap()
    blocks = [_block(item, source_map, color) for item in in_order(diagnostics)]
    return "\n".join([*blocks, _count(diagnostics)]) + "\n"


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file and place; those without a place last; each only once."""
    unique = dict.fromkeys(diagnostics)
    return sorted(
        unique,
        key=lambda d: (
            d.position is None,
            d.position.file if d.position else "",
            (d.position.line, d.position.column) if d.position else (0, 0),
        ),
    )


def _block(item: Diagnostic, source_map: SourceMap, color: bool) -> str:
    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if color and text else text

    place = f"{item.position}: " if item.position else f"{format_path(item.path)}: " if item.path else ""
    code = _COLOURS[item.severity]
    lines = [f"{paint(place, '1')}{paint(str(item.severity), code)}: {item.summary}"]
    excerpt = source_map.excerpt(item.position) if item.position else None
    if excerpt:
        source, carets = excerpt.split("\n")
        lines += [source, paint(carets, code) if color else carets]
    if item.fix:
        lines.append(f"  {paint('fix:', '32')} {item.fix}")
    return "\n".join(lines)


def _count(diagnostics: Iterable[Diagnostic]) -> str:
    unique = list(dict.fromkeys(diagnostics))
    parts = []
    for severity in Severity:
        number = sum(item.severity is severity for item in unique)
        if number:
            parts.append(f"{number} {severity}{'' if number == 1 else 's'}")
    return ", ".join(parts) or "no errors"
