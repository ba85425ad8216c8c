"""One private hypervisor for all of these tests, and for each test a stack's folder of its own on it."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lab_bench import ROOT, STACK, Deployment, Hypervisor

from provision.host.engine import engine_environment, find_engine
from provision.host.setup import install_shims, plugin_executables

PLACE = Path("/tmp")
PREFIX = "provision-t-"  # short: a socket's path has a limit


def _start_time(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _own_name():
    return f"{PREFIX}{os.getpid()}-{_start_time(os.getpid())}"


def _sweep(environment):
    """Remove what test runs left that were killed: their names say which process they belonged to."""
    for entry in PLACE.glob(f"{PREFIX}*"):
        match = re.fullmatch(rf"{PREFIX}(\d+)-(\d+)", entry.name)
        if match is None:
            continue
        with contextlib.suppress(OSError):
            if _start_time(match[1]) == match[2]:
                continue
        for lab in entry.glob("*/.provision-lab"):
            subprocess.run(
                ["provision", "lab", "stop"], env=environment | {"PROVISION_LAB_DIR": str(lab.parent)}, check=True
            )
        shutil.rmtree(entry)


_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture(scope="session")
def place():
    """A short directory for everything of this run; sweeps those of runs that were killed."""
    engine = find_engine()
    assert engine is not None, "there is no engine: run `provision setup`"
    dropped = ("PULUMI_", "LIBVIRT_", "PROVISION_")
    base = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    base["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), base["PATH"]])
    _sweep(base)
    folder = PLACE / _own_name()
    folder.mkdir()
    home = folder / "home"
    install_shims(home, plugin_executables())
    scratch = folder / "tmp"  # where commands that are killed leave what they wrote
    scratch.mkdir()
    own = {"PULUMI_HOME": str(home), "PULUMI_CONFIG_PASSPHRASE": "t", "TMPDIR": str(scratch)}
    environment = engine_environment(base | own, engine.path)
    yield folder, environment, engine
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def hypervisor(place):
    """The private hypervisor, started and stopped by the command that people use."""
    folder, base, _ = place
    directory = folder / "lab"
    environment = base | {"PROVISION_LAB_DIR": str(directory), "PROVISION_LAB_OWNER": str(os.getpid())}

    def lab(word):
        return subprocess.run(
            ["provision", "lab", word], env=environment, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    lab("start")
    try:
        shown = dict(re.fullmatch(r"export (\w+)='?([^']*)'?", line).groups() for line in lab("env").splitlines())
        assert shown.keys() == {"LIBVIRT_DEFAULT_URI", "PROVISION_OUTSIDE_SOCKET"}
        yield Hypervisor(directory, environment | shown)
    finally:
        lab("stop")
        assert not directory.exists()


@pytest.fixture
def deploy(place, hypervisor, request):
    """Makes stack folders; when the test ends, the hypervisor holds nothing of them any more."""
    folder, _, engine = place
    made = []

    def make(project, text=None, *, stack=None):
        root = folder / project
        root.mkdir()
        (root / "state").mkdir()
        if stack is None:
            (root / "stack").mkdir()
            (root / "stack/stack.yaml").write_text(text)
        else:
            shutil.copytree(ROOT / "stacks" / stack, root / "stack")
        (root / "stack/Pulumi.yaml").write_text(f"name: {project}\nruntime: provision\n")
        (root / "stack/tiny.img").write_bytes(b"\0" * 65536)
        env = hypervisor.environment | {"PULUMI_BACKEND_URL": f"file://{root / 'state'}"}
        deployment = Deployment(project, root / "stack", env, engine.path, hypervisor)
        made.append(deployment)
        done = subprocess.run(
            [engine.path, "stack", "init", STACK], cwd=deployment.folder, env=env, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return deployment

    yield make
    left = [] if any(deployment.leaves for deployment in made) else hypervisor.rules_of_a_change()
    for deployment in made:
        for process in deployment.started:
            if process.poll() is None:
                deployment.kill(process)
        if not deployment.leaves and deployment.objects:
            left.append(deployment.objects)
        hypervisor.wipe(deployment.prefix)
        pool = hypervisor.directory / "lib/images" / deployment.prefix
        if not deployment.leaves and pool.exists():
            left.append(sorted(pool.iterdir()))
        shutil.rmtree(pool, ignore_errors=True)
        shutil.rmtree(deployment.folder.parent)
    if request.node.stash.get(_PASSED, False):  # what a failed test leaves is no news
        assert left == [], "the hypervisor still holds objects of the test's stack"
