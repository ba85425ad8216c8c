"""Where a stack is made: its locations, each a platform with its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError
from provision.models import Stack
from provision.models.stack import DEFAULT_LOCATION
from provision.spi import Component, GraphBuilder, NicAddress, Node, Objection, Output, ResourceGraph
from provision.translate.crossing import Layout, Prefix


@dataclass(frozen=True)
class PlacedStack:
    """What is made at one location.

    Attributes:
        location: its name; `default` when the file names none.
        platform: name of the provider plugin.
        stack: the part of the stack that is made there, complete in itself: peers at other locations are prefixes.
        config: what the file says of the plugin's configuration there.
        elsewhere: prefixes of the stack's networks at other locations to which there is a way from here.
        objections: policies for traffic to or from other locations that no platform can enforce.
        alone: whether nothing of the stack is made elsewhere.
        layout: the whole stack.
    """

    location: str
    platform: str
    stack: Stack
    config: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: tuple[Prefix, ...] = ()
    objections: tuple[Objection, ...] = ()
    alone: bool = True
    layout: Layout | None = None

    def exact(self, addresses: Mapping[str, Sequence[NicAddress]]) -> "PlacedStack":
        """The same with the very addresses of machines at other locations, once those of all machines are known."""
        if self.alone or self.layout is None:
            return self
        return replace(self, stack=self.layout.part(self.location, addresses))

    @property
    def where(self) -> str:
        """For messages: empty when there is but one location."""
        return "" if self.alone else f" (location '{self.location}')"

    def named(self, name: str) -> str:
        """The name in Pulumi of what serves the whole location, such as `pool`: plain at `default`."""
        return name if self.location == DEFAULT_LOCATION else f"locations/{self.location}/{name}"

    def former(self, name: str) -> tuple[str, ...]:
        """Names that it may have had: when a whole stack moves from one location to another name, it is kept."""
        if not self.alone:
            return ()
        names = [DEFAULT_LOCATION, *self.stack.locations] if self.stack.locations else []
        found = [name if one == DEFAULT_LOCATION else f"locations/{one}/{name}" for one in names]
        return tuple(one for one in dict.fromkeys(found) if one != self.named(name))

    def graph(self, graph: ResourceGraph) -> ResourceGraph:
        """The graph of this location with names that are unique in the whole stack.

        Machines and networks have such names already, and nothing else of a stack is made twice.
        """
        if self.location == DEFAULT_LOCATION and not self.former(""):
            return graph
        renamed = {node.name: self.named(node.name) for node in graph.nodes if not _own(node)}
        return ResourceGraph(graph.components, tuple(self._renamed(node, renamed) for node in graph.nodes))

    def _renamed(self, node: Node, names: Mapping[str, str]) -> Node:
        name = names.get(node.name, node.name)
        return replace(
            node,
            name=name,
            inputs={key: _referring(value, names) for key, value in node.inputs.items()},
            depends_on=tuple(names.get(one, one) for one in node.depends_on),
            aliases=(*node.aliases, *self.former(node.name)) if node.name in names else node.aliases,
        )


def _own(node: Node) -> bool:
    return node.name.startswith(("machines/", "networks/"))


def _referring(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Output):
        return Output(names.get(value.node, value.node), value.property)
    if isinstance(value, Mapping):
        return {key: _referring(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_referring(item, names) for item in value]
    return value


def place(stack: Stack, sink: DiagnosticSink) -> tuple[PlacedStack, ...]:
    """The parts of a stack by location, in the order in which the file declares them; `default` is the first.

    Raises:
        StackFileError: no platform is chosen, or the networks of several locations cannot be told apart.
    """
    used = {stack.home(machine.location) for machine in stack.machines.values()}
    used |= {stack.home(network.location) for network in stack.networks.values()}
    order = list(dict.fromkeys([DEFAULT_LOCATION, *stack.locations]))
    names = [name for name in order if name in used] or [stack.home(None)]
    if any(name not in stack.locations for name in names) and stack.platform is None:
        if not used and stack.locations:
            names = list(stack.locations)[:1]
        else:
            sink.error(
                (),
                "no platform is chosen",
                "write 'platform: NAME' in the stack file, or run: pulumi config set provision:platform NAME",
            )
            raise StackFileError(tuple(sink), sink.source_map)
    if len(names) == 1:
        here = {name: pool for name, pool in stack.sharing.pools.items() if stack.home(pool.location) == names[0]}
        if len(here) < len(stack.sharing.pools):
            stack = stack.model_copy(update={"sharing": stack.sharing.model_copy(update={"pools": here})})
        return (_placed(stack, names[0], stack),)
    layout = Layout(stack)
    layout.check(sink)
    if sink.has_errors:
        raise StackFileError(tuple(sink), sink.source_map)
    return tuple(
        replace(
            _placed(stack, name, layout.part(name)),
            elsewhere=layout.elsewhere(name),
            objections=tuple(item for where, item in layout.objections if where == name),
            alone=False,
            layout=layout,
        )
        for name in names
    )


def _placed(stack: Stack, name: str, part: Stack) -> PlacedStack:
    location = stack.locations.get(name)
    if location is None:
        return PlacedStack(name, stack.platform or "", part)
    return PlacedStack(name, location.platform, part, location.config)


def joined(graphs: Sequence[ResourceGraph]) -> ResourceGraph:
    """The graphs of all locations as one; what several have, such as a policy, is one component.

    Raises:
        PluginError: two native resources have the same name.
    """
    if len(graphs) == 1:
        return graphs[0]
    components: dict[str, Component] = {}
    for graph in graphs:
        for part in graph.components:
            known = components.get(part.name)
            if known is not None:
                both = dict.fromkeys([*known.aliases, *part.aliases])
                part = Component(part.kind, part.name, {**part.outputs, **known.outputs}, tuple(both))
            components[part.name] = part
    builder = GraphBuilder()
    for part in components.values():
        builder.component(part.kind, part.name, part.outputs, part.aliases)
    for graph in graphs:
        for node in graph.nodes:
            builder.add(
                node.type,
                node.name,
                node.inputs,
                parent=node.parent,
                depends_on=node.depends_on,
                keep=node.keep,
                protect=node.protect,
                aliases=node.aliases,
            )
    return builder.build()
