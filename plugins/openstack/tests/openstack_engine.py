"""Stacks in folders of their own, deployed by the command and the real engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from provision.host.engine import find_engine
from provision.host.setup import install_shims, plugin_executables

COMMAND = Path(sys.executable).with_name("provision")


class Deployed:
    """A stack in a folder of its own, run by the command."""

    def __init__(self, folder, env):
        self.folder = folder
        self.env = env

    def run(self, *words):
        made = subprocess.run(
            [*words], cwd=self.folder, env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=540,
        )  # fmt: skip
        assert "Traceback" not in made.stdout, made.stdout
        return made

    def fine(self, *words):
        made = self.run(COMMAND, *words)
        assert made.returncode == 0, made.stdout
        return made.stdout

    def report(self, *words):
        """What `provision verify` says, as data."""
        made = subprocess.run(
            [COMMAND, "verify", "--format", "json", *words], cwd=self.folder, env=self.env, text=True, timeout=540,
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
        assert "Traceback" not in made.stderr, made.stderr
        assert made.stdout, made.stderr
        return json.loads(made.stdout)

    def state(self):
        """The state, as `pulumi stack export` prints it."""
        made = subprocess.run(
            ["pulumi", "stack", "export", "--stack", "dev"], cwd=self.folder, env=self.env, text=True,
            capture_output=True, check=True, timeout=540,
        )  # fmt: skip
        return json.loads(made.stdout)


def engine_environment(place, cloud):
    """Variables for an engine whose home and state are below `place`, and for a cloud's tools."""
    engine = find_engine()
    assert engine is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    (place / "state").mkdir()
    install_shims(place / "home", plugin_executables())
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "OS_"))}
    return env | {
        **cloud.environment,
        "PULUMI_HOME": str(place / "home"),
        "PULUMI_BACKEND_URL": f"file://{place / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PATH": f"{engine.path.parent}{os.pathsep}{os.environ['PATH']}",
    }


def configure(folder, **config):
    """Set a stack `dev` up in a folder that has a stack file."""
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": {"provision:platform": "openstack"} | config}))
