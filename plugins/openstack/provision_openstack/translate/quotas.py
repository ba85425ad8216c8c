"""What of a stack is more than the project may have, or than others leave of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from provision.models import Internet, PackPolicy, SpreadPolicy, Stack
from provision.spi import Capabilities, Decision, Objection, ResourceGraph, enforced, references
from provision_openstack import resources
from provision_openstack.holdings import FACT, makers
from provision_openstack.sizes import FlavorRequirements, smallest
from provision_openstack.translate.encryption import is_sealed
from provision_openstack.translate.groups import ADDRESS_GROUPS
from provision_openstack.translate.hardware import specs_of
from provision_openstack.translate.names import Names
from provision_openstack.translate.reaching import likely
from provision_openstack.translate.referring import is_sound, referred
from provision_openstack.translate.rules import hosts_of, plan
from provision_openstack.translate.wanted import least_disk, on_volume, wanted_flavor

_COUNTED: Mapping[str, type[Any]] = {
    "instances": resources.Server,
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
_LEFT_FIX = "remove what nobody needs any more, ask the cloud's operators for a higher quota, or for less in the file"
_NOUNS = {"memory_mib": "MiB of memory", "volume_gib": "GiB of volumes", "server_group_members": "servers in one group"}
_OF_MACHINES = ("instances", "cores", "memory_mib")


def needs(stack: Stack, capabilities: Capabilities) -> Counter[str]:
    """What a stack needs of the quotas that have a limit, before it is translated: no policy is downgraded."""
    limited = {name for name, (most, _) in (capabilities.facts.get("quotas") or {}).items() if most >= 0}
    if not limited or not is_sound(stack):
        return Counter()
    found = _machines(stack, capabilities, {})
    own = [network for network in stack.networks.values() if referred(network) is None]
    nics = [(one, nic) for one in stack.machines.values() for nic in one.nics]
    found["networks"] = len(own)
    found["subnets"] = sum(prefix is not None for one in own for prefix in (one.cidr, one.cidr6))
    found["routers"] = int(any(one.internet is not Internet.NONE for one in own))
    found["ports"] = sum(machine.instances for machine, _ in nics)
    found["floating_ips"] = sum(machine.instances for machine, nic in nics if nic.public)
    found["server_groups"] = sum(isinstance(one, SpreadPolicy | PackPolicy) for _, one in enforced(stack, {}))
    for entry, machine in stack.machines.items():
        sizes = [disk.size.gib for disk in machine.disks.values()]
        if on_volume(machine, sealed=is_sealed(stack, {}, entry)):
            written = machine.root.size if machine.root is not None else None
            sizes.append(written.gib if written is not None else least_disk(stack, capabilities, machine))
        found["volumes"] += machine.instances * len(sizes)
        found["volume_gib"] += machine.instances * sum(sizes)
    if limited & {"security_groups", "security_group_rules"}:
        planned = plan(stack, likely(stack), {}, hosts=hosts_of(capabilities)).groups
        in_sets = ADDRESS_GROUPS in capabilities.facts.get("extensions", ())
        found["security_groups"] = len(planned)
        found["security_group_rules"] = sum(
            1 if in_sets or isinstance(rule.peer, str) else len(rule.peer.prefixes)
            for group in planned.values()
            for rule in group.rules
        )
    return Counter({name: much for name, much in found.items() if name in limited})


def sizes(stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision]) -> Iterator[Objection]:
    """Machines, their CPUs and memory, when the project may never have so many."""
    for name, much, most in _over(_machines(stack, capabilities, decisions), capabilities):
        yield Objection(("machines",), _never(name, much, most), _FIX)


def counts(graph: ResourceGraph, capabilities: Capabilities, names: Names) -> Iterator[Objection]:
    """Native objects: when the project may never have so many, or others have too many of them.

    Args:
        graph: all of the stack's.
        capabilities: what the cloud said of itself.
        names: of the stack's native objects.
    """
    wanted = _amounts(graph, capabilities)
    never = set()
    for name, much, most in _over(wanted, capabilities):
        never.add(name)
        yield Objection(_path(name), _never(name, much, most), _FIX)
    holdings = capabilities.facts.get(FACT) or {}
    own = makers(holdings, _given(graph), names.native(""))
    for name, rows in holdings.items():
        most, used = capabilities.facts["quotas"][name]
        has = sum(amount for _, by, amount in rows if by in own)
        others = max(0, used - has)
        # What is there already stays, also where the project has more than it may.
        if name not in never and wanted[name] > has and wanted[name] > most - others:
            yield Objection(
                _path(name),
                f"the stack needs {wanted[name]} {_noun(name)} and has {has}; the project may have {most}, "
                f"of which others use {others}",
                _LEFT_FIX,
            )


def _machines(stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision]) -> Counter[str]:
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
    return wanted


def _amounts(graph: ResourceGraph, capabilities: Capabilities) -> Counter[str]:
    """What a graph needs of each quota."""
    flavors = capabilities.facts.get("flavors") or []
    chosen: dict[str, Mapping[str, Any] | None] = {}  # machines are alike, and flavors may be many
    kinds = Counter(node.type for node in graph.nodes)
    found = Counter({name: kinds[kind] for name, kind in _COUNTED.items()})
    members: Counter[str] = Counter()
    for node in graph.nodes:
        if node.type is resources.Volume:
            found["volume_gib"] += node.inputs["size_gib"]
        if node.type is not resources.Server:
            continue
        asked = FlavorRequirements.model_validate(node.inputs["requirements"])
        key = asked.model_dump_json()
        if key not in chosen:
            chosen[key] = smallest(flavors, asked)
        if (flavor := chosen[key]) is not None:
            found["cores"] += int(flavor["cpus"])
            found["memory_mib"] += int(flavor["memory_mib"])
        if (root := node.inputs.get("root_size_gib")) is not None:
            found["volumes"] += 1
            found["volume_gib"] += root
        members.update(one.node for one in references(node.inputs.get("server_group_id")))
    found["server_group_members"] = max(members.values(), default=0)
    return found


def _given(graph: ResourceGraph) -> Iterator[str]:
    """Names by which the stack's objects are known again."""
    for node in graph.nodes:
        field = "description" if node.type is resources.FloatingIp else "name"
        if name := node.inputs.get(field):
            yield str(name)


def _over(wanted: Mapping[str, int], capabilities: Capabilities) -> Iterator[tuple[str, int, int]]:
    quotas = capabilities.facts.get("quotas") or {}
    for name, much in wanted.items():
        most, _ = quotas.get(name, (-1, 0))
        if 0 <= most < much:
            yield name, much, most


def _never(name: str, much: int, most: int) -> str:
    return f"the stack needs {much} {_noun(name)}, and the project may have {most}"


def _noun(name: str) -> str:
    return _NOUNS.get(name, name.replace("_", " "))


def _path(name: str) -> tuple[str, ...]:
    return ("machines",) if name in _OF_MACHINES else ()
