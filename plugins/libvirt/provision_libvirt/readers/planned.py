"""One machine of a translated graph, and the host that it is planned for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from provision.spi import Node, Output, SettingsRequest


@dataclass(frozen=True)
class Plan:
    """What is looked at.

    Attributes:
        request: which machine of which graph.
    """

    request: SettingsRequest

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.request.graph.nodes}

    @cached_property
    def machines(self) -> Mapping[str, Mapping[str, Any]]:
        """Inputs of every machine of the graph, by its name."""
        return {
            name.split("/")[1]: node.inputs for name, node in self._nodes.items() if node.type.token == "domain:Domain"
        }

    @property
    def own(self) -> Mapping[str, Any] | None:
        """Inputs of the machine; None when the graph has none of that name."""
        return self.machines.get(self.request.machine)

    @property
    def machine(self) -> Mapping[str, Any]:
        """The same, empty when there is none."""
        return self.own or {}

    def volume(self, disk: Mapping[str, Any]) -> Mapping[str, Any]:
        """Inputs of the volume of a disk."""
        path = disk.get("path")
        node = self._nodes.get(path.node) if isinstance(path, Output) else None
        return {} if node is None else node.inputs

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the platform said of itself."""
        return self.request.capabilities.facts

    @property
    def topology(self) -> Sequence[Mapping[str, Any]]:
        """NUMA nodes of the host, with their CPUs and huge pages."""
        found: Sequence[Mapping[str, Any]] = self.facts.get("topology") or ()
        return found
