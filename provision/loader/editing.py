"""Writing single values into a stack file: comments, order and layout stay, and nothing else comes to mean another."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from provision.diagnostics import Path as DataPath
from provision.diagnostics import Position, format_path, source_lines
from provision.loader.files import read_text, shown, stack_path
from provision.loader.nodes import Node, plain
from provision.loader.overlay import overlay_path
from provision.loader.reader import read
from provision.loader.scalars import resolve

Value: TypeAlias = str | int | float | bool
_STEP = "  "


@dataclass(frozen=True, slots=True)
class Edit:
    """A value that is to stand at a place of the document."""

    path: DataPath
    value: Value


class CannotEdit(Exception):
    """A value cannot be written where it belongs; the text says why, and where the file says something else."""


class Draft:
    """A stack file and its overlay on their way to another text; nothing is written before `save`."""

    def __init__(self, path: Path, overlay: str | None = None) -> None:
        """Begin with the files as they are.

        Args:
            path: the stack file, or its folder.
            overlay: name of the Pulumi stack; what is changed goes to its overlay when it has one, since the file
                itself is that of other stacks too.

        Raises:
            UserError: a file cannot be read.
        """
        file = stack_path(path)
        self._base = file
        over = overlay_path(file, overlay) if overlay else None
        self._over = over if over is not None and over.exists() else None
        self._before = {one: read_text(one) for one in (file, self._over) if one is not None}
        self._texts = dict(self._before)

    @property
    def texts(self) -> Mapping[Path, str]:
        """The texts of the files as they would be."""
        return self._texts

    @property
    def changed(self) -> Sequence[tuple[Path, str, str]]:
        """The files that change, with what they were and what they would be."""
        return [(one, self._before[one], text) for one, text in self._texts.items() if text != self._before[one]]

    def write(self, edit: Edit) -> None:
        """Have a value stand at its place.

        Raises:
            CannotEdit: that cannot be done without changing anything else.
        """
        file = self._over or self._base
        text = self._texts[file]
        root, found = read(text, shown(file))
        if found or root is None or not isinstance(root.value, dict):
            raise CannotEdit(f"{shown(file)} cannot be read")
        old = root.get(*edit.path)
        done = _replaced(text, old, edit) if old is not None else _inserted(text, root, edit)
        if not _only(root, done, file, edit):
            at = f" at {Position(*old.place)}" if old is not None else ""
            raise CannotEdit(f"what stands{at} is used for something else too")
        self._texts[file] = done

    def undo(self) -> None:
        """Have the files be as they are."""
        self._texts = dict(self._before)

    def save(self) -> None:
        """Write the files that change.

        Raises:
            OSError: one cannot be written.
        """
        for file, _, text in self.changed:
            data = file.read_bytes()
            mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
            file.write_bytes(mark + text.encode())


def _replaced(text: str, old: Node, edit: Edit) -> str:
    position = Position(*old.place)
    if isinstance(old.value, dict | list) or old.block:
        raise CannotEdit(f"{position}: {format_path(edit.path)} is no single value there")
    start = _offset(text, position.line, position.column)
    written = text[start : start + position.length]
    if "${" in written:
        raise CannotEdit(f"{position}: the file says {written} there")
    quote = written[:1]
    if quote in ("&", "*", "!", "|", ">"):
        raise CannotEdit(f"{position}: the file says {written} there, which is used elsewhere too")
    return text[:start] + _scalar(edit.value, quote) + text[start + position.length :]


def _inserted(text: str, root: Node, edit: Edit) -> str:
    """Add what is missing of the path behind the last single value of the deepest map that is there."""
    depth = len(edit.path) - 1
    while root.get(*edit.path[:depth]) is None:
        depth -= 1
    holder, missing = root.get(*edit.path[:depth]), edit.path[depth:]
    assert holder is not None
    if not isinstance(holder.value, dict):
        raise CannotEdit(f"{Position(*holder.place)}: {format_path(edit.path[:depth])} is no map there")
    children = list(holder.value.values())
    if not holder.block:
        return _into_flow(text, holder, children, _flow(missing, edit.value))
    if not children or children[0].key is None:
        raise CannotEdit(f"{Position(*holder.place)}: nothing stands below {format_path(edit.path[:depth])} yet")
    indent = children[0].key[2] - 1
    if source_lines(text)[children[0].key[1] - 1][:indent].strip():
        raise CannotEdit(f"{Position(*holder.place)}: the map begins in the middle of a line")
    lines = [f"{' ' * indent}{_STEP * level}{key}:" for level, key in enumerate(missing)]
    lines[-1] += f" {_scalar(edit.value, '')}"
    flat = [child.place[1] for child in children if not child.block and _on_one_line(text, child)]
    kept = text.splitlines(keepends=True)
    at = max(flat) if flat else children[0].key[1] - 1
    end = "\r\n" if "\r\n" in text else "\n"
    if at and not kept[at - 1].endswith(("\n", "\r")):
        kept[at - 1] += end
    return "".join([*kept[:at], *(line + end for line in lines), *kept[at:]])


def _on_one_line(text: str, node: Node) -> bool:
    start = _offset(text, node.place[1], node.place[2])
    first = text[start : start + 1]
    if first in ("|", ">"):
        return False
    if first in ("{", "["):
        return text[start : start + node.place[3]].endswith(("}", "]"))
    return "\n" not in text[start : start + node.place[3]]


def _into_flow(text: str, holder: Node, children: Sequence[Node], entry: str) -> str:
    if not children:
        start = _offset(text, holder.place[1], holder.place[2])
        if text[start : start + 2] != "{}":
            raise CannotEdit(f"{Position(*holder.place)}: the map is empty in a way that is not known")
        return f"{text[:start]}{{{entry}}}{text[start + 2 :]}"
    last = children[-1]
    if not _on_one_line(text, last):
        raise CannotEdit(f"{Position(*last.place)}: the map goes over several lines")
    end = _offset(text, last.place[1], last.place[2]) + last.place[3]
    return f"{text[:end]}, {entry}{text[end:]}"


def _flow(keys: DataPath, value: Value) -> str:
    first, *rest = keys
    return f"{first}: {{{_flow(tuple(rest), value)}}}" if rest else f"{first}: {_scalar(value, '')}"


def _scalar(value: Value, quote: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if quote == "'":
        return "'" + value.replace("'", "''") + "'"
    simple = value.isascii() and value.replace("-", "").replace(".", "").replace("/", "").isalnum()
    if quote == '"' or not simple or resolve(value) != value or value[:1] in ("-", "."):
        return json.dumps(value, ensure_ascii=False)
    return value


def _only(root: Node, text: str, file: Path, edit: Edit) -> bool:
    """Whether the new text says what the old one said, but for the one value."""
    now, found = read(text, shown(file))
    if found or now is None:
        return False
    wanted = plain(root)
    at = wanted
    for key in edit.path[:-1]:
        assert isinstance(at, dict)
        at = at.setdefault(key, {})
    assert isinstance(at, dict)
    at[edit.path[-1]] = edit.value
    return plain(now) == wanted


def _offset(text: str, line: int, column: int) -> int:
    """Where a place is in a text whose lines end as YAML says."""
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: line - 1])) + column - 1
