"""From bytes to nodes: one YAML document, with limits, and every structural mistake that YAML itself lets pass.

Anchors and aliases are supported, because together with the free `x-` keys they spare repetition; what they expand to
counts against the same limit as what is written out, so that a small file cannot become a huge one.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

from provision.diagnostics import Diagnostic, Position, Severity, source_lines
from provision.loader.nodes import Node, Place
from provision.loader.scalars import resolve
from provision.loader.syntax import explain

MAX_BYTES = 10 * 1000 * 1000
MAX_DEPTH = 50
MAX_NODES = 2_000_000
MAX_MISTAKES = 1000

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")
_TO_LINE_END = 1 << 20


class _Stop(Exception):
    """The rest of the document cannot be read in a useful way."""


@dataclass(slots=True)
class _Open:
    """A map or list that is being read."""

    node: Node
    anchor: str | None
    waiting: tuple[str, Place] | None = None  # the key whose value comes next
    skip: bool = False  # the key was refused: read its value, and forget it
    keyed: bool = False


@dataclass(slots=True)
class _Reader:
    file: str
    text: str
    diagnostics: list[Diagnostic] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    root: Node | None = None
    total: int = 0

    def error(self, place: Place, summary: str, fix: str) -> None:
        self.diagnostics.append(Diagnostic(Severity.ERROR, summary, fix, (), Position(*place)))
        if len(self.diagnostics) >= MAX_MISTAKES:
            raise _Stop

    def place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        length = end.column - start.column if end.line == start.line else _TO_LINE_END
        return (self.file, start.line + 1, start.column + 1, max(1, length))

    def run(self) -> None:
        parser = _PARSER(self.text)
        documents = 0
        try:
            while True:
                event = parser.get_event()
                kind = type(event)
                if kind is yaml.ScalarEvent:
                    self.scalar(event)
                elif kind is yaml.MappingStartEvent:
                    self.start(event, {})
                elif kind is yaml.SequenceStartEvent:
                    self.start(event, [])
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    self.end(event)
                elif kind is yaml.AliasEvent:
                    self.alias(event)
                elif kind is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        self.error(
                            self.place(event),
                            "a second document begins here",
                            "keep one document per file: remove '---'",
                        )
                        raise _Stop
                elif kind is yaml.StreamEndEvent:
                    return
        except _Stop:
            return
        except yaml.MarkedYAMLError as error:
            summary, fix, line, column = explain(error, self.text)
            self.error((self.file, line + 1, column + 1, 1), summary, fix)
        except yaml.YAMLError as error:
            self.error((self.file, 1, 1, 1), f"this is not YAML: {error}", "mend the file in an editor")
        finally:
            parser.dispose()

    def scalar(self, event: Any) -> None:
        place = self.place(event)
        value: Any = event.value
        if event.tag not in _STRING_TAGS:
            self.tag(event, place)
        elif event.tag is None and event.implicit[0]:
            value = resolve(value)
        if event.style in ("|", ">"):
            place = (place[0], place[1], place[2], 1)
        empty = value is None and event.start_mark.index == event.end_mark.index  # its key shows its place better
        self.put(Node(value, place, block=empty), event.anchor, style=event.style)

    def tag(self, event: Any, place: Place) -> None:
        name = event.tag.replace("tag:yaml.org,2002:", "!!")
        self.error(place, f"the tag '{name}' is not known here", "remove the tag; quote a value to make it text")

    def start(self, event: Any, value: Any) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self.error(
                self.place(event),
                f"nested more than {MAX_DEPTH} levels deep",
                "no stack file needs that: flatten it",
            )
            raise _Stop
        place = self.place(event)
        if event.tag is not None and event.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self.tag(event, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # not to be used inside itself
        node = Node(value, place, block=not event.flow_style)
        self.stack.append(_Open(node, event.anchor))
        self.count(1, place)

    def end(self, event: Any) -> None:
        opened = self.stack.pop()
        node = opened.node
        if not node.block and event.end_mark.line + 1 == node.place[1]:
            file, line, column, _ = node.place
            node.place = (file, line, column, event.end_mark.column + 1 - column)
        self.put(node, opened.anchor, counted=True)

    def alias(self, event: Any) -> None:
        place = self.place(event)
        if event.anchor not in self.anchors:
            self.error(place, f"nothing is marked '&{event.anchor}' before this '*{event.anchor}'", "define it first")
            target = Node(None, place)
        else:
            found = self.anchors[event.anchor]
            if found is None:
                self.error(place, f"'*{event.anchor}' is used inside itself", "write the inner part out")
                raise _Stop
            target = found
        self.count(target.size, place)
        self.put(target.under(None), None, counted=True)

    def count(self, nodes: int, place: Place) -> None:
        self.total += nodes
        if self.total > MAX_NODES:
            self.error(
                place,
                f"the file holds more than {MAX_NODES:,} values when its aliases are written out",
                "use 'count:' for machines that are alike, or split the stack",
            )
            raise _Stop

    def put(self, node: Node, anchor: str | None, *, counted: bool = False, style: str | None = None) -> None:
        if not counted:
            self.count(1, node.place)
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        holder = self.stack[-1]
        inner = holder.node.value
        if isinstance(inner, list):
            inner.append(node)
        elif not holder.keyed:
            holder.keyed = True
            self.key(holder, node, style)
            return
        else:
            holder.keyed = False
            if holder.waiting is not None and not holder.skip and isinstance(inner, dict):
                name, place = holder.waiting
                if node.key is not None:  # an anchored value, used again
                    node = node.under(place)
                node.key = place
                inner[name] = node
        holder.node.size += node.size

    def key(self, holder: _Open, node: Node, style: str | None) -> None:
        name, inner = node.value, holder.node.value
        holder.skip = True
        if not isinstance(name, str):
            shown = "a list or map" if isinstance(name, dict | list) else self.written(node.place)
            self.error(
                node.place,
                f"a key must be text, not {shown}",
                f'quote it: "{shown}"' if shown[0] != "a" else "write 'key: value'",
            )
        elif name == "<<" and not style:
            self.error(
                node.place,
                "the merge key '<<' is not supported",
                "write the keys out, or alias a whole value",
            )
        elif isinstance(inner, dict) and name in inner:
            first = inner[name].key
            line = first[1] if first else 0
            self.error(
                node.place,
                f"'{name}' is given twice; the first is on line {line}",
                "keep one of them, or merge the two",
            )
        else:
            holder.skip = False
            holder.waiting = (name, node.place)

    def written(self, place: Place) -> str:
        lines = source_lines(self.text)
        line = lines[place[1] - 1] if place[1] <= len(lines) else ""
        return line[place[2] - 1 : place[2] - 1 + place[3]] or "nothing"


def read(text: str, file: str) -> tuple[Node | None, list[Diagnostic]]:
    """Read one YAML document.

    Args:
        text: the document.
        file: its name, as positions show it.

    Returns:
        The root, or None when there is nothing to use, and what is wrong.
    """
    reader = _Reader(file, text)
    reader.run()
    return reader.root, reader.diagnostics
