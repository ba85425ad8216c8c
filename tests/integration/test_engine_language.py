"""Plain `pulumi` on a folder with a stack file: the language host with the real engine and the in-memory platform."""

import json
import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from provision.host.engine import engine_environment, find_engine
from provision.host.setup import install_shims, plugin_executables
from provision.testing import Store
from provision.testing.store import Fault

pytestmark = pytest.mark.engine

STACK = """\
version: 1
platform: memory
parameters:
  size:
    type: integer
    default: 2
networks:
  front:
    cidr: 10.1.0.0/24
  back:
    cidr: 10.2.0.0/24
machines:
  web:
    image: micro
    memory: 64MiB
    count: ${param.size}
    nics:
      - network: front
  db:
    image: micro
    memory: 128MiB
    nics:
      - network: back
    disks:
      data:
        size: 1GiB
        keep_on_delete: false
isolation:
  policies:
    web-open:
      kind: traffic
      from: [outside]
      to: [machine.web]
      allow: [tcp/80]
    apart:
      kind: spread
      level: preferred
      machines: [machine.web]
outputs:
  url: http://${machine.web-0.address}/
"""

CHAIN = "urn:pulumi:dev::shop::"
GOLDEN_URNS = {
    CHAIN + rest
    for rest in (
        "pulumi:pulumi:Stack::shop-dev",
        "pulumi:providers:pulumi::default",
        "provision:index:Stack::shop",
        "provision:index:Stack$pulumi:index:Stash::stack-id",
        "provision:index:Stack$pulumi:providers:provision-memory::locations/default",
        "provision:index:Stack$provision-memory:index:AddressPlan::addresses",
        "provision:index:Stack$provision:index:Network::networks/front",
        "provision:index:Stack$provision:index:Network$provision-memory:network:Network::networks/front/network",
        "provision:index:Stack$provision:index:Network::networks/back",
        "provision:index:Stack$provision:index:Network$provision-memory:network:Network::networks/back/network",
        "provision:index:Stack$provision:index:Machine::machines/web-0",
        "provision:index:Stack$provision:index:Machine$provision-memory:compute:Server::machines/web-0/server",
        "provision:index:Stack$provision:index:Machine::machines/web-1",
        "provision:index:Stack$provision:index:Machine$provision-memory:compute:Server::machines/web-1/server",
        "provision:index:Stack$provision:index:Machine::machines/db",
        "provision:index:Stack$provision:index:Machine$provision-memory:compute:Server::machines/db/server",
        "provision:index:Stack$provision:index:Machine$provision-memory:compute:Volume::machines/db/disk-data",
        "provision:index:Stack$provision:index:Policy::isolation/web-open",
        "provision:index:Stack$provision:index:Policy$provision-memory:compute:Group::isolation/web-open/group",
        "provision:index:Stack$provision:index:Policy::isolation/apart",
    )
}
"""A promise since the first release: a changed chain or token would make every user's machines anew."""


@dataclass(frozen=True)
class Done:
    code: int
    text: str


@dataclass(frozen=True)
class Project:
    folder: Path
    engine: Path
    env: dict

    def pulumi(self, *arguments):
        done = subprocess.run(
            [self.engine, *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout + done.stderr)

    def fine(self, *arguments):
        done = self.pulumi(*arguments)
        assert done.code == 0, done.text
        assert "Traceback" not in done.text
        return done.text

    def up(self):
        return self.fine("up", "--yes", "--skip-preview")

    def edit(self, old, new):
        file = self.folder / "stack.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    @property
    def store(self):
        return Store(self.folder / "platform.json")

    def resources(self):
        state = json.loads((self.folder.parent / f"state/.pulumi/stacks/{self.folder.name}/dev.json").read_text())
        return {item["urn"]: item for item in state["checkpoint"]["latest"].get("resources", [])}

    def place(self, text):
        """`stack.yaml:LINE:COLUMN` of the last `text`."""
        before, found, _ = (self.folder / "stack.yaml").read_text().rpartition(text)
        assert found
        return f"stack.yaml:{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"

    def configure(self, key, value):
        with (self.folder / "Pulumi.dev.yaml").open("a") as file:
            file.write(f"  {key}: {json.dumps(str(value))}\n")

    def outputs_of(self, name):
        return next(item["outputs"] for urn, item in self.resources().items() if urn.endswith(f"::{name}"))

    def identities(self):
        return {urn.rpartition("::")[2]: item.get("id") for urn, item in self.resources().items()}


@pytest.fixture
def project(tmp_path):
    engine = find_engine()
    assert engine is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    home, state, folder = tmp_path / "home", tmp_path / "state", tmp_path / "shop"
    state.mkdir()
    folder.mkdir()
    install_shims(home, plugin_executables())
    env = engine_environment(
        {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        },
        engine.path,
    )
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
    (folder / "stack.yaml").write_text(STACK)
    made = Project(folder, engine.path, env)
    made.fine("stack", "init", "dev")
    (folder / "Pulumi.dev.yaml").open("a").write("config:\n")
    made.configure("provision-memory:store", folder / "platform.json")
    return made


def summary(text):
    found = re.search(r"Resources:\n((?: +.*\n)+)", text)
    assert found, text
    return [line.strip() for line in found[1].splitlines()]


def test_a_preview_makes_nothing_and_shows_unknowns_as_unknown(project):
    text = project.fine("preview", "--diff")
    server = text[text.index("::machines/db/server]") :]
    assert re.search(r"stackId *: \[unknown\]|stackId *: output<string>", server), text
    assert re.search(r"volumes *: \[\n? *\[0\]: (\[unknown\]|output<string>)", server), text
    assert "+ 19 to create" in text
    assert project.store.objects() == []


def test_the_chain_of_urns_is_frozen(project):
    project.up()
    assert set(project.resources()) == GOLDEN_URNS


def test_a_second_up_changes_nothing_and_says_so(project):
    project.up()
    calls = len(project.store.mutations())
    before = project.resources()
    assert summary(project.fine("up", "--yes", "--skip-preview")) == ["19 unchanged"]
    assert summary(project.fine("preview")) == ["19 unchanged"]
    assert len(project.store.mutations()) == calls
    assert {urn: item.get("outputs") for urn, item in project.resources().items()} == {
        urn: item.get("outputs") for urn, item in before.items()
    }


def test_outputs_are_exported_and_secrets_stay_secret(project):
    project.edit("parameters:\n", "parameters:\n  key:\n    secret: true\n")
    project.edit("outputs:\n", "outputs:\n  token: key-${param.key}\n")
    project.fine("config", "set", "--secret", "key", "hush-hush")
    text = project.up()
    assert "hush-hush" not in text
    assert json.loads(project.fine("stack", "output", "--json"))["token"] == "[secret]"
    assert json.loads(project.fine("stack", "output", "--json", "--show-secrets"))["token"] == "key-hush-hush"
    address = project.outputs_of("machines/web-0")["address"]
    assert json.loads(project.fine("stack", "output", "--json"))["url"] == f"http://{address}/"
    assert "hush-hush" not in json.dumps(project.resources())


def test_another_machine_moves_and_touches_none(project):
    project.up()
    before, identities = project.outputs_of("addresses")["assigned"], project.identities()
    project.configure("shop:size", 3)
    assert summary(project.up()) == ["+ 2 created", "~ 1 updated", "3 changes. 18 unchanged"]
    after = project.outputs_of("addresses")["assigned"]
    assert {key: after[key] for key in before} == before
    assert {name: project.identities()[name] for name in identities} == identities
    project.edit("count: ${param.size}", "count: 2")
    assert summary(project.up()) == ["~ 1 updated", "- 2 deleted", "3 changes. 18 unchanged"]


def test_an_edit_in_place_updates_what_it_concerns(project):
    project.up()
    project.edit("allow: [tcp/80]", "allow: [tcp/80, tcp/443]")
    assert summary(project.up()) == ["~ 1 updated", "18 unchanged"]
    (group,) = project.store.objects("compute:Group")
    assert group.properties["rules"][0]["services"] == ["tcp/80", "tcp/443"]


def test_a_renamed_machine_and_a_new_count_keep_the_machine(project):
    project.up()
    before = project.identities()
    project.edit("  db:\n    image: micro\n", "  store:\n    image: micro\n    renamed_from: db\n    count: 1\n")
    text = project.fine("preview", "--diff")
    assert "machines/store-0" in text
    assert "to create" not in text
    addresses = project.outputs_of("addresses")["assigned"]["db/back"]
    project.up()
    after = project.identities()
    assert "machines/db/server" not in after
    assert after["machines/store-0/disk-data"] == before["machines/db/disk-data"] or (
        # the platform makes a disk anew under a new native name: then the old one must be gone
        len(project.store.objects("compute:Volume")) == 1
    )
    assert project.outputs_of("addresses")["assigned"]["store-0/back"] == addresses


def test_drift_is_seen_and_mended(project):
    project.up()
    web = project.store.named("compute:Server", "shop-dev-web-0")
    project.store.put(replace(web, properties={**web.properties, "cpus": 4}))
    assert "~ 1 updated" in summary(project.fine("refresh", "--yes", "--skip-preview"))
    assert "~ 1 updated" in summary(project.up())
    assert project.store.named("compute:Server", "shop-dev-web-0").properties["cpus"] == 1


def test_destroy_leaves_nothing(project):
    project.up()
    project.fine("destroy", "--yes", "--skip-preview")
    assert project.store.objects() == []
    assert project.resources() == {}


def test_mistakes_in_the_file_are_shown_all_at_once_with_their_places(project):
    project.edit("memory: 64MiB", "memoory: 64MiB")
    project.edit("level: preferred", "level: prefered")
    done = project.pulumi("preview")
    assert done.code != 0
    assert "Traceback" not in done.text
    assert f"{project.place('memoory')}: error: " in done.text
    assert "did you mean 'memory'?" in done.text
    assert done.text.count(f"{project.place('prefered')}: error: ") == 1


def test_a_refused_policy_changes_nothing_and_says_why(project):
    project.edit("      level: preferred\n", "")
    done = project.pulumi("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert "policy refused" in done.text
    assert f"{project.place('apart')}: error: policy 'apart' cannot be enforced on 'memory'" in done.text
    assert "Traceback" not in done.text
    assert project.store.objects() == []
    assert [urn for urn in project.resources() if "provision-memory" in urn] == []


def test_a_preferred_policy_is_downgraded_in_the_warning_and_in_state(project):
    text = project.up()
    warning = f"warning: {project.place('apart')}: policy 'apart' is not enforced: the in-memory platform knows no"
    assert warning in text
    found = project.outputs_of("isolation/apart")
    assert (found["verdict"], found["level"], found["kind"]) == ("downgrade", "preferred", "spread")
    assert found["reason"].startswith("the in-memory platform knows no")
    assert list(project.outputs_of("shop")["downgrades"]) == ["apart"]
    assert project.outputs_of("isolation/web-open")["verdict"] == "enforce"


def test_a_platform_that_does_not_answer_is_one_message_and_nothing_is_registered(project):
    project.fine("config", "set", "--secret", "provision-memory:token", "wrong")
    done = project.pulumi("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert len(re.findall(r"error: the in-memory platform does not answer", done.text)) >= 1
    assert "fix: set provision-memory:token to another one" in done.text
    assert "Traceback" not in done.text
    assert [urn for urn in project.resources() if "provision" in urn] == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("provision:platform", "memmory", "did you mean 'memory'?"),
        ("provision-memory:regoin", "x", "did you mean 'region'?"),
        ("provision-memory:limits", "x", "setting 'limits' of platform 'memory'"),
        ("shop:size", "many", "parameter 'size'"),
    ],
)
def test_a_wrong_setting_is_explained(project, key, value, expected):
    project.configure(key, value)
    done = project.pulumi("preview")
    assert done.code != 0
    assert expected in done.text
    assert "Traceback" not in done.text


def test_a_failed_resource_ends_the_run_without_a_second_message(project):
    project.store.inject(Fault("create", "fail", name="shop-dev-db"))
    done = project.pulumi("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert "the platform refuses to create shop-dev-db" in done.text
    assert "defect" not in done.text
    assert "Traceback" not in done.text
    text = project.up()
    assert "created" in text
    assert len(project.store.objects("compute:Server")) == 3


def test_with_continue_on_error_everything_else_is_made(project):
    project.store.inject(Fault("create", "fail", name="shop-dev-db-data"))
    done = project.pulumi("up", "--yes", "--skip-preview", "--continue-on-error")
    assert done.code != 0
    assert sorted(item.name for item in project.store.objects("compute:Server")) == [
        "shop-dev-web-0",
        "shop-dev-web-1",
    ]
    assert "Traceback" not in done.text


def test_outputs_of_another_stack_are_used_and_the_identity_of_each_is_its_own(project):
    project.edit("parameters:\n", "parameters:\n  key:\n    secret: true\n")
    project.edit("outputs:\n", "outputs:\n  token: key-${param.key}\n")
    project.fine("config", "set", "--secret", "key", "hush-hush")
    project.up()
    first = project.outputs_of("stack-id")["output"]
    other = replace(project, folder=project.folder.parent / "other")
    other.folder.mkdir()
    (other.folder / "Pulumi.yaml").write_text("name: other\nruntime: provision\n")
    (other.folder / "stack.yaml").write_text(
        "version: 1\nplatform: memory\nreferences:\n  shop:\n    stack: organization/shop/dev\n"
        "machines:\n  one:\n    image: micro\n    memory: 64MiB\n"
        "outputs:\n  seen: ${ref.shop.url}\n  hidden: ${ref.shop.token}\n"
    )
    other.fine("stack", "init", "dev")
    (other.folder / "Pulumi.dev.yaml").open("a").write("config:\n")
    other.configure("provision-memory:store", project.folder / "platform.json")
    other.up()
    seen = json.loads(other.fine("stack", "output", "--json"))
    assert seen["seen"].startswith("http://10.1.0.")
    assert seen["hidden"] == "[secret]"
    assert "hush-hush" not in json.dumps(other.resources())
    assert other.outputs_of("stack-id")["output"] != first
