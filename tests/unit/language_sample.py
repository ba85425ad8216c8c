"""A small platform for tests of negotiation, translation and registration; it makes nothing."""

# ruff: noqa: RUF012 - pydantic copies mutable defaults

from typing import Any, ClassVar

from provision.models import Stack
from provision.spi import (
    ENFORCED,
    Capabilities,
    Created,
    CreateRequest,
    Evidence,
    FeatureUse,
    GraphBuilder,
    OwnedInputs,
    Properties,
    Provider,
    Replacement,
    ResourceGraph,
    ResourceType,
    Secret,
    Support,
    TranslationRequest,
    unsupported,
)


class SegmentInputs(OwnedInputs):
    native_name: str
    cidr: str | None = None


class SegmentOutputs(Properties):
    native_name: str
    bridge_name: str


class Segment(ResourceType[SegmentInputs, SegmentOutputs, Any]):
    token: ClassVar[str] = "net:Segment"
    Inputs: ClassVar[type[Properties]] = SegmentInputs
    Outputs: ClassVar[type[Properties]] = SegmentOutputs
    replacement: ClassVar[Replacement] = Replacement.CREATE_FIRST

    def create(self, request: CreateRequest[SegmentInputs]) -> Created[SegmentOutputs]:
        raise NotImplementedError


class PortInputs(Properties):
    segment_id: str
    mac_address: str


class ServerInputs(OwnedInputs):
    native_name: str
    memory_mib: int
    ports: list[PortInputs] = []
    first_boot: str | None = None
    token: str | None = None


class ServerOutputs(Properties):
    uuid: str


class Server(ResourceType[ServerInputs, ServerOutputs, Any]):
    token: ClassVar[str] = "compute:Server"
    Inputs: ClassVar[type[Properties]] = ServerInputs
    Outputs: ClassVar[type[Properties]] = ServerOutputs

    def create(self, request: CreateRequest[ServerInputs]) -> Created[ServerOutputs]:
        raise NotImplementedError


class SampleConfig(Properties):
    end_point: str = "here"
    retries: int = 3
    pools: list[str] = []


class Sample(Provider[SampleConfig, None]):
    name: ClassVar[str] = "sample"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[Properties]] = SampleConfig
    resource_types: ClassVar[Any] = (Segment, Server)

    refused: ClassVar[dict[str, Support]] = {
        "isolation.policies.spread": unsupported("there is one host only", "choose a platform with several hosts"),
        "isolation.policies.traffic.order": unsupported("rules have no order here"),
        "machines.disks.encrypted": unsupported("disks are not encrypted here", "remove 'encrypted'"),
    }

    def connect(self, config: SampleConfig) -> None:
        return None

    def capabilities(self, session: None) -> Capabilities:
        return Capabilities("sample")

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        if use.feature in self.refused:
            return self.refused[use.feature]
        if use.feature == "isolation.policies.traffic":
            return Support(True, evidence=frozenset({Evidence.TRANSLATED, Evidence.PROBED}))
        return ENFORCED

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        return sample_graph(request)

    def builtin_images(self) -> tuple[str, ...]:
        return ("micro", "tiny")


def sample_graph(request: TranslationRequest) -> ResourceGraph:
    graph = GraphBuilder()
    segments = {}
    for name, network in request.stack.networks.items():
        parent = graph.component("Network", f"networks/{name}")
        segments[name] = graph.add(
            Segment,
            f"networks/{name}/segment",
            {"native_name": f"{request.project}-{request.stack_name}-{name}", "cidr": str(network.cidr)},
            parent=parent.name,
        )
    for entry, machine in request.stack.machines.items():
        for name in [n for n in request.addresses if n == entry or n.rpartition("-")[0] == entry]:
            parent = graph.component("Machine", f"machines/{name}")
            server = graph.add(
                Server,
                f"machines/{name}/server",
                {
                    "native_name": f"{request.project}-{request.stack_name}-{name}",
                    "memory_mib": machine.memory.mib,
                    "ports": [
                        {"segment_id": segments[nic.network].output("id"), "mac_address": nic.mac}
                        for nic in request.addresses[name]
                    ],
                    "first_boot": request.user_data.get(name),
                },
                parent=parent.name,
                protect=machine.delete_protection,
            )
            graph.component("Machine", f"machines/{name}", {"server_id": server.output("id")})
    return graph.build()


def stack(**parts: Any) -> Stack:
    """A small stack of two networks and three machines, with parts replaced or added."""
    document: dict[str, Any] = {
        "version": 1,
        "platform": "sample",
        "networks": {"front": {"cidr": "10.1.0.0/24"}, "back": {"cidr": "10.2.0.0/24", "cidr6": "fd00:2::/64"}},
        "machines": {
            "web": {"image": "micro", "memory": "64MiB", "count": 2, "nics": [{"network": "front"}]},
            "db": {"image": "micro", "memory": "128MiB", "nics": [{"network": "back"}, {"network": "front"}]},
        },
    }
    return Stack.model_validate(document | parts)


__all__ = ["Sample", "Secret", "Segment", "Server", "sample_graph", "stack"]
