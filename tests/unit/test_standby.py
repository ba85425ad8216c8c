"""Plugins that wait for the engine: who gets them, and that none outlives what it is for."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from plugins_on_path import GOOD, install

from provision.host.project import Project
from provision.host.protocol import language_pb2, language_pb2_grpc, provider_pb2, provider_pb2_grpc
from provision.host.setup import PluginExecutable, install_shims
from provision.host.standby import GIVEN, LANGUAGE, VARIABLE, resource
from provision.host.standby.expecting import expected_plugins
from provision.host.standby.starting import Expected, standing_by

HOST = PluginExecutable("language", "provision", "1.0.0", "provision.host.language")
MEMORY = PluginExecutable("resource", "provision-memory", "1.0.0", "provision.host.plugin", ("memory",))


@pytest.fixture
def home(tmp_path):
    """A Pulumi home with the shims of the language host and of the in-memory platform."""
    home = tmp_path / "home"
    install_shims(home, [HOST, MEMORY])
    return home


@pytest.fixture
def environment(home):
    clean = {key: value for key, value in os.environ.items() if key not in (VARIABLE, GIVEN)}
    return clean | {"PULUMI_HOME": str(home)}


@contextmanager
def shim(executable, environment, cwd, *words):
    """A shim, started as the engine does it, and the port that it prints."""
    file = Path(environment["PULUMI_HOME"], "plugins", executable.folder_name, executable.file_name)
    started = subprocess.Popen(
        [file, *words], cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0,
    )  # fmt: skip
    try:
        yield started, int(started.stdout.readline())
    finally:
        started.kill()
        started.communicate()


def noted(known, name):
    """The process that waits under a name."""
    return int(Path(known[VARIABLE], name).read_text().split()[0])


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def provider(port):
    return provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def language(port):
    return language_pb2_grpc.LanguageRuntimeStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def runs_python(process):
    """Whether a shim has become the plugin itself."""
    return b"provision.host" in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_the_first_shim_gets_what_waits_and_a_second_one_starts_the_plugin_itself(environment, tmp_path):
    with standing_by(Expected(False, ("memory",)), tmp_path, environment) as known:
        first, second = noted(known, LANGUAGE), 0
        env = environment | known
        with shim(MEMORY, env, tmp_path, "127.0.0.1:1") as (one, port):
            assert not runs_python(one)
            until(lambda: noted(known, resource("memory")) != first, "the plugin is a fork")
            second = noted(known, resource("memory"))
            assert provider(port).GetPluginInfo(empty_pb2.Empty(), timeout=30).version
            with shim(MEMORY, env, tmp_path, "127.0.0.1:1") as (other, its_port):
                assert runs_python(other)
                assert its_port != port
                assert provider(its_port).GetPluginInfo(empty_pb2.Empty(), timeout=30).version
            provider(port).Cancel(empty_pb2.Empty(), timeout=30)
            os.killpg(one.pid, signal.SIGINT)  # as the engine ends plugins; it then waits for the end of their streams
            assert one.communicate(timeout=60) == ("", "")
            until(lambda: not lives(second), "the plugin outlived its shim")
        assert lives(first)
    assert not lives(first)
    assert not Path(known[VARIABLE]).exists()


def test_one_language_host_answers_until_it_has_run_a_stack_file(environment, tmp_path):
    with standing_by(Expected(True), tmp_path, environment) as known:
        waiting = noted(known, LANGUAGE)
        for _ in range(2):
            with shim(HOST, environment | known, tmp_path, "127.0.0.1:1") as (one, port):
                assert not runs_python(one)
                assert language(port).About(language_pb2.AboutRequest(), timeout=30).executable == sys.executable
                language(port).Cancel(empty_pb2.Empty(), timeout=30)
                assert one.communicate(timeout=60) == ("", "")
                assert one.returncode == 0
        assert noted(known, LANGUAGE) == waiting
        with shim(HOST, environment | known, tmp_path, "127.0.0.1:1") as (one, port):
            run = language_pb2.RunRequest(monitor_address="127.0.0.1:1", pwd=str(tmp_path), project="shop", stack="dev")
            assert language(port).Run(run, timeout=60).bail, "there is no stack file, and no engine"
            language(port).Cancel(empty_pb2.Empty(), timeout=30)
            one.communicate(timeout=60)
        until(lambda: not lives(waiting), "a host that has run a file is not used again")
        with shim(HOST, environment | known, tmp_path, "127.0.0.1:1") as (one, _):
            assert runs_python(one)


def test_what_the_engine_gave_its_shim_holds_for_what_waited(environment, tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    with (
        standing_by(Expected(False, ("memory",)), tmp_path, environment | {"MEMORY_ZONE": "b"}) as known,
        shim(MEMORY, environment | known | {"MEMORY_ZONE": "c"}, folder, "-v=9", "127.0.0.1:1") as (one, port),
    ):
        until(lambda: noted(known, resource("memory")) != noted(known, LANGUAGE), "the plugin is a fork")
        plugin = noted(known, resource("memory"))
        assert os.readlink(f"/proc/{plugin}/cwd") == str(folder)
        for stream in ("1", "2"):  # what is printed is for the engine to show: the first one says the port alone
            assert os.readlink(f"/proc/{plugin}/fd/{stream}") == os.readlink(f"/proc/{one.pid}/fd/2")
        kind = "provision-memory:network:Gateway"
        asked = provider_pb2.CheckRequest(urn=f"urn:pulumi:dev::shop::{kind}::gate", type=kind)
        asked.news.update({"name": "gate", "stackId": "s"})
        assert provider(port).Check(asked, timeout=30).inputs["zone"] == "c"


def test_a_process_that_is_gone_is_not_waited_for(environment, tmp_path):
    with standing_by(Expected(False, ("memory",)), tmp_path, environment) as known:
        waiting = noted(known, LANGUAGE)
        os.kill(waiting, signal.SIGKILL)
        until(lambda: not lives(waiting), "it was killed")
        with shim(HOST, environment | known, tmp_path, "127.0.0.1:1") as (one, port):
            assert runs_python(one)
            assert language(port).GetPluginInfo(empty_pb2.Empty(), timeout=30).version


def test_nothing_outlives_a_command_that_is_killed_nor_an_engine_that_is(environment, tmp_path):
    code = """
        import os, sys, time
        from pathlib import Path
        from provision.host.standby import VARIABLE
        from provision.host.standby.starting import Expected, standing_by
        with standing_by(Expected(False, ("memory",)), Path.cwd(), os.environ) as known:
            print(known[VARIABLE], flush=True)
            time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as command:
        known = {VARIABLE: command.stdout.readline().strip()}
        waiting = noted(known, LANGUAGE)
        until(lambda: noted(known, resource("memory")) != waiting, "the plugin is a fork")
        plugin = noted(known, resource("memory"))
        file = Path(environment["PULUMI_HOME"], "plugins", MEMORY.folder_name, MEMORY.file_name)
        engine = subprocess.Popen(
            ["sh", "-c", f"'{file}' 127.0.0.1:1 & echo $!; wait"],
            cwd=tmp_path, env=environment | known, stdout=subprocess.PIPE, text=True, process_group=0,
        )  # fmt: skip
        its_shim, _ = int(engine.stdout.readline()), int(engine.stdout.readline())
        command.kill()
    until(lambda: not lives(waiting), "what nobody had taken outlived the command")
    until(lambda: not Path(known[VARIABLE]).exists(), "the folder of the notes outlived the command")
    assert lives(plugin), "what the engine uses is the engine's"
    engine.kill()
    until(lambda: not lives(plugin), "the plugin outlived the engine")
    until(lambda: not lives(its_shim), "the shim outlived the plugin")
    engine.communicate()


@pytest.mark.parametrize("odd", ["told not to", "another interpreter", "an old shim", "no shim"])
def test_nothing_is_started_that_no_shim_would_hand_over_to(environment, home, tmp_path, odd):
    file = home / "plugins" / HOST.folder_name / HOST.file_name
    if odd == "told not to":
        environment = environment | {VARIABLE: "no"}
    elif odd == "another interpreter":
        install_shims(home, [HOST], Path("/nowhere/python"))
    elif odd == "an old shim":
        file.write_text(file.read_text().replace(VARIABLE, "OTHER"))
    else:
        file.unlink()
    with standing_by(Expected(True, ("memory",)), tmp_path, environment) as known:
        assert known == {VARIABLE: "no" if odd == "told not to" else ""}


def test_a_plugin_that_cannot_be_loaded_is_left_to_its_shim_which_tells_why(environment, home, tmp_path):
    broken = PluginExecutable("resource", "provision-memroy", "1.0.0", "provision.host.plugin", ("memroy",))
    install_shims(home, [broken])
    with standing_by(Expected(False, ("memroy",)), tmp_path, environment) as known:
        file = home / "plugins" / broken.folder_name / broken.file_name
        said = subprocess.run(
            [file, "127.0.0.1:1"], env=environment | known, capture_output=True, text=True, timeout=60, check=False
        )
    assert (said.returncode, said.stdout) == (1, "")
    assert "did you mean 'memory'?" in said.stderr


EAGER = (
    GOOD
    + """
    def preload(self):
        import os
        file = os.open(os.environ["LOADED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, b"loaded ")
        raise RuntimeError("not today")
"""
)


def test_what_a_plugin_needs_later_is_loaded_while_nobody_waits_and_may_fail(environment, home, tmp_path):
    install(tmp_path / "path", "eager", EAGER)
    eager = PluginExecutable("resource", "provision-eager", "1.0.0", "provision.host.plugin", ("eager",))
    install_shims(home, [HOST, eager])
    loaded = tmp_path / "loaded"
    environment |= {"PYTHONPATH": os.pathsep.join([str(tmp_path / "path"), *sys.path]), "LOADED": str(loaded)}

    with standing_by(Expected(True, ("eager",)), tmp_path, environment) as known:
        both = "loaded " * 2  # by the language host, which asks the platform, and by the plugin
        until(lambda: loaded.exists() and loaded.read_text() == both, "the plugin is not loaded early")
        with shim(eager, environment | known, tmp_path, "127.0.0.1:1") as (started, port):
            assert provider(port).GetPluginInfo(empty_pb2.Empty(), timeout=60).version == "1.2.3"
            assert not runs_python(started)
        with shim(HOST, environment | known, tmp_path, "127.0.0.1:1") as (started, port):
            assert language(port).GetPluginInfo(empty_pb2.Empty(), timeout=60).version
            assert not runs_python(started)


FILE = "version: 1\nplatform: aws\nlocations:\n  a: {platform: libvirt}\n  b:\n    platform: 'other'\n"


@pytest.mark.parametrize(
    ("command", "files", "expected"),
    [
        ("up", {}, Expected(True)),
        ("up", {"stack.yaml": FILE}, Expected(True, ("aws", "libvirt", "other"))),
        ("preview", {"stack.yaml": 'platform: "aws" # there\n'}, Expected(True, ("aws",))),
        ("up", {"stack.yaml": "platform: aws\n", "stack.dev.yaml": "platform: b\n"}, Expected(True, ("b",))),
        (
            "up",
            {"stack.yaml": "platform: aws\n", "Pulumi.dev.yaml": "config:\n  provision:platform: libvirt\n"},
            Expected(True, ("libvirt",)),
        ),
        ("up", {"stack.yaml": "platform: ${param.platform}\n"}, Expected(True)),
        ("up", {"stack.yaml": "# platform: aws\nx-platform: aws\n"}, Expected(True)),
        ("destroy", {"stack.yaml": FILE}, Expected(False)),
        (
            "refresh",
            {".pulumi/stacks/shop/dev.json": '{"type": "pulumi:providers:provision-aws", "a": "provision-b:c:D"}'},
            Expected(False, ("aws",)),
        ),
    ],
)
def test_what_a_run_will_ask_for_is_guessed_from_the_text_of_its_files(tmp_path, command, files, expected):
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    project = Project(tmp_path, "shop", "provision", backend=False, config_directory=tmp_path)
    assert expected_plugins(project, "dev", f"file://{tmp_path}", command) == expected
