"""The stacks of this repository on the emulated EC2, unchanged, with the real engine: made, edited, taken away."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from provision_aws import emulator
from provision_aws.conformance_hands import Account
from provision_aws.iam import allowed

from provision.host.engine import engine_environment, find_engine
from provision.host.setup import install_shims, plugin_executables

pytestmark = [pytest.mark.lab, pytest.mark.engine]

COMMAND = Path(sys.executable).with_name("provision")
STACKS = Path(__file__).parents[3] / "stacks"
SECRET = "hush-hush-hush"
_OF_A_VPC = 2  # rules of the default group, which no machine is in
WITHOUT = {
    "isolation": {"policies": {"side-by-side": None, "unshared-memory": None, "sandboxed": None}},
    "sharing": None,
}
"""What of `03-isolation` EC2 cannot carry out, as an overlay that takes it away."""


@dataclass(frozen=True)
class Project:
    folder: Path
    env: dict

    def run(self, *words, code=0):
        done = subprocess.run(
            [COMMAND, *words], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def kept(self):
        """Everything that the engine keeps of the stack: state, history, configuration."""
        files = [*(self.folder.parent / "state").rglob("*"), *self.folder.rglob("*")]
        return "".join(file.read_text(errors="replace") for file in files if file.is_file())

    def configure(self, line):
        file = self.folder / "Pulumi.dev.yaml"
        file.write_text(file.read_text().replace("config:\n", f"config:\n  {line}\n"))

    def edit(self, old, new):
        file = self.folder / "stack.yaml"
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))


@pytest.fixture
def project(server, tmp_path, monkeypatch):
    for name, value in emulator.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    engine = find_engine()
    assert engine is not None, "there is no engine: run `provision setup`"
    emulator.reset(server)
    Account(server, emulator.REGION).ec2.describe_vpcs()  # what every account has is there from now on
    install_shims(tmp_path / "home", plugin_executables())
    (tmp_path / "state").mkdir()
    base = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_"))}
    ours = {
        **emulator.ENVIRONMENT,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SECRET,
        "AWS_REGION": emulator.REGION,
        "AWS_ENDPOINT_URL": server,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "t",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "NO_COLOR": "1",
    }

    def made(name):
        folder = tmp_path / name
        shutil.copytree(STACKS / name, folder)
        (folder / "Pulumi.dev.yaml").write_text("config:\n  provision:platform: aws\n")
        env = engine_environment(base | ours, engine.path)
        stack = [engine.path, "stack", "init", "dev", "--non-interactive"]
        subprocess.run(stack, cwd=folder, env=env, check=True, capture_output=True)
        return Project(folder, env)

    return made


def machines(server):
    """The machines that are there, and the rules of groups."""
    return sorted(one for one in emulator.standing(server) if one.startswith(("machine ", "rule ")))


def rules(standing):
    return sum(one.startswith("rule ") for one in standing)


def test_web_is_made_edited_and_taken_away(project, server):
    before = emulator.standing(server)
    web = project("02-web")
    shown = web.run("preview")
    assert "4 machines to create" in shown
    assert emulator.standing(server) == before

    web.run("up", "--yes")
    kept = web.kept()
    assert "provision-aws:ec2:Instance" in kept
    assert SECRET not in kept
    made = machines(server)
    assert sum(one.startswith("machine ") for one in made) == 4
    assert rules(made) - rules(before) == 8 + _OF_A_VPC
    assert "Nothing to change" in web.run("preview")
    seen = web.run("verify")
    assert "nothing was probed" in seen
    assert seen.count("T A - -") == 3
    assert "No drift" in web.run("drift")
    ec2 = Account(server, emulator.REGION).ec2
    listed = ec2.describe_security_group_rules()["SecurityGroupRules"]
    group = next(one["GroupId"] for one in listed if one.get("FromPort") == 80 and not one["IsEgress"])
    ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")
    assert "is on no record" in web.run("verify", code=3)
    assert "passes, and no policy allows it" in web.run("drift", code=3)

    web.configure("provision-aws:exclusiveGroups: true")
    web.edit("count: 2", "count: 3")
    web.edit("allow: [tcp/8080]", "allow: [tcp/8080, tcp/8443]")
    edited = web.run("up", "--yes")
    assert "1 machine created" in edited
    assert not [one for one in ec2.describe_security_group_rules()["SecurityGroupRules"] if one.get("FromPort") == 22]
    assert set(made) < set(machines(server))
    assert "Nothing to change" in web.run("preview")

    web.run("down", "--yes")
    assert emulator.standing(server) == before
    told = web.run("plugin", "show", "aws", "--iam", "--stack", ".")
    names = {action.partition(":")[2] for action in allowed(json.loads(told[told.index("{") : told.rindex("}") + 1]))}
    assert set(emulator.calls(server)) - {"GetCallerIdentity"} <= names


def test_isolation_is_refused_with_reasons_and_made_without_what_cannot_be(project, server):
    before = emulator.standing(server)
    stack = project("03-isolation")
    refused = stack.run("up", "--yes", code=3)
    assert "policy 'unshared-memory' cannot be enforced on 'aws'" in refused
    assert emulator.standing(server) == before

    (stack.folder / "stack.dev.yaml").write_text(json.dumps(WITHOUT))
    made = stack.run("up", "--yes")
    assert "policy 'own-corner' is not enforced" in made
    assert sum(one.startswith("machine ") for one in emulator.standing(server)) == 4
    assert "Nothing to change" in stack.run("preview")
    stack.run("down", "--yes")
    assert emulator.standing(server) == before
