"""A picture as text: Graphviz's DOT, and Mermaid, which forges draw in Markdown."""

import json
from collections.abc import Iterator

from provision.verify.diagram.model import Diagram, Place

_DOT_SHAPES = {
    "machine": 'shape=box, style="rounded,filled", fillcolor="#e8f0fe"',
    "network": 'shape=ellipse, style=filled, fillcolor="#f1f3f4"',
    "peer": 'shape=box, style=dashed',
}  # fmt: skip
_MERMAID_SHAPES = {"machine": ('["', '"]'), "network": ('(["', '"])'), "peer": ('{{"', '"}}')}
_ALLOWED, _DENIED, _MEMBER = "#188038", "#c5221f", "#9aa0a6"


def as_dot(diagram: Diagram) -> str:
    """The picture in Graphviz's language."""
    return "\n".join(_dot(diagram)) + "\n"


def _dot(diagram: Diagram) -> Iterator[str]:
    yield "digraph stack {"
    yield f'  graph [rankdir=LR, labelloc=t, fontname="sans-serif", label={_quoted(diagram.title)}]'
    yield '  node [fontname="sans-serif", fontsize=11]'
    yield '  edge [fontname="sans-serif", fontsize=9]'
    for place in diagram.places:
        yield f"  {_quoted(place.key)} [label={_quoted(chr(10).join(place.lines))}, {_DOT_SHAPES[place.kind]}]"
    for machine, network in diagram.members:
        yield f'  {_quoted(machine)} -> {_quoted(network)} [dir=none, color="{_MEMBER}"]'
    for arrow in diagram.arrows:
        look = f'color="{_ALLOWED}"' if arrow.allow else f'color="{_DENIED}", fontcolor="{_DENIED}", style=dashed'
        look += ", dir=both" if arrow.both else ""
        yield f"  {_quoted(arrow.source)} -> {_quoted(arrow.destination)} [label={_quoted(arrow.label)}, {look}]"
    yield "}"


def as_mermaid(diagram: Diagram) -> str:
    """The picture in Mermaid's language."""
    return "\n".join(_mermaid(diagram)) + "\n"


def _mermaid(diagram: Diagram) -> Iterator[str]:
    yield f"---\ntitle: {json.dumps(diagram.title, ensure_ascii=False)}\n---\nflowchart LR"
    keys = {place.key: f"n{index}" for index, place in enumerate(diagram.places)}
    yield from (f"  {keys[place.key]}{_box(place)}" for place in diagram.places)
    yield from (f"  {keys[machine]} --- {keys[network]}" for machine, network in diagram.members)
    for arrow in diagram.arrows:
        line = ("<" if arrow.both else "") + ("-->" if arrow.allow else "-.->")
        yield f'  {keys[arrow.source]} {line}|"{_escaped(arrow.label)}"| {keys[arrow.destination]}'
    first = len(diagram.members)
    denied = [str(index) for index, arrow in enumerate(diagram.arrows, first) if not arrow.allow]
    if denied:
        yield f"  linkStyle {','.join(denied)} stroke:{_DENIED},color:{_DENIED}"


def _box(place: Place) -> str:
    before, after = _MERMAID_SHAPES[place.kind]
    return before + "<br/>".join(map(_escaped, place.lines)) + after


def _quoted(text: str) -> str:
    """A string of DOT; a line feed becomes the two characters that mean one."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'


def _escaped(text: str) -> str:
    """Text inside Mermaid's quotes, which knows HTML's entities."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
