"""The tutorial of the plugin author's guide: each step passes its own tests, and the last one runs real machines."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from provision_libvirt import micro

from provision.host.engine import find_engine
from provision.host.setup import PluginExecutable, install_shims, plugin_executables

TUTORIAL = Path(__file__).parents[2] / "docs" / "examples" / "tutorial"
STEPS = sorted(TUTORIAL.glob("step-*"))
COMMAND = Path(sys.executable).with_name("provision")
pytestmark = pytest.mark.lab

STACK = """\
version: 1
platform: qemu
images:
  micro: {sources: {qemu: {kind: file, path: initrd, format: raw}}}
machines:
  web: {image: micro, memory: 96MiB, count: 2}
isolation:
  policies:
    closed: {kind: no_internet, machines: [machine.web]}
"""


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_step_passes_its_own_tests(step: Path):
    words = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", "tests"]
    env = {**os.environ, "PYTHONPATH": str(step), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, cwd=step, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert re.search(r"\d+ passed", done.stdout)
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("folder", [*STEPS, TUTORIAL.parent / "shelf"], ids=lambda folder: folder.name)
def test_the_examples_of_the_guide_are_typed(folder: Path):
    (package,) = (path.stem for path in folder.glob("provision_*"))
    words = ["mypy", "--config-file", TUTORIAL.parents[2] / "pyproject.toml", "-p", package]
    env = {**os.environ, "MYPYPATH": str(folder), "MYPY_CACHE_DIR": str(TUTORIAL.parents[2] / ".mypy_cache")}
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def processes(directory: Path) -> list[int]:
    """Process numbers of all QEMU processes that keep their machine in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if words[0].startswith(b"qemu") and f"unix:{directory}/".encode() in b" ".join(words):
            found.append(int(process.parent.name))
    return sorted(found)


@dataclass(frozen=True)
class Project:
    folder: Path
    env: dict[str, str]
    machines: Path

    def begin(self, *words):
        return subprocess.Popen(
            [COMMAND, *words], cwd=self.folder, env=self.env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def provision(self, *words, code=0):
        process = self.begin(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, out + err
        assert "Traceback" not in out + err
        return out

    def edit(self, old, new):
        text = (self.folder / "stack.yaml").read_text()
        assert old in text
        (self.folder / "stack.yaml").write_text(text.replace(old, new))

    @property
    def logs(self):
        return {path.parent.name: path.read_text(errors="replace") for path in self.machines.glob("*/log")}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the plugin of the last step as `pip install` would lay it out."""
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built],
        cwd=STEPS[-1], check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


@pytest.fixture
def project(site, tmp_path, tmp_path_factory):
    engine = find_engine()
    assert engine is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    machines = tmp_path_factory.mktemp("m")  # short enough for sockets
    folder, state, home = tmp_path / "shop", tmp_path / "state", tmp_path / "home"
    folder.mkdir()
    state.mkdir()
    qemu = PluginExecutable("resource", "provision-qemu", "0.1.0", "provision.host.plugin", ("qemu",))
    install_shims(home, [*plugin_executables(), qemu])
    image = micro.build()
    (folder / "initrd").symlink_to(image.initrd)
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
    settings = {"directory": machines, "kernel": image.kernel, "ready": micro.READY_MARK}
    lines = "".join(f"  provision-qemu:{key}: {value}\n" for key, value in settings.items())
    (folder / "Pulumi.dev.yaml").write_text(f"config:\n{lines}")
    (folder / "stack.yaml").write_text(STACK)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    env |= {
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PYTHONPATH": str(site),
    }
    yield Project(folder, env, machines)
    for pid in processes(machines):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.engine
def test_two_machines_come_and_go(project):
    assert "2 machines to create" in project.provision("preview")
    assert processes(project.machines) == []

    project.provision("up", "--yes")
    running = processes(project.machines)
    assert len(running) == 2
    assert len(project.logs) == 2
    for log in project.logs.values():
        assert f"{micro.READY_MARK} micro" in log  # Linux has booted, and its first program has come to its end

    assert "Nothing to change" in project.provision("up", "--yes", "--detailed-exitcode")
    assert processes(project.machines) == running

    project.edit("count: 2", "count: 2, power: stopped")
    assert "2 machines" in project.provision("up", "--yes")
    assert processes(project.machines) == running  # switched off, not ended
    assert "No drift" in project.provision("refresh")

    project.edit("count: 2, power: stopped", "count: 1")
    project.provision("up", "--yes")
    (only,) = processes(project.machines)
    assert only in running

    os.kill(only, signal.SIGKILL)  # what the machine holds is lost, and it is made anew
    while processes(project.machines):
        time.sleep(0.05)
    assert "1 resource gone" in project.provision("refresh", "--detailed-exitcode", code=2)
    project.provision("up", "--yes")
    assert len(processes(project.machines)) == 1

    project.provision("down", "--yes")
    assert processes(project.machines) == []
    assert list(project.machines.iterdir()) == []


@pytest.mark.engine
def test_a_run_that_is_killed_is_taken_up_by_the_next(project):
    killed = project.begin("up", "--yes")
    while len(project.logs) < 2 or len(processes(project.machines)) != 2:  # both are daemons, and boot
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert len(processes(project.machines)) == 2  # they outlive the plugin
    project.provision("up", "--yes")
    assert len(processes(project.machines)) == 2
    assert all(micro.READY_MARK in log for log in project.logs.values())
    project.provision("down", "--yes")
    assert processes(project.machines) == []


@pytest.mark.engine
def test_what_needs_a_network_is_refused_before_anything_is_made(project):
    ssh = "{kind: traffic, from: [host], to: [machine.web], allow: [tcp/22]}"
    project.edit("{kind: no_internet, machines: [machine.web]}", ssh)
    process = project.begin("up", "--yes")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 3
    assert "policy 'closed' cannot be enforced on 'qemu': machines have no network here" in out + err
    assert "stack.yaml:9" in out + err
    assert processes(project.machines) == []


def test_the_plugin_can_be_found_shown_and_checked(site):
    env = {**os.environ, "PYTHONPATH": str(site)}

    def said(*words):
        done = subprocess.run([COMMAND, "plugin", *words], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "provision-qemu" in said("list")
    assert "machine:Machine" in said("show", "qemu")
    checked = json.loads(said("check", "qemu", "--only", "machine:Machine-re*", "--format", "json"))
    assert checked
