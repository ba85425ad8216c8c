"""The language host's process, spoken to as the engine does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2

from provision.host.protocol import language_pb2, language_pb2_grpc


@pytest.fixture
def process():
    started = subprocess.Popen(
        [sys.executable, "-m", "provision.host.language", "--logtostderr", "-v=9", "--tracing", "x", "127.0.0.1:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield started
    started.kill()
    started.communicate()


def connect(process):
    return language_pb2_grpc.LanguageRuntimeStub(grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}"))


def test_it_answers_what_the_engine_asks_before_a_run(process):
    host = connect(process)
    assert host.GetPluginInfo(empty_pb2.Empty(), timeout=10).version
    assert host.About(language_pb2.AboutRequest(), timeout=10).executable == sys.executable
    assert not host.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest(), timeout=10).packages
    assert list(host.InstallDependencies(language_pb2.InstallDependenciesRequest(), timeout=10)) == []
    assert not host.RuntimeOptionsPrompts(language_pb2.RuntimeOptionsRequest(), timeout=10).prompts


def test_interrupts_are_quiet_from_the_first_moment_and_cancel_ends_it(process):
    host = connect(process)
    os.killpg(process.pid, signal.SIGINT)
    assert host.GetPluginInfo(empty_pb2.Empty(), timeout=10).version
    host.Cancel(empty_pb2.Empty(), timeout=10)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""


def test_it_ends_when_the_engine_is_gone():
    engine = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "host = subprocess.Popen([sys.executable, '-m', 'provision.host.language', 'x'], stdout=subprocess.PIPE)\n"
            "print(host.pid, int(host.stdout.readline()), flush=True)\n"
            "time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(engine.stdout.readline().split()[0])
    engine.kill()
    engine.communicate()
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            break
        if state == "Z":
            break
        time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the host outlived its engine")


def test_nothing_heavy_is_imported_before_a_run():
    code = "import sys, provision.host.language.server; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pulumi", "yaml", "pydantic", "provision.models", "provision.loader"} & set(loaded)
