"""Runs of the engine: its events on their way here, and how it fails."""

import json
import sys
from pathlib import Path

import pytest

from provision.host.engine import Engine
from provision.host.process import EngineCommand, EngineFailed
from provision.host.running import Runs

ENGINE = """\
#!{python} -S
import os, sys
words = sys.argv[1:]
open("words", "w").write(" ".join(words))
open("kind", "w").write(os.environ["PULUMI_AUTOMATION_API"] + os.environ["COLOUR"])
{rest}
"""
TELLING = """\
with open(words[words.index("--event-log") + 1], "w") as log:
    log.write({told!r})
"""


@pytest.fixture
def runs(tmp_path):
    """Gives runs of an engine that writes a text into its event log, or does something else."""

    def made(told=None, rest=""):
        file = tmp_path / "pulumi"
        rest = rest if told is None else TELLING.format(told=told) + rest
        file.write_text(ENGINE.format(python=sys.executable, rest=rest))
        file.chmod(0o755)
        return Runs(EngineCommand(Engine(file, "3.259.0", "path")), tmp_path, {"COLOUR": "blue"}, "dev")

    return made


def lines(*events):
    return "".join(f"{json.dumps(event)}\n" for event in events)


def test_all_events_are_told_in_order_before_the_run_returns(runs):
    wanted = [{"sequence": number, "text": "x" * 1000} for number in range(500)]  # more than a pipe holds
    found = []

    runs(lines(*wanted)).run("up", found.append)

    assert found == wanted


def test_the_engine_is_asked_as_the_automation_api_asks_it(runs, tmp_path):
    runs("").run("up", parallel=4, target=["urn:a", "urn:b"], replace=["urn:c"])

    words = Path(tmp_path, "words").read_text()
    before, log, after = words.partition(" --event-log ")
    assert before == (
        "--non-interactive up --yes --skip-preview --suppress-outputs --replace urn:c --target urn:a --target urn:b "
        "--parallel 4 --exec-kind auto.local"
    )
    assert log
    assert after.split()[1:] == ["--stack", "dev"]
    assert Path(tmp_path, "kind").read_text() == "trueblue"
    assert not Path(after.split()[0]).exists(), "the event log is gone"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("preview", "preview"),
        ("refresh", "refresh --yes --skip-preview"),
        ("preview-refresh", "refresh --preview-only"),
        ("destroy", "destroy --yes --skip-preview"),
        ("preview-destroy", "destroy --preview-only"),
    ],
)
def test_what_only_looks_never_says_yes(runs, tmp_path, command, words):
    runs("").run(command)

    assert Path(tmp_path, "words").read_text().startswith(f"--non-interactive {words} --suppress-outputs")


def test_an_engine_that_never_opens_its_log_is_not_waited_for(runs):
    found = []

    with pytest.raises(EngineFailed) as failed:
        runs(rest="print('error: no', file=sys.stderr); sys.exit(255)").run("up", found.append)

    assert (failed.value.said.code, failed.value.said.stderr, found) == (255, "error: no", [])
    assert str(failed.value) == "\n code: 255\n stdout: \n stderr: error: no"
    assert not failed.value.locked


def test_a_line_that_a_killed_engine_cut_off_is_passed_over(runs):
    found = []

    with pytest.raises(EngineFailed):
        runs(lines({"sequence": 1}) + '{"sequence": 2, "res', rest="sys.exit(1)").run("up", found.append)

    assert found == [{"sequence": 1}]


def test_a_listener_that_fails_stops_no_engine_and_is_told_of(runs):
    found = []

    def take(event):
        found.append(event)
        if len(found) == 1:
            raise LookupError("what is that?")

    with pytest.raises(LookupError, match="what is that"):
        runs(lines(*({"sequence": number, "text": "x" * 1000} for number in range(200)))).run("up", take)

    assert len(found) == 200


@pytest.mark.parametrize(
    "said",
    ["[409] Conflict: Another update is currently in progress.", "error: the stack is currently locked by 1 lock(s)"],
)
def test_a_lock_is_told_from_other_failures(runs, said):
    with pytest.raises(EngineFailed) as failed:
        runs(rest=f"print({said!r}, file=sys.stderr); sys.exit(255)").run("up")

    assert failed.value.locked
