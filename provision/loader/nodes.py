"""The document as read: values with the place where each was written."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from pydantic import SecretStr

from provision.diagnostics import Path, Position

Scalar: TypeAlias = bool | int | float | str | SecretStr | None
Place: TypeAlias = tuple[str, int, int, int]
"""File, line, column and length, all as in `Position`; a tuple because there is one for every key and value."""


class Node:
    """A value of the document: a scalar, a map of nodes or a list of nodes.

    Attributes:
        value: what was written. Maps and lists hold nodes.
        place: where the value stands.
        key: where its key stands; None for list items and the root.
        size: how many nodes it stands for when written out, itself included.
        block: whether it is a map or list in block style, whose key shows its place better than its first line.
    """

    __slots__ = ("block", "key", "place", "size", "value")

    def __init__(
        self,
        value: "Scalar | dict[str, Node] | list[Node]",
        place: Place,
        key: Place | None = None,
        size: int = 1,
        block: bool = False,
    ) -> None:
        """Put `value` at `place`."""
        self.value = value
        self.place = place
        self.key = key
        self.size = size
        self.block = block

    def with_value(self, value: "Scalar | dict[str, Node] | list[Node]") -> "Node":
        """The same place with another value."""
        return Node(value, self.place, self.key, self.size, self.block)

    def under(self, key: Place | None) -> "Node":
        """The same value under another key, as an alias makes it."""
        return Node(self.value, self.place, key, self.size, self.block)

    def get(self, *path: str | int) -> "Node | None":
        """The node at `path` below this one."""
        node = self
        for part in path:
            inner = node.value
            found = None
            if isinstance(inner, dict) and isinstance(part, str):
                found = inner.get(part)
            elif isinstance(inner, list) and isinstance(part, int) and 0 <= part < len(inner):
                found = inner[part]
            if found is None:
                return None
            node = found
        return node

    def items(self) -> "list[tuple[str, Node]]":
        """The entries of a map; none for anything else."""
        return list(self.value.items()) if isinstance(self.value, dict) else []


def plain(node: Node) -> object:
    """The value without places."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


class Places(Mapping[Path, Position]):
    """Positions by path, looked up in the tree instead of listed: a large file has hundreds of thousands."""

    def __init__(self, root: Node, *, keys: bool) -> None:
        """Look up in `root`: the places of keys, or else those of values."""
        self._root = root
        self._keys = keys

    def _place(self, node: Node) -> Place | None:
        if self._keys:
            return node.key
        return None if node.block and node.key is not None else node.place

    def __getitem__(self, path: Path) -> Position:
        """The position at `path`.

        Raises:
            KeyError: when nothing was written there.
        """
        node = self._root.get(*path)
        place = self._place(node) if node is not None else None
        if place is None:
            raise KeyError(path)
        return Position(*place)

    def __iter__(self) -> Iterator[Path]:
        """Every path that has a position."""
        todo: list[tuple[Path, Node]] = [((), self._root)]
        while todo:
            path, node = todo.pop()
            if self._place(node) is not None:
                yield path
            if isinstance(node.value, dict):
                todo += [((*path, key), child) for key, child in node.value.items()]
            elif isinstance(node.value, list):
                todo += [((*path, index), child) for index, child in enumerate(node.value)]

    def __len__(self) -> int:
        """How many paths have a position."""
        return sum(1 for _ in self)
