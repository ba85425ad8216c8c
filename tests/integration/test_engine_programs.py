"""Pulumi programs in Python that hold stack files, models and native types, on the real engine, in memory."""

import gc
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi.automation as auto
import pytest
from quick_stacks import QuickStack

import provision
from provision.host.engine import engine_environment, find_engine
from provision.host.process import EngineCommand
from provision.host.records import ApiCommand
from provision.host.setup import install_shims, plugin_executables
from provision.testing import Store
from provision.testing.memory_models import ServerInputs
from provision.testing.memory_types import Network as MemoryNetwork
from provision.testing.memory_types import Server, Volume
from provision.testing.store import Fault

pytestmark = [
    pytest.mark.engine,
    # A run that fails leaves the Automation API's program waiting for an engine that is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "programs"

STACK = """\
version: 1
platform: memory
parameters:
  size: {type: integer, default: 1}
  motto: {default: none}
networks:
  front: {cidr: 10.1.0.0/24}
machines:
  web:
    image: micro
    memory: 64MiB
    count: ${param.size}
    nics: [{network: front}]
    user_data: {template: true, text: "echo ${param.motto}"}
isolation:
  policies:
    apart: {kind: spread, level: preferred, machines: [machine.web]}
outputs:
  url: http://${machine.web-0.address}/
  motto: ${param.motto}
"""


@dataclass
class Lab:
    """A project folder with an inline program."""

    folder: Path
    stack: auto.Stack

    @property
    def store(self):
        return Store(self.folder / "platform.json")

    def use(self, program):
        self.stack.workspace.program = program

    def up(self, program=None):
        if program is not None:
            self.use(program)
        return self.stack.up(suppress_progress=True)

    def refused(self, program, *, preview=True):
        """What a person is told of a run that must fail."""
        self.use(program)
        with pytest.raises(auto.CommandError) as failed:
            self.stack.preview() if preview else self.stack.up()
        return str(failed.value)

    def resources(self):
        return {item["urn"]: item for item in self.stack.export_stack().deployment.get("resources", [])}

    def recorded(self):
        """The state as it lies on the disk: an export would show secrets."""
        return (self.folder.parent / "state/.pulumi/stacks/shop/dev.json").read_text()

    def names(self, kind):
        return sorted(urn.rpartition("::")[2] for urn in self.resources() if urn.split("::")[2].split("$")[-1] == kind)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    engine = find_engine()
    assert engine is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    home, state, folder = tmp_path / "home", tmp_path / "state", tmp_path / "shop"
    state.mkdir()
    folder.mkdir()
    install_shims(home, plugin_executables())
    env = engine_environment(
        {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        },
        engine.path,
    )
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text(
        f"config:\n  provision-memory:store: {json.dumps(str(folder / 'platform.json'))}\n"
    )
    (folder / "stack.yaml").write_text(STACK)
    monkeypatch.chdir(folder)
    workspace = auto.LocalWorkspace(
        work_dir=str(folder), env_vars=env, pulumi_command=ApiCommand(EngineCommand(engine)), program=lambda: None
    )
    yield Lab(folder, QuickStack("dev", workspace))
    gc.collect()  # what a failed run left waiting ends here, and not in the middle of something else


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_stack_file_stands_between_other_resources(lab):
    shutil.copy(EXAMPLES / "stack.yaml", lab.folder)
    lab.stack.set_config("provision:platform", auto.ConfigValue("memory"))
    program = example("beside").program
    lab.use(program)
    preview = lab.stack.preview()
    assert lab.store.objects() == []
    assert preview.change_summary == {"create": 16}
    done = lab.up()
    (first,) = [item for item in lab.store.objects("compute:Server") if item.name.endswith("web-0")]
    assert first.name == "shop-dev-web--web-0"
    assert 'echo "hello from elsewhere"' in first.properties["user_data"]
    address = first.properties["nics"][0]["address"]
    assert done.outputs["url"].value == f"http://{address}/"
    assert done.outputs["address"].value == address
    after = next(item for urn, item in lab.resources().items() if urn.endswith("Stash::after"))
    assert after["outputs"]["output"] == f"http://{address}/"
    assert any(urn.endswith("web/machines/web-0/server") for urn in after["dependencies"])
    again = lab.up()
    assert again.summary.resource_changes == {"same": 16}
    assert lab.stack.refresh().summary.resource_changes == {"same": 16}
    lab.stack.destroy()
    assert lab.store.objects() == []
    assert lab.resources() == {}


def test_the_chain_of_urns_within_a_component_is_frozen(lab):
    lab.up(lambda: provision.deploy("stack.yaml", name="app"))
    chain = "urn:pulumi:dev::shop::provision:index:Stack"
    assert {urn for urn in lab.resources() if "provision" in urn} == {
        f"{chain}::app",
        f"{chain}$pulumi:index:Stash::app/stack-id",
        f"{chain}$pulumi:providers:provision-memory::app/locations/default",
        f"{chain}$provision-memory:index:AddressPlan::app/addresses",
        f"{chain}$provision:index:Network::app/networks/front",
        f"{chain}$provision:index:Network$provision-memory:network:Network::app/networks/front/network",
        f"{chain}$provision:index:Machine::app/machines/web-0",
        f"{chain}$provision:index:Machine$provision-memory:compute:Server::app/machines/web-0/server",
        f"{chain}$provision:index:Policy::app/isolation/apart",
        "urn:pulumi:dev::shop::pulumi:providers:provision::default",
    }
    outputs = lab.resources()[f"{chain}::app"]["outputs"]
    assert outputs["platform"] == "memory"
    assert list(outputs["downgrades"]) == ["apart"]
    assert outputs["machines"]["web-0"]["name"] == "web-0"


def test_two_stacks_of_one_file_live_side_by_side_and_are_edited_alone(lab):
    sizes = {"a": 1, "a-b": 1}

    def program():
        for name, size in sizes.items():
            provision.deploy("stack.yaml", name=name, parameters={"size": size})

    lab.up(program)
    before = {item.name: item for item in lab.store.objects()}
    assert set(before) == {"shop-dev-a--front", "shop-dev-a--web-0", "shop-dev-a-b--front", "shop-dev-a-b--web-0"}
    sizes["a"] = 2
    changed = lab.up().summary.resource_changes
    # the component, what it remembers and its plan of addresses; and the new machine with its component
    assert (changed["update"], changed["create"]) == (3, 2)
    after = {item.name: item for item in lab.store.objects()}
    assert {name: after[name].id for name in before} == {name: item.id for name, item in before.items()}
    del sizes["a"]
    lab.up()
    assert {item.name for item in lab.store.objects()} == {"shop-dev-a-b--front", "shop-dev-a-b--web-0"}


def test_a_secret_parameter_is_secret_wherever_it_goes(lab):
    def program():
        made = provision.deploy("stack.yaml", name="app", parameters={"motto": pulumi.Output.secret("hush-hush")})
        pulumi.export("motto", made.outputs["motto"])

    done = lab.up(program)
    assert done.outputs["motto"].secret
    assert done.outputs["motto"].value == "hush-hush"
    assert "hush-hush" not in done.stdout
    assert "hush-hush" not in lab.recorded()
    assert lab.up().summary.resource_changes.keys() == {"same"}


def fed(parameter, value):
    """A program in which a parameter comes from a resource that knows its output only once it exists."""

    def program():
        other = provision.native(Volume)("other", {"name": "other"})
        given = other.output(lambda made: made.path).apply(lambda path: value)
        made = provision.deploy("stack.yaml", name="app", parameters={parameter: given})
        pulumi.export("motto", made.outputs["motto"])
        pulumi.export("url", made.outputs["url"])

    return program


def test_an_unknown_value_that_only_texts_need_leaves_the_preview_whole(lab):
    lab.use(fed("motto", "wisdom"))
    planned = lab.stack.preview()
    lab.up()
    assert planned.change_summary == {"create": len([urn for urn in lab.resources() if "::default" not in urn])}
    assert "not shown" not in planned.stdout
    (web,) = lab.store.objects("compute:Server")
    assert web.properties["user_data"] == "echo wisdom"


def test_an_unknown_value_that_decides_what_is_made_is_said_in_the_preview_and_made_in_the_update(lab):
    lab.use(fed("size", 3))
    said = lab.stack.preview().stdout
    assert "machines.web.count comes from its parameter 'size', which will be known only in the update" in said
    assert lab.store.objects() == []
    assert lab.up().outputs["motto"].value == "none"
    assert len(lab.store.objects("compute:Server")) == 3
    before = lab.store.objects()

    def replaced():
        other = provision.native(Volume)("another", {"name": "another"})
        given = other.output(lambda made: made.path).apply(lambda path: 2)
        provision.deploy("stack.yaml", name="app", parameters={"size": given})

    lab.use(replaced)
    shown = lab.stack.preview()
    assert "stack 'app' is shown with the last values of its inputs" in shown.stdout
    assert shown.change_summary["delete"] == 1  # the other volume: no machine is shown as one that goes
    assert [item.id for item in lab.store.objects()] == [item.id for item in before]
    lab.up()
    assert len(lab.store.objects("compute:Server")) == 2


def test_models_are_deployed_like_files(lab):
    lab.stack.set_config("provision:platform", auto.ConfigValue("memory"))
    done = lab.up(example("models").program)
    assert done.outputs["north"].value.startswith("10.31.1.")
    assert done.outputs["south"].value.startswith("10.31.2.")
    assert {item.name for item in lab.store.objects("compute:Server")} == {"shop-dev-north--db", "shop-dev-south--db"}
    assert lab.up().summary.resource_changes.keys() == {"same"}
    lab.stack.destroy()
    assert lab.store.objects() == []


def test_native_types_refer_to_each_other_on_a_provider_of_their_own(lab):
    lab.stack.set_config("example:store", auto.ConfigValue(str(lab.folder / "other.json")))
    done = lab.up(example("native_types").program)
    store = Store(lab.folder / "other.json")
    (web,) = store.objects("compute:Server")
    (data,) = store.objects("compute:Volume")
    assert done.outputs["address"].value == "10.32.0.10"
    assert done.outputs["network"].value == "front"
    assert web.properties["cpus"] == 2  # as the data function of the platform said
    assert web.properties["volumes"][0].endswith(data.id) or data.name in web.properties["volumes"][0]
    assert "hush" not in lab.recorded()
    assert lab.names("pulumi:index:Stash") == ["provision-stack-id"]
    assert lab.store.objects() == []
    assert lab.up().summary.resource_changes.keys() == {"same"}
    lab.stack.destroy()
    assert store.objects() == []


def test_texts_that_are_known_later_stand_in_models(lab):
    def program():
        front = provision.native(MemoryNetwork)("front", {"name": "front"})
        segment = provision.later(front.output(lambda made: made.segment))
        provision.native(Server)(
            "web",
            ServerInputs(name="web", image="micro", labels={"segment": f"<{segment}>"}, stack_id=provision.stack_id()),
        )

    lab.up(program)
    (web,) = lab.store.objects("compute:Server")
    assert web.properties["labels"]["segment"].startswith("<")
    assert "later" not in json.dumps(web.properties)


def test_an_explicit_provider_is_used_for_all_of_a_stack(lab):
    there = lab.folder / "other.json"

    def program(region):
        other = provision.native(Volume)(region, {"name": region})
        given = other.output(lambda made: made.path).apply(lambda path: region)
        platform = provision.provider("memory", "there", store=pulumi.Output.secret(str(there)), region=given)
        provision.deploy("stack.yaml", name="app", opts=pulumi.ResourceOptions(provider=platform))

    lab.use(lambda: program("east"))
    assert "how to reach the platform 'memory' (region) will be known only" in lab.stack.preview().stdout
    lab.up()
    assert [item.name for item in lab.store.objects()] == ["east"]
    assert [item.name for item in Store(there).objects("compute:Server")] == ["shop-dev-app--web-0"]
    assert {call.name for call in Store(there).calls() if call.operation == "connect"} == {"east"}
    assert "app/locations/default" not in lab.names("pulumi:providers:provision-memory")
    lab.use(lambda: program("west"))
    shown = lab.stack.preview()
    assert "is shown with the last values of its inputs" in shown.stdout
    assert shown.change_summary["delete"] == 1  # the other volume


def test_options_of_the_component_hold_for_what_it_is_made_of(lab):
    def program(protect):
        before = pulumi.Stash("before", input="x")
        parent = pulumi.ComponentResource("my:own:Part", "part")
        options = pulumi.ResourceOptions(
            protect=protect,
            parent=parent,
            depends_on=[before],
            custom_timeouts=pulumi.CustomTimeouts(create="5m"),
            additional_secret_outputs=["machines"],
        )
        made = provision.deploy("stack.yaml", name="app", opts=options)
        pulumi.export("machines", made.machines)
        if protect:
            provision.deploy("stack.yaml", name="kept", opts=pulumi.ResourceOptions(retain_on_delete=True))

    assert lab.up(lambda: program(True)).outputs["machines"].secret
    found = lab.resources()
    (server,) = [item for urn, item in found.items() if urn.endswith("app/machines/web-0/server")]
    (component,) = [item for urn, item in found.items() if urn.endswith("::app")]
    assert server["protect"] is True
    assert server["customTimeouts"]["create"] == 300
    assert component["dependencies"][0].endswith("Stash::before")
    assert component["urn"].split("::")[2] == "my:own:Part$provision:index:Stack"
    with pytest.raises(auto.CommandError, match="protect"):
        lab.stack.destroy()
    lab.up(lambda: program(False))
    lab.stack.destroy()
    assert {item.name for item in lab.store.objects()} == {"shop-dev-kept--front", "shop-dev-kept--web-0"}


def test_a_renamed_component_keeps_its_machines_when_it_says_so(lab):
    lab.up(lambda: provision.deploy("stack.yaml", name="old"))
    (before,) = lab.store.objects("compute:Server")
    options = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")])
    lab.up(lambda: provision.deploy("stack.yaml", name="new", native_name="dev-old-", opts=options))
    (after,) = lab.store.objects("compute:Server")
    assert (after.id, after.name) == (before.id, before.name)
    assert lab.names("provision:index:Machine") == ["new/machines/web-0"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"file": "nowhere.yaml"}, ["there is no", "nowhere.yaml"]),
        (
            {"file": "stack.yaml", "parameters": {"size": "many"}},
            ["property parameters.size with value '{many}' has a problem: the configured value 'many'"],
        ),
        ({"file": "stack.yaml", "settings": {"token": "wrong"}}, ["the in-memory platform does not answer"]),
        (
            {"definition": {"version": 1, "platform": "memory", "machines": {"web": {"image": "micro", "memry": 1}}}},
            ["property definition.machines.web.memry with value '{1}' has a problem: the key 'memry' is not known"],
        ),
    ],
)
def test_mistakes_are_told_by_input(lab, given, expected):
    text = lab.refused(lambda: provision.StackComponent("app", **given))
    for part in expected:
        assert part in text
    assert "defect" not in text


def test_mistakes_in_the_file_are_shown_with_their_places(lab):
    file = lab.folder / "stack.yaml"
    file.write_text(
        STACK.replace("memory: 64MiB", "memoory: 64MiB").replace("kind: spread, level: preferred", "kind: spread")
    )
    text = lab.refused(lambda: provision.deploy(file, name="app"))
    assert "stack.yaml:11:5: error: the key 'memoory' is not known" in text
    assert "did you mean 'memory'?" in text


def test_a_secret_is_not_shown_where_it_is_wrong(lab):
    text = lab.refused(
        lambda: provision.deploy("stack.yaml", name="app", parameters={"size": pulumi.Output.secret("hush-hush")})
    )
    assert "parameter 'size' is not a whole number" in text
    assert "hush" not in text


def test_a_failed_machine_fails_the_program_and_the_next_run_makes_the_rest(lab):
    lab.store.inject(Fault("create", "fail", name="shop-dev-app--web-0"))
    program = lambda: provision.deploy("stack.yaml", name="app")  # noqa: E731
    text = lab.refused(program, preview=False)
    assert "the platform refuses to create shop-dev-app--web-0" in text
    assert "defect" not in text
    lab.up(program)
    assert len(lab.store.objects("compute:Server")) == 1


def test_an_output_that_there_is_not_is_refused_by_name(lab):
    def program():
        made = provision.native(MemoryNetwork)("front", {"name": "front"})
        made.output(lambda outputs: outputs.segmnt)

    assert "network:Network has no output 'segmnt': it has name, segment" in lab.refused(program)


def test_the_schema_is_bound_by_the_engine_without_a_warning(lab):
    command = lab.stack.workspace.pulumi_command
    shim = next((Path(lab.stack.workspace.env_vars["PULUMI_HOME"]) / "plugins").glob("resource-provision-v*/pulumi-*"))
    done = subprocess.run(
        [command.command, "package", "get-schema", str(shim)],
        capture_output=True, text=True, check=True, cwd=lab.folder, env={**os.environ, **lab.stack.workspace.env_vars},
    )  # fmt: skip
    assert done.stderr == ""
    schema = json.loads(done.stdout)
    assert schema["resources"]["provision:index:Stack"]["isComponent"] is True
    assert set(schema["resources"]["provision:index:Stack"]["inputProperties"]) >= {"file", "definition", "parameters"}


def test_importing_provision_loads_no_sdk():
    code = "import provision, sys; print([m for m in ('pulumi', 'grpc', 'pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
