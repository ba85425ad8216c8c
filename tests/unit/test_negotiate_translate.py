import json

import pytest
from language_sample import Sample, Server, sample_graph, stack
from pydantic import SecretStr

from provision.diagnostics import DiagnosticSink
from provision.errors import PluginError, StackFileError
from provision.spi import Capabilities, GraphBuilder, Node, ResourceGraph
from provision.translate import Scope, address_inputs, allocate, graph_json, negotiate, place, translate

SCOPE = Scope("shop", "prod")
CAPABILITIES = Capabilities("sample")


def run(made, provider=None, sink=None):
    provider = provider or Sample()
    assigned, _ = allocate(address_inputs(made, SCOPE), {})
    sink = sink or DiagnosticSink()
    decisions = negotiate(made, provider, CAPABILITIES, sink)
    return translate(made, provider, CAPABILITIES, decisions, assigned, SCOPE, sink)


def graph_of(made):
    return json.loads(graph_json(run(made).graph))


def test_the_same_input_gives_the_same_bytes():
    made = stack(
        isolation={
            "policies": {"web": {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "allow": ["tcp/80"]}}
        }
    )
    again = type(made).model_validate(made.model_dump(mode="python", by_alias=True, exclude_unset=True))
    assert graph_json(run(made).graph) == graph_json(run(again).graph)


def test_machines_networks_and_policies_have_components():
    policy = {"kind": "spread", "level": "preferred", "machines": ["machine.web"]}
    found = graph_of(stack(isolation={"policies": {"apart": policy}}))
    names = {part["name"]: part for part in found["components"]}
    assert list(names) == [
        "networks/front",
        "networks/back",
        "machines/web-0",
        "machines/web-1",
        "machines/db",
        "isolation/apart",
    ]
    assert names["isolation/apart"]["outputs"] == {
        "kind": "spread",
        "level": "preferred",
        "verdict": "downgrade",
        "reason": "there is one host only",
        "evidence": [],
    }
    db = names["machines/db"]["outputs"]
    assert db["server_id"] == {"$output": "machines/db/server#id"}
    assert db["address"].startswith("10.2.0.")


def test_former_names_become_aliases_of_everything_below():
    found = graph_of(
        stack(
            networks={"edge": {"cidr": "10.1.0.0/24", "renamed_from": "front"}},
            machines={"site": {"image": "micro", "memory": "64MiB", "count": 1, "renamed_from": "web"}},
        )
    )
    aliases = {part["name"]: part.get("aliases", []) for part in found["components"] + found["nodes"]}
    assert aliases == {
        "networks/edge": ["networks/front"],
        "networks/edge/segment": ["networks/front/segment"],
        "machines/site-0": ["machines/web-0", "machines/site", "machines/web"],
        "machines/site-0/server": ["machines/web-0/server", "machines/site/server", "machines/web/server"],
    }


def test_a_former_name_that_is_taken_is_no_alias():
    machine = {"image": "micro", "memory": "64MiB"}
    found = graph_of(stack(machines={"site": machine | {"renamed_from": "web"}, "web": machine}))
    aliases = {part["name"]: part.get("aliases", []) for part in found["components"] if part["kind"] == "Machine"}
    assert aliases == {
        "machines/site": ["machines/web-0", "machines/site-0"],
        "machines/web": ["machines/web-0"],
    } or ("machines/web" not in aliases["machines/site"])
    everything = [alias for part in found["components"] + found["nodes"] for alias in part.get("aliases", [])]
    assert len(everything) == len(set(everything))


def test_outputs_and_templates_are_filled_in_and_secrets_stay_secret():
    made = stack(
        outputs={"url": "http://${machine.web-0.address}/", "all": ["${machine.db.nics[1].address}", "$${x}"]},
        machines={
            "web": {
                "image": "micro",
                "memory": "64MiB",
                "count": 1,
                "nics": [{"network": "front"}],
                "user_data": {"text": SecretStr("key=s3cret peer=${machine.db.address}"), "template": True},
            },
            "db": {
                "image": "micro",
                "memory": "64MiB",
                "nics": [{"network": "back"}, {"network": "front"}],
                "user_data": "as ${it} stands",
            },
        },
    )
    done = run(made)
    web, db = done.addresses["web-0"][0].ipv4, done.addresses["db"]
    assert done.outputs == {"url": f"http://{web}/", "all": [db[1].ipv4, "${x}"]}
    inputs = {node.name: node.inputs for node in done.graph.nodes}
    first_boot = inputs["machines/web-0/server"]["first_boot"]
    assert isinstance(first_boot, SecretStr)
    assert first_boot.get_secret_value() == f"key=s3cret peer={db[0].ipv4}"
    assert inputs["machines/db/server"]["first_boot"] == "as ${it} stands"
    assert "s3cret" not in graph_json(done.graph)


def test_an_output_of_a_machine_that_is_not_there_is_reported_at_its_place():
    with pytest.raises(StackFileError) as caught:
        run(stack(outputs={"a": "${machine.web.address}", "b": ["${machine.web-0.address6}"]}))
    assert [(d.path, d.summary, d.fix) for d in caught.value.diagnostics] == [
        (("outputs", "a"), "there is no machine called 'web'", "it has a count: write web-0"),
        (
            ("outputs", "b", 0),
            "machine 'web-0' has no IPv6 address there",
            "attach it to a network with a 'cidr6'",
        ),
    ]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"native_name": "x"}, "input 'memory_mib': Field required"),
        ({"native_name": "x", "memory_mib": "much"}, "input 'memory_mib': Input should be a valid integer"),
        ({"native_name": "x", "memory_mib": 1, "colour": "red"}, "input 'colour': Extra inputs are not permitted"),
        (
            {"native_name": "@", "memory_mib": "much"},
            "input 'memory_mib': Input should be a valid integer",
        ),
        ({"native_name": "@", "memory_mib": 1, "colour": "red"}, "input 'colour': Extra inputs are not permitted"),
        ({"native_name": "@wrong", "memory_mib": 1}, "it refers to 'wrong' of 'first', which has no such output"),
    ],
)
def test_a_plugins_mistake_names_node_input_and_expectation(inputs, problem):
    class Wrong(Sample):
        def translate(self, request):
            graph = GraphBuilder()
            first = graph.add(Server, "first", {"native_name": "x", "memory_mib": 1})
            name = inputs["native_name"]
            given = inputs | ({"native_name": first.output(name[1:] or "uuid")} if name.startswith("@") else {})
            graph.add(Server, "second", given)
            return graph.build()

    with pytest.raises(PluginError) as caught:
        run(stack(), Wrong())
    assert caught.value.summary.startswith(f"plugin 'sample' translated 'second' wrongly: {problem}")


def test_a_type_that_is_not_the_plugins_own_is_its_mistake():
    class Foreign(Server):
        token = "x:Y"

    class Wrong(Sample):
        def translate(self, request):
            return ResourceGraph((), (Node(Foreign, "a", {"native_name": "x", "memory_mib": 1}),))

    with pytest.raises(PluginError, match="'Foreign' is not among the plugin's resource types"):
        run(stack(), Wrong())


def test_the_only_location_takes_everything_unless_a_platform_is_chosen_beside_it():
    here = {"platform": "sample", "config": {"endPoint": "x"}}
    (placed,) = place(stack(platform=None, locations={"here": here}), DiagnosticSink())
    assert (placed.location, placed.platform, placed.config) == ("here", "sample", {"endPoint": "x"})
    (placed,) = place(stack(locations={"here": here}), DiagnosticSink())
    assert (placed.location, placed.platform, placed.config) == ("default", "sample", {})


def test_without_a_platform_the_message_says_how_to_choose_one():
    with pytest.raises(StackFileError) as caught:
        place(stack(platform=None), DiagnosticSink())
    assert caught.value.diagnostics[0].summary == "no platform is chosen"


def test_the_sample_is_called_with_everything_known():
    seen = []

    class Watching(Sample):
        def translate(self, request):
            seen.append(request)
            return sample_graph(request)

    run(stack(), Watching())
    assert set(seen[0].addresses) == {"web-0", "web-1", "db"}
    assert (seen[0].project, seen[0].stack_name) == ("shop", "prod")
