"""The conformance suite of the in-memory platform, for `provision plugin check memory`; it has every kind of sample."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from provision.errors import PlatformError, RetriableError, Throttled
from provision.spi import Provider
from provision.testing.conformance.samples import Foreign, FunctionSample, Platform, Sample, StackSample
from provision.testing.conformance.suite import ConformanceSuite
from provision.testing.faults import Effect, Faults
from provision.testing.harness import Made
from provision.testing.memory import MemoryProvider
from provision.testing.memory_types import MemorySession
from provision.testing.store import Fault, Store, StoredObject

STACK = """
version: 1
platform: memory
networks:
  front: {cidr: 10.1.0.0/24}
machines:
  web:
    image: micro
    memory: 64MiB
    cpus: 2
    count: 2
    delete_protection: true
    nics: [{network: front}]
  db:
    image: micro
    memory: 128MiB
    power: stopped
    disks:
      data: {size: 2GiB, keep_on_delete: true}
isolation:
  policies:
    web: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}
"""

_LOCAL = ("record", "take_fault", "calls", "mutations", "inject", "forget_calls")
"""Bookkeeping of the store, which is no call of the platform."""


def _in_the_way(kind: str, properties: Mapping[str, Any]) -> Callable[[Store, Mapping[str, Any]], Foreign]:
    def make(store: Store, inputs: Mapping[str, Any]) -> Foreign:
        name = inputs["name"]
        store.put(StoredObject("foreign-1", kind, name, "somebody.else", properties))
        return Foreign(lambda: store.get(kind, "foreign-1"), lambda: store.remove("foreign-1"), "foreign-1")

    return make


def _unhealthy(kind: str) -> Callable[[Store, Mapping[str, Any]], Any]:
    @contextmanager
    def sick(store: Store, inputs: Mapping[str, Any]) -> Iterator[None]:
        store.inject(Fault("create", "unhealthy", kind))
        yield

    return sick


def _by_hand(kind: str, **changes: Any) -> Callable[[Store, Made], None]:
    def change(store: Store, made: Made) -> None:
        found = store.get(kind, made.id)
        assert found is not None
        store.put(replace(found, properties={**found.properties, **changes}))

    return change


def _first_release(made: Made) -> Made:
    """What version 0 of the gateway recorded."""
    inputs = {key: item for key, item in made.inputs.items() if key not in ("bandwidthMbit", "__schemaVersion")}
    outputs = {key: item for key, item in made.outputs.items() if key != "__schemaVersion"}
    return Made(made.id, outputs, {**inputs, "bandwidth": f"{made.inputs['bandwidthMbit']}M"})


_SAMPLES = (
    Sample("network:Network", {"name": "front", "cidr": "10.1.0.0/24"}, replaces=[{"internet": "nat"}],
           outside=_by_hand("network:Network", cidr="10.2.0.0/24"), foreign=_in_the_way("network:Network", {})),
    Sample(
        "network:Gateway",
        {
            "name": "edge",
            "bandwidth_mbit": 500,
            "ranges": ["10.1.0.0/24", "10.2.0.0/24"],
            "policy": '{"in": ["tcp/80"], "out": []}',
            "key": "between us peers",
        },
        updates=[{"ranges": ["10.3.0.0/24"], "notes": "x"}, {"bandwidth_mbit": 5_000}, {"key": "another key of peers"}],
        replaces=[{"name": "other"}, {"zone": "b"}],
        same=[
            {"ranges": ["10.2.0.7/24", "10.1.0.0/24"]},
            {"policy": '{ "out": [], "in": ["tcp/80"] }'},
            {"domain": "EXAMPLE.org"},
        ],
        wrong=[{"bandwidth_mbit": 0}, {"bandwidth_mbit": 1_000_000}],
        older=[_first_release],
        foreign=_in_the_way("network:Gateway", {"size": "small"}),
        unhealthy=_unhealthy("network:Gateway"),
    ),
    Sample("network:Gateway", {}, name="unnamed", updates=[{"bandwidth_mbit": 200}, {"notes": "seen"}],
           foreign=_in_the_way("network:Gateway", {"size": "small"})),
    Sample("compute:Volume", {"name": "data", "size_gib": 2}, updates=[{"size_gib": 3}], replaces=[{"name": "other"}],
           wrong=[{"size_gib": 0}], foreign=_in_the_way("compute:Volume", {"size_gib": 1})),
    Sample("compute:Group", {"base_name": "web"}, updates=[{"rules": [{"peers": ["outside"], "services": ["tcp/80"]}]}],
           replaces=[{"base_name": "db"}]),
    Sample(
        "compute:Server",
        lambda made: {
            "name": "web",
            "image": "micro",
            "volumes": [made["compute:Volume"].outputs["path"]],
            "nics": [{"network": made["network:Network"].outputs["name"], "address": "10.1.0.7"}],
            "password": "hunter and gatherer",
            "user_data": "a script that nobody sees",
        },
        needs=["compute:Volume", "network:Network"],
        updates=[{"cpus": 2}, {"labels": {"tier": "front"}}, {"power": "stopped"}],
        replaces=[{"image": "other"}, {"name": "other"}],
        wrong=[{"cpus": 0}, {"nics": [{"network": "front", "mac": "no"}]}],
        outside=_by_hand("compute:Server", labels={"by": "hand"}),
        foreign=_in_the_way("compute:Server", {"nics": [], "password": None}),
        unhealthy=_unhealthy("compute:Server"),
        volatile=["starts"],
    ),
)  # fmt: skip


class MemoryConformance(ConformanceSuite):
    """Every check of the kit against a store in a file."""

    provider: ClassVar[type[Provider[Any, Any]]] = MemoryProvider
    samples: ClassVar[Sequence[Sample]] = _SAMPLES
    functions: ClassVar[Sequence[FunctionSample]] = (
        FunctionSample("compute:listSizes", {"min_cpus": 2}),
        FunctionSample("compute:findVolume", {"name": "data"}, needs=["compute:Volume"]),
    )
    stacks: ClassVar[Sequence[StackSample]] = (StackSample("web", STACK),)
    errors: ClassVar[Mapping[Effect, Callable[[], Exception]]] = {
        Effect.ERROR: lambda: PlatformError("the platform refuses", "ask the platform's owner"),
        Effect.THROTTLED: lambda: Throttled("the platform is asked too often"),
        Effect.TIMEOUT: lambda: RetriableError("the platform does not answer", "look whether it is there"),
        Effect.LOST_BEFORE: lambda: RetriableError("the connection broke", "look whether the platform is there"),
        Effect.LOST_AFTER: lambda: RetriableError("the connection broke", "look whether the platform is there"),
    }
    gaps: ClassVar[Mapping[str, str]] = {
        "compute:Group-foreign": "the name of a group ends at random: nothing can be in its way",
    }

    def platform(self, directory: Path) -> Iterator[Platform]:
        """A store in a file of its own."""
        path = directory / "store.json"
        store = Store(path)
        yield Platform(
            config={"store": str(path)},
            leftovers=lambda: [f"{stored.kind} {stored.name}" for stored in store.objects()],
            handle=store,
            wrong_configs=[{"store": str(path), "token": "wrong"}],
        )

    def transport(self, session: MemorySession, faults: Faults) -> MemorySession:
        """Between the plugin and its store."""
        return replace(session, store=faults.wrap(session.store, local=_LOCAL))
