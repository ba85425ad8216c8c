"""From a validated stack to a resource graph, in the order in which the pieces become known.

Negotiation needs only the capability questions; addresses need what earlier runs recorded; translation needs both. So a
caller runs `negotiate`, has the `AddressPlan` of `address_inputs` checked against the recorded one (or calls `allocate`
when there is none), and calls `translate` with its answer.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from provision.addressing import AddressPlanInputs, AddressSpace, AssignedAddress, WantedAddress
from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError
from provision.models import Network, Nic, Stack
from provision.spi import (
    Capabilities,
    Component,
    Decision,
    KeepsAddresses,
    NicAddress,
    Provider,
    ResourceGraph,
    TranslationRequest,
)
from provision.translate.checked import checked
from provision.translate.drift import with_ignored
from provision.translate.instances import Instance, aliased, instances
from provision.translate.texts import outputs, user_data


@dataclass(frozen=True)
class Scope:
    """Where a plan belongs.

    Attributes:
        project: Pulumi project.
        stack: Pulumi stack.
        directory: folder of the stack file.
    """

    project: str
    stack: str
    directory: str = "."

    @property
    def key(self) -> str:
        """`project/stack`."""
        return f"{self.project}/{self.stack}"


@dataclass(frozen=True)
class Translation:
    """What is to be made, and what the stack exports."""

    graph: ResourceGraph
    outputs: Mapping[str, Any]
    addresses: Mapping[str, tuple[NicAddress, ...]]


def address_inputs(stack: Stack, scope: Scope, provider: Provider[Any, Any] | None = None) -> AddressPlanInputs:
    """What the stack's machines need of addresses, where `provider` keeps some for itself."""
    former_networks = {name: network.renamed_from for name, network in stack.networks.items() if network.renamed_from}
    wanted = dict(item for instance in instances(stack) for item in _wanted(instance, former_networks))
    spaces = {
        name: _space(network, provider.reserved_addresses(network) if isinstance(provider, KeepsAddresses) else ())
        for name, network in stack.networks.items()
    }
    return AddressPlanInputs(scope=scope.key, networks=spaces, wanted=wanted)


def nic_addresses(stack: Stack, assigned: Mapping[str, AssignedAddress]) -> Mapping[str, tuple[NicAddress, ...]]:
    """Addresses per machine instance, NICs in the order of the file."""
    found: dict[str, tuple[NicAddress, ...]] = {}
    for instance in instances(stack):
        nics = []
        for nic, key in zip(instance.machine.nics, instance.nic_keys(), strict=True):
            given = assigned[key]
            nics.append(NicAddress(nic.network, given.mac, given.ipv4, given.ipv6))
        found[instance.name] = tuple(nics)
    return found


def translate(
    stack: Stack,
    provider: Provider[Any, Any],
    capabilities: Capabilities,
    decisions: Mapping[str, Decision],
    assigned: Mapping[str, AssignedAddress],
    scope: Scope,
    sink: DiagnosticSink,
    *,
    everywhere: Mapping[str, tuple[NicAddress, ...]] | None = None,
    elsewhere: tuple[IPv4Network | IPv6Network, ...] = (),
) -> Translation:
    """Native resources and outputs of the stack.

    Args:
        stack: what is made on the platform.
        provider: the plugin of the platform.
        capabilities: what the platform said of itself.
        decisions: what becomes of each policy.
        assigned: addresses by key of interface.
        scope: where the stack belongs.
        sink: where findings go.
        everywhere: addresses of the machines of all locations, which texts may name.
        elsewhere: prefixes of networks at other locations, to which there is a way.

    Raises:
        StackFileError: user data or outputs cannot be filled in.
        PluginError: the plugin's graph does not keep to the interface.
    """
    machines = list(instances(stack))
    addresses = nic_addresses(stack, assigned)
    exported = outputs(stack, everywhere or addresses, sink)
    texts = user_data(stack, machines, everywhere or addresses, sink)
    if sink.has_errors:
        raise StackFileError(tuple(sink), sink.source_map)
    request = TranslationRequest(
        stack=stack,
        project=scope.project,
        stack_name=scope.stack,
        capabilities=capabilities,
        decisions=decisions,
        addresses=addresses,
        directory=scope.directory,
        user_data=texts,
        elsewhere=elsewhere,
    )
    graph = with_ignored(checked(provider, provider.translate(request)), stack.drift)
    return Translation(aliased(_completed(graph, stack, decisions, addresses), stack), exported, addresses)


def _completed(
    graph: ResourceGraph,
    stack: Stack,
    decisions: Mapping[str, Decision],
    addresses: Mapping[str, tuple[NicAddress, ...]],
) -> ResourceGraph:
    """The graph with a component for every network, machine and policy, whether or not the plugin made one."""
    given = {component.name: component for component in graph.components}
    done: dict[str, Component] = {}
    for component in _components(stack, decisions, addresses):
        made = given.get(component.name)
        if made is None:
            done[component.name] = component
        elif component.kind == "Policy":
            done[component.name] = Component(made.kind, made.name, {**made.outputs, **component.outputs}, made.aliases)
        else:
            done[component.name] = Component(made.kind, made.name, {**component.outputs, **made.outputs}, made.aliases)
    return ResourceGraph(tuple((done | {k: v for k, v in given.items() if k not in done}).values()), graph.nodes)


def _components(
    stack: Stack, decisions: Mapping[str, Decision], addresses: Mapping[str, tuple[NicAddress, ...]]
) -> Iterator[Component]:
    for name, network in stack.networks.items():
        prefixes = {"cidr": network.cidr, "cidr6": network.cidr6}
        yield Component(
            "Network", f"networks/{name}", {key: str(value) for key, value in prefixes.items() if value is not None}
        )
    for name, nics in addresses.items():
        yield Component("Machine", f"machines/{name}", _machine_outputs(name, nics))
    for name, policy in stack.isolation.policies.items():
        decision = decisions[name]
        yield Component(
            "Policy",
            f"isolation/{name}",
            {
                "kind": policy.kind,
                "level": policy.level.value,
                "verdict": decision.verdict.value,
                "reason": decision.reason,
                "evidence": sorted(kind.value for kind in decision.evidence),
            },
        )


def _machine_outputs(name: str, nics: tuple[NicAddress, ...]) -> dict[str, Any]:
    first = {
        "address": next((nic.ipv4 for nic in nics if nic.ipv4), None),
        "address6": next((nic.ipv6 for nic in nics if nic.ipv6), None),
    }
    return {"name": name, **{key: value for key, value in first.items() if value is not None}}


def _wanted(instance: Instance, former_networks: Mapping[str, str]) -> Iterator[tuple[str, WantedAddress]]:
    keys = instance.nic_keys()
    for nic, key in zip(instance.machine.nics, keys, strict=True):
        part = key.partition("/")[2]
        parts = [part]
        if nic.network in former_networks:
            parts.append(former_networks[nic.network] + part.removeprefix(nic.network))
        names = [instance.name, *instance.former]
        yield (
            key,
            WantedAddress(
                network=nic.network,
                previous=[f"{name}/{end}" for name in names for end in parts][1:],
                fixed4=_fixed(nic.address, instance.index),
                fixed6=_fixed(nic.address6, instance.index),
                fixed_mac=_fixed_mac(nic, instance),
            ),
        )


def _fixed(value: Any, index: int) -> str | None:
    if isinstance(value, list):
        return str(value[index]) if index < len(value) else None
    return None if value is None else str(value)


def _fixed_mac(nic: Nic, instance: Instance) -> str | None:
    return nic.mac if nic.mac is not None and instance.machine.instances == 1 else None


def _space(network: Network, kept: Iterable[str]) -> AddressSpace:
    reserved: list[str] = list(kept)
    if network.cidr is not None:
        first4 = network.cidr[1] if network.cidr.num_addresses > 1 else network.cidr[0]
        reserved.append(str(network.gateway or first4))
        if network.dhcp.range is not None:
            reserved.append(f"{network.dhcp.range[0]}-{network.dhcp.range[1]}")
    if network.cidr6 is not None:
        first6 = network.cidr6[1] if network.cidr6.num_addresses > 1 else network.cidr6[0]
        reserved.append(str(network.gateway6 or first6))
    # Not given to others by chance, but a machine may have the address of a name that the file adds for it.
    reserved += [f"{address}-{address}" for address in (network.dns or {}).values()]
    return AddressSpace(
        cidr=None if network.cidr is None else str(network.cidr),
        cidr6=None if network.cidr6 is None else str(network.cidr6),
        reserved=reserved,
    )
