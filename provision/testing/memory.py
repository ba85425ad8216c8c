"""The in-memory platform as a provider plugin: the whole interface, with nothing behind it but a dictionary."""

# ruff: noqa: RUF012 - pydantic copies mutable defaults

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

from provision.errors import EnvironmentProblem
from provision.models import Machine, Peer, PeerKind, Stack, TrafficPolicy, UserData
from provision.models import Network as NetworkModel
from provision.spi import (
    ENFORCED,
    Capabilities,
    FeatureUse,
    Finding,
    GraphBuilder,
    Output,
    Properties,
    Provider,
    RateLimit,
    ResourceGraph,
    ResourceType,
    Support,
    TranslationRequest,
    Verdict,
    unsupported,
)
from provision.spi.functions import AnyFunction
from provision.testing.memory_daytwo import DayTwo
from provision.testing.memory_functions import FindVolume, ListSizes
from provision.testing.memory_gateway import Gateway
from provision.testing.memory_types import Group, MemorySession, Network, Server, Volume
from provision.testing.store import Call, Store


class MemoryConfig(Properties):
    """Where the platform keeps its objects."""

    store: Annotated[
        str | None, Field(description="JSON file of the objects, shared by processes; default: this process alone.")
    ] = None
    region: Annotated[str, Field(description="Any name.")] = "here"
    token: Annotated[SecretStr | None, Field(description="Any secret; 'wrong' is refused.")] = None
    limits: Annotated[dict[str, int], Field(description="Most objects of a kind.")] = {}


@cache
def _store(path: str | None) -> Store:
    return Store(Path(path) if path else None)


class MemoryProvider(DayTwo, Provider[MemoryConfig, MemorySession]):
    """An in-memory platform for tests of the framework and of whatever drives it."""

    name: ClassVar[str] = "memory"
    version: ClassVar[str] = "0.1.0"
    Config: ClassVar[type[Properties]] = MemoryConfig
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (Server, Volume, Group, Network, Gateway)
    functions: ClassVar[Sequence[type[AnyFunction]]] = (ListSizes, FindVolume)
    rate_limits: ClassVar[Mapping[str, RateLimit]] = MappingProxyType({"network": RateLimit(1_000, 1_000)})

    def connect(self, config: MemoryConfig) -> MemorySession:
        """Open the store."""
        store = _store(config.store)
        token = config.token.get_secret_value() if config.token else ""
        if token == "wrong" or store.take_fault("connect", "", "", "fail"):
            raise EnvironmentProblem(
                f"the in-memory platform does not answer (token {token})", "set provision-memory:token to another one"
            )
        store.record(Call("connect", "", config.region))
        return MemorySession(store, config.region)

    def capabilities(self, session: MemorySession) -> Capabilities:
        """It can do little."""
        return Capabilities(self.name, {"region": session.region}, session.store.identity)

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Machines, disks, networks and the allow lists of traffic policies."""
        if use.feature in _SUPPORTED or use.feature.startswith("images."):
            return ENFORCED
        return unsupported(f"the in-memory platform knows no {use.feature}", "leave it out")

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Machines become servers, disks volumes, networks networks, and traffic policies groups."""
        return _Translation(request).graph()

    def builtin_images(self) -> Sequence[str]:
        """One."""
        return ("micro",)

    def diagnose(self, config: MemoryConfig) -> Sequence[Finding]:
        """It is always there."""
        return (Finding("memory", True, f"store {config.store or 'in this process'}"),)


_SUPPORTED = frozenset(
    {
        *(f"machines.{name}" for name in ("image", "cpus", "memory", "power", "user_data", "disks.size")),
        *(f"machines.{name}" for name in ("disks.keep_on_delete", "ready_timeout", "delete_protection")),
        *(f"machines.nics.{name}" for name in ("network", "address", "address6", "mac")),
        *(f"networks.{name}" for name in ("cidr", "cidr6", "internet")),
        "isolation.default",
        "isolation.policies.traffic",
        *(f"isolation.policies.traffic.{name}" for name in ("sources", "destinations", "allow", "revoke")),
    }
)


@dataclass(frozen=True)
class _Instance:
    """One machine of an entry of the file."""

    name: str
    entry: str
    machine: Machine


class _Translation:
    def __init__(self, request: TranslationRequest) -> None:
        self._request = request
        self._prefix = f"{request.project}-{request.stack_name}"
        self._graph = GraphBuilder()
        self._policies = {
            name: policy
            for name, policy in request.stack.isolation.policies.items()
            if isinstance(policy, TrafficPolicy) and not self._downgraded(name)
        }

    def graph(self) -> ResourceGraph:
        for name, network in self._request.stack.networks.items():
            self._network(name, network)
        for name in self._request.stack.isolation.policies:
            self._policy(name)
        for instance in _instances(self._request.stack):
            self._machine(instance)
        return self._graph.build()

    def _downgraded(self, policy: str) -> bool:
        decision = self._request.decisions.get(policy)
        return decision is not None and decision.verdict is Verdict.DOWNGRADE

    def _network(self, name: str, network: NetworkModel) -> None:
        self._graph.component("Network", f"networks/{name}")
        inputs = {
            "name": f"{self._prefix}-{name}",
            "cidr": str(network.cidr) if network.cidr else None,
            "cidr6": str(network.cidr6) if network.cidr6 else None,
            "internet": network.internet.value,
        }
        self._graph.add(Network, f"networks/{name}/network", inputs, parent=f"networks/{name}")

    def _policy(self, name: str) -> None:
        self._graph.component("Policy", f"isolation/{name}")
        policy = self._policies.get(name)
        if policy is not None:
            rule = {
                "peers": [str(peer) for peer in policy.sources],
                "services": [str(service) for service in policy.allow],
            }
            inputs = {"base_name": f"{self._prefix}-{name}", "rules": [rule]}
            self._graph.add(Group, f"isolation/{name}/group", inputs, parent=f"isolation/{name}")

    def _machine(self, instance: _Instance) -> None:
        machine, parent = instance.machine, f"machines/{instance.name}"
        self._graph.component("Machine", parent)
        volumes = [
            self._graph.add(
                Volume,
                f"{parent}/disk-{name}",
                {"name": f"{self._prefix}-{instance.name}-{name}", "size_gib": disk.size.gib},
                parent=parent,
                keep=disk.keep_on_delete,
            ).output("path")
            for name, disk in machine.disks.items()
        ]
        inputs: dict[str, Any] = {
            "name": f"{self._prefix}-{instance.name}",
            "image": machine.image,
            "cpus": machine.cpus,
            "memory_mib": machine.memory.mib,
            "nics": list(self._nics(instance)),
            "volumes": volumes,
            "labels": dict(machine.labels),
            "power": machine.power.value,
        }
        user_data = _user_data(machine.user_data)
        if user_data is not None:
            inputs["user_data"] = user_data
        self._graph.add(Server, f"{parent}/server", inputs, parent=parent, protect=machine.delete_protection)

    def _nics(self, instance: _Instance) -> Iterator[Mapping[str, Any]]:
        groups = [
            Output(f"isolation/{name}/group", "name")
            for name, policy in self._policies.items()
            if any(_selects(peer, instance) for peer in policy.destinations)
        ]
        for address in self._request.addresses.get(instance.name, ()):
            yield {
                "network": Output(f"networks/{address.network}/network", "name"),
                "address": address.ipv4 or address.ipv6,
                "mac": address.mac,
                "groups": groups,
            }


def _instances(stack: Stack) -> Iterator[_Instance]:
    for entry, machine in stack.machines.items():
        yield from (_Instance(name, entry, machine) for name in machine.names(entry))


def _selects(peer: Peer, instance: _Instance) -> bool:
    if peer.kind is PeerKind.MACHINE:
        return peer.name in ("*", instance.entry, instance.name)
    return peer.kind is PeerKind.LABEL and instance.machine.labels.get(peer.name) == peer.value


def _user_data(value: str | SecretStr | UserData | None) -> str | SecretStr | None:
    return value.text if isinstance(value, UserData) else value
