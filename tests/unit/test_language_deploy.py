import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import pytest
from language_sample import Sample, Segment, Server, stack
from pydantic import SecretStr

from provision.diagnostics import DiagnosticSink, SourceMap
from provision.host.deploying.configuration import provider_config
from provision.host.deploying.deploy import Deployment, Target
from provision.host.deploying.monitor import EngineStopped, Registered
from provision.host.deploying.stack import Site, StackRun
from provision.host.deploying.wire import wire_inputs, with_unknowns
from provision.host.values import SecretValue
from provision.loader import Loaded
from provision.spi import (
    UNKNOWN,
    Capabilities,
    FromEnvironment,
    GraphBuilder,
    Node,
    Output,
    Properties,
    ResourceGraph,
    dependencies,
    registry,
)
from provision.translate import Scope, address_inputs, allocate, place, translate


class FakeEngine:
    """Answers registrations after a while, in any order; some fail."""

    def __init__(self, preview=False, failing=(), stopping=()):
        self.preview = preview
        self.failing = set(failing)
        self.stopping = set(stopping)
        self.made = {}
        self.options = {}
        self.inputs = {}
        self.finished = {}
        self.running = 0
        self.most = 0

    async def register(self, kind, name, inputs, options):
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(random.random() / 1000)
        self.running -= 1
        if name in self.stopping:
            raise EngineStopped
        assert name not in self.made
        self.made[name] = kind
        self.options[name] = options
        self.inputs[name] = dict(inputs)
        identity = "" if not options.custom else UNKNOWN if self.preview else f"id-of-{name}"
        return Registered(f"urn:{name}", identity, {}, self.preview, name in self.failing)

    async def finish(self, urn, outputs):
        self.finished[urn] = dict(outputs)


def deployment(engine, graph, parallel=8):
    return Deployment(
        engine,
        graph,
        targets={node.name: Target("provision-sample", "urn:provider::id", "urn:addresses") for node in graph.nodes},
        parent="urn:stack",
        stack_id=Registered("urn:stash", "s", {"output": "5tack"}),
        parallel=parallel,
    )


def sample_of(made):
    scope = Scope("shop", "prod")
    assigned, _ = allocate(address_inputs(made, scope), {})
    return translate(made, Sample(), Capabilities("sample"), {}, assigned, scope, DiagnosticSink()).graph


def test_everything_is_registered_after_what_it_refers_to():
    graph, engine = sample_of(stack()), FakeEngine()
    assert asyncio.run(deployment(engine, graph).run())
    order = list(engine.made)
    assert set(order) == {part.name for part in (*graph.components, *graph.nodes)}
    for node in graph.nodes:
        assert all(order.index(name) < order.index(node.name) for name in dependencies(node))
        assert order.index(node.parent) < order.index(node.name)


def test_what_is_protected_holds_on_to_what_remembers_its_addresses():
    graph = sample_of(stack())
    nodes = [replace(node, protect=node.name == "machines/db/server") for node in graph.nodes]
    engine = FakeEngine()
    asyncio.run(deployment(engine, replace(graph, nodes=tuple(nodes))).run())
    holding = {name for name, options in engine.options.items() if "urn:addresses" in options.depends_on}
    assert holding == {"machines/db/server"}


def test_inputs_carry_references_identity_and_where_they_come_from():
    graph, engine = sample_of(stack()), FakeEngine()
    asyncio.run(deployment(engine, graph).run())
    inputs, options = engine.inputs["machines/db/server"], engine.options["machines/db/server"]
    assert inputs["nativeName"] == "shop-prod-db"
    assert inputs["stackId"] == "5tack"
    assert [port["segmentId"] for port in inputs["ports"]] == [
        "id-of-networks/back/segment",
        "id-of-networks/front/segment",
    ]
    assert dict(options.used_by) == {
        "ports": ["urn:networks/back/segment", "urn:networks/front/segment"],
        "stackId": ["urn:stash"],
    }
    assert options.parent == "urn:machines/db"
    assert options.provider == "urn:provider::id"
    assert options.delete_first is True
    assert engine.options["networks/back/segment"].delete_first is False
    assert engine.made["machines/db/server"] == "provision-sample:compute:Server"
    assert engine.made["machines/db"] == "provision:index:Machine"


def test_a_preview_passes_unknowns_on():
    graph, engine = sample_of(stack()), FakeEngine(preview=True)
    assert asyncio.run(deployment(engine, graph).run())
    assert engine.inputs["machines/web-0/server"]["ports"][0]["segmentId"] is UNKNOWN
    assert engine.finished["urn:machines/web-0"]["serverId"] is UNKNOWN
    assert engine.finished["urn:machines/web-0"]["name"] == "web-0"


def test_what_needs_a_failed_resource_is_left_out_and_the_rest_is_made():
    graph, engine = sample_of(stack()), FakeEngine(failing={"networks/back/segment"})
    assert not asyncio.run(deployment(engine, graph).run())
    assert "machines/db/server" not in engine.made
    assert "machines/web-1/server" in engine.made
    assert "urn:machines/db" not in engine.finished


def test_a_stopped_engine_ends_the_run_quietly():
    graph, engine = sample_of(stack()), FakeEngine(stopping={"networks/back/segment"})
    assert not asyncio.run(asyncio.wait_for(deployment(engine, graph).run(), 5))
    assert engine.running == 0


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_at_once_than_the_engine_handles(parallel):
    graph = sample_of(stack(machines={"web": {"image": "micro", "memory": "64MiB", "count": 20}}))
    engine = FakeEngine()
    assert asyncio.run(deployment(engine, graph, parallel).run())
    assert engine.most == parallel


def test_machines_are_begun_one_after_the_other_with_their_parts_after_what_is_everybodys():
    builder = GraphBuilder()
    for number in range(3):
        builder.component("Machine", f"machines/{number}")
        needed = ["network"]
        for part in ("nic", "server", "disk"):
            name = f"machines/{number}/{part}"
            builder.add(Segment, name, {"native_name": part}, parent=f"machines/{number}", depends_on=needed)
            needed = [name]
    for name, needed in (("network", []), ("group", []), ("rule", ["group"])):
        builder.add(Segment, name, {"native_name": name}, depends_on=needed)
    engine = FakeEngine()

    assert asyncio.run(deployment(engine, builder.build(), parallel=1).run())

    made = [name for name in engine.made if engine.options[name].custom]
    parts = [f"machines/{number}/{part}" for number in range(3) for part in ("nic", "server", "disk")]
    assert sorted(made[:3]) == ["group", "network", "rule"]
    assert made[3:] == parts


def test_a_defect_is_not_taken_for_a_stopped_engine():
    graph = sample_of(stack())

    class Broken(FakeEngine):
        async def register(self, kind, name, inputs, options):
            if name == "machines/web-1/server":
                raise ZeroDivisionError
            return await super().register(kind, name, inputs, options)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(asyncio.wait_for(deployment(Broken(), graph).run(), 5))


def test_ten_thousand_nodes_are_registered_in_little_time():
    class Quick(FakeEngine):
        async def register(self, kind, name, inputs, options):
            self.made[name] = kind
            return Registered(f"urn:{name}", f"id-{name}")

    builder = GraphBuilder()
    first = builder.add(Segment, "segment", {"native_name": "s"})
    for index in range(10_000):
        ports = [{"segment_id": first.output("id"), "mac_address": "02:00:00:00:00:00"}]
        builder.add(Server, f"server-{index}", {"native_name": f"n{index}", "memory_mib": 1, "ports": ports})
    engine = Quick()
    assert asyncio.run(asyncio.wait_for(deployment(engine, builder.build(), 16).run(), 20))
    assert len(engine.made) == 10_001


def test_wire_names_secrets_and_absent_values():
    values = {
        "native_name": SecretStr("hush"),
        "memory_mib": 64,
        "ports": [{"segment_id": Output("a", "id"), "mac_address": "m"}],
        "first_boot": None,
    }
    assert wire_inputs(Server.Inputs, values, lambda output: f"<{output.node}>") == {
        "nativeName": SecretStr("hush"),
        "memoryMib": 64,
        "ports": [{"segmentId": "<a>", "macAddress": "m"}],
    }


def test_configuration_is_typed_and_secrets_stay_secret():
    done = provider_config(
        Sample(),
        {"endPoint": "there", "retries": 1},
        {"end_point": SecretStr("hidden"), "retries": "7", "pools": '["a"]'},
    )
    assert done.model.model_dump() == {"end_point": "hidden", "retries": 7, "pools": ["a"]}
    assert done.inputs == {"endPoint": SecretValue("hidden"), "retries": 7, "pools": ["a"]}


def test_a_setting_may_come_from_the_environment_of_both_processes_and_is_not_recorded(monkeypatch):
    monkeypatch.setenv("SAMPLE_PLACE", "over there")

    class Placed(Properties):
        place: Annotated[str, FromEnvironment(("SAMPLE_PLACE",))]

    sample = type("Placing", (Sample,), {"Config": Placed})()
    assert provider_config(sample, {}, {}).model.place == "over there"
    assert provider_config(sample, {}, {}).inputs == {}
    assert provider_config(sample, {"place": "here"}, {}).model.place == "here"


def test_a_setting_with_a_secret_anywhere_inside_is_secret_as_a_whole():
    site = Site("shop", "prod", False, 1, {}, settings={"pools": ["a", SecretValue("hush")]})
    loaded = Loaded(stack(), SourceMap(), (), Path())
    (placed,) = place(loaded.stack.model_copy(update={"platform": "sample"}), DiagnosticSink())
    run = StackRun(None, site, loaded)
    with patch.object(registry, "load", return_value=Sample()):
        done = run._config(placed)
    assert done.model.pools == ["a", "hush"]
    assert done.inputs == {"pools": SecretValue(["a", "hush"])}


def test_texts_with_the_mark_are_unknown_wherever_they_stand():
    deep = {
        "first_boot": SecretStr("a MARK b"),
        "native_name": "plain",
        "ports": [{"segment_id": "MARK"}, Output("n", "id")],
    }
    (node,) = with_unknowns(ResourceGraph((), (Node(Server, "server", deep),)), "MARK").nodes
    assert node.inputs == {
        "first_boot": SecretValue(UNKNOWN),
        "native_name": "plain",
        "ports": [{"segment_id": UNKNOWN}, Output("n", "id")],
    }
