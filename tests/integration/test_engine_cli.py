"""The `provision` command with the real engine and the in-memory platform: what it says, and its exit codes."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from documented import documented, documented_output

from provision.host.engine import find_engine
from provision.host.setup import install_shims, plugin_executables
from provision.testing import Store
from provision.testing.store import Fault

COMMAND = Path(sys.executable).with_name("provision")
pytestmark = pytest.mark.engine

STACK = """\
version: 1
platform: memory
networks:
  front: {cidr: 10.1.0.0/24}
machines:
  web:
    image: micro
    memory: 64MiB
    count: 2
    nics: [{network: front}]
    disks: {data: {size: 1GiB, keep_on_delete: false}}
isolation:
  policies:
    web-open: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}
outputs:
  url: http://${machine.web-0.address}/
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


@dataclass(frozen=True)
class Project:
    folder: Path
    env: dict

    def begin(self, *words, **env):
        return subprocess.Popen(
            [COMMAND, *words], cwd=self.folder, env=self.env | env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self, process):
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in out + err, out + err
        if process.returncode >= 0:
            documented_output(process.args, out)
        return Said(process.returncode, out, err)

    def provision(self, *words, **env):
        return self.end(self.begin(*words, **env))

    def fine(self, *words):
        said = self.provision(*words)
        assert said.code == 0, said
        return said

    def edit(self, old, new):
        file = self.folder / "stack.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    @property
    def store(self):
        return Store(self.folder / "platform.json")

    def on_terminal(self, *words, answer):
        """Run a command on an 80-column terminal, and write `answer` when it asks."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(
                COMMAND,
                ["provision", *words],
                self.env | {"COLUMNS": "80", "LINES": "40", "TERM": "xterm"},
            )
        said, answered = b"", False
        try:
            while select.select([terminal], [], [], 60)[0] and (block := os.read(terminal, 4096)):
                said += block
                if b"[y/N]: " in said and not answered:
                    answered = True
                    os.write(terminal, answer)
        except OSError:  # the terminal of an ended process
            pass
        os.close(terminal)  # which ends a command that waits for an answer for ever
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
        assert "Traceback" not in text, text
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


@pytest.fixture
def project(tmp_path):
    engine = find_engine()
    assert engine is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    home, state, folder = tmp_path / "home", tmp_path / "state", tmp_path / "shop"
    state.mkdir()
    folder.mkdir()
    install_shims(home, plugin_executables())
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
    }
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
    (folder / "Pulumi.dev.yaml").write_text(f"config:\n  provision-memory:store: {folder}/platform.json\n")
    (folder / "stack.yaml").write_text(STACK)
    return Project(folder, env)


def test_the_life_of_a_stack(project):
    planned = project.provision("preview", "--detailed-exitcode")
    assert planned.code == 2
    assert planned.out == "To do: 2 machines to create; 7 resources to create.\n"
    assert project.store.objects() == []

    made = project.fine("up", "--yes")
    assert re.fullmatch(r"Done: 2 machines created; 7 resources created\.\n  url: http://10\.1\.0\.\d+/\n", made.out), (
        made.out
    )
    assert len(re.findall(r"^ \+ \w+ +\S+ +created +\d+\.\ds$", made.err, re.MULTILINE)) == 7, made.err

    calls = len(project.store.mutations())
    again = project.fine("up", "--yes", "--detailed-exitcode")
    assert again.out.startswith("Nothing to change: 7 resources as the file says.\n")
    assert again.err == ""
    assert len(project.store.mutations()) == calls

    project.edit("64MiB", "65MiB")
    project.edit("10.1.0.0", "10.2.0.0")
    document = project.fine("preview", "--format", "json").document
    steps = {step["name"]: step for step in document["steps"]}
    assert steps["networks/front/network"]["op"] == "replace"
    assert steps["machines/web-0/server"]["op"] == "update"
    changed = {item["path"]: item["values"] for item in steps["machines/web-0/server"]["properties"]}
    assert changed["memoryMib"] == "64 → 65"
    edited = project.provision("up", "--yes", "--detailed-exitcode", "--format", "json")
    assert (edited.code, edited.err) == (2, "")
    assert [s["name"] for s in edited.document["steps"]].count("networks/front/network") == 1

    gone = next(item for item in project.store.objects() if item.name == "shop-dev-web-1-data")
    project.store.remove(gone.id)
    found = project.provision("drift", "--detailed-exitcode", "--format", "json")
    assert (found.code, found.document["summary"]) == (2, "Drift: 1 finding; 6 resources as recorded.")
    assert [item["name"] for item in found.document["findings"]] == ["machines/web-1/disk-data"]
    drift = project.provision("refresh", "--detailed-exitcode")
    assert (drift.code, drift.out) == (2, "Drift: 1 machine changed; 1 resource gone; 6 unchanged.\n")
    assert project.fine("refresh").out == "No drift: 6 resources as recorded.\n"
    assert project.fine("drift").out == "No drift: 6 resources as recorded.\n"
    beside = next(item for item in project.store.objects("compute:Server") if item.name == "shop-dev-web-0")
    project.store.put(replace(beside, id="beside", name="beside", marker=""))
    found = project.provision("drift", "--detailed-exitcode")
    assert (found.code, found.out.splitlines()[0]) == (
        2, "~ the server 'beside' is on networks/front, and is none of the stack's (stack.yaml:4:3)"
    )  # fmt: skip
    project.store.remove("beside")

    down = project.fine("down", "--yes")
    assert down.out == "Done: 2 machines deleted; 6 resources deleted. Data was lost on: machines/web-0/disk-data.\n"
    assert project.store.objects() == []
    assert project.fine("down", "--yes").out == "Nothing to remove: the stack is empty.\n"


def test_a_refused_policy_exits_with_3_and_is_told_once(project):
    project.edit("policies:\n", "policies:\n    apart: {kind: spread, machines: [machine.web]}\n")
    for words in (("preview",), ("up", "--yes")):
        said = project.provision(*words)
        assert (said.code, said.out) == (3, "")
        assert said.err.splitlines()[0] == "policy refused: 1 error in the stack file"
        assert said.err.count("policy 'apart' cannot be enforced on 'memory'") == 1
        assert said.err.splitlines()[-1] == f"{words[0]} failed; nothing was changed."
    assert project.store.mutations() == []
    document = project.provision("up", "--yes", "--format", "json")
    assert (document.code, document.err, document.document["exit_code"]) == (3, "", 3)


def test_errors_of_the_stack_file_are_told_once_each_without_noise(project):
    project.edit("cidr: 10", "cdir: 10")
    said = project.provision("up", "--yes")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "1 error in the stack file\n"
        "stack.yaml:4:11: error: the key 'cdir' is not known in the network 'front'\n"
        "    4 |   front: {cdir: 10.1.0.0/24}\n"
        "      |           ^^^^\n"
        "  fix: did you mean 'cidr'?\n"
        "up failed; nothing was changed.\n"
    )


def test_a_resource_that_fails_is_told_once_with_the_fix_and_summed_up(project):
    project.store.inject(Fault("create", "fail", name="shop-dev-web-1-data"))
    said = project.provision("up", "--yes")
    assert (said.code, said.out) == (1, "")
    assert re.search(
        r"^ ! Volume +machines/web-1/disk-data +failed\n"
        r" +the platform refuses to create shop-dev-web-1-data\n +fix: ask the platform's owner$",
        said.err,
        re.MULTILINE,
    ), said.err
    assert said.err.count("refuses to create") == 1
    assert "up failed: 1 resource failed (machines/web-1/disk-data); " in said.err.splitlines()[-1]
    failed = [s for s in project.provision("preview", "--format", "json").document["steps"] if s["failed"]]
    assert failed == []


def test_what_is_wrong_around_the_stack_is_explained(project):
    for command in (("down", "--yes"), ("refresh",), ("drift",), ("verify",), ("console", "web-0")):
        said = project.provision(*command)
        assert (said.code, said.err.splitlines()[0]) == (1, "error: there is no Pulumi stack 'dev' here")
    assert project.provision("preview").code == 0
    wrong = project.provision("preview", PULUMI_CONFIG_PASSPHRASE="wrong")
    assert (wrong.code, wrong.err.splitlines()[0]) == (
        1,
        "error: the passphrase is not the one with which the stack was made",
    )
    lost = project.provision("preview", PULUMI_BACKEND_URL="file:///nowhere/at/all")
    assert lost.code == 1
    assert lost.err.startswith("error: the Pulumi backend cannot be used: ")
    unconfigured = {key: value for key, value in project.env.items() if key != "PULUMI_CONFIG_PASSPHRASE"}
    unset = Project(project.folder, unconfigured).provision("preview")
    assert (unset.code, "set PULUMI_CONFIG_PASSPHRASE" in unset.err) == (1, True)


def test_commands_without_support_events_of_commands_that_look_and_replacements_that_are_asked_for(project):
    project.fine("up", "--yes")
    assert "the platform 'memory' has no console" in project.provision("console", "web-0").err
    said = project.provision("verify", "--format", "json")
    assert (said.code, said.err) == (1, "")
    assert "has no way to send packets" in said.document["error"]["summary"]
    said = project.provision("verify", "--static", "--format", "json")
    assert (said.code, said.err) == (1, "")
    assert "cannot read its native rules back" in said.document["error"]["summary"]

    said = project.provision("drift", "--events", "events")
    assert (said.code, said.out) == (0, "No drift: 7 resources as recorded.\n")
    assert project.provision("verify", "--events", "events").code == 1
    lines = [json.loads(line) for line in (project.folder / "events").read_text().splitlines()]
    for line in lines:
        documented("event", line)
    ends = [(line["command"], line["kind"]) for line in lines if line["kind"] in ("begin", "end")]
    assert ends == [("drift", "begin"), ("drift", "end"), ("verify", "begin"), ("verify", "end")]
    read = [line for line in lines if line.get("call") == "memory.Server.read"]
    assert {line["urn"].rpartition("::")[2] for line in read} == {"machines/web-0/server", "machines/web-1/server"}
    assert {line["command"] for line in read} == {"drift"}

    # What is named is made anew, and its data is lost only where that is allowed.
    calls = len(project.store.mutations())
    unknown = project.provision("preview", "--replace", "web-9")
    assert (unknown.code, unknown.out) == (1, "")
    assert "there is nothing called 'web-9' to replace" in unknown.err
    assert "did you mean 'web-1', 'web-0'" in unknown.err
    refused = project.provision("up", "--yes", "--replace", "web-0")
    assert (refused.code, refused.out) == (1, "")
    assert "this would replace the machine 'web-0' and destroy its data" in refused.err
    assert "provision up --allow-destroy web-0" in refused.err
    assert len(project.store.mutations()) == calls

    asked = ("--replace", "web-0", "--allow-destroy", "web-0")
    document = project.fine("preview", *asked, "--format", "json").document
    assert [(step["op"], step["name"]) for step in document["steps"] if step["name"].count("/") == 2] == [
        ("replace", "machines/web-0/server")
    ]
    assert ("warning", "destroys data: its replacement was asked for") in [
        (message["severity"], message["text"]) for message in document["messages"]
    ]
    before = {item.name: item.id for item in project.store.objects()}
    done = project.fine("up", "--yes", *asked)
    assert done.out.startswith("Done: 1 machine changed; 1 resource replaced; 6 unchanged.\n"), done
    after = {item.name: item.id for item in project.store.objects()}
    assert {name for name, id in after.items() if before[name] != id} == {"shop-dev-web-0"}
    assert before.keys() == after.keys()


def test_a_lock_of_a_living_run_is_respected(project):
    assert project.provision("preview").code == 0
    place = Path(project.env["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi/locks/organization/shop/dev"
    place.mkdir(parents=True, exist_ok=True)
    lock = {
        "pid": os.getpid(),
        "username": "ann",
        "hostname": f"not-{socket.gethostname()}",
        "timestamp": "2026-01-01T00:00:00Z",
    }
    (place / "0.json").write_text(json.dumps(lock))
    said = project.provision("up", "--yes")
    assert said.code == 1
    assert f"the stack is locked by ann@not-{socket.gethostname()}, process {os.getpid()}" in said.err
    assert "`provision state unlock`" in said.err


def test_an_interrupted_run_records_what_is_done_and_goes_on_later(project):
    project.store.inject(Fault("create", "slow", name="shop-dev-web-1", seconds=60))
    process = project.begin("up", "--yes")
    deadline = time.monotonic() + 60
    while not any(c.operation == "create" and c.name == "shop-dev-web-1" for c in project.store.calls()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = project.end(process)
    assert (said.code, said.out) == (130, "")
    assert said.err.count("interrupted: waiting for what is under way; once more abandons it") == 1
    assert "up was interrupted" in said.err.splitlines()[-1]
    assert "Done: " in project.fine("up", "--yes").out
    assert len(project.store.objects("compute:Server")) == 2


def test_on_a_terminal_up_shows_the_plan_asks_and_does_nothing_by_default(project):
    code, said = project.on_terminal("up", answer=b"\n")
    assert code == 1
    assert "To do: 2 machines to create; 7 resources to create." in said
    assert said.rstrip().endswith("not confirmed: nothing was changed")
    code, said = project.on_terminal("up", answer=b"\x03")
    assert (code, said.rstrip().splitlines()[-1]) == (130, "interrupted")
    assert project.store.mutations() == []
    code, said = project.on_terminal("up", answer=b"y\n")
    assert code == 0
    assert "Done: 2 machines created" in said
    assert max(len(line) for line in said.replace("\r", "\n").splitlines()) <= 80


def test_drift_is_put_back_left_alone_or_adopted_as_the_file_says(project):
    project.edit("networks:", "drift:\n  machines: {power: ignore, memory: adopt}\nnetworks:")
    project.fine("up", "--yes")

    def change(**properties):
        for item in project.store.objects():
            if item.kind == "compute:Server":
                project.store.put(replace(item, properties=item.properties | properties))

    change(power="stopped", memory_mib=96)
    found = project.provision("drift", "--adopt", "--yes", "--detailed-exitcode", "--format", "json")
    assert (found.code, found.document["summary"]) == (2, "Drift: 2 findings; 5 resources as recorded; 2 left alone.")
    assert {item["policy"] for item in found.document["findings"]} == {"adopt"}
    assert "-    memory: 64MiB\n+    memory: 96MiB\n" in found.err
    assert "    memory: 96MiB\n    count: 2\n" in (project.folder / "stack.yaml").read_text()
    project.fine("refresh")
    assert project.fine("preview").out == "Nothing to change: 7 resources as the file says.\n"
    assert project.provision("drift", "--adopt").code == 1  # it would have to ask

    change(power="running")
    project.edit("image: micro", "image: micro\n    cpus: 2")
    project.fine("up", "--yes")
    servers = [item.properties for item in project.store.objects() if item.kind == "compute:Server"]
    assert [(item["cpus"], item["memory_mib"], item["power"]) for item in servers] == [(2, 96, "running")] * 2
    left = project.provision("drift", "--detailed-exitcode")
    assert (left.code, left.out.splitlines()[-1]) == (0, "No drift: 5 resources as recorded; 2 left alone.")

    project.edit("memory: adopt", "memory: adopt, nics: ignore")
    assert "stack.yaml:4:50: error: 'machines.nics' cannot be 'ignore'" in project.provision("up", "--yes").err
