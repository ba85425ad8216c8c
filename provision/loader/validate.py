"""From a document to a model, such as a `Stack`, with every mistake found in one run.

A file with mistakes still gives a model to check further: what is wrong is put in order with a sample value, and its
path is kept as a hole, so that no later check speaks about a value that nobody wrote.
"""

from typing import Any, TypeVar

from pydantic import ValidationError

from provision.diagnostics import DiagnosticSink, Path
from provision.loader.convert import Converter, sample_of
from provision.loader.messages import data_path, sentence, shape_at, value_at
from provision.loader.nodes import Node
from provision.loader.shape import Fixed, Leaf, Tagged, choose, shape_of
from provision.models.base import Model

M = TypeVar("M", bound=Model)
_ROUNDS = 6


def validate(root: Node, holes: set[Path], sink: DiagnosticSink, model: type[M]) -> tuple[M | None, set[Path]]:
    """Validate a document whose expressions are replaced.

    Args:
        root: the document.
        holes: paths without a usable value.
        sink: where mistakes go.
        model: what the document is to say.

    Returns:
        The model, None only when it is too broken to go on with; and the paths in it that hold no written value.
    """
    converter = Converter(sink, set(holes))
    data = converter.convert(root, shape_of(model), ())
    known_holes = converter.holes
    if not isinstance(data, dict):
        return None, known_holes
    reported: set[tuple[Path, str]] = set()
    for turn in range(_ROUNDS):
        try:
            return model.model_validate(data), known_holes
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        document = _Document(model, data)
        document.report(found, known_holes, reported, sink)
        for item in found:
            path, key, _ = data_path(item["loc"], data, model)
            stubborn = turn >= 2
            mended = path[:-1] if stubborn else path
            if turn == 0 and item["type"] == "value_error" and (filled := document.filled(path)):
                known_holes.discard(path)
                known_holes.update(filled)
                continue
            known_holes.add(mended)
            document.mend(mended, remove=key or stubborn)
    return None, known_holes


class _Document:
    """Plain data on its way to a model."""

    def __init__(self, model: type[Model], data: Any) -> None:
        self._model = model
        self._data = data

    def report(self, found: list[Any], holes: set[Path], reported: set[tuple[Path, str]], sink: DiagnosticSink) -> None:
        """Report each mistake once: in a union only that of the option that was meant."""
        seen: set[Path] = set()
        touched = {path[:end] for path in holes for end in range(len(path))}
        for strict in (True, False):
            for item in found:
                path, key, other = data_path(item["loc"], self._data, self._model)
                if other is strict or path in holes or (path in seen and not key):
                    continue
                if path in touched and item["type"] in ("too_short", "value_error"):
                    continue  # said of what is left after something within was refused
                seen.add(path)
                summary, fix = sentence(item, path, value_at(path, self._data), key=key)
                if (path, summary) not in reported:
                    reported.add((path, summary))
                    sink.error(path, summary, fix, key=key)
        holes |= seen

    def mend(self, path: Path, *, remove: bool) -> None:
        """Make the data valid at `path`: with a sample, or by leaving the entry out."""
        if not path:
            return
        holder = value_at(path[:-1], self._data)
        shape = choose(self._shape(path), value_at(path, self._data))
        whole = not isinstance(shape, Leaf) or isinstance(shape, Tagged)
        last: Any = path[-1]
        if isinstance(holder, list) and isinstance(last, int):
            if last < len(holder):
                holder[last] = sample_of(self._shape(path))
            else:
                self.mend(path[:-1], remove=True)
        elif isinstance(holder, dict):
            outer = choose(self._shape(path[:-1]), holder)
            optional = isinstance(outer, Fixed) and last not in outer.required
            if remove or whole or optional:
                holder.pop(last, None)
            else:
                holder[last] = sample_of(self._shape(path))

    def filled(self, path: Path) -> list[Path]:
        """Give an entry that says too little what it leaves out, so that what it does say is still checked."""
        value = value_at(path, self._data)
        shape = choose(self._shape(path), value)
        if not path or not isinstance(value, dict) or not isinstance(shape, Fixed):
            return []
        absent = [key for key in shape.fields if key not in value]
        value.update({key: sample_of(shape_of(shape.fields[key])) for key in absent})
        return [(*path, key) for key in absent]

    def _shape(self, path: Path) -> Any:
        return shape_at(path, self._data, self._model)
