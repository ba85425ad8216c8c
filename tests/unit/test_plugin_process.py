"""The plugin process as the engine sees it, and the protocol's stubs without the SDK."""

import asyncio
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2

from provision.host.plugin.process import engine_address
from provision.host.protocol import provider_pb2, provider_pb2_grpc
from provision.testing import Lifecycle, MemoryProvider, OperationFailed

COMMAND = [sys.executable, "-m", "provision.host.plugin", "memory"]


@pytest.fixture
def plugin() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 30)
    assert readable, "no port within 30 seconds"
    yield process, int(process.stdout.readline())
    process.kill()
    process.wait()


def stub(port: int) -> provider_pb2_grpc.ResourceProviderStub:
    return provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def test_it_prints_its_port_alone_answers_and_ends_after_cancel_and_interrupt(
    plugin: tuple["subprocess.Popen[str]", int],
) -> None:
    process, port = plugin
    provider = stub(port)
    answer = provider.Handshake(provider_pb2.ProviderHandshakeRequest())
    assert answer.accept_secrets
    assert answer.accept_resources
    assert answer.accept_outputs
    assert provider.GetPluginInfo(empty_pb2.Empty()).version == "0.1.0"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "an interrupt of the terminal is not the engine's"
    provider.Cancel(empty_pb2.Empty())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""
    assert "Traceback" not in err


def test_the_harness_drives_a_process_that_runs_already(plugin: tuple["subprocess.Popen[str]", int]) -> None:
    process, port = plugin
    seen: list[str] = []

    async def go() -> None:
        async with Lifecycle(MemoryProvider, port=port, watch=lambda method, answer: seen.append(method)) as platform:
            inputs = await platform.check("compute:Volume", {"stackId": "s", "name": "data"})
            made = await platform.create("compute:Volume", inputs)
            assert [item.id for item in await platform.list("compute:Volume")] == [made.id]
            with pytest.raises(OperationFailed):
                await platform.invoke("compute:findVolume", {"name": "other"})

    asyncio.run(go())
    assert seen == ["Handshake", "Configure", "Check", "Create", "List", "Invoke"]
    assert process.poll() is None


def test_an_interrupt_at_any_moment_of_the_start_leaves_no_traceback() -> None:
    for delay in (0.0, 0.1, 0.25):
        process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not _ignores_interrupts(process.pid):  # Python itself begins by taking them for a reason to end
            assert time.monotonic() < deadline, "interrupts are never ignored"
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        assert process.poll() is None
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err


def _ignores_interrupts(pid: int) -> bool:
    """Whether a process ignores SIGINT (proc(5), SigIgn), or has a handler of its event loop for it by now."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    ignored = int(lines["SigIgn"], 16) >> (signal.SIGINT - 1) & 1
    return bool(ignored) or "grpc" in Path(f"/proc/{pid}/maps").read_text()


def test_it_ends_when_the_engine_has_died() -> None:
    code = (
        f"import subprocess, time; p = subprocess.Popen({[*COMMAND, '127.0.0.1:1']!r}); "
        "print(p.pid, flush=True); time.sleep(60)"
    )
    engine = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    pid = int(engine.stdout.readline())
    engine.stdout.readline()  # the port, so that it watches
    engine.kill()
    engine.wait()
    deadline = time.monotonic() + 15
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < deadline, "the plugin outlived its engine"
        time.sleep(0.1)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_an_unknown_plugin_is_said_without_a_traceback() -> None:
    done = subprocess.run([*COMMAND[:-1], "memroy"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "did you mean 'memory'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["127.0.0.1:5"], "127.0.0.1:5"),
        (["--logtostderr", "-v=9", "--tracing", "http://x", "127.0.0.1:5"], "127.0.0.1:5"),
        ([], ""),
    ],
)
def test_the_engines_address_is_found_among_its_options(arguments: list[str], address: str) -> None:
    assert engine_address(arguments) == address


@pytest.mark.parametrize("first", ["pulumi", "provision.host.protocol"])
def test_the_stubs_and_the_sdk_live_in_one_process_in_either_order(first: str) -> None:
    second = "provision.host.protocol" if first == "pulumi" else "pulumi"
    code = f"""
import sys
import {first}
from provision.host.protocol import provider_pb2, engine_pb2_grpc, language_pb2
{"assert 'pulumi' not in sys.modules" if first != "pulumi" else ""}
import {second}, pulumi, pulumi.automation
from pulumi.runtime.proto import provider_pb2 as own
assert pulumi.runtime.proto.provider_pb2.CheckRequest is provider_pb2.CheckRequest is own.CheckRequest
assert callable(pulumi.export) and callable(pulumi.automation.create_stack)
from provision.host.protocol import callback_pb2
assert callback_pb2.Callback is __import__("pulumi.runtime.proto.callback_pb2", fromlist=["x"]).Callback
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_start_does_not_pay_for_the_sdk() -> None:
    code = "import sys, provision.host.plugin.process; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = done.stdout.split()
    assert "provision.host.plugin.servicer" in loaded
    assert not [name for name in loaded if name.split(".")[0] in ("pulumi", "dill", "debugpy", "opentelemetry")]
    assert not [name for name in loaded if name.startswith(("provision.loader", "provision.translate"))]
