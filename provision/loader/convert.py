"""From nodes to plain data in the shape of the models: unknown and missing keys, and values of the wrong kind.

pydantic would find these too, but not as well: it would take `true` for 1 and "yes" for true, and name a mistake in a
union once for each of its options.
"""

import enum
import math
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from provision.diagnostics import DiagnosticSink, Path
from provision.loader.expressions import closest
from provision.loader.nodes import Node, plain
from provision.loader.shape import (
    ANYTHING,
    Either,
    Fixed,
    Items,
    Leaf,
    Named,
    Shape,
    Tagged,
    choose,
    shape_of,
)

_RESERVED = ("include", "modules")
_TEXTUAL = (str, IPv4Address, IPv4Network, IPv6Address, IPv6Network, SecretStr)
_DROP: Any = object()
_MOST_KEYS = 13
"""Keys that a message lists."""


class Converter:
    """Makes plain data of a document; what cannot be used is left out and noted.

    Attributes:
        holes: paths whose value was wrong or unknown; they hold a sample, or nothing.
    """

    def __init__(self, sink: DiagnosticSink, holes: set[Path]) -> None:
        """Report to `sink`; `holes` are paths that are known to have no usable value."""
        self.holes = holes
        self._given = frozenset(holes)
        self._sink = sink

    def convert(self, node: Node, shape: Shape, path: Path) -> Any:
        """The plain data of `node`, or a marker when it is to be left out."""
        if path in self._given:
            return _DROP
        value = node.value
        if isinstance(shape, Leaf):
            return self._leaf(node, shape, path)
        if isinstance(shape, Either):
            picked = choose(shape, value)
            if isinstance(picked, Either):
                return self._wrong(path, f"{_what(value)} cannot stand here", _expectation(shape))
            return self.convert(node, picked, path)
        if isinstance(shape, Items):
            return self._items(node, shape, path)
        if value is None and not isinstance(shape, Tagged):
            value = {}
        if not isinstance(value, dict):
            fix = "write a map of names" if isinstance(shape, Named) else _keys_fix(shape)
            return self._wrong(path, f"{name_of(path)} must be a map, not {_what(value)}", fix)
        if isinstance(shape, Named):
            return self._named(value, shape, path)
        if isinstance(shape, Tagged):
            tagged = self._tagged(value, shape, path)
            return _DROP if tagged is None else self._fixed(value, tagged, path)
        return self._fixed(value, shape, path)

    def _wrong(self, path: Path, summary: str, fix: str) -> Any:
        self.holes.add(path)
        self._sink.error(path, summary, fix)
        return _DROP

    def _named(self, value: dict[str, Node], shape: Named, path: Path) -> dict[str, Any]:
        inner = shape_of(shape.value)
        done = {}
        for key, child in value.items():
            item = self.convert(child, inner, (*path, key))
            if item is not _DROP:
                done[key] = item
        return done

    def _items(self, node: Node, shape: Items, path: Path) -> Any:
        if not isinstance(node.value, list):
            fix = "write it as a list: [" + (str(node.value) if _is_word(node.value) else "…") + "]"
            return self._wrong(path, f"{name_of(path)} must be a list, not {_what(node.value)}", fix)
        inner = shape_of(shape.item)
        done = []
        for index, child in enumerate(node.value):
            if child.value is None and (*path, index) not in self._given:
                item = self._wrong((*path, index), "this list item is empty", "write a value, or remove the '-'")
            else:
                item = self.convert(child, inner, (*path, index))
            done.append(sample(shape.item) if item is _DROP else item)  # the indexes of the others must stay
        return done

    def _tagged(self, value: dict[str, Node], shape: Tagged, path: Path) -> Fixed | None:
        kind = value.get("kind")
        kinds = sorted(shape.kinds)
        if (*path, "kind") in self._given:
            self.holes.add(path)
            return None
        if kind is None:
            self._wrong(path, f"{name_of(path)} has no 'kind'", f"add one of: {', '.join(kinds)}")
            return None
        found = shape.kinds.get(kind.value) if isinstance(kind.value, str) else None
        if found is None:
            self.holes.add(path)
            shown = f"'{kind.value}'" if _is_word(kind.value) else _what(kind.value)
            hint = closest(str(kind.value), kinds) or f"one of: {', '.join(kinds)}"
            self._sink.error((*path, "kind"), f"{shown} is not a kind of {noun_of(path)}", hint)
        return found

    def _fixed(self, value: dict[str, Node], shape: Fixed, path: Path) -> dict[str, Any]:
        done: dict[str, Any] = {}
        for key, child in value.items():
            if key in shape.fields:
                if key in _RESERVED and not path:
                    if child.value is not None:
                        self._sink.error((key,), f"'{key}' is reserved for a later version", "remove it", key=True)
                elif child.value is not None or (*path, key) in self._given:
                    item = self.convert(child, shape.child(key), (*path, key))
                    if item is not _DROP:
                        done[key] = item
            elif not key.startswith("x-"):
                self._unknown(key, shape, path)
        for key in shape.required:
            if key not in done:
                if (*path, key) not in self.holes:
                    self._missing(key, shape.fields[key], path)
                done[key] = sample(shape.fields[key])
        return done

    def _unknown(self, key: str, shape: Fixed, path: Path) -> None:
        known = [name for name in shape.fields if not (name in _RESERVED and not path)]
        hint = closest(key, known)
        if hint.startswith("did you mean"):
            self.holes.add((*path, hint.split("'")[1]))  # what was meant there is not known
        if not hint or (hint.startswith("one of") and len(known) > _MOST_KEYS):
            hint = f"one of: {', '.join(known)}"
        elif hint.startswith("did you mean") and len(known) <= _MOST_KEYS:
            hint += f" The keys here are: {', '.join(known)}"
        where = f" in {name_of(path)}" if path else ""
        self._sink.error((*path, key), f"the key '{key}' is not known{where}", hint, key=True)

    def _missing(self, key: str, annotation: Any, path: Path) -> None:
        self.holes.add((*path, key))
        if not path and key == "version":
            self._sink.error((), "the key 'version' is missing", "begin the file with 'version: 1'")
            return
        if key == "kind":
            return  # said already
        description = _field(annotation).description or ""
        example = _written_sample(annotation)
        meaning = f" ({description.removesuffix('.')})" if description else ""
        self._sink.error(path, f"{name_of(path)} has no '{key}'", f"add '{key}: {example}'{meaning}")

    def _leaf(self, node: Node, shape: Leaf, path: Path) -> Any:
        value = node.value
        if shape is ANYTHING or not shape.types:
            return plain(node)
        if isinstance(value, dict | list):
            return self._wrong(path, f"{name_of(path)} must be {_wanted(shape)}, not {_what(value)}", "write one value")
        if isinstance(value, float) and not math.isfinite(value):
            return self._wrong(path, f"{name_of(path)} must be finite", "write a number")
        if isinstance(value, SecretStr) or shape.measured:
            return value
        return value if _fits(value, shape) else self._misfit(value, shape, path)

    def _misfit(self, value: object, shape: Leaf, path: Path) -> Any:
        wanted = _wanted(shape)
        if path == ("version",):
            return self._wrong(path, "the version must be the number 1", "write 'version: 1'")
        if wanted == "true or false":
            meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower())
            fix = f"write {meant}" if meant else "write true or false, without quotes"
        elif wanted == "text" and value is None:
            fix = 'write a value, or "" for an empty one'
        elif wanted == "text":
            fix = f'put it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"'
        elif isinstance(value, str):
            fix = "write it without quotes" if value.isdigit() and value[0] != "0" else "write digits only, as in 2"
        else:
            fix = "write digits only, as in 2"
        return self._wrong(path, f"{name_of(path)} must be {wanted}, not {_what(value)}", fix)


def _fits(value: object, shape: Leaf) -> bool:
    kinds = shape.types
    if isinstance(value, bool):
        return bool in kinds or not any(kind in (int, float, *_TEXTUAL) or _is_literal(kind) for kind in kinds)
    if int in kinds and isinstance(value, int):
        return True
    if float in kinds and isinstance(value, int | float):
        return True
    literals = [type(item) for kind in kinds if _is_literal(kind) for item in kind.__args__]
    if literals:
        return type(value) in literals
    if isinstance(value, str):
        return not any(kind in (int, float, bool) for kind in kinds) or any(kind in _TEXTUAL for kind in kinds)
    return not any(kind in (int, float, bool, *_TEXTUAL) for kind in kinds)


def _is_literal(kind: Any) -> bool:
    return not isinstance(kind, type)


def _wanted(shape: Leaf) -> str:
    if bool in shape.types:
        return "true or false"
    if int in shape.types:
        return "a whole number"
    if float in shape.types and not shape.measured:
        return "a number"
    if any(kind in (IPv4Address, IPv6Address) for kind in shape.types):
        return "an address"
    if any(kind in (IPv4Network, IPv6Network) for kind in shape.types):
        return "a prefix such as 10.20.1.0/24"
    return "text"


def _what(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 40 else value[:37] + '…'}'"
    return "a secret"


def _is_word(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= 40


def _expectation(shape: Either) -> str:
    kinds = []
    for option in shape.options:
        kinds.append(
            "a list" if isinstance(option, Items) else "a map" if isinstance(option, Fixed | Named) else _wanted(option)
        )
    return f"write {' or '.join(dict.fromkeys(kinds))}"


def _keys_fix(shape: Shape) -> str:
    if isinstance(shape, Fixed) and len(shape.fields) <= 12:
        return f"write its keys below it: {', '.join(shape.fields)}"
    return "write its keys below it, indented"


_NOUNS = {
    "machines": "machine",
    "networks": "network",
    "images": "image",
    "disks": "disk",
    "policies": "policy",
    "parameters": "parameter",
    "references": "reference",
    "locations": "location",
    "shares": "share",
    "pools": "pool",
    "sources": "image source",
    "rules": "rule",
}


def noun_of(path: Path) -> str:
    """What an entry is called: machine, network, policy."""
    return _NOUNS.get(str(path[-2]), "entry") if len(path) > 1 else "entry"


def name_of(path: Path) -> str:
    """How messages name a place: the machine 'web', 'cpus', NIC 0 of the machine 'web'."""
    if not path:
        return "the stack file"
    last = path[-1]
    if isinstance(last, int):
        if len(path) > 2 and path[-2] == "nics":
            return f"NIC {last} of {name_of(path[:-2])}"
        return f"item {last + 1} of '{path[-2]}'" if len(path) > 1 else f"item {last + 1}"
    if len(path) > 1 and path[-2] in _NOUNS and path[-2] != last and path[0] != "drift":
        return f"the {_NOUNS[str(path[-2])]} '{last}'"
    return f"'{last}'"


def _field(annotation: Any) -> FieldInfo:
    return next(item for item in annotation.__metadata__ if isinstance(item, FieldInfo))


def sample(annotation: Any) -> Any:
    """A valid value of a field, to go on with the rest of a file that has mistakes."""
    return sample_of(shape_of(annotation))


def sample_of(shape: Shape) -> Any:
    """A valid value of a shape."""
    if isinstance(shape, Fixed):
        return {key: sample(shape.fields[key]) for key in shape.required}
    if isinstance(shape, Tagged):
        kind, picked = next(iter(shape.kinds.items()))
        return sample_of(picked) | {"kind": kind}
    if isinstance(shape, Either):
        return sample_of(shape.options[0])
    if isinstance(shape, Items):
        return [sample(shape.item)]
    if isinstance(shape, Named):
        return {"any": sample(shape.value)}
    return _sample_leaf(shape)


def _sample_leaf(shape: Leaf) -> Any:
    for kind in shape.types:
        if kind in _SAMPLES:
            return _SAMPLES[kind]
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return next(iter(kind)).value
        if _is_literal(kind):
            return kind.__args__[0]
        if getattr(kind, "__name__", "") in _SAMPLES:
            return _SAMPLES[kind.__name__]
    return "x"


_SAMPLES: dict[Any, Any] = {
    str: "x",
    bool: False,
    int: 1,
    float: 1.0,
    IPv4Address: "192.0.2.1",
    IPv6Address: "2001:db8::1",
    IPv4Network: "192.0.2.0/24",
    IPv6Network: "2001:db8::/64",
    "Bytes": "1GiB",
    "Peer": "outside",
    "Selector": "machine.*",
    "Service": "any",
}


def _written_sample(annotation: Any) -> str:
    shape = shape_of(annotation)
    if isinstance(shape, Leaf):
        value = _sample_leaf(shape)
        return "NAME" if value == "x" else str(value)
    return "[…]" if isinstance(shape, Items) else "{…}"
