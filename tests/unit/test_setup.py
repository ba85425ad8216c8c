import os
import subprocess
import sys
import sysconfig
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from provision.errors import EnvironmentProblem, PluginError
from provision.host import setup
from provision.host.engine import engine_environment, find_engine
from provision.host.setup import MARKER, PluginExecutable, install_shims, plugin_executables, semantic_version

LANGUAGE = PluginExecutable("language", "provision", "1.2.3", "provision.host.language")
RESOURCE = PluginExecutable("resource", "provision-cloud", "1.2.3", "provision.host.plugin", ("cloud",))
BOTH = (LANGUAGE, RESOURCE)


def shims(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home / "plugins")) for path in (home / "plugins").rglob("*") if path.is_file())


def snapshot(home: Path) -> dict[str, tuple[int, int, str]]:
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_text())
        for path in home.rglob("*")
        if path.is_file()
    }


def test_shims_lie_where_the_engine_looks_and_a_second_set_up_touches_nothing(tmp_path: Path) -> None:
    report = install_shims(tmp_path, BOTH)
    assert shims(tmp_path) == [
        "language-provision-v1.2.3/pulumi-language-provision",
        "resource-provision-cloud-v1.2.3/pulumi-resource-provision-cloud",
    ]
    assert report.changed
    assert [path.name for path in report.installed] == ["pulumi-language-provision", "pulumi-resource-provision-cloud"]
    assert sorted(path.name for path in (tmp_path / "plugins").iterdir()) == [
        "language-provision-v1.2.3",
        "resource-provision-cloud-v1.2.3",
    ]
    before = snapshot(tmp_path)
    again = install_shims(tmp_path, BOTH)
    assert not again.changed
    assert again.unchanged == report.installed
    assert snapshot(tmp_path) == before


def test_a_shim_starts_the_module_with_the_engines_arguments_and_never_from_the_project(tmp_path: Path) -> None:
    python = tmp_path / "a place with 'quotes' $HOME" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nfor part in "$@"; do echo "<$part>"; done\n')
    python.chmod(0o755)
    (shim,) = install_shims(tmp_path, [RESOURCE], python).installed
    answer = subprocess.run([shim, "--logtostderr", "127.0.0.1:1 x"], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [
        "<-P>", "<-m>", "<provision.host.plugin>", "<cloud>", "<--logtostderr>", "<127.0.0.1:1 x>",
    ]  # fmt: skip


def test_a_module_in_the_project_is_not_run_instead(tmp_path: Path) -> None:
    executable = PluginExecutable("language", "provision", "1.0.0", "json.tool", ("--help",))
    (tmp_path / "json.py").write_text("raise SystemExit('the project took over')")
    (shim,) = install_shims(tmp_path / "home", [executable]).installed
    answer = subprocess.run([shim], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_an_environment_that_is_gone_is_said_plainly(tmp_path: Path) -> None:
    (shim,) = install_shims(tmp_path, [LANGUAGE], Path("/nowhere/bin/python")).installed
    answer = subprocess.run([shim], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr == ("/nowhere/bin/python is gone: run `provision setup` in the environment that replaces it\n")


def test_another_interpreter_replaces_the_shim(tmp_path: Path) -> None:
    install_shims(tmp_path, BOTH, Path("/old/bin/python"))
    report = install_shims(tmp_path, BOTH, Path("/new/bin/python"))
    assert len(report.installed) == 2
    assert all("/new/bin/python" in path.read_text() and "/old" not in path.read_text() for path in report.installed)


def test_another_version_replaces_ours_in_either_direction(tmp_path: Path) -> None:
    newer = PluginExecutable("language", "provision", "2.0.0", LANGUAGE.module)
    (old,) = install_shims(tmp_path, [LANGUAGE]).installed
    (tmp_path / "plugins" / f"{LANGUAGE.folder_name}.lastused").touch()
    assert install_shims(tmp_path, [newer]).removed == (old,)
    assert shims(tmp_path) == ["language-provision-v2.0.0/pulumi-language-provision"]
    install_shims(tmp_path, [LANGUAGE])
    assert shims(tmp_path) == ["language-provision-v1.2.3/pulumi-language-provision"]


def test_a_provider_that_is_uninstalled_goes_and_one_of_another_environment_stays(tmp_path: Path) -> None:
    other = PluginExecutable("resource", "provision-other", "1.0.0", "provision.host.plugin", ("other",))
    install_shims(tmp_path, [other], Path("/another/bin/python"))
    install_shims(tmp_path, BOTH, Path("/mine/bin/python"))
    report = install_shims(tmp_path, [LANGUAGE], Path("/mine/bin/python"))
    assert [path.name for path in report.removed] == ["pulumi-resource-provision-cloud"]
    assert shims(tmp_path) == [
        "language-provision-v1.2.3/pulumi-language-provision",
        "resource-provision-other-v1.0.0/pulumi-resource-provision-other",
    ]


@pytest.mark.parametrize("kind", ["file", "empty folder", "folder", "link", "binary"])
def test_something_foreign_in_the_place_of_a_shim_is_never_touched(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "plugins" / RESOURCE.folder_name
    shim = folder / RESOURCE.file_name
    if kind == "file":
        folder.parent.mkdir()
        folder.write_text("theirs")
    else:
        folder.mkdir(parents=True)
    if kind == "folder":
        shim.write_text("#!/bin/sh\n# theirs\n")
    elif kind == "binary":
        shim.write_bytes(b"\x7fELF\xff\xfe")
    elif kind == "link":
        ours = tmp_path / "elsewhere"
        ours.write_text(f"#!/bin/sh\n{MARKER}\n")
        shim.symlink_to(ours)
    with pytest.raises(EnvironmentProblem, match="is in the way of our plugin"):
        install_shims(tmp_path, BOTH)
    assert not (tmp_path / "plugins" / LANGUAGE.folder_name).exists()
    expected = {"file": [RESOURCE.folder_name], "empty folder": []}.get(kind, [f"{RESOURCE.folder_name}/{shim.name}"])
    assert shims(tmp_path) == expected


def test_foreign_plugins_of_other_versions_stay_and_are_reported(tmp_path: Path) -> None:
    theirs = tmp_path / "plugins" / "language-provision-v9.0.0" / "pulumi-language-provision"
    unrelated = tmp_path / "plugins" / "resource-aws-v6.0.0" / "pulumi-resource-aws"
    for path in (theirs, unrelated):
        path.parent.mkdir(parents=True)
        path.write_text("theirs")
    report = install_shims(tmp_path, BOTH)
    assert report.foreign == (theirs,)
    assert report.removed == ()
    assert theirs.read_text() == unrelated.read_text() == "theirs"


def test_a_file_beside_an_old_shim_survives_its_removal(tmp_path: Path) -> None:
    (old,) = install_shims(tmp_path, [LANGUAGE]).installed
    (old.parent / "notes").write_text("theirs")
    install_shims(tmp_path, [PluginExecutable("language", "provision", "2.0.0", LANGUAGE.module)])
    assert not old.exists()
    assert (old.parent / "notes").read_text() == "theirs"


def test_a_mark_of_a_broken_installation_no_longer_hides_the_shim(tmp_path: Path) -> None:
    install_shims(tmp_path, BOTH)
    partial = tmp_path / "plugins" / f"{LANGUAGE.folder_name}.partial"
    partial.touch()
    install_shims(tmp_path, BOTH)
    assert not partial.exists()


def test_a_home_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "plugins").write_text("a file where a folder should be")
    with pytest.raises(EnvironmentProblem, match="cannot be put into"):
        install_shims(tmp_path, BOTH)


# --- what is installed ---


class Distribution:
    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version


def offer(monkeypatch: pytest.MonkeyPatch, *offers: tuple[str, str, str]) -> None:
    points = []
    for provider, distribution, version in offers:
        point = EntryPoint(provider, "no_such_module:Provider", setup.PROVIDER_GROUP)
        vars(point)["dist"] = Distribution(distribution, version)
        points.append(point)
    monkeypatch.setattr(setup, "entry_points", lambda *, group: points if group == setup.PROVIDER_GROUP else [])


def test_providers_are_found_by_name_without_importing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("sky", "provision-sky", "2.0rc1"), ("earth", "provision-earth", "0.3"))
    language, component, *providers = plugin_executables()
    assert (language.kind, language.name, language.module) == ("language", "provision", "provision.host.language")
    assert (component.kind, component.name, component.module) == ("resource", "provision", "provision.host.component")
    assert providers == [
        PluginExecutable("resource", "provision-earth", "0.3.0", "provision.host.plugin", ("earth",)),
        PluginExecutable("resource", "provision-sky", "2.0.0-rc.1", "provision.host.plugin", ("sky",)),
    ]


@pytest.mark.parametrize("name", ["../evil", "Sky", "sky fi", "", "-sky", "sky_fi"])
def test_a_name_that_cannot_be_a_plugins_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    offer(monkeypatch, (name, "provision-sky", "1.0"))
    with pytest.raises(PluginError, match="provision-sky calls its provider"):
        plugin_executables()


def test_two_distributions_with_one_provider_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("sky", "provision-sky", "1.0"), ("sky", "sky-high", "1.0"))
    with pytest.raises(PluginError, match="provision-sky and sky-high both call their provider 'sky'"):
        plugin_executables()


@pytest.mark.parametrize(
    ("python", "semantic"),
    [
        ("0.1.0", "0.1.0"),
        ("1.2", "1.2.0"),
        ("1.2.3.4", "1.2.3"),
        ("0.2.0.dev3+g12ab", "0.2.0-dev.3"),
        ("1.0a1.dev2", "1.0.0-a.1.dev.2"),
        ("1.0.post1", "1.0.0"),
        ("2024.05.01", "2024.5.1"),
        ("nonsense", "0.0.0"),
    ],
)
def test_python_versions_become_semantic_ones(python: str, semantic: str) -> None:
    assert semantic_version(python) == semantic


# --- the real engine ---

HOST = """
import signal, sys
from concurrent import futures
import grpc
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2, resource_pb2, resource_pb2_grpc

class Host(language_pb2_grpc.LanguageRuntimeServicer):
    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.2.3")
    def Run(self, request, context):
        monitor = resource_pb2_grpc.ResourceMonitorStub(grpc.insecure_channel(request.monitor_address))
        monitor.RegisterResource(resource_pb2.RegisterResourceRequest(
            type="pulumi:pulumi:Stack", name="shown-by-the-shim", object=struct_pb2.Struct()))
        return language_pb2.RunResponse()

server = grpc.server(futures.ThreadPoolExecutor(4))
signal.signal(signal.SIGINT, lambda *_: server.stop(0))
language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


@pytest.mark.engine
def test_the_real_engine_lists_the_shims_and_runs_the_language_host_without_a_warning(tmp_path: Path) -> None:
    engine = find_engine()
    assert engine is not None, "this test needs the Pulumi engine: run `provision setup` first"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "host_of_this_test.py").write_text(HOST)
    (tmp_path / "state").mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: shown\nruntime: provision\n")
    home = tmp_path / "home"
    language = PluginExecutable("language", "provision", "1.2.3", "host_of_this_test")
    install_shims(home, [language, RESOURCE])
    env = engine_environment(
        {
            "PATH": f"{sysconfig.get_path('scripts')}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "of-this-test",
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "modules"), *sys.path]),
        },
        engine.path,
    )

    def run(*arguments: str) -> str:
        answer = subprocess.run(
            [engine.path, *arguments, "--non-interactive", "--color=never"],
            cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stdout
        return answer.stdout

    listed = run("plugin", "ls").splitlines()
    assert [line.split()[:3] for line in listed[1:3]] == [
        ["provision", "language", "1.2.3"],
        ["provision-cloud", "resource", "1.2.3"],
    ]
    run("stack", "init", "dev")
    for command in (("preview",), ("up", "--yes"), ("refresh", "--yes"), ("destroy", "--yes")):
        said = run(*command)
        assert "shown-by-the-shim" in said
        assert "warning" not in said.lower()
        assert "Traceback" not in said
