"""Native rules broken on purpose, one at a time: what a mistake in a translation, or somebody by hand, could do."""

import types
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel

from provision.spi import Change, Isolates, Node, OnChange, Output, ResourceGraph

Path = tuple[str | int, ...]
_MOST_OTHERS = 3
_LONGEST = 80
_GONE = object()
_NONE = Isolates()


@dataclass(frozen=True, slots=True)
class Mutant:
    """A graph with one thing broken.

    Attributes:
        node: name of the native resource.
        path: of the input that is broken.
        text: what was done, in words.
        graph: the whole, broken.
        setting: whether it is a setting that a policy or a share asks for, and no packet rule.
        choice: of a setting, whether it has another value now, and the file leaves it open which.
        always: of a setting, whether it is made also where nothing asks for it.
        change: what the plugin does to a live object for such a change.
    """

    node: str
    path: Path
    text: str
    graph: ResourceGraph
    setting: bool = False
    choice: bool = False
    change: Change = Change.IN_PLACE
    always: bool = False

    def __str__(self) -> str:
        """In one line."""
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"{self.node}{place}: {self.text}"


def mutants(graph: ResourceGraph) -> Iterator[Mutant]:
    """Every single break of every input that carries isolation (`Isolates`).

    What is taken away: each item of a list, each key of a mapping, each optional value. What is changed: each choice to
    each other one, numbers by one and to the ends of their range, texts to what stands in the same place elsewhere in
    the graph, references to those of others.
    """
    places = [(index, place) for index, node in enumerate(graph.nodes) for place in _places(node)]
    seen: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for index, place in places:
        if isinstance(place.value, str | Output):
            seen[_kind(graph.nodes[index], place.path)].setdefault(repr(place.value), place.value)
    for index, place in places:
        node = graph.nodes[index]
        others = [value for value in seen[_kind(node, place.path)].values() if value != place.value]
        for value, text in _broken(place, others):
            inputs = _with(node.inputs, place.path, value)
            nodes = (*graph.nodes[:index], replace(node, inputs=inputs), *graph.nodes[index + 1 :])
            mark = place.mark
            choice = mark.choice and not (value is _GONE or value is None or value in ([], {}))
            whole = replace(graph, nodes=nodes)
            yield Mutant(node.name, place.path, text, whole, mark.setting, choice, place.change, mark.always)


@dataclass(frozen=True, slots=True)
class _Place:
    """A value somewhere inside inputs: what its model says of it, and what is there once it is taken away."""

    path: Path
    value: Any
    annotation: Any
    marks: Sequence[Any] = ()
    without: Any = _GONE
    mark: Isolates = _NONE
    change: Change = Change.IN_PLACE


def _places(node: Node) -> Iterator[_Place]:
    """Values that carry isolation, and everything inside of them."""
    yield from _inside((), node.inputs, node.type.Inputs, None, Change.IN_PLACE)


def _inside(
    path: Path, value: Any, model: type[BaseModel], carried: Isolates | None, change: Change
) -> Iterator[_Place]:
    if not isinstance(value, Mapping):
        return
    for name, field in model.model_fields.items():
        if name not in value:
            continue
        marked = next((mark for mark in field.metadata if isinstance(mark, Isolates)), carried)
        default = value[name] if field.is_required() else field.get_default(call_default_factory=True)
        own = next((mark.change for mark in field.metadata if isinstance(mark, OnChange)), Change.IN_PLACE)
        worst = max(change, own, key=list(Change).index)
        place = _Place((*path, name), value[name], field.annotation, field.metadata, default, change=worst)
        yield from _walk(place, marked)


def _walk(place: _Place, carried: Isolates | None) -> Iterator[_Place]:
    annotation, marks = _bare(place.annotation)
    place = replace(place, annotation=annotation, marks=(*place.marks, *marks), mark=carried or _NONE)
    if carried is not None:
        yield place
    value, inner = place.value, get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _inside(place.path, value, annotation, carried, place.change)
    elif isinstance(value, list | tuple) and inner:
        for index, item in enumerate(value):
            yield from _walk(_Place((*place.path, index), item, inner[0], change=place.change), carried)
    elif isinstance(value, Mapping) and len(inner) == 2:
        for key, item in value.items():
            yield from _walk(_Place((*place.path, key), item, inner[1], change=place.change), carried)


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without `None` and `Annotated`, and what stood beside it."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        found, more = _bare(inner)
        return found, (*marks, *more)
    if get_origin(annotation) in (Union, types.UnionType):
        left = [one for one in get_args(annotation) if one is not type(None)]
        return _bare(left[0]) if len(left) == 1 else (annotation, ())
    return annotation, ()


def _broken(place: _Place, others: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """Each wrong value in the place of the right one, and what that is in words."""
    value = place.value
    if place.without != value:
        yield place.without, f"{_shown(value)} taken away"
    if get_origin(place.annotation) is Literal:
        for choice in get_args(place.annotation):
            if choice != value:
                yield choice, f"{_shown(value)} became {_shown(choice)}"
    elif isinstance(value, bool):
        yield not value, f"{_shown(value)} became {_shown(not value)}"
    elif isinstance(value, int):
        for number in _numbers(value, place.marks):
            yield number, f"{value} became {number}"
    elif isinstance(value, str) and value.isdecimal():
        for number in _numbers(int(value), place.marks):
            yield str(number), f"{value} became {number}"
    elif isinstance(value, str | Output):
        for other in others[:_MOST_OTHERS]:
            yield other, f"{_shown(value)} became {_shown(other)}"


def _numbers(value: int, marks: Sequence[Any]) -> Iterator[int]:
    low = next((mark.ge for mark in marks if isinstance(mark, Ge)), None)
    high = next((mark.le for mark in marks if isinstance(mark, Le)), None)
    near = [number for number in (value - 1, value + 1) if number >= 0 or value < 0]
    for number in dict.fromkeys([*near, *(end for end in (low, high) if isinstance(end, int))]):
        above = not isinstance(low, int) or number >= low
        below = not isinstance(high, int) or number <= high
        if number != value and above and below:
            yield number


def _kind(node: Node, path: Path) -> tuple[Any, ...]:
    """What kind of place it is: the same for the same input of any resource of a type."""
    return (node.type.token, *(0 if isinstance(step, int) else step for step in path))


def _with(value: Any, path: Path, new: Any) -> Any:
    """A copy of nested values with another one at `path`, or none there."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        changed = {key: _with(item, rest, new) if key == step else item for key, item in value.items()}
        return {key: item for key, item in changed.items() if item is not _GONE}
    items = [_with(item, rest, new) if index == step else item for index, item in enumerate(value)]
    return [item for item in items if item is not _GONE]


def _shown(value: Any) -> str:
    text = f"{value.node}.{value.property}" if isinstance(value, Output) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
