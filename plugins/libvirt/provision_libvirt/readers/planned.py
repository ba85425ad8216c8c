"""One machine of a translated graph, and the host that it is planned for."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from provision.spi.planned import PlannedMachine


class Plan(PlannedMachine):
    """What is looked at."""

    token: ClassVar[str] = "domain:Domain"

    @cached_property
    def domains(self) -> Mapping[str, Mapping[str, Any]]:
        """Inputs of every machine of the graph, by its name."""
        return {name: node.inputs for name, node in self.machines.items()}

    @property
    def machine(self) -> Mapping[str, Any]:
        """Inputs of the machine, empty when there is none."""
        return {} if self.own is None else self.own.inputs

    def volume(self, disk: Mapping[str, Any]) -> Mapping[str, Any]:
        """Inputs of the volume of a disk."""
        node = self.graph.referred(disk.get("path"), property="path")
        return {} if node is None else node.inputs

    @property
    def networks(self) -> Sequence[Mapping[str, Any]]:
        """Inputs of the networks that its cards are on, each once."""
        nodes = [self.graph.referred(nic.get("network"), property="name") for nic in self.machine.get("nics") or ()]
        return list({node.name: node.inputs for node in nodes if node is not None}.values())

    @cached_property
    def host_addresses(self) -> frozenset[str]:
        """All addresses of the host that are known: on networks of the stack, and others."""
        networks = [node.inputs for node in self.graph.nodes if node.type.token == "network:Network"]
        near = [own["address"] for one in networks for key in ("ipv4", "ipv6") if (own := one.get(key)) is not None]
        return frozenset((*near, *self.facts.get("host_addresses", ())))

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the platform said of itself."""
        return self.request.capabilities.facts

    @property
    def topology(self) -> Sequence[Mapping[str, Any]]:
        """NUMA nodes of the host, with their CPUs and huge pages."""
        found: Sequence[Mapping[str, Any]] = self.facts.get("topology") or ()
        return found
