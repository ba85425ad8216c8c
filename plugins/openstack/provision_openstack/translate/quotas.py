"""What of a stack is more than the project may ever have.

Only the limits count here, not what is left of them: what a stack has already is a part of what is used.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from provision.models import Stack
from provision.spi import Capabilities, Decision, Objection, ResourceGraph
from provision_openstack import resources
from provision_openstack.sizes import smallest
from provision_openstack.translate.encryption import is_sealed
from provision_openstack.translate.hardware import specs_of
from provision_openstack.translate.wanted import wanted_flavor

_COUNTED: Mapping[str, type[Any]] = {
    "networks": resources.Network,
    "subnets": resources.Subnet,
    "routers": resources.Router,
    "ports": resources.Port,
    "floating_ips": resources.FloatingIp,
    "security_groups": resources.SecurityGroup,
    "security_group_rules": resources.SecurityGroupRule,
    "server_groups": resources.ServerGroup,
    "volumes": resources.Volume,
}
_FIX = "ask the cloud's operators for a higher quota, or for less in the file"


def sizes(stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision]) -> Iterator[Objection]:
    """Machines, their CPUs and memory."""
    flavors = capabilities.facts.get("flavors") or []
    wanted: Counter[str] = Counter()
    for entry, machine in stack.machines.items():
        extra_specs = specs_of(stack, decisions, entry)
        sealed = is_sealed(stack, decisions, entry)
        flavor = smallest(flavors, wanted_flavor(stack, capabilities, machine, extra_specs, sealed=sealed))
        wanted["instances"] += machine.instances
        if flavor is not None:
            wanted["cores"] += machine.instances * int(flavor["cpus"])
            wanted["memory_mib"] += machine.instances * int(flavor["memory_mib"])
    for what, much, most in _over(wanted, capabilities):
        yield Objection(("machines",), f"the stack needs {much} {what}, and the project may have {most}", _FIX)


def counts(graph: ResourceGraph, capabilities: Capabilities) -> Iterator[Objection]:
    """Native objects."""
    kinds = Counter(node.type for node in graph.nodes)
    wanted = Counter({name: kinds[kind] for name, kind in _COUNTED.items()})
    for what, much, most in _over(wanted, capabilities):
        yield Objection((), f"the stack needs {much} {what}, and the project may have {most}", _FIX)


def _over(wanted: Mapping[str, int], capabilities: Capabilities) -> Iterator[tuple[str, int, int]]:
    quotas = capabilities.facts.get("quotas") or {}
    for name, much in wanted.items():
        most, _ = quotas.get(name, (-1, 0))
        if 0 <= most < much:
            yield name.replace("memory_mib", "MiB of memory").replace("_", " "), much, most
