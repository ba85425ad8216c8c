"""What is taken from the engine's events, and how it is interrupted."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from provision.host.events import Message, PropertyChange, stack_outputs, translate

SIGNATURE = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
URN = "urn:pulumi:dev::shop::provision-memory:compute:Server::machines/web/server"


def step(detailed, old, new):
    state = {"type": "t", "urn": URN, "id": "1", "parent": "", "provider": ""}
    metadata = {
        "op": "update",
        "urn": URN,
        "type": "t",
        "provider": "",
        "detailedDiff": {path: {"diffKind": kind, "inputDiff": True} for path, kind in detailed.items()},
        "old": {**state, "inputs": old},
        "new": {**state, "inputs": new},
    }
    (found,) = translate({"sequence": 1, "timestamp": 1, "resOutputsEvent": {"metadata": metadata}})
    return found


def test_why_a_plugin_chose_something_is_told_of_what_is_to_be_made():
    state = {"type": "t", "urn": URN, "id": "", "parent": "", "provider": ""}
    told = {"typeReason": "small is the smallest", "imageReason": SIGNATURE, "reason": "mine", "type": "small"}
    metadata = {"op": "create", "urn": URN, "type": "t", "provider": "", "new": {**state, "inputs": told}}
    (found,) = translate({"sequence": 1, "timestamp": 1, "resOutputsEvent": {"metadata": metadata}})
    assert found.changes == (PropertyChange("typeReason", "small is the smallest"),)


def outputs_told(kind, outputs):
    state = {"type": kind, "urn": URN, "id": "", "parent": "", "provider": "", "inputs": {}, "outputs": outputs}
    metadata = {"op": "same", "urn": URN, "type": kind, "provider": "", "old": state, "new": state}
    event = {"sequence": 1, "timestamp": 1, "resOutputsEvent": {"metadata": metadata}}
    return stack_outputs(event)


def test_outputs_of_the_stack_are_taken_from_the_events_of_the_run_and_secrets_never():
    nested = {"users": [{"name": "root", "password": SIGNATURE}]}
    assert outputs_told("pulumi:pulumi:Stack", {"address": "10.0.0.1", "key": SIGNATURE, **nested}) == {
        "address": "10.0.0.1",
        "key": "[secret]",
        "users": [{"name": "root", "password": "[secret]"}],
    }
    assert outputs_told("pulumi:pulumi:Stack", {}) == {}
    assert outputs_told("provision:index:Stack", {"platform": "memory"}) is None
    told = {"sequence": 1, "timestamp": 1, "diagnosticEvent": {"message": "", "severity": "info", "color": "never"}}
    assert stack_outputs(told) is None


def diagnostic(message, severity="error", urn=""):
    said = {"message": message, "severity": severity, "color": "never", "urn": urn}
    return list(translate({"sequence": 1, "timestamp": 1, "diagnosticEvent": said}))


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("size", {"size": 1.0}, {"size": 2.0}, "1 → 2"),
        ("on", {"on": False}, {"on": True}, "false → true"),
        ("name", {}, {"name": "a"}, "none → a"),
        ("name", {"name": ""}, {"name": "two\nlines"}, '"" → "two\\nlines"'),
        ("name", {"name": "\x1b[31m"}, {"name": "b"}, '"\\u001b[31m" → b'),
        ("nics[1].address", {"nics": [{}, {"address": "10.0.0.1"}]}, {"nics": [{}]}, "10.0.0.1 → none"),
        ('by["web-0/front"].ip', {"by": {"web-0/front": {"ip": "a"}}}, {"by": {"web-0/front": {"ip": "b"}}}, "a → b"),
        ("id", {"id": "a"}, {"id": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}, "a → (known later)"),
        ("long", {"long": "a" * 50}, {"long": "b" * 50}, ""),
        ("nics", {"nics": [1]}, {"nics": [2]}, ""),
        ("elsewhere", {}, {}, ""),
        ("password", {"password": SIGNATURE}, {"password": "in the clear"}, "[secret]"),
        ("user.password", {"user": SIGNATURE}, {"user": {"password": "in the clear"}}, "[secret]"),
    ],
)
def test_old_and_new_values_are_said_in_words_and_secrets_never(path, old, new, words):
    (change,) = step({path: "update"}, old, new).changes
    assert change == PropertyChange(path, words)
    assert words != "[secret]" or change.value is None


def test_a_change_that_needs_a_new_object_is_marked():
    assert [c.replaces for c in step({"a": "update-replace", "b": "update"}, {}, {}).changes] == [True, False]


def test_the_engines_own_echo_and_debugging_are_left_out():
    assert diagnostic("update failed\n") == []
    assert diagnostic("preview failed") == []
    assert diagnostic("Traceback (most recent call last)", "debug") == []
    assert diagnostic("<{%fg 1%}>the update failed to start<{%reset%}>\n") == [
        Message("error", "the update failed to start")
    ]


def test_reasons_of_an_unhealthy_object_are_unwrapped():
    assert diagnostic("1 error occurred:\n\t* web did not start\nconsole\n\n", urn=URN) == [
        Message("error", "web did not start\nconsole", URN)
    ]


def test_a_refused_input_is_told_without_the_engines_notation_of_its_value():
    text = (
        "provision-aws:ec2:Instance resource 'machines/web/instance': property imageId value {<nil>\nx} has a problem: "
        "no image is called 'x'\nfix: another value x has a problem: no"
    )
    assert diagnostic(text, urn=URN) == [
        Message(
            "error",
            "machines/web/instance: imageId: no image is called 'x'\nfix: another value x has a problem: no",
            URN,
        )
    ]


DRIVER = """\
import sys, signal
from pathlib import Path
from provision.host.engine import Engine
from provision.host.process import EngineCommand
command = EngineCommand(Engine(Path(sys.argv[1]), "3.259.0", "path"))
with command.interruptible(lambda count, number: print("told", count, number.name, flush=True)):
    print("engine:", command.run(["up"], "/", {}).stdout.split(), flush=True)
"""

ENGINE = """\
#!/usr/bin/env python3
import os, signal, sys, time
got = []
def take(*_):
    got.append(1)
    open(f"{sys.argv[0]}.{len(got)}", "w").close()
signal.signal(signal.SIGINT, take)
open(sys.argv[0] + ".ready", "w").close()
end = time.monotonic() + 60
while not os.path.exists(sys.argv[0] + ".end") and time.monotonic() < end:
    time.sleep(0.02)
time.sleep(0.1)  # for one that is too many
print("interrupts", len(got))
"""


@pytest.fixture
def engine(tmp_path):
    file = tmp_path / "pulumi"
    file.write_text(ENGINE)
    file.chmod(0o755)
    return file


def wait_for(file):
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} never came"
        time.sleep(0.02)


@pytest.mark.parametrize("count", [1, 2])
def test_each_kill_reaches_the_engine_once(engine, count):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, engine], stdout=subprocess.PIPE, text=True)
    wait_for(engine.with_name("pulumi.ready"))
    for number in range(count):
        driver.send_signal(signal.SIGINT)
        wait_for(engine.with_name(f"pulumi.{number + 1}"))  # two at once would be one
    engine.with_name("pulumi.end").touch()
    said, _ = driver.communicate(timeout=60)
    assert said.splitlines() == [*(f"told {n + 1} SIGINT" for n in range(count)), f"engine: ['interrupts', '{count}']"]


def test_one_ctrl_c_of_a_terminal_reaches_the_engine_once(engine):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", DRIVER, str(engine)])
    wait_for(engine.with_name("pulumi.ready"))
    os.write(terminal, b"\x03")
    wait_for(engine.with_name("pulumi.1"))
    engine.with_name("pulumi.end").touch()
    said = b""
    try:
        while block := os.read(terminal, 1024):
            said += block
    except OSError:  # the terminal of an ended process
        pass
    assert os.waitpid(pid, 0)[1] == 0, said
    assert said.decode().split("\r\n")[-3:-1] == ["^Ctold 1 SIGINT", "engine: ['interrupts', '1']"], said
