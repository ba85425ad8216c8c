"""From a document to a `Stack`, with every mistake found in one run.

A file with mistakes still gives a stack to check further: what is wrong is put in order with a sample value, and its
path is kept as a hole, so that no later check speaks about a value that nobody wrote.
"""

from typing import Any

from pydantic import ValidationError

from provision.diagnostics import DiagnosticSink, Path
from provision.loader.convert import Converter, sample_of
from provision.loader.messages import data_path, sentence, shape_at, value_at
from provision.loader.nodes import Node
from provision.loader.shape import Fixed, Leaf, Tagged, choose, shape_of
from provision.models import Stack

_ROUNDS = 6


def validate(root: Node, holes: set[Path], sink: DiagnosticSink) -> tuple[Stack | None, set[Path]]:
    """Validate a document whose expressions are replaced.

    Args:
        root: the document.
        holes: paths without a usable value.
        sink: where mistakes go.

    Returns:
        The stack, None only when it is too broken to go on with; and the paths in it that hold no written value.
    """
    converter = Converter(sink, set(holes))
    data = converter.convert(root, shape_of(Stack), ())
    known_holes = converter.holes
    if not isinstance(data, dict):
        return None, known_holes
    reported: set[tuple[Path, str]] = set()
    for turn in range(_ROUNDS):
        try:
            return Stack.model_validate(data), known_holes
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        _report(found, data, known_holes, reported, sink)
        for item in found:
            path, key, _ = data_path(item["loc"], data)
            stubborn = turn >= 2
            mended = path[:-1] if stubborn else path
            if turn == 0 and item["type"] == "value_error" and (filled := _filled(data, path)):
                known_holes.discard(path)
                known_holes.update(filled)
                continue
            known_holes.add(mended)
            _mend(data, mended, remove=key or stubborn)
    return None, known_holes


def _report(
    found: list[Any], data: Any, holes: set[Path], reported: set[tuple[Path, str]], sink: DiagnosticSink
) -> None:
    """Report each mistake once: in a union only that of the option that was meant."""
    seen: set[Path] = set()
    touched = {path[:end] for path in holes for end in range(len(path))}
    for strict in (True, False):
        for item in found:
            path, key, other = data_path(item["loc"], data)
            if other is strict or path in holes or (path in seen and not key):
                continue
            if path in touched and item["type"] in ("too_short", "value_error"):
                continue  # said of what is left after something within was refused
            seen.add(path)
            summary, fix = sentence(item, path, value_at(path, data), key=key)
            if (path, summary) not in reported:
                reported.add((path, summary))
                sink.error(path, summary, fix, key=key)
    holes |= seen


def _mend(data: Any, path: Path, *, remove: bool) -> None:
    """Make the data valid at `path`: with a sample, or by leaving the entry out."""
    if not path:
        return
    holder = value_at(path[:-1], data)
    shape = choose(shape_at(path, data), value_at(path, data))
    whole = not isinstance(shape, Leaf) or isinstance(shape, Tagged)
    last: Any = path[-1]
    if isinstance(holder, list) and isinstance(last, int):
        if last < len(holder):
            holder[last] = _sample(path, data)
        else:
            _mend(data, path[:-1], remove=True)
    elif isinstance(holder, dict):
        outer = choose(shape_at(path[:-1], data), holder)
        optional = isinstance(outer, Fixed) and last not in outer.required
        if remove or whole or optional:
            holder.pop(last, None)
        else:
            holder[last] = _sample(path, data)


def _filled(data: Any, path: Path) -> list[Path]:
    """Give an entry that says too little what it leaves out, so that what it does say is still checked."""
    value = value_at(path, data)
    shape = choose(shape_at(path, data), value)
    if not path or not isinstance(value, dict) or not isinstance(shape, Fixed):
        return []
    absent = [key for key in shape.fields if key not in value]
    value.update({key: sample_of(shape_of(shape.fields[key])) for key in absent})
    return [(*path, key) for key in absent]


def _sample(path: Path, data: Any) -> Any:
    return sample_of(shape_at(path, data))
