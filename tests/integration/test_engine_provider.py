"""The resource-plugin host under the real Pulumi engine: a hand-written program, the in-memory platform, file state."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation
from quick_stacks import QuickStack, bare_workspace

from provision.host.engine import find_engine
from provision.host.setup import PluginExecutable, install_shims
from provision.testing.store import Fault, Store, StoredObject

pytestmark = [
    pytest.mark.engine,
    # A run that fails leaves the Automation API's program waiting for an engine that is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PASSWORD = "correct-horse-battery"
USER_DATA = "#!/bin/sh\necho 'a very private thing'"
SERVER, VOLUME, GROUP, NETWORK = "compute:Server", "compute:Volume", "compute:Group", "network:Network"


class Memory(pulumi.CustomResource):
    """Any resource of the in-memory platform; `shows` names the outputs that the program uses."""

    def __init__(
        self,
        token: str,
        name: str,
        inputs: Mapping[str, Any],
        shows: tuple[str, ...] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(f"provision-memory:{token}", name, {**dict.fromkeys(shows), **inputs}, opts)


Program = Callable[[], None]


@pytest.fixture(scope="session")
def engine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `bin/pulumi`, as the Automation API wants it."""
    found = find_engine()
    path = os.environ.get("PROVISION_TEST_ENGINE") or (found.path if found else None)
    assert path, "the Pulumi engine is needed here: run `provision setup`, or set PROVISION_TEST_ENGINE to its path"
    root = tmp_path_factory.mktemp("engine")
    (root / "bin").mkdir()
    (root / "bin" / "pulumi").symlink_to(path)
    return root


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pulumi home with the shim of the in-memory plugin."""
    home = tmp_path_factory.mktemp("home")
    shim = PluginExecutable("resource", "provision-memory", "0.1.0", "provision.host.plugin", ("memory",))
    install_shims(home, [shim])
    return home


@dataclass
class World:
    """One Pulumi stack on one in-memory platform."""

    stack: automation.Stack
    store: Store
    state: Path
    events: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def program(self, program: Program) -> None:
        self.stack.workspace.program = program

    def up(self, program: Program | None = None, **options: Any) -> automation.UpResult:
        if program is not None:
            self.program(program)
        return self.stack.up(on_event=self.events.append, on_output=self._text, on_error=self._text, **options)

    def preview(self, program: Program | None = None) -> automation.PreviewResult:
        if program is not None:
            self.program(program)
        return self.stack.preview(on_event=self.events.append, on_output=self._text, on_error=self._text)

    def destroy(self) -> automation.DestroyResult:
        return self.stack.destroy(on_event=self.events.append, on_output=self._text, on_error=self._text)

    def refresh(self) -> automation.RefreshResult:
        return self.stack.refresh(on_event=self.events.append, on_output=self._text, on_error=self._text)

    def _text(self, text: str) -> None:
        self.texts.append(text)

    def only(self, kind: str) -> StoredObject:
        (found,) = self.store.objects(kind)
        return found

    def mutations(self) -> list[str]:
        """The calls that changed something since the last look."""
        found = [f"{call.operation} {call.name}" for call in self.store.mutations()]
        self.store.forget_calls()
        return found

    def resource(self, kind: str) -> dict[str, Any]:
        """The one resource of that kind in the state."""
        deployment = self.stack.export_stack().deployment
        assert deployment is not None
        (found,) = [item for item in deployment["resources"] if item["type"] == f"provision-memory:{kind}"]
        return dict(found)

    def stored(self, kind: str) -> dict[str, Any]:
        """The one resource of that kind as it stands in the state's file."""
        (path,) = self.state.glob(".pulumi/stacks/project/test.json")
        resources = json.loads(path.read_text())["checkpoint"]["latest"]["resources"]
        (found,) = [item for item in resources if item["type"] == f"provision-memory:{kind}"]
        return dict(found)

    def everything_written(self) -> str:
        """All that a person or a file may hold: state with its backups and history, output, events."""
        files = [path.read_text(errors="replace") for path in self.state.rglob("*") if path.is_file()]
        events = [json.dumps(event, default=lambda item: getattr(item, "__dict__", str(item))) for event in self.events]
        return "\n".join([*files, *self.texts, *events])


@pytest.fixture(scope="session")
def engine_command(engine_root: Path) -> automation.PulumiCommand:
    """The engine, which has been asked for its version."""
    return automation.PulumiCommand(root=str(engine_root))


@pytest.fixture
def world(tmp_path: Path, engine_command: automation.PulumiCommand, home: Path) -> Iterator[World]:
    state, store = tmp_path / "state", tmp_path / "platform.json"
    state.mkdir()
    workspace = bare_workspace(_folder(tmp_path / "work"), home, engine_command, state)
    stack = QuickStack("test", workspace)
    stack.set_all_config(
        {
            "provision-memory:store": automation.ConfigValue(str(store)),
            "provision-memory:token": automation.ConfigValue("a-secret-token", secret=True),
            "provision-memory:limits": automation.ConfigValue('{"servers": 3}'),
        }
    )
    yield World(stack, Store(store), state)
    gc.collect()  # what a failed run left waiting ends here, and not in the middle of something else


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def servers(stack_id: str = "stack-1", group_name: str = "web", cidr: str = "10.0.0.0/24", **changes: Any) -> Program:
    """A network, a volume, a group and a server that uses them all."""

    def program() -> None:
        own = {"stackId": stack_id}
        network = Memory(NETWORK, "network", {**own, "name": "front", "cidr": cidr}, ("segment",))
        volume = Memory(VOLUME, "volume", {**own, "name": "data", "sizeGib": 2}, ("path",))
        group = Memory(
            GROUP,
            "group",
            {**own, "baseName": group_name, "rules": [{"peers": ["machine.db"], "services": ["tcp/80"]}]},
            ("name",),
        )
        server = Memory(
            SERVER,
            "server",
            {
                **own,
                "name": "web-0",
                "image": "micro",
                "nics": [{"network": network.segment, "address": "10.0.0.2", "groups": [group.name]}],  # type: ignore[attr-defined]
                "volumes": [volume.path],  # type: ignore[attr-defined]
                "password": PASSWORD,
                "userData": USER_DATA,
                **changes,
            },
            ("uuid", "address"),
        )
        pulumi.export("address", server.address)  # type: ignore[attr-defined]

    return program


def server_only(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Program:
    inputs = {"stackId": "stack-1", "name": "web-0", "image": "micro", "password": PASSWORD, **changes}
    return lambda: (Memory(SERVER, "server", inputs, (), opts), None)[1]


def summary(result: Any) -> dict[str, int]:
    return dict(result.summary.resource_changes or {})


def test_a_stack_is_previewed_made_left_alone_and_destroyed(world: World) -> None:
    preview = world.preview(servers())
    assert preview.change_summary == {automation.OpType.CREATE: 5}
    assert not world.store.objects(), "a preview makes nothing"
    assert not world.mutations()

    made = world.up()
    assert summary(made) == {"create": 5}
    assert made.outputs["address"].value == "10.0.0.2"
    assert sorted(world.mutations()) == ["create data", "create front", "create web", "create web-0"]
    server = world.only(SERVER)
    assert server.properties["nics"][0]["groups"] == [world.only(GROUP).name]
    assert server.properties["password"] == PASSWORD

    again = world.up()
    assert summary(again) == {"same": 5}
    assert world.mutations() == [], "a second up changes nothing"

    world.destroy()
    assert world.store.objects() == []


def test_secrets_are_written_nowhere_in_the_clear(world: World) -> None:
    world.up(servers())
    world.store.inject(Fault("update", "fail", SERVER))
    with pytest.raises(automation.CommandError):
        world.up(servers(labels={"a": "b"}, password=PASSWORD + "-2"))
    world.up(servers(labels={"a": "b"}, password=PASSWORD + "-2"))
    world.refresh()
    state = world.stored(SERVER)
    assert "ciphertext" in state["inputs"]["password"]
    assert "ciphertext" in state["outputs"]["password"]
    assert "ciphertext" in state["inputs"]["userData"]
    written = world.everything_written()
    assert "web-0" in written, "the right places are searched"
    for secret in (PASSWORD, "a very private thing", "a-secret-token"):
        assert secret not in written


def test_changes_are_made_in_place_where_that_is_possible(world: World) -> None:
    world.up(servers())
    before = world.only(SERVER)
    world.mutations()
    preview = world.preview(servers(cpus=4, labels={"tier": "web"}))
    assert preview.change_summary == {automation.OpType.SAME: 4, automation.OpType.UPDATE: 1}
    assert summary(world.up()) == {"same": 4, "update": 1}
    assert world.mutations() == ["update web-0"]
    after = world.only(SERVER)
    assert after.id == before.id
    assert (after.properties["cpus"], after.properties["labels"]) == (4, {"tier": "web"})
    paths = next(
        event.resource_pre_event.metadata.detailed_diff
        for event in world.events
        if event.resource_pre_event and event.resource_pre_event.metadata.op == automation.OpType.UPDATE
    )
    assert {path: item.diff_kind.value for path, item in paths.items()} == {"cpus": "update", "labels.tier": "add"}


def test_an_immutable_change_deletes_first_and_then_makes_anew(world: World) -> None:
    world.up(servers())
    before = world.only(SERVER)
    world.mutations()
    with pytest.raises(automation.CommandError, match="PROVISION_ALLOW_DESTROY=server pulumi up"):
        world.up(servers(image="other"))
    assert world.mutations() == []
    world.stack.workspace.env_vars["PROVISION_ALLOW_DESTROY"] = "server"
    assert summary(world.up(servers(image="other"))) == {"same": 4, "replace": 1}
    assert world.mutations() == ["delete web-0", "create web-0"]
    assert world.only(SERVER).id != before.id


def test_a_group_in_use_is_made_anew_before_the_old_one_goes(world: World) -> None:
    world.up(servers())
    before = world.only(GROUP)
    world.mutations()
    assert summary(world.up(servers(group_name="www"))) == {"same": 3, "replace": 1, "update": 1}
    assert world.mutations() == ["create www", "update web-0", f"delete {before.id}"]
    assert world.only(SERVER).properties["nics"][0]["groups"] == [world.only(GROUP).name]


def test_replacing_on_request_makes_exactly_that_object_anew(world: World) -> None:
    # On request the engine asks no plugin which comes first: whoever registers types that adopt must say so.
    world.up(server_only(pulumi.ResourceOptions(delete_before_replace=True)))
    before = world.only(SERVER)
    world.mutations()
    with pytest.raises(automation.CommandError, match="destroy its data"):
        world.up(replace=[world.resource(SERVER)["urn"]])
    assert world.mutations() == []
    world.stack.workspace.env_vars["PROVISION_ALLOW_DESTROY"] = "server"
    world.up(replace=[world.resource(SERVER)["urn"]])
    assert world.mutations() == ["delete web-0", "create web-0"]
    assert world.only(SERVER).id != before.id
    world.store.inject(Fault("create", "kill-after", SERVER))
    with pytest.raises(automation.CommandError):
        world.up(replace=[world.resource(SERVER)["urn"]])
    world.up()
    assert world.resource(SERVER)["id"] == world.only(SERVER).id
    assert summary(world.up()) == {"same": 2}


def test_a_type_without_update_is_replaced_with_what_depends_on_it(world: World) -> None:
    world.up(servers())
    world.mutations()
    assert summary(world.up(servers(cidr="10.0.0.0/25"))) == {"same": 3, "replace": 1, "update": 1}
    assert [name for name in world.mutations() if "front" in name] == ["delete front", "create front"]


def test_refresh_sees_what_was_changed_by_hand_and_up_sets_it_right(world: World) -> None:
    world.up(servers())
    server = world.only(SERVER)
    world.store.put(StoredObject(server.id, server.kind, server.name, server.marker, {**server.properties, "cpus": 9}))
    refreshed = world.refresh()
    assert summary(refreshed) == {"same": 4, "update": 1}
    assert world.resource(SERVER)["inputs"]["cpus"] == 9
    assert "ciphertext" in world.stored(SERVER)["inputs"]["password"], "what cannot be read back is kept"
    world.mutations()
    world.up()
    assert world.mutations() == ["update web-0"]
    assert world.only(SERVER).properties["cpus"] == 1


def test_refresh_without_drift_changes_nothing_afterwards(world: World) -> None:
    world.up(servers())
    assert summary(world.refresh()) == {"same": 5}
    world.mutations()
    assert summary(world.up()) == {"same": 5}
    assert world.mutations() == []


def test_an_object_that_vanished_is_made_again(world: World) -> None:
    world.up(servers())
    world.store.remove(world.only(SERVER).id)
    world.refresh()
    assert summary(world.up()) == {"same": 4, "create": 1}
    assert len(world.store.objects(SERVER)) == 1


def test_an_existing_object_is_imported_and_then_managed(world: World) -> None:
    world.store.put(StoredObject("volume-hand", VOLUME, "by-hand", "", {"size_gib": 4}))
    inputs = {"stackId": "stack-1", "name": "by-hand", "sizeGib": 4}
    world.up(lambda: (Memory(VOLUME, "v", inputs, (), pulumi.ResourceOptions(import_="volume-hand")), None)[1])
    assert world.mutations() == []
    assert world.resource(VOLUME)["id"] == "volume-hand"
    world.up(lambda: (Memory(VOLUME, "v", {**inputs, "sizeGib": 8}), None)[1])
    assert world.mutations() == ["update by-hand"]
    assert world.store.get(VOLUME, "volume-hand").properties["size_gib"] == 8  # type: ignore[union-attr]


def test_a_name_that_is_taken_is_refused_and_the_other_object_left_alone(world: World) -> None:
    world.store.put(StoredObject("server-other", SERVER, "web-0", "somebody.else", {"cpus": 1}))
    with pytest.raises(automation.CommandError) as error:
        world.up(server_only())
    assert "'web-0' is taken by an object that this stack did not make" in str(error.value)
    assert "choose another name" in str(error.value)
    world.destroy()
    assert world.only(SERVER).id == "server-other"


def test_an_unhealthy_object_is_kept_and_healed_by_the_next_up(world: World) -> None:
    console = "console of web-0: kernel panic " + "x" * 20_000  # more than gRPC's usual limit of a trailer
    world.store.inject(Fault("create", "unhealthy", SERVER, text=console))
    with pytest.raises(automation.CommandError) as error:
        world.up(servers())
    assert "console of web-0: kernel panic" in str(error.value)
    kept = world.only(SERVER)
    state = world.resource(SERVER)
    assert state["id"] == kept.id
    assert state["initErrors"] == [console]
    world.mutations()
    assert summary(world.up()) == {"same": 4, "update": 1}
    assert world.mutations() == ["update web-0"]
    assert world.only(SERVER).id == kept.id
    assert "initErrors" not in world.resource(SERVER)
    assert summary(world.up()) == {"same": 5}


def test_a_failure_that_passes_is_tried_again(world: World) -> None:
    world.store.inject(Fault("create", "retry", SERVER, times=2))
    world.up(servers())
    assert Counter(world.mutations())["create web-0"] == 3
    assert len(world.store.objects(SERVER)) == 1


def test_a_defect_names_the_plugin_and_never_doubts_the_state(world: World) -> None:
    world.up(server_only())
    world.store.inject(Fault("update", "defect", SERVER))
    with pytest.raises(automation.CommandError) as error:
        world.up(server_only(cpus=2))
    assert "plugin 'memory' failed at update of compute:Server" in str(error.value)
    assert "report this to the plugin's author" in str(error.value)
    assert "Traceback" not in "\n".join(world.texts)
    assert not any(event.summary_event and event.summary_event.maybe_corrupt for event in world.events)


def test_wrong_inputs_are_refused_before_anything_is_made_with_exact_places(world: World) -> None:
    with pytest.raises(automation.CommandError) as error:
        world.up(servers(nics=[{"netwrk": "x"}], cpus=0))
    text = str(error.value)
    assert "nics[0].netwrk" in text
    assert "did you mean 'network'?" in text
    assert "cpus" in text
    assert "errors.pydantic.dev" not in text
    assert not world.store.objects(SERVER)


def test_a_platform_that_does_not_answer_is_said_with_the_fix(world: World) -> None:
    world.stack.set_config("provision-memory:token", automation.ConfigValue("wrong", secret=True))
    with pytest.raises(automation.CommandError) as error:
        world.up(server_only())
    assert "the in-memory platform does not answer (token [secret])" in str(error.value)
    assert "set provision-memory:token to another one" in str(error.value)


@pytest.mark.parametrize("moment", ["kill-before", "kill-after"])
def test_a_kill_in_create_leaves_no_orphan_and_no_duplicate(world: World, moment: Any) -> None:
    world.store.inject(Fault("create", moment, SERVER))
    with pytest.raises(automation.CommandError):
        world.up(servers())
    assert len(world.store.objects(SERVER)) == (1 if moment == "kill-after" else 0)
    left = [item.id for item in world.store.objects(SERVER)]
    world.up()
    assert world.only(SERVER).id in (left or [world.only(SERVER).id])
    assert world.resource(SERVER)["id"] == world.only(SERVER).id
    world.destroy()
    assert world.store.objects() == []


def test_a_kill_in_a_replacement_leaves_exactly_the_new_object(world: World) -> None:
    world.up(servers())
    world.store.inject(Fault("create", "kill-after", SERVER))
    world.stack.workspace.env_vars["PROVISION_ALLOW_DESTROY"] = "server"
    with pytest.raises(automation.CommandError):
        world.up(servers(image="other"))
    world.up(servers(image="other"))
    assert world.resource(SERVER)["id"] == world.only(SERVER).id
    assert world.only(SERVER).properties["image"] == "other"
    assert summary(world.up()) == {"same": 5}


def test_a_cancelled_run_ends_the_wait_at_once(world: World) -> None:
    world.store.inject(Fault("create", "slow", SERVER, seconds=120))
    failures: list[str] = []

    def run() -> None:
        try:
            world.up(server_only())
        except automation.CommandError as error:
            failures.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while not any(call.operation == "create" for call in world.store.calls()):
        assert time.monotonic() < deadline, "the create never began"
        time.sleep(0.1)
    assert _plugins_of(world)
    started = time.monotonic()
    os.kill(_engine_process(), signal.SIGINT)
    thread.join(60)
    assert not thread.is_alive()
    assert time.monotonic() - started < 50
    assert "create of compute:Server was stopped: the run was cancelled" in failures[0]
    said = [event.diagnostic_event for event in world.events if event.diagnostic_event]
    assert any("waiting for web-0" in item.message and item.ephemeral and SERVER in item.urn for item in said)
    until = time.monotonic() + 10
    while (left := _plugins_of(world)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


def test_a_plugin_that_runs_already_serves_one_engine_after_another(world: World) -> None:
    command = [sys.executable, "-m", "provision.host.plugin", "memory"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            world.stack.workspace.env_vars["PULUMI_DEBUG_PROVIDERS"] = f"provision-memory:{port}"
            world.up(server_only())
            world.store.inject(Fault("update", "slow", SERVER, seconds=0.2))  # fails if still cancelled
            world.up(server_only(cpus=2))
            assert world.only(SERVER).properties["cpus"] == 2
            assert process.poll() is None
        finally:
            process.kill()


def _engine_process() -> int:
    (found,) = [pid for pid, parent, name in _processes() if parent == os.getpid() and name == "pulumi"]
    return found


def _plugins_of(world: World) -> list[int]:
    """The plugin processes of the world's engine, which other tests' engines at the same time are told from."""
    own = str(world.state).encode()
    plugin = b"provision.host.plugin"
    return [pid for pid, _, _ in _processes() if plugin in _file(pid, "cmdline") and own in _file(pid, "environ")]


def _file(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _processes() -> Iterator[tuple[int, int, str]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        name, rest = text.split("(", 1)[1].rsplit(")", 1)
        yield int(path.parent.name), int(rest.split()[1]), name


def test_the_schema_is_read_and_bound_by_the_engine_without_a_warning(
    engine_root: Path, home: Path, tmp_path: Path
) -> None:
    (shim,) = home.glob("plugins/resource-provision-memory-*/pulumi-resource-provision-memory")
    env = {**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(engine_root / "bin" / "pulumi"), *arguments]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)

    answer = run("package", "get-schema", str(shim))
    assert answer.returncode == 0, answer.stderr
    assert "warning" not in answer.stderr.lower()
    schema = json.loads(answer.stdout)
    server = schema["resources"]["provision-memory:compute:Server"]
    assert server["requiredInputs"] == ["image", "name", "stackId"]
    assert server["inputProperties"]["password"]["secret"] is True
    assert server["inputProperties"]["image"]["willReplaceOnChanges"] is True
    assert server["inputProperties"]["nics"]["items"]["$ref"] == "#/types/provision-memory:compute:Nic"
    assert schema["types"]["provision-memory:compute:Nic"]["required"] == ["network"]
    (tmp_path / "schema.json").write_text(answer.stdout)
    bound = run("schema", "check", str(tmp_path / "schema.json"))
    assert bound.returncode == 0, bound.stderr + bound.stdout
    assert "warning" not in (bound.stderr + bound.stdout).lower()
