"""A page of headings, tables and entries: written once, shown on a terminal or as Markdown."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import click

_WIDEST_COLUMN = 18
_NARROWEST_TEXT = 28


@dataclass(frozen=True)
class Table:
    """Rows under a head; only the last column holds long texts, and the first may hold a longer word now and then."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Entry:
    """A term, words that stand beside it, and texts below it."""

    term: str
    beside: str = ""
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[str | Table | Entry]


@dataclass(frozen=True)
class Page:
    """The whole."""

    title: str
    texts: Sequence[str] = ()
    sections: Sequence[Section] = field(default=())


def as_text(page: Page, width: int) -> Iterator[str]:
    """Lines for a terminal of that many columns, with the styles of `click`."""
    yield from _wrapped(page.title, width, bold=True)
    for text in page.texts:
        yield from _wrapped(text, width)
    for section in page.sections:
        yield ""
        yield click.style(section.title, bold=True)
        for block in section.blocks:
            if isinstance(block, Table):
                yield from _table(block, width)
            elif isinstance(block, Entry):
                yield from _entry(block, width)
            else:
                yield from _wrapped(block, width, "  ")


def as_markdown(page: Page) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"# {page.title}"
    for text in page.texts:
        yield ""
        yield text
    for section in page.sections:
        yield ""
        yield f"## {section.title}"
        before: object = None
        for block in section.blocks:
            if not (isinstance(block, Entry) and isinstance(before, Entry)):
                yield ""
            before = block
            if isinstance(block, Table):
                yield _row(block.head)
                yield "|" + "---|" * len(block.head)
                yield from (_row((_code(first), *rest)) for first, *rest in block.rows)
            elif isinstance(block, Entry):
                words = [text for text in (block.beside, *block.texts) if text]
                yield f"- {_code(block.term)}" + (f": {'; '.join(words)}" if words else "")
            else:
                yield block


def _code(term: str) -> str:
    indent = len(term) - len(term.lstrip())
    return "&nbsp;" * indent + f"`{term.strip()}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _wrapped(text: str, width: int, indent: str = "", *, bold: bool = False) -> Iterator[str]:
    for line in textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False):
        yield click.style(line, bold=True) if bold else line


def _table(table: Table, width: int) -> Iterator[str]:
    rows = [table.head, *table.rows]
    columns = [min(_WIDEST_COLUMN, max(len(row[at]) for row in rows)) + 2 for at in range(len(table.head) - 1)]
    left = 2 + sum(columns)
    for number, row in enumerate(rows):
        cells, lines = list(row[:-1]), list[str]()
        if cells and len(cells[0]) > columns[0] - 2:  # it gets a line of its own
            lines, cells[0] = [f"  {cells[0]}"], ""
        start = "  " + "".join(f"{cell:<{size}}" for cell, size in zip(cells, columns, strict=True))
        if width - left < _NARROWEST_TEXT:
            lines += [start.rstrip(), *_wrapped(row[-1], width, " " * 6)]
        else:
            first, *rest = textwrap.wrap(row[-1], width - left, break_on_hyphens=False) or [""]
            lines += [(start + first).rstrip(), *(" " * left + line for line in rest)]
        yield from (click.style(line, dim=True) for line in lines) if number == 0 else lines


def _entry(entry: Entry, width: int) -> Iterator[str]:
    beside = f"  {entry.beside}" if entry.beside else ""
    yield from textwrap.wrap(
        f"{entry.term}{beside}", width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )
    for text in entry.texts:
        yield from _wrapped(text, width, "      ")
