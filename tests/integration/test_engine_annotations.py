"""What the annotations of a plugin's models promise, kept under the real engine; and schemas that it can bind."""

import gc
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation
from quick_stacks import QuickStack, bare_workspace

from provision.host.engine import find_engine
from provision.host.setup import PluginExecutable, plugin_executables, shim_text

pytestmark = [
    pytest.mark.engine,
    # A run that fails leaves the Automation API's program waiting for an engine that is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PLUGIN = Path(__file__).parent.parent / "data" / "annotated" / "annotated_plugin.py"
PIN = "a-pin-that-nobody-sees"


@pytest.fixture(scope="session")
def pulumi_engine() -> Path:
    found = find_engine()
    path = os.environ.get("PROVISION_TEST_ENGINE") or (found.path if found else None)
    assert path, "the Pulumi engine is needed here: run `provision setup`, or set PROVISION_TEST_ENGINE to its path"
    return Path(path)


@pytest.fixture(scope="session")
def engine_command(pulumi_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> automation.PulumiCommand:
    """The engine in a folder as the Automation API wants it; it has been asked for its version."""
    root = tmp_path_factory.mktemp("engine")
    (root / "bin").mkdir()
    (root / "bin" / "pulumi").symlink_to(pulumi_engine)
    return automation.PulumiCommand(root=str(root))


@dataclass
class Lab:
    """One stack whose one box is a file."""

    stack: automation.Stack
    platform: Path
    state: Path
    texts: list[str]

    def up(self, **inputs: Any) -> None:
        self._program(inputs)
        self.stack.up(on_output=self.texts.append, on_error=self.texts.append)

    def preview(self, **inputs: Any) -> Mapping[Any, int]:
        self._program(inputs)
        return self.stack.preview(on_output=self.texts.append, on_error=self.texts.append).change_summary

    def _program(self, inputs: Mapping[str, Any]) -> None:
        def program() -> None:
            pulumi.CustomResource("provision-annotated:lab:Box", "box", dict(inputs))

        self.texts.clear()
        self.stack.workspace.program = program

    def calls(self) -> list[str]:
        """What the plugin was asked to do since the last look."""
        log = self.platform / "calls"
        found = log.read_text().splitlines() if log.exists() else []
        log.write_text("")
        return found

    def box(self) -> dict[str, Any]:
        deployment = self.stack.export_stack().deployment
        assert deployment is not None
        (found,) = [item for item in deployment["resources"] if item["type"] == "provision-annotated:lab:Box"]
        return dict(found)

    def release(self, number: int) -> None:
        (self.platform / "release").write_text(str(number))

    def everything_written(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.state.rglob("*") if path.is_file())

    @property
    def said(self) -> str:
        return "\n".join(self.texts)


@pytest.fixture
def lab(tmp_path: Path, engine_command: automation.PulumiCommand) -> Iterator[Lab]:
    state, platform, work, home = (tmp_path / name for name in ("state", "platform", "work", "home"))
    for folder in (state, platform, work):
        folder.mkdir(parents=True)
    (platform / "sizes").write_text(json.dumps({"1": "small", "2": "large"}))
    shim = home / "plugins" / "resource-provision-annotated-v1.0.0" / "pulumi-resource-provision-annotated"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P {shlex.quote(str(PLUGIN))} "$@"\n')
    shim.chmod(0o755)
    workspace = bare_workspace(work, home, engine_command, state, ANNOTATED=str(platform))
    stack = QuickStack("test", workspace)
    yield Lab(stack, platform, state, [])
    gc.collect()  # what a failed run left waiting ends here, and not in the middle of something else


def test_names_choices_and_write_only_values_stay_over_runs(lab: Lab) -> None:
    lab.up(pin=PIN, colour="Red", speed=3)
    assert lab.calls() == [f"create Red pin {PIN}"]
    assert "speed is deprecated: use `memory`" in lab.said
    box = lab.box()
    name = box["inputs"]["name"]
    assert name.startswith("box-")
    assert box["outputs"]["size"] == "small"
    assert PIN not in lab.everything_written()
    assert "digest:" not in lab.everything_written(), "not even the digest is in plain text"
    (lab.platform / "sizes").write_text(json.dumps({"1": "new-small", "2": "large"}))
    assert lab.preview(pin=PIN, colour="rED") == {"same": 1, "update": 1}, "the deprecated input went"
    assert lab.preview(pin=PIN, colour="rED", speed=3) == {"same": 2}
    lab.up(pin=PIN, colour="rED", memory=2, speed=3)
    assert lab.calls() == ["update Red to rED pin same"]
    assert "restarts: memory changes" in lab.said
    assert lab.box()["outputs"]["size"] == "large"
    lab.up(pin=PIN + "2", memory=2, colour="red", speed=3)
    assert lab.calls() == ["update rED to red pin new"]
    assert lab.box()["inputs"]["name"] == name
    assert PIN not in lab.everything_written()


def test_a_replacement_gets_the_write_only_value_and_a_choice_of_its_own(lab: Lab) -> None:
    lab.up(pin=PIN, name="first")
    lab.calls()
    (lab.platform / "sizes").write_text(json.dumps({"1": "new-small"}))
    lab.up(pin=PIN, name="second")
    assert lab.calls() == ["delete", f"create red pin {PIN}"]
    assert lab.box()["outputs"]["size"] == "new-small"
    assert lab.preview(pin=PIN, name="second") == {"same": 2}


def test_a_refresh_leaves_alone_what_others_may_change_and_how_it_is_spelt(lab: Lab) -> None:
    lab.up(pin=PIN, colour="Red")
    before = lab.box()
    stored = json.loads((lab.platform / "box").read_text())
    (lab.platform / "box").write_text(json.dumps({**stored, "count": 9, "colour": "RED"}))
    lab.stack.refresh()
    after = lab.box()
    assert {key: after["inputs"][key] for key in ("count", "colour", "name")} == {
        key: before["inputs"][key] for key in ("count", "colour", "name")
    }
    assert lab.preview(pin=PIN, colour="Red") == {"same": 2}
    (lab.platform / "box").write_text(json.dumps({**stored, "colour": "green"}))
    lab.stack.refresh(on_output=lab.texts.append)
    assert lab.preview(pin=PIN, colour="Red") == {"same": 1, "update": 1}
    assert "restarts" not in lab.said


def test_a_failed_start_only_waits_again(lab: Lab) -> None:
    (lab.platform / "fail-start").touch()
    with pytest.raises(automation.CommandError, match="it does not start"):
        lab.up(pin=PIN)
    assert lab.calls() == [f"create red pin {PIN}"]
    lab.up(pin=PIN)
    assert lab.calls() == ["wait"]
    assert "__unhealthy" not in lab.box()["outputs"]
    assert lab.preview(pin=PIN) == {"same": 2}


def test_after_a_partial_update_the_next_run_makes_the_rest(lab: Lab) -> None:
    lab.up(pin=PIN, colour="red")
    (lab.platform / "fail-paint").touch()
    with pytest.raises(automation.CommandError, match="the paint is empty"):
        lab.up(pin=PIN, colour="blue", memory=2)
    assert PIN not in lab.everything_written()
    lab.calls()
    lab.up(pin=PIN, colour="blue", memory=2)
    assert lab.calls() == ["update red to blue pin same"]
    assert "restarts" not in lab.said, "that part was made already"
    assert lab.preview(pin=PIN, colour="blue", memory=2) == {"same": 2}
    assert "__appliedInputs" not in lab.box()["outputs"]


def test_state_of_an_older_release_is_written_anew_without_touching_the_object(lab: Lab) -> None:
    lab.up(pin=PIN, count=7)
    lab.calls()
    lab.release(1)
    assert lab.preview(pin=PIN, count=7) == {"same": 1, "update": 1}
    lab.up(pin=PIN, count=7)
    assert lab.calls() == []
    assert lab.box()["outputs"]["__schemaVersion"] == 1
    assert lab.preview(pin=PIN, count=7) == {"same": 2}
    lab.release(0)
    with pytest.raises(automation.CommandError, match="written by a newer release of the plugin 'annotated'"):
        lab.preview(pin=PIN, count=7)


def test_a_choice_that_cannot_be_made_is_a_mistake_of_that_property(lab: Lab) -> None:
    with pytest.raises(automation.CommandError) as failed:
        lab.up(memory=5)
    assert "no size has 5 MiB" in str(failed.value)
    assert "ask for one of 1, 2" in str(failed.value)


def test_an_update_plan_comes_true(lab: Lab, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.json")
    for inputs in ({"pin": PIN}, {"pin": PIN + "2", "colour": "blue"}):
        lab._program(inputs)
        lab.stack.preview(plan=plan)
        assert PIN not in Path(plan).read_text()
        lab.stack.up(plan=plan)
    assert lab.calls() == [f"create red pin {PIN}", "update red to blue pin new"]


def test_pulumis_own_configuration_of_names_is_honoured(lab: Lab) -> None:
    lab.stack.set_config("pulumi:autonaming.pattern", automation.ConfigValue("Its-${name}-${alphanum(4)}"), path=True)
    lab.up()
    name = lab.box()["inputs"]["name"]
    assert name.startswith("its-box-")
    assert len(name) == 12
    lab.stack.set_config("pulumi:autonaming.enforce", automation.ConfigValue("true"), path=True)
    lab.up(colour="blue")
    assert lab.box()["inputs"]["name"] == name, "what has a name keeps it"
    lab.stack.destroy()
    lab.up()
    assert lab.box()["inputs"]["name"].startswith("Its-box-")


RESOURCE_PLUGINS = [item for item in plugin_executables() if item.kind == "resource" and item.name != "provision"]


@pytest.mark.parametrize("plugin", RESOURCE_PLUGINS, ids=lambda item: item.name)
def test_the_engine_binds_every_schema_without_a_warning(
    plugin: PluginExecutable, pulumi_engine: Path, tmp_path: Path
) -> None:
    executable = tmp_path / plugin.folder_name / plugin.file_name
    executable.parent.mkdir()
    executable.write_text(shim_text(plugin, Path(sys.executable)))
    executable.chmod(0o755)
    done = subprocess.run(
        [str(pulumi_engine), "package", "get-schema", str(executable)],
        env={
            **os.environ,
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    bound = json.loads(done.stdout)
    assert bound["name"] == plugin.name
    assert bound["resources"]
