"""The resource graph: native resources with typed inputs that may refer to each other's outputs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from provision.errors import PluginError
from provision.spi.properties import SIMPLE
from provision.spi.resource import ResourceType


@dataclass(frozen=True, slots=True)
class Output:
    """An output of another node, used as, or anywhere inside, an input.

    Attributes:
        node: name of the node.
        property: Python name of the output; `id` is the object's identity.
    """

    node: str
    property: str


@dataclass(frozen=True, slots=True)
class Component:
    """A neutral parent of native resources, so that the tree reads as the file.

    Attributes:
        kind: `Machine`, `Network` or `Policy`; becomes `provision:index:<kind>`.
        name: unique name: full path, such as `machines/web-0`.
        outputs: what it shows in state; may refer to outputs of nodes.
        aliases: former names.
    """

    kind: str
    name: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One native resource.

    Attributes:
        type: its resource type.
        name: unique name: full path, such as `machines/web-0/domain`.
        inputs: by Python name; `Output` and secrets (`SecretStr`) may stand anywhere inside.
        parent: name of its component, None for the stack itself.
        depends_on: names of further nodes that must exist first.
        keep: leave the native object alone when the resource leaves the file or the stack is destroyed.
        protect: refuse to delete or replace it.
        aliases: former names (with the parent of today).
        ignored: names of inputs whose changes are left alone; from what the file says of drift, never by a plugin.
    """

    type: type[ResourceType[Any, Any, Any]]
    name: str
    inputs: Mapping[str, Any]
    parent: str | None = None
    depends_on: tuple[str, ...] = ()
    keep: bool = False
    protect: bool = False
    aliases: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def output(self, name: str) -> Output:
        """A reference to an output of this node."""
        return Output(self.name, name)


@dataclass(frozen=True)
class ResourceGraph:
    """Components and nodes, in an order in which each comes after what it refers to."""

    components: tuple[Component, ...]
    nodes: tuple[Node, ...]

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            KeyError: when there is none.
        """
        return self.named[name]

    @cached_property
    def named(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    def of_type(self, token: str) -> Iterator[Node]:
        """The nodes of a type of this plugin."""
        return (node for node in self.nodes if node.type.token == token)

    def referred(self, value: Any, token: str = "", property: str = "id") -> Node | None:
        """The node whose output `value` is; None when it is anything else.

        Args:
            value: of some input.
            token: of the type that the node must have; any when empty.
            property: the output that it must be.
        """
        node = self.named.get(value.node) if isinstance(value, Output) and value.property == property else None
        return node if node is not None and token in ("", node.type.token) else None


def references(value: Any) -> Iterator[Output]:
    """Every `Output` inside `value`."""
    if type(value) in SIMPLE:
        return
    if isinstance(value, Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            if type(item) not in SIMPLE:
                yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def dependencies(node: Node) -> tuple[str, ...]:
    """Names of all nodes that `node` refers to or depends on, without repeats, in a stable order."""
    return tuple(dict.fromkeys([ref.node for ref in references(node.inputs)] + list(node.depends_on)))


class GraphBuilder:
    """Collects components and nodes and checks the whole when it is built."""

    def __init__(self) -> None:
        """Start empty."""
        self._components: dict[str, Component] = {}
        self._nodes: dict[str, Node] = {}

    def component(
        self, kind: str, name: str, outputs: Mapping[str, Any] | None = None, aliases: Sequence[str] = ()
    ) -> Component:
        """Add a component; one with the same name is replaced (so that outputs can be given at the end)."""
        made = Component(kind, name, dict(outputs or {}), tuple(aliases))
        self._components[name] = made
        return made

    def add(
        self,
        type: type[ResourceType[Any, Any, Any]],
        name: str,
        inputs: Mapping[str, Any],
        *,
        parent: str | None = None,
        depends_on: Iterable[str] = (),
        keep: bool = False,
        protect: bool = False,
        aliases: Sequence[str] = (),
    ) -> Node:
        """Add a native resource.

        Raises:
            PluginError: when the name is taken.
        """
        if name in self._nodes:
            raise PluginError(f"two native resources are both called '{name}'")
        node = Node(type, name, dict(inputs), parent, tuple(depends_on), keep, protect, tuple(aliases))
        self._nodes[name] = node
        return node

    def build(self) -> ResourceGraph:
        """Check and order the graph.

        Raises:
            PluginError: on a reference to nothing, a missing parent, or a cycle.
        """
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for node in self._nodes.values():
            needed = dependencies(node)
            for name in needed:
                if name not in self._nodes:
                    raise PluginError(f"'{node.name}' refers to '{name}', which is not in the graph")
            if node.parent is not None and node.parent not in self._components:
                raise PluginError(f"'{node.name}' has the parent '{node.parent}', which is not in the graph")
            sorter.add(node.name, *needed)
        try:
            order = list(sorter.static_order())
        except CycleError as error:
            raise PluginError(
                f"native resources refer to each other in a circle: {' -> '.join(error.args[1])}"
            ) from None
        return ResourceGraph(tuple(self._components.values()), tuple(self._nodes[name] for name in order))
