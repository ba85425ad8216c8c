"""The image of the container, made by the steps of its definition: what is in it, and that its user gets by with that.

There is no builder on the machines that run tests: `image_root` runs the steps in a Debian root.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from image_root import Builder, Mount, Root, own_place, pip_cache
from operator_workspace import Stack as Described
from operator_workspace import described
from state_backends import bucket

from provision.host.engine import ENGINE_VERSION, find_engine

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]  # the image takes a minute and a half, on an idle machine
REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "deploy" / "container"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "provision" / "image-lab"
MEGABYTES = 470
"""What the image may take, not compressed; measured when this was written: 430."""
VERSION = "org.opencontainers.image.version"

HELLO = """\
version: 1
platform: libvirt
networks: {lan: {cidr: 10.0.0.0/24}}
machines:
  web: {image: micro, memory: 96MiB, count: 2, nics: [{network: lan}]}
isolation: {default: allow}
"""
SHOP = """\
version: 1
platform: aws
networks:
  front: {cidr: 10.20.1.0/24, internet: routed}
machines:
  web: {image: micro, cpus: 2, memory: 1GiB, nics: [{network: front, public: true}]}
isolation:
  policies:
    in: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443]}
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Root]:
    engine = find_engine()
    assert engine is not None, "no Pulumi engine on this machine: run scripts/test, or `provision setup`"
    kept = CACHE / "mounts" / "provision"  # as a builder keeps it from an earlier build
    place = kept / "engine" / ENGINE_VERSION / "bin" / "pulumi"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{os.getpid()}")
        shutil.copy(engine.path, fresh)
        fresh.replace(place)
    caches = {"/root/.cache/provision": kept} | pip_cache()
    with own_place(CACHE) as scratch:
        yield Builder(REPOSITORY, scratch, CACHE, caches).build(FOLDER / "Containerfile")


def fine(image: Root, *command: str, **where) -> str:
    done = image.run(*command, **where)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def writable(folder: Path) -> Path:
    """An empty place for the pod or user, as a volume is."""
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def test_the_image_holds_the_command_its_engine_and_nothing_to_build_with(image: Root) -> None:
    assert image.entrypoint == ("provision",)
    assert image.user == "1000:1000"
    assert fine(image, *image.entrypoint, "--version") == f"provision, version {image.labels[VERSION]}\n"
    assert fine(image, "pulumi", "version") == f"v{ENGINE_VERSION}\n"
    fine(image, "python", "-c", "import boto3, libvirt, openstack, pulumi.automation")

    pins = dict(re.findall(r"^([\w.-]+)==([^ ]+)", (FOLDER / "requirements.lock").read_text(), re.MULTILINE))
    ask = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    there = {_plain(name): version for name, version in json.loads(fine(image, "python", "-c", ask)).items()}
    own = {name: version for name, version in there.items() if name.startswith("provision")}
    assert sorted(own) == ["provision", "provision-aws", "provision-libvirt", "provision-openstack"]
    assert {name: version for name, version in there.items() if name not in own} == {
        _plain(name): version for name, version in pins.items()
    }

    tools = ("gcc", "cc", "make", "pip", "pip3", "pkg-config", "pg_config", "go")
    assert [tool for tool in tools if image.run("sh", "-c", f"command -v {tool}").returncode == 0] == []
    assert list((image.path / "usr/include").rglob("*.h")) == []
    assert list((image.path / "var/cache/apt").rglob("*.deb")) == []
    assert not (image.path / "build").exists()

    find = "find / -xdev '(' -path /proc -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /run ')' -prune -o"
    mine = fine(image, "sh", "-c", f"{find} ! -type l -writable -print 2>/dev/null || true").split()
    assert {path for path in mine if not path.startswith("/home/provision")} == {
        "/work", "/opt/provision/pulumi/workspaces",
    }  # fmt: skip
    assert megabytes(image.path) < MEGABYTES


def megabytes(root: Path) -> int:
    return int(
        subprocess.run(
            ["du", "-sm", "--apparent-size", root], capture_output=True, text=True, check=True
        ).stdout.split()[0]
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_its_user_plans_and_makes_a_stack_with_a_sealed_root_and_no_network(image: Root, tmp_path: Path) -> None:
    stack = writable(tmp_path / "stack")
    (stack / "Pulumi.yaml").write_text("name: hello\nruntime: provision\n")
    (stack / "Pulumi.dev.yaml").write_text("config:\n  provision-libvirt:uri: test:///default\n")
    (stack / "Pulumi.dev.yaml").chmod(0o666)  # which the engine notes its salt in
    (stack / "stack.yaml").write_text(HELLO)
    where = {
        "environment": {"PULUMI_BACKEND_URL": "file:///state", "PULUMI_CONFIG_PASSPHRASE": "correct horse"},
        "places": [
            Mount(stack, "/work"),
            Mount(writable(tmp_path / "state"), "/state"),
            Mount(writable(tmp_path / "home"), "/home/provision"),
            Mount(writable(tmp_path / "workspaces"), "/opt/provision/pulumi/workspaces"),
            Mount(writable(tmp_path / "tmp"), "/tmp"),
        ],
        "sealed": True,
        "alone": True,
    }
    assert fine(image, "provision", "validate", **where) == "stack.yaml: valid: 2 machines, 1 network, 0 policies\n"
    assert fine(image, "provision", "preview", **where).startswith("To do: 2 machines to create; ")
    assert fine(image, "provision", "up", "--yes", **where).startswith("Done: 2 machines created; ")
    assert fine(image, "provision", "preview", "--detailed-exitcode", **where).startswith("Nothing to change: ")


@dataclass
class Pod:
    """A workspace's pod as the operator makes it of a `Stack`: a fresh clone, and the mounts of its template.

    Attributes:
        described: what is applied to the cluster.
        secrets: of the namespace, by name and key.
        endpoint: what the address of the backend is completed with, since the cloud is an emulation.
    """

    image: Root
    described: Described
    origin: Path
    folder: Path
    secrets: dict
    endpoint: str
    outside: dict

    def start(self) -> None:
        """What the init container does: clone, and give the stack's folder a name."""
        share = writable(self.folder / "share")
        source = share / "source"
        command = ["git", "clone", "-q", "--branch", self.described.branch, str(self.origin), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        (share / "workspace").symlink_to(f"/share/source/{self.described.repoDir}")
        for path in [source, *source.rglob("*")]:
            os.chown(path, 1000, 1000)
        names = [mount.name for mount in self.described.container.volumeMounts]
        self.places = [Mount(share, "/share")]
        for mount in self.described.container.volumeMounts:
            self.places.append(Mount(writable(self.folder / mount.name), mount.mountPath))
        assert sorted(names) == sorted(volume.name for volume in self.described.volumes)

    @property
    def environment(self) -> dict:
        given = {"PULUMI_BACKEND_URL": self.described.backend + self.endpoint, "PULUMI_ENV": "/share/.env"}
        for name, reference in self.described.envRefs.items():
            given[name] = self.secrets[reference.secret.name][reference.secret.key]
        return given | self.outside

    def agent(self) -> dict:
        """What the operator's agent does in the workspace's container, by the same library in another language."""
        one = self.described
        given = {"stack": one.stack, "config": one.config, "refresh": one.refresh}
        said = fine(
            self.image, "python", "-c", AGENT, json.dumps(given), environment=self.environment, places=self.places,
            sealed=one.container.securityContext.readOnlyRootFilesystem, folder="/share/workspace",
        )  # fmt: skip
        return json.loads(said.splitlines()[-1])


AGENT = """\
import json, sys
from pulumi import automation as auto
given = json.loads(sys.argv[1])
workspace = auto.LocalWorkspace(work_dir="/share/workspace")
workspace.install()
try:
    stack = auto.Stack.select(given["stack"], workspace)
except auto.StackNotFoundError:
    workspace.pulumi_command.run(["stack", "init", given["stack"]], workspace.work_dir, {})
    stack = auto.Stack.select(given["stack"], workspace)
stack.set_all_config({name: auto.ConfigValue(value) for name, value in given["config"].items()}, path=True)
done = stack.up(refresh=given["refresh"], on_output=lambda line: None)
print(json.dumps({
    "version": workspace.pulumi_version, "changes": done.summary.resource_changes, "said": done.stdout + done.stderr,
}))
"""


def test_what_the_operator_runs_finds_everything_in_the_image(image: Root, tmp_path: Path) -> None:
    stack = described(REPOSITORY / "deploy" / "kubernetes" / "stack.yaml")
    origin, work = tmp_path / "machines.git", tmp_path / "checkout"

    def git(*words: str, at: Path = work) -> None:
        name = ("-c", "user.name=dev", "-c", "user.email=dev@example.org")
        subprocess.run(["git", *name, *words], cwd=at, check=True, capture_output=True)

    def commit(text: str) -> None:
        (work / stack.repoDir / "stack.yaml").write_text(text)
        git("add", "-A")
        git("commit", "-q", "-m", "machines")
        git("push", "-q", "origin", f"HEAD:{stack.branch}")

    git("init", "-q", "--bare", "-b", stack.branch, str(origin), at=tmp_path)
    git("clone", "-q", str(origin), str(work), at=tmp_path)
    (work / stack.repoDir).mkdir(parents=True)
    (work / stack.repoDir / "Pulumi.yaml").write_text("name: web\nruntime: provision\n")

    with bucket(tmp_path) as backend:
        url = re.search(r"endpoint=([^&]+)", backend.url)[1]
        outside = dict(backend.env) | {"AWS_ENDPOINT_URL": url}
        endpoint = f"&endpoint={url}&s3ForcePathStyle=true"
        stack = stack.with_backend("s3://state?region=eu-central-1")
        secrets = {"provision-web-dev": {"passphrase": "correct horse"}}

        def run(name: str) -> dict:
            folder = tmp_path / name
            folder.mkdir()
            folder.chmod(0o755)
            pod = Pod(image, stack, origin, folder, secrets, endpoint, outside)
            pod.start()
            return pod.agent()

        commit(SHOP)
        first = run("pod-1")
        assert first["version"] == ENGINE_VERSION
        assert set(first["changes"]) == {"create"}
        assert "$PATH" not in first["said"], first["said"]  # a warning about where plugins were found
        assert "plugin provision" not in first["said"], first["said"]  # one that is being installed
        commit(SHOP.replace("tcp/443", "tcp/443, tcp/80"))
        second = run("pod-2")  # the first workspace is gone, the state is not
        assert second["changes"] == {"create": 1, "same": first["changes"]["create"]}, second["said"]
        assert "correct horse" not in json.dumps([first, second])
