"""The steps of a generated pipeline, as its runner would run them: against a repository, with the real engine."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.host.engine import find_engine
from provision.host.setup import install_shims, plugin_executables
from provision.testing import Store

pytestmark = pytest.mark.engine
BIN = Path(sys.executable).parent
STACK = """\
version: 1
platform: memory
networks:
  front: {cidr: 10.1.0.0/24}
machines:
  web:
    image: micro
    memory: 64MiB
    nics: [{network: front}]
isolation:
  policies:
    web-open: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}
"""
NEEDS_A_FORGE = {"install", "comment", "issue"}


@dataclass
class Runner:
    """A runner of pipelines: a fresh clone for every job."""

    origin: Path
    folder: Path
    env: dict[str, str]
    jobs: int = 0

    def git(self, *words: str, at: Path | None = None) -> None:
        name = ("-c", "user.name=dev", "-c", "user.email=dev@example.org")
        subprocess.run(["git", *name, *words], cwd=at or self.folder, env=self.env, check=True, capture_output=True)

    def job(self, name: str, stack: str) -> tuple[int, str, Path]:
        """Run the steps of one job of the workflow; gives the exit code of the first that fails."""
        self.jobs += 1
        clone = self.folder / f"job-{self.jobs}"
        self.git("clone", "-q", str(self.origin), str(clone))
        workflow = yaml.safe_load((clone / ".github/workflows/provision.yml").read_text())
        said = ""
        env = self.env | {"STACK": stack, "DIRECTORY": workflow["env"]["DIRECTORY"]}
        steps: list[dict[str, Any]] = workflow["jobs"][name]["steps"]
        for step in steps:
            if "run" not in step or step["name"] in NEEDS_A_FORGE or step.get("if") == "failure()":
                continue
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
                cwd=clone, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            said += done.stdout + done.stderr
            assert "Traceback" not in said, said
            if done.returncode:
                return done.returncode, said, clone
        return 0, said, clone


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    assert find_engine() is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    home, state = tmp_path / "home", tmp_path / "state"
    state.mkdir()
    install_shims(home, plugin_executables())
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "GIT_"))},
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
    }
    runner = Runner(tmp_path / "origin.git", tmp_path, env)
    runner.git("init", "-q", "--bare", "-b", "main", str(runner.origin))
    runner.git("clone", "-q", str(runner.origin), "work")
    work = tmp_path / "work"
    runner.git("checkout", "-q", "-b", "main", at=work)
    stack = work / "stacks" / "web"
    stack.mkdir(parents=True)
    (stack / "Pulumi.yaml").write_text("name: web\nruntime: provision\n")
    for name in ("dev", "prod"):
        (stack / f"Pulumi.{name}.yaml").write_text(f"config:\n  provision-memory:store: {tmp_path}/{name}.json\n")
    (stack / "stack.yaml").write_text(STACK)
    (stack / "stack.prod.yaml").write_text("machines:\n  web: {memory: 128MiB}\n")
    made = subprocess.run(
        ["provision", "ci", "init", "github", "--stacks", "dev,prod", "stacks/web"],
        cwd=work, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    runner.git("add", "-A", at=work)
    runner.git("commit", "-q", "-m", "a stack and its pipeline", at=work)
    runner.git("push", "-q", "origin", "main", at=work)
    return runner


def test_from_a_change_to_machines_and_to_drift(runner: Runner) -> None:
    stores = {name: Store(runner.folder / f"{name}.json") for name in ("dev", "prod")}

    code, said, clone = runner.job("review", "dev")
    assert code == 0, said
    page = (clone / "page-dev.md").read_text()
    assert page.startswith("<!-- provision preview web/dev -->\n")
    assert stores["dev"].objects() == []

    for name, memory in (("dev", 64), ("prod", 128)):
        code, said, _ = runner.job("apply", name)
        assert code == 0, said
        assert f"<!-- provision preview web/{name} -->\n" in said  # the page of exactly what was then applied
        (server,) = [item for item in stores[name].objects() if item.kind == "compute:Server"]
        assert server.properties["memory_mib"] == memory

    assert runner.job("drift", "prod")[0] == 0
    stores["prod"].remove(server.id)
    code, _, clone = runner.job("drift", "prod")
    assert code == 2
    told = (clone / "drift.md").read_text()
    assert told.startswith("<!-- provision drift web/prod -->\n")
    assert "machines/web/server is gone" in told
    assert runner.job("drift", "dev")[0] == 0

    # A change that is refused stops before anything is made, and the page of the change says so.
    work = runner.folder / "work"
    file = work / "stacks/web/stack.yaml"
    file.write_text(STACK + "    apart: {kind: spread, machines: [machine.web]}\n")
    runner.git("commit", "-q", "-a", "-m", "a policy that cannot be had", at=work)
    runner.git("push", "-q", "origin", "main", at=work)
    calls = len(stores["dev"].mutations())
    code, said, _ = runner.job("apply", "dev")
    assert code == 3, said
    assert len(stores["dev"].mutations()) == calls
