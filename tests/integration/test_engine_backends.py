"""State where teams keep it: locks, a crash in the middle of a run, and what comes after, on every backend."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from contending import contend, settled
from documented import documented
from state_backends import BACKENDS, PASSWORD, Backend
from test_engine_cli import STACK, Project

from provision.host.engine import find_engine
from provision.host.setup import install_shims, plugin_executables
from provision.testing.store import Fault

pytestmark = pytest.mark.engine
SECRET = "hush-4711"
NEXT = "hush-4712"
FOUND = "hush-4713"
SECRETIVE = (
    STACK.replace("count: 2", 'count: 2\n    user_data: {text: "echo ${param.password}", template: true}')
    + "  told: ${param.password}\nparameters:\n  password: {type: string, secret: true}\n"
)


@dataclass(frozen=True)
class Kept:
    """A project whose state is kept somewhere."""

    project: Project
    backend: Backend


@pytest.fixture(params=sorted(BACKENDS))
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    assert find_engine() is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    home, folder = tmp_path / "home", tmp_path / "shop"
    folder.mkdir()
    install_shims(home, plugin_executables())
    with ExitStack() as stack:
        backend = stack.enter_context(BACKENDS[request.param](tmp_path))
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "AWS_", "PG"))},
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": backend.url,
            **backend.env,
        }
        settings: dict[str, object] = {"config": {"provision-memory:store": f"{folder}/platform.json"}}
        if backend.secrets_provider:
            settings["secretsprovider"] = backend.secrets_provider
        else:
            env["PULUMI_CONFIG_PASSPHRASE"] = "correct horse"
        (folder / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
        (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump(settings))
        (folder / "stack.yaml").write_text(STACK)
        yield Kept(Project(folder, env), backend)


def eventually(happened: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end, f"never seen: {what}"
        time.sleep(0.1)


def family(pid: int) -> list[int]:
    """A process and all that it has started, directly or not."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += parents.get(one, ())
    return found


def test_a_run_is_alone_and_what_it_leaves_when_it_is_killed_is_taken_up(kept: Kept) -> None:
    project, store = kept.project, kept.project.store
    store.inject(Fault("create", "slow", name="shop-dev-web-1", seconds=300))
    first = project.begin("up", "--yes")
    try:
        eventually(
            lambda: any(c.operation == "create" and c.name == "shop-dev-web-1" for c in store.calls()), "the slow call"
        )
        seen = json.loads(project.fine("state", "locks", "--format", "json").out)
        documented("state-locks", seen)
        (lock,) = seen["locks"]
        assert (lock["host"], lock["holder"]) == (socket.gethostname(), "runs")
        assert lock["process"] in family(first.pid)

        second = project.provision("up", "--yes")
        assert (second.code, second.out) == (1, "")
        assert second.err.startswith("error: the stack is locked by ")
        assert f"@{socket.gethostname()}, process {lock['process']}, since 20" in second.err
        refused = project.provision("state", "unlock")
        assert refused.code == 1
        assert "was left: that process runs on this machine\n" in refused.err
    finally:
        for pid in family(first.pid):
            with suppress(ProcessLookupError):  # some end with those that were killed before
                os.kill(pid, signal.SIGKILL)
        first.communicate(timeout=60)

    said = project.fine("state", "locks").out
    assert re.fullmatch(r"locked by \S+, process \d+, since [\d: -]+ UTC: that process is gone: [^\n]+\n", said), said
    left = json.loads(project.fine("state", "pending", "--format", "json").out)
    documented("state-pending", left)
    assert ("machines/web-1/server", "creating") in [(one["name"], one["operation"]) for one in left["pending"]]

    # The next run needs nobody's help.
    went_on = project.fine("up", "--yes", "--format", "json").document
    texts = [message["text"] for message in went_on["messages"]]
    assert "removed the lock of an earlier run that was killed on this machine" in texts
    assert sorted(item.name for item in store.objects("compute:Server")) == ["shop-dev-web-0", "shop-dev-web-1"]
    assert project.fine("state", "locks").out == "No run holds the stack 'dev'.\n"
    assert project.fine("state", "pending").out == "No operation is pending: every run recorded how it ended.\n"
    calls = len(store.mutations())
    assert project.fine("preview", "--detailed-exitcode").out.startswith("Nothing to change: ")
    assert len(store.mutations()) == calls


@pytest.mark.parametrize("kept", ["database"], indirect=True)
def test_two_runs_at_once_never_both_have_the_stack(kept: Kept) -> None:
    kept.project.fine("up", "--yes")
    contend(kept.project, 65)
    assert contend(kept.project, 66, "--lock-timeout", "300") == "both in turn"
    settled(kept.project)


@pytest.mark.parametrize("kept", ["bucket", "database"], indirect=True)
def test_a_secret_is_kept_as_one_and_shown_by_nothing(kept: Kept) -> None:
    project = kept.project
    (project.folder / "stack.yaml").write_text(SECRETIVE)
    engine = find_engine()
    assert engine is not None
    assert project.provision("state", "locks").code == 1  # there is no such stack yet
    refused = project.provision("preview")
    assert "password" in refused.err, refused

    def configure(password: str) -> None:
        subprocess.run(
            [engine.path, "config", "set", "--secret", "shop:password", "--stack", "dev", "--non-interactive"],
            input=password, cwd=project.folder, env=project.env, text=True, check=True, capture_output=True,
        )  # fmt: skip

    configure(SECRET)
    said = project.fine("up", "--yes", "--events", "events", "--format", "json")
    assert said.document["outputs"]["told"] == "[secret]"
    shown = said.out + said.err + (project.folder / "events").read_text()
    server = next(item for item in project.store.objects("compute:Server") if item.name == "shop-dev-web-0")
    assert server.properties["user_data"] == f"echo {SECRET}"
    project.store.put(replace(server, properties={**server.properties, "user_data": f"echo {FOUND}"}))
    for form in ("markdown", "sarif"):  # what somebody else wrote there is a secret too
        found = project.provision("drift", "--format", form, "--events", "events").out
        assert "userData: " in found
        shown += found
    configure(NEXT)
    page = project.provision("preview", "--format", "markdown", "--save-plan", "plan.json", "--allow-destroy", "*")
    assert "`userData: [secret] (needs a new one)`" in page.out
    assert "machines/web-0/server" in (project.folder / "plan.json").read_text()
    shown += str(page)
    for file in ("plan.json", "events", "Pulumi.dev.yaml"):
        shown += (project.folder / file).read_text()
    raw = kept.backend.raw()
    assert b"machines/web-0/server" in raw
    for hidden in (SECRET, NEXT, FOUND, PASSWORD):
        assert hidden not in shown
        assert hidden.encode() not in raw
