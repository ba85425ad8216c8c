"""What `provision plugin new` makes works at once: its own tests, the linters, the command, and the real engine."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provision.host.engine import find_engine
from provision.host.setup import install_shims, plugin_executables

pytestmark = pytest.mark.engine  # builds a distribution and runs it in processes of its own

COMMAND = Path(sys.executable).with_name("provision")
NAME = "cloud-nine"
MODULE = "provision_cloud_nine"


@dataclass(frozen=True)
class Made:
    """The distribution, and where its wheel is installed: a folder of its own, so that nothing here is disturbed."""

    folder: Path
    site: Path

    @property
    def env(self):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "PYTEST_"))}
        return kept | {"PYTHONPATH": str(self.site), "COLUMNS": "80"}

    def run(self, *words, cwd=None, **env):
        done = subprocess.run(
            [str(word) for word in words], cwd=cwd or self.folder, env=self.env | env, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    def python(self, *words):
        """A tool of the author; `-P`, so that it is the installed plugin which is used."""
        return self.run(sys.executable, "-P", "-m", *words)

    def provision(self, *words, **named):
        return self.run(COMMAND, *words, **named)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    done = subprocess.run([COMMAND, "plugin", "new", NAME], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made, site = folder / f"provision-{NAME}", folder / "site"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=made, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    (site / f"{MODULE}-0.1.0.dist-info" / "INSTALLER").write_text("pip\n")
    return Made(made, site)


def test_its_own_tests_pass(made):
    done = made.python("pytest", "-q", "-p", "no:cacheprovider", "--junit-xml", made.folder.parent / "tests.xml")
    assert done.returncode == 0, done.stdout
    (suite,) = ElementTree.parse(made.folder.parent / "tests.xml").getroot()
    assert int(suite.attrib["tests"]) >= 40, "the kit is in it"
    assert suite.attrib["skipped"] == "0", "there is no gap to be declared"


def test_it_is_formatted_clean_and_typed(made):
    for words in (("ruff", "format", "--check", "--no-cache", "."), ("ruff", "check", "--no-cache", ".")):
        done = made.python(*words)
        assert done.returncode == 0, done.stdout
    done = made.python("mypy", "--cache-dir", made.folder.parent / "types")
    assert done.returncode == 0, done.stdout
    assert "no issues found in 9 source files" in done.stdout


def test_a_fault_in_it_is_found_by_its_own_tests(made, tmp_path):
    """Its tests can fail: without the look at the owner, what belongs to others would be touched."""
    broken = tmp_path / "site"
    done = subprocess.run(["cp", "-r", made.site, broken], check=False)
    assert done.returncode == 0
    session = broken / MODULE / "session.py"
    text = session.read_text()
    guard = 'if found.get("owner", "") != owner or (owner and not owner.startswith(stack)):'
    assert text.count(guard) == 1
    session.write_text(text.replace(guard, "if not name:"))
    done = Made(made.folder, broken).provision("plugin", "check", NAME, "--only", "*-foreign", "--format", "json")
    assert done.returncode == 1
    (check,) = json.loads(done.stdout)["checks"]
    assert (check["name"], check["outcome"]) == ("machine:Folder-foreign", "failed")


def test_it_is_listed_shown_and_checked(made):
    listed = [" ".join(line.split()) for line in made.provision("plugin", "list").stdout.splitlines()]
    assert f"{NAME} 0.1.0 1 resource type provision-{NAME} 0.1.0" in listed
    shown = made.provision("plugin", "show", NAME)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "machine:Folder" in shown.stdout
    document = json.loads(made.provision("plugin", "show", NAME, "--format", "json").stdout)
    assert {policy["required"] for policy in document["policies"]} == {"refused"}
    assert all(policy["reason"] and policy["fix"] for policy in document["policies"])
    live = made.provision("plugin", "show", NAME, "--live", "--config", f"root={made.folder.parent / 'live'}")
    assert live.returncode == 0, live.stderr
    checked = made.provision("plugin", "check", NAME, "--only", "*-update*")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "ok      machine:Folder-" in checked.stdout
    assert ", 0 failed in " in checked.stdout.splitlines()[-1]
    junit = ElementTree.fromstring(
        made.provision("plugin", "check", NAME, "--only", "*-check*", "--format", "junit").stdout
    )
    assert int(junit.attrib["tests"]) >= 3
    again = made.provision("plugin", "new", NAME, cwd=made.folder.parent)
    assert again.returncode == 1
    assert f"a plugin called '{NAME}' is installed already" in again.stderr


def test_its_example_is_valid_and_what_folders_cannot_do_is_refused(made, tmp_path):
    valid = made.provision("validate", "example")
    assert (valid.returncode, valid.stdout) == (0, "example/stack.yaml: valid: 2 machines, 0 networks, 0 policies\n")
    (tmp_path / "stack.yaml").write_text(
        f"version: 1\nplatform: {NAME}\n"
        "machines: {web: {image: blank, memory: 64MiB, ssh_keys: [ssh-ed25519 AAAAC3]}}\n"
        "isolation: {policies: {own: {kind: no_internet, machines: [machine.web]}}}\n"
    )
    code = (
        "import sys\nfrom pathlib import Path\nfrom provision.diagnostics import DiagnosticSink\n"
        "from provision.loader import load, render\nfrom provision.spi import Capabilities, registry\n"
        "from provision.translate import negotiate\nfrom provision.errors import StackFileError\n"
        "loaded = load(Path(sys.argv[1]))\n"
        f"provider = registry.load({NAME!r})\n"
        "try: negotiate(loaded.stack, provider, Capabilities(provider.name), DiagnosticSink(loaded.source_map))\n"
        "except StackFileError as error: print(render(error))\n"
    )
    refused = made.run(sys.executable, "-c", code, tmp_path, cwd=tmp_path).stdout
    assert "machines here are folders: they have no network, disks or power" in refused
    assert "folders run nothing, so there is nothing to keep apart" in refused


def test_its_example_is_made_and_removed_by_the_engine_beside_a_broken_plugin(made, tmp_path, monkeypatch):
    assert find_engine() is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    others = broken_plugins(tmp_path / "others")
    for site in (made.site, others):
        monkeypatch.syspath_prepend(site)
    problems = []
    install_shims(tmp_path / "home", plugin_executables(problems))
    assert len(problems) == 1, "two distributions with one name"
    (tmp_path / "state").mkdir()
    example = tmp_path / "example"
    subprocess.run(["cp", "-r", made.folder / "example", example], check=True)
    env = {
        "PYTHONPATH": f"{made.site}{os.pathsep}{others}",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
    }
    machines = tmp_path / "machines"
    (example / "Pulumi.dev.yaml").write_text(f"config:\n  provision-{NAME}:root: {machines}\n")

    def provision(*words):
        done = made.provision(*words, cwd=example, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = provision("plugin", "list").splitlines()
    assert [line.split()[0] for line in listed if line.split()[1] == "broken"] == ["broken", "twin"]
    assert provision("up", "--yes").startswith("Done: 2 machines created; 3 resources created.\n")
    names = [f"{NAME}-example-dev-web-0", f"{NAME}-example-dev-web-1"]
    assert sorted(path.name for path in machines.iterdir()) == names
    assert json.loads((machines / names[0] / "machine.json").read_text())["memory_mib"] == 512
    assert provision("up", "--yes").startswith("Nothing to change")
    (example / "stack.yaml").write_text((example / "stack.yaml").read_text().replace("512MiB", "1GiB"))
    assert "2 resources updated" in provision("up", "--yes")
    assert json.loads((machines / names[1] / "machine.json").read_text())["memory_mib"] == 1024
    provision("down", "--yes")
    assert list(machines.iterdir()) == []


def broken_plugins(site):
    """Distributions that cannot be imported, or take each other's name."""
    site.mkdir()
    for distribution, name in (("provision-broken", "broken"), ("provision-twin", "twin"), ("twin-peak", "twin")):
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[provision.providers]\n{name} = no_such_package:Plugin\n")
    return site
