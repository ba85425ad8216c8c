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

    def merge(self, text: str) -> None:
        """Have a stack file on the branch."""
        work = self.folder / "work"
        (work / "stacks/web/stack.yaml").write_text(text)
        self.git("commit", "-q", "-a", "-m", "a change", at=work)
        self.git("push", "-q", "origin", "main", at=work)

    def clone(self) -> Path:
        """A fresh clone."""
        self.jobs += 1
        clone = self.folder / f"job-{self.jobs}"
        self.git("clone", "-q", str(self.origin), str(clone))
        return clone

    def shell(self, script: str, clone: Path, *words: str, **env: str) -> tuple[int, str]:
        """Run a script without a terminal; gives its exit code and what it says."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script, *words],
            cwd=clone, env=self.env | env, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        return done.returncode, said

    def github(self, name: str, stack: str) -> tuple[int, str, Path]:
        """Run the steps of one job of the workflow; gives the exit code of the first that fails."""
        clone = self.clone()
        workflow = yaml.safe_load((clone / ".github/workflows/provision.yml").read_text())
        code, said = 0, ""
        steps: list[dict[str, Any]] = workflow["jobs"][name]["steps"]
        for step in steps:
            condition = step.get("if", "success()")
            runs = {"success()": not code, "failure()": bool(code)}.get(condition, "!cancelled()" in condition)
            if "run" in step and step["name"] not in NEEDS_A_FORGE and runs:
                ended, more = self.shell(step["run"], clone, STACK=stack, DIRECTORY=workflow["env"]["DIRECTORY"])
                code, said = code or ended, said + more
        return code, said, clone

    def gitlab(self, name: str, stack: str) -> tuple[int, str, Path]:
        """Run the script of one job; gives its exit code."""
        clone = self.clone()
        pipeline = yaml.safe_load((clone / ".gitlab-ci.yml").read_text())
        job = pipeline[f"apply-{stack}" if name == "apply" else name]
        lines = [line for line in job["script"] if "provision ci " not in line]
        env = {"STACK": stack, "DIRECTORY": pipeline["variables"]["DIRECTORY"]}
        code, said = self.shell("\n".join(lines), clone, **env)
        after = "\n".join(job.get("after_script", ()))
        _, more = self.shell(after, clone, **env, CI_JOB_STATUS="failed" if code else "success")
        return code, said + more, clone

    def generic(self, name: str, stack: str) -> tuple[int, str, Path]:
        """Run the script; gives its exit code."""
        clone = self.clone()
        return *self.shell('exec ci/provision.sh "$@"', clone, "sh", name, stack), clone


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
    for forge in ("github", "gitlab", "generic"):
        made = subprocess.run(
            ["provision", "ci", "init", forge, "--stacks", "dev,prod", "stacks/web"],
            cwd=work, env=env, capture_output=True, text=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
    runner.git("add", "-A", at=work)
    runner.git("commit", "-q", "-m", "a stack and its pipeline", at=work)
    runner.git("push", "-q", "origin", "main", at=work)
    return runner


BACK = "To go back, revert this commit and "


def test_from_a_change_to_machines_and_to_drift(runner: Runner) -> None:
    stores = {name: Store(runner.folder / f"{name}.json") for name in ("dev", "prod")}
    code, said, clone = runner.github("review", "dev")
    assert code == 0, said
    page = (clone / "page-dev.md").read_text()
    assert page.startswith("<!-- provision preview web/dev -->\n")
    assert stores["dev"].objects() == []

    for name, memory, apply in (("dev", 64, runner.gitlab), ("prod", 128, runner.generic)):
        code, said, _ = apply("apply", name)
        assert code == 0, said
        assert f"<!-- provision preview web/{name} -->\n" in said  # the page of exactly what was then applied
        assert BACK not in said
        (server,) = [item for item in stores[name].objects() if item.kind == "compute:Server"]
        assert server.properties["memory_mib"] == memory
    runner.merge(STACK.replace("64MiB", "65MiB"))
    code, said, _ = runner.github("apply", "dev")
    assert code == 0, said
    (changed,) = [item for item in stores["dev"].objects() if item.kind == "compute:Server"]
    assert changed.properties["memory_mib"] == 65

    assert runner.github("drift", "prod")[0] == 0
    stores["prod"].remove(server.id)
    code, _, clone = runner.gitlab("drift", "prod")
    assert code == 2
    told = (clone / "drift.md").read_text()
    assert told.startswith("<!-- provision drift web/prod -->\n")
    assert "machines/web/server is gone" in told
    code, said, _ = runner.generic("drift", "dev")
    assert (code, "No drift" in said) == (0, True), said


def test_a_change_that_is_refused_has_a_page_that_says_so_and_stops_before_anything_is_made(runner: Runner) -> None:
    runner.merge(STACK + "    apart: {kind: spread, machines: [machine.web]}\n")
    for review in (runner.github, runner.gitlab, runner.generic):
        code, said, clone = review("review", "dev")
        assert code == 3, said
        pages = said + "".join(path.read_text() for path in clone.glob("page-*.md"))
        assert "### Refused policies" in pages.splitlines()
    code, said, _ = runner.github("apply", "dev")
    assert code == 3, said
    assert BACK in said
    assert Store(runner.folder / "dev.json").mutations() == []
