"""The life of an operation under the real Pulumi engine: what a person sees, time limits, Ctrl-C, import, list."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation
from test_engine_provider import (  # noqa: F401 - fixtures
    PASSWORD,
    SERVER,
    VOLUME,
    Memory,
    World,
    _engine_process,
    engine_command,
    engine_root,
    home,
    server_only,
    summary,
    world,
)

from provision.host.setup import PluginExecutable, install_shims
from provision.testing.store import Fault, StoredObject

pytestmark = [
    pytest.mark.engine,
    # A run that fails leaves the Automation API's program waiting for an engine that is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def diagnostics(world: World) -> list[Any]:  # noqa: F811
    return [event.diagnostic_event for event in world.events if event.diagnostic_event]


def test_a_person_sees_what_is_waited_for_and_what_was_left_for_them(world: World) -> None:  # noqa: F811
    note = f"the console of web-0 ({PASSWORD}) is kept in /tmp/web-0.log"
    world.store.inject(Fault("create", "starting", SERVER, seconds=0.5, text=note))
    world.up(server_only())
    said = diagnostics(world)
    waiting = [item for item in said if "web-0 is starting" in item.message]
    assert waiting
    assert all(item.ephemeral and SERVER in item.urn for item in waiting)
    (left,) = [item for item in said if "is kept in /tmp/web-0.log" in item.message]
    assert not left.ephemeral
    assert left.severity in ("info", "info#err")
    assert "([secret])" in left.message
    assert "the console of web-0 ([secret]) is kept in /tmp/web-0.log" in "\n".join(world.texts)


def test_an_interrupted_wait_ends_within_seconds_and_the_object_is_recorded(world: World) -> None:  # noqa: F811
    world.store.inject(Fault("create", "starting", SERVER, seconds=120))
    failures: list[str] = []

    def run() -> None:
        try:
            world.up(server_only())
        except automation.CommandError as error:
            failures.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while not world.store.objects(SERVER):
        assert time.monotonic() < deadline, "the create never began"
        time.sleep(0.05)
    started = time.monotonic()
    os.kill(_engine_process(), signal.SIGINT)
    thread.join(60)
    assert not thread.is_alive()
    assert time.monotonic() - started < 50, "the create would take 120 s; two seconds are the engine's own"
    assert "the run was cancelled; last seen: web-0 is starting" in failures[0]
    state = world.resource(SERVER)
    assert state["id"] == world.only(SERVER).id
    assert "its creation was stopped before it was finished" in state["initErrors"][0]
    deployment = world.stack.export_stack().deployment
    assert deployment is not None
    assert not deployment.get("pending_operations"), "nothing is left open"

    world.mutations()
    assert summary(world.up())["update"] == 1
    assert world.mutations() == ["update web-0"], "the next run goes on with what there is"
    assert "initErrors" not in world.resource(SERVER)


def test_the_programs_time_limit_holds_and_what_was_made_is_kept(world: World) -> None:  # noqa: F811
    world.store.inject(Fault("create", "starting", SERVER, seconds=120))
    limited = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="2s", update="1s"))
    started = time.monotonic()
    with pytest.raises(automation.CommandError) as error:
        world.up(server_only(limited))
    assert time.monotonic() - started < 100, "the create would take 120 s"
    assert "its time limit of 2 s (see customTimeouts) has passed; last seen: web-0 is starting" in str(error.value)
    assert world.resource(SERVER)["id"] == world.only(SERVER).id
    world.store.inject(Fault("update", "slow", SERVER, seconds=120))
    with pytest.raises(automation.CommandError) as error:
        world.up(server_only(limited))
    assert re.search(r"the time limit of 1 s for update of compute:Server has passed", str(error.value))
    world.up(server_only(limited))
    assert len(world.store.objects(SERVER)) == 1


def test_an_import_from_the_command_line_leaves_nothing_to_do(
    world: World,  # noqa: F811
    engine_root: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    own_home = tmp_path / "home"
    language = PluginExecutable("language", "provision", "0.1.0", "provision.host.language")
    plugin = PluginExecutable("resource", "provision-memory", "0.1.0", "provision.host.plugin", ("memory",))
    install_shims(own_home, [language, plugin])
    project = tmp_path / "import"
    project.mkdir()
    # Whichever language a project is in: an import never runs its program.
    (project / "Pulumi.yaml").write_text("name: project\nruntime: provision\n")
    for settings in (tmp_path / "work").glob("Pulumi.test.yaml"):
        (project / settings.name).write_text(settings.read_text())
    world.store.put(StoredObject("volume-hand", VOLUME, "by-hand", "", {"size_gib": 4}))
    command = [str(engine_root / "bin" / "pulumi"), "import", f"provision-memory:{VOLUME}", "v", "volume-hand"]
    command += ["--yes", "--skip-preview", "--generate-code=false", "--protect=false", "--stack", "test"]
    env = {
        **os.environ,
        "PULUMI_HOME": str(own_home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_BACKEND_URL": f"file://{world.state}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
    }
    done = subprocess.run(command, env=env, cwd=project, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout

    inputs = world.resource(VOLUME)["inputs"]
    assert (inputs["name"], inputs["sizeGib"]) == ("by-hand", 4)
    program = {key: value for key, value in inputs.items() if not key.startswith("__")}
    preview = world.preview(lambda: (Memory(VOLUME, "v", program), None)[1])
    volume = [event.resource_pre_event.metadata for event in world.events if event.resource_pre_event]
    assert [item.op for item in volume if VOLUME in item.urn] == [automation.OpType.SAME], preview.stdout
    assert world.mutations() == []


def test_lists_and_functions_are_called_from_the_command_line(
    world: World,  # noqa: F811
    engine_root: Path,  # noqa: F811
    home: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    for number in range(3):
        name = f"web-{number}" if number else "db"
        world.store.put(StoredObject(f"volume-{number}", VOLUME, name, "", {"size_gib": 4}))
    env = {**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}

    def do(token: str, *arguments: str) -> Any:
        store = ("--provision-memory:store", str(tmp_path / "platform.json"))
        command = [str(engine_root / "bin" / "pulumi"), "do", f"provision-memory:{token}", *arguments, *store]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    everything = do("compute:Volume", "list", "--output", "json")
    assert [item["id"] for item in json.loads(everything)] == ["volume-0", "volume-1", "volume-2"]
    some = do("compute:Volume", "list", "--prefix", "web-", "--count", "1", "--output", "json")
    assert [(item["id"], item["name"]) for item in json.loads(some)] == [("volume-1", "web-1")]
    assert json.loads(do("compute:findVolume", "--name", "db"))["id"] == "volume-0"
    sizes = json.loads(do("compute:listSizes", "--min-cpus", "4"))["sizes"]
    assert [size["name"] for size in sizes] == ["m4", "m8"]
