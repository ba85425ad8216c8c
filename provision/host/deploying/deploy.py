"""Registering a graph: everything as soon as what it refers to is known, as much at once as the engine handles."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.host.deploying.monitor import EngineStopped, Monitor, Options, Registered
from provision.host.deploying.wire import wire_inputs, wire_name, wire_value
from provision.spi import (
    UNKNOWN,
    Component,
    Node,
    Output,
    OwnedInputs,
    Replacement,
    ResourceGraph,
    dependencies,
    references,
)


@dataclass(frozen=True, slots=True)
class Inherited:
    """What all that is made has from the component around it.

    Attributes:
        prefix: goes before every Pulumi name.
        protect: whether deleting anything is refused.
        keep: whether the native objects outlive their resources.
        deleted_with: URN of a resource whose deletion takes everything along.
        timeouts: how long operations may take, as `Options` has it.
    """

    prefix: str = ""
    protect: bool = False
    keep: bool = False
    deleted_with: str = ""
    timeouts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a native resource is made.

    Attributes:
        package: the Pulumi package of a plugin.
        provider: the reference of a provider resource.
        plan: URN of the resource that remembers addresses there; empty when this run leaves it out.
    """

    package: str
    provider: str
    plan: str = ""


class Deployment:
    """One graph on its way to the engine."""

    def __init__(
        self,
        monitor: Monitor,
        graph: ResourceGraph,
        *,
        targets: Mapping[str, Target],
        parent: str,
        stack_id: Registered,
        parallel: int,
        inherited: Inherited | None = None,
    ) -> None:
        """Register `graph` under `parent`.

        Args:
            monitor: the engine.
            graph: what is to be made.
            targets: by name of node, where it is made.
            parent: URN of the stack component.
            stack_id: the resource whose `output` identifies the stack.
            parallel: most resources at once.
            inherited: what holds for all resources.
        """
        self._monitor = monitor
        self._graph = graph
        self._targets = targets
        self._parent = parent
        self._stack_id = stack_id
        self._parallel = parallel
        self._inherited = inherited or Inherited()
        self._components: dict[str, Registered] = {}
        self._nodes: dict[str, Registered] = {}

    async def run(self) -> bool:
        """Register everything; False when something failed, which the engine has told already."""
        try:
            await self._each(self._graph.components, self._component)
            await self._in_order()
            await self._each(self._graph.components, self._finish)
        except EngineStopped:
            return False
        return not any(made.failed for made in self._nodes.values())

    async def _component(self, component: Component) -> None:
        options = Options(
            custom=False,
            parent=self._parent,
            protect=self._inherited.protect,
            aliases=self._named(component.aliases),
        )
        kind = f"provision:index:{component.kind}"
        name = f"{self._inherited.prefix}{component.name}"
        self._components[component.name] = await self._monitor.register(kind, name, {}, options)

    def _named(self, names: Sequence[str]) -> Sequence[str]:
        return [f"{self._inherited.prefix}{name}" for name in names]

    async def _finish(self, component: Component) -> None:
        if any(self._nodes[reference.node].failed for reference in references(component.outputs)):
            return
        await self._monitor.finish(self._components[component.name].urn, self._outputs(component))

    def _outputs(self, component: Component) -> dict[str, Any]:
        outputs = {wire_name(name): wire_value(value, self._resolve) for name, value in component.outputs.items()}
        return {key: value for key, value in outputs.items() if value is not None}

    async def _node(self, node: Node) -> None:
        needed = dependencies(node)
        if any(self._nodes[name].failed for name in needed):
            self._nodes[node.name] = Registered("", failed=True)
            return
        model, target = node.type.Inputs, self._targets[node.name]
        values, protect = dict(node.inputs), node.protect or self._inherited.protect
        # What is protected refuses to go, and with it must stay what remembers its addresses.
        outlived = [target.plan] if protect and target.plan else []
        used_by = self._used_by(node)
        if issubclass(model, OwnedInputs):
            values["stack_id"] = Output("", "output")
            used_by["stackId"] = [self._stack_id.urn]
        self._nodes[node.name] = await self._monitor.register(
            f"{target.package}:{node.type.token}",
            f"{self._inherited.prefix}{node.name}",
            wire_inputs(model, values, self._resolve),
            Options(
                parent=self._parent if node.parent is None else self._components[node.parent].urn,
                provider=target.provider,
                used_by=used_by,
                ignore_changes=[model.model_fields[name].alias or name for name in node.ignored],
                depends_on=[*outlived, *(self._nodes[name].urn for name in node.depends_on)],
                delete_first=node.type.replacement is Replacement.DELETE_FIRST,
                keep=node.keep or self._inherited.keep,
                protect=protect,
                aliases=self._named(node.aliases),
                deleted_with=self._inherited.deleted_with,
                timeouts=self._inherited.timeouts,
            ),
        )

    def _used_by(self, node: Node) -> dict[str, list[str]]:
        fields = node.type.Inputs.model_fields
        found: dict[str, list[str]] = {}
        for name, value in node.inputs.items():
            urns = dict.fromkeys(self._nodes[reference.node].urn for reference in references(value))
            if urns:
                alias = fields[name].alias if name in fields else None
                found[alias or name] = list(urns)
        return found

    def _resolve(self, output: Output) -> Any:
        made = self._nodes[output.node] if output.node else self._stack_id
        if output.property not in ("id", "output") and made.failed:
            return UNKNOWN
        return made.output(output.property)

    async def _each(self, items: Iterable[Component], action: Callable[[Component], Awaitable[None]]) -> None:
        """Do `action` for all, as many at once as the engine handles."""
        waiting = iter(items)

        async def work() -> None:
            for item in waiting:
                await action(item)

        await _all(work() for _ in range(self._parallel))

    async def _in_order(self) -> None:
        """Register every node once all that it needs is registered; workers, not a task per node.

        What waits goes in the order of its components, so that machines are begun one after the other, each with its
        parts, instead of all interfaces before the first machine: all services of a platform have something to do.
        """
        missing: dict[str, int] = {}
        users: dict[str, list[str]] = defaultdict(list)
        rank: dict[str, tuple[int, int]] = {}
        ready: asyncio.PriorityQueue[tuple[tuple[int, int], str | None]] = asyncio.PriorityQueue()
        whole = {component.name: place for place, component in enumerate(self._graph.components)}
        for place, node in enumerate(self._graph.nodes):
            needed = dependencies(node)
            missing[node.name] = len(needed)
            rank[node.name] = (-1 if node.parent is None else whole[node.parent], place)
            for name in needed:
                users[name].append(node.name)
            if not needed:
                ready.put_nowait((rank[node.name], node.name))
        left, last = len(self._graph.nodes), (len(whole), 0)
        workers = min(self._parallel, max(1, left))

        def stop() -> None:
            for _ in range(workers):
                ready.put_nowait((last, None))

        async def work() -> None:
            nonlocal left
            while (name := (await ready.get())[1]) is not None:
                try:
                    await self._node(self._graph.node(name))
                except BaseException:
                    stop()
                    raise
                left -= 1
                for user in users[name]:
                    missing[user] -= 1
                    if missing[user] == 0:
                        ready.put_nowait((rank[user], user))
                if left == 0:
                    stop()

        if left:
            await _all(work() for _ in range(workers))

    def component_outputs(self, kind: str) -> dict[str, dict[str, Any]]:
        """Outputs of the finished components of one kind, by the last part of their names."""
        return {
            part.name.rpartition("/")[2]: self._outputs(part)
            for part in self._graph.components
            if part.kind == kind and not any(self._nodes[item.node].failed for item in references(part.outputs))
        }

    def last(self) -> list[str]:
        """URNs of the nodes that no other node needs: whoever depends on these depends on all."""
        needed = {name for node in self._graph.nodes for name in dependencies(node)}
        return [self._nodes[node.name].urn for node in self._graph.nodes if node.name not in needed]

    @property
    def nodes(self) -> Mapping[str, Registered]:
        """What has been registered, by name."""
        return self._nodes


async def _all(work: Iterable[Awaitable[None]]) -> None:
    """Wait for all, also when one fails: what the engine has begun is not to be abandoned."""
    results = await asyncio.gather(*work, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, EngineStopped):
            raise failure
    if failures:
        raise failures[0]
