"""Policies about where servers run, as server groups."""

from dataclasses import dataclass, field
from typing import Any

from provision.models import Level, PackPolicy, SpreadPolicy
from provision.spi import GraphBuilder, Node, TranslationRequest, enforced
from provision.spi.peers import selected
from provision_openstack import resources
from provision_openstack.translate.names import Names


@dataclass
class Placing:
    """Adds server groups; a server can be in one only, which is asked before."""

    _of: dict[str, Node] = field(default_factory=dict)

    def add(self, request: TranslationRequest, names: Names, builder: GraphBuilder) -> None:
        """Add the groups of all policies that are enforced."""
        for name, policy in enforced(request.stack, request.decisions):
            if not isinstance(policy, SpreadPolicy | PackPolicy):
                continue
            soft = "soft-" if policy.level is Level.PREFERRED else ""
            inputs: dict[str, Any] = {"name": names.native(name), "policy": f"{soft}affinity"}
            if isinstance(policy, SpreadPolicy) and soft and policy.max_per == 1:  # soft ones have no other limit
                inputs |= {"policy": "soft-anti-affinity"}
            elif isinstance(policy, SpreadPolicy):
                inputs |= {"policy": "anti-affinity"}
                if policy.max_per != 1:
                    inputs |= {"max_server_per_host": policy.max_per}
            builder.component("Policy", f"isolation/{name}")
            path = f"isolation/{name}/server-group"
            group = builder.add(resources.ServerGroup, path, inputs, parent=f"isolation/{name}")
            for entry in selected(request.stack, policy.machines):
                self._of[entry] = group

    def inputs(self, entry: str) -> dict[str, Any]:
        """What the servers of an entry say."""
        return {"server_group_id": self._of[entry].output("id")} if entry in self._of else {}
