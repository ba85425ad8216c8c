"""The commands for deployed machines, on the in-memory platform."""

import io
import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from provision.cli.deployed import Deployed
from provision.cli.machine_table import Row, rows, table
from provision.cli.main import main
from provision.cli.terminal_text import TerminalText, shown
from provision.errors import RetriableError
from provision.spi import DeployedMachine, LogPiece, MachineStatus, NativeState, RunState
from provision.testing import MemoryProvider, Store, StoredObject
from provision.testing.memory_types import MemorySession
from provision.verify.state import Assigned, DeployedLocation, DeployedStack


class Platform:
    def __init__(self):
        self.store = Store()
        self.provider = MemoryProvider()
        self.machines = {}

    def add(self, name, *, wanted="running", **properties):
        identity = f"server-{name}"
        inputs = {"cpus": 2, "memory_mib": 64, "power": wanted}
        self.store.put(StoredObject(identity, "compute:Server", name, "", {"power": "running", **properties}))
        self.machines[name] = DeployedMachine(name, (NativeState("compute:Server", name, identity, {}, inputs),))

    def set(self, name, **properties):
        found = self.store.get("compute:Server", f"server-{name}")
        self.store.put(replace(found, properties={**found.properties, **properties}))

    @property
    def deployed(self):
        stack = DeployedStack(
            "shop", "dev", "memory", machines=self.machines, assigned={"web-0/front": Assigned("02:0", "10.1.0.2")}
        )
        return Deployed(None, stack, self.provider, MemorySession(self.store, "here"))


@pytest.fixture
def platform(monkeypatch):
    platform = Platform()
    platform.add("web-0", log="first\nsecond\nthird")
    platform.add("db", wanted="stopped", power="stopped")
    monkeypatch.setattr("provision.cli.deployed.open_deployed", lambda *given, **named: nullcontext(platform.deployed))
    monkeypatch.setattr("provision.cli.commands.status._LOOK_SECONDS", 0.001)
    monkeypatch.setattr("provision.cli.commands.logs._LOOK_SECONDS", 0.001)
    return platform


@pytest.fixture
def run(capsys, platform):
    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return SimpleNamespace(code=ended.value.code, out=said.out, err=said.err)

    return run


def test_status_shows_each_machine_beside_what_it_was_given(run):
    said = run("status")
    assert (said.code, said.err) == (0, "")
    title, db, web = [line.split() for line in said.out.splitlines()]
    assert title == ["machine", "state", "addresses", "up", "cpus", "memory", "(MiB)"]
    assert web == ["web-0", "running", "10.1.0.2", "1d", "1h", "2,", "uses", "0.00", "64,", "uses", "32"]
    assert db == ["db", "stopped", "-", "-", "2", "64"]
    document = json.loads(run("status", "--format", "json").out)
    assert (document["project"], document["stack"], document["exit_code"]) == ("shop", "dev", 0)
    _, web = document["machines"]
    assert web["cpu"] == {"used": 0.0, "granted": 2, "cap": None}
    assert web["memory_mib"] == {"used": 32, "granted": 64, "cap": None}


def test_status_of_one_machine_shows_that_one(run, platform):
    platform.set("web-0", power="stopped")
    document = json.loads(run("status", "db", "--format", "json").out)
    assert [item["name"] for item in document["machines"]] == ["db"]
    assert document["exit_code"] == 0
    said = run("status", "wbe-0")
    assert (said.code, said.err) == (
        1,
        "error: there is no machine called 'wbe-0'\n  fix: did you mean 'web-0'?\n",
    )


@pytest.mark.parametrize("width", [30, 50, 62, 72, 200])
def test_status_breaks_no_word_on_a_narrow_terminal(width):
    status = MachineStatus(
        RunState.RUNNING, uptime=75, memory_mib=196, granted_cpus=2, granted_memory_mib=96, cpu_cap=0.5
    )  # fmt: skip
    found = [Row(name, status, ("10.20.2.10", "fd00:20:2:0:6dee:6718:9fcb:8156"), 0.31) for name in ("db", "web-10")]
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table(found, width))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {"db", "web-10", "running", "10.20.2.10"} <= words
    assert words & {"0.31", "0.31/2"}
    assert words & {"196", "196/96"}


def test_machines_are_shown_by_name_and_number():
    now = dict.fromkeys(("web-10", "web-2", "db"), MachineStatus(RunState.RUNNING))
    assert [row.name for row in rows(DeployedStack(), now)] == ["db", "web-2", "web-10"]


@pytest.mark.parametrize(
    ("properties", "code", "remark"),
    [
        ({"power": "stopped", "why": "it crashed"}, 1, "web-0 is stopped and should be running: it crashed; `provision power web-0 on`"),  # noqa: E501
        ({"power": "paused"}, 1, "web-0 is paused and should be running; `provision power web-0 on`"),
        ({"why": "it is shutting down"}, 0, "web-0 is running: it is shutting down"),
    ],
)  # fmt: skip
def test_status_says_why_and_exits_with_1_when_a_machine_should_run_and_does_not(
    run, platform, properties, code, remark
):
    platform.set("web-0", **properties)
    said = run("status")
    assert said.code == code
    assert remark in said.out.splitlines()


def test_a_machine_that_runs_and_should_not_is_told_but_is_no_failure(run, platform):
    platform.set("db", power="running")
    said = run("status")
    assert said.code == 0
    assert "db is running and should be stopped; `provision power db off`" in said.out


def test_a_machine_that_is_gone_fails_status_even_when_it_was_to_be_stopped(run, platform):
    platform.store.remove("server-db")
    said = run("status")
    assert said.code == 1
    assert "db is gone: somebody removed it; `provision refresh`, then `provision up` make it anew" in said.out


@pytest.fixture
def several(platform, monkeypatch, tmp_path):
    """The same stack, whose `db` is at a location that cannot be reached, and `web-0` at one that can."""
    platform.store = Store(tmp_path / "default.json")
    platform.add("web-0")
    stack = replace(
        platform.deployed.stack,
        locations={
            "default": DeployedLocation("memory", {"store": str(tmp_path / "default.json")}, frozenset({"web-0"})),
            "west": DeployedLocation("memory", {"token": "wrong"}, frozenset({"db"})),
        },
    )
    workspace = SimpleNamespace(config=dict, export=dict, stack_name="dev")
    monkeypatch.undo()
    monkeypatch.setattr("provision.cli.deployed.open_workspace", lambda *given: workspace)
    monkeypatch.setattr("provision.cli.deployed.read_state", lambda *given: stack)
    monkeypatch.setattr("provision.cli.commands.status._LOOK_SECONDS", 0.001)
    return platform


@pytest.mark.usefixtures("several")
def test_status_shows_what_can_be_reached_and_names_what_cannot(run):
    said = run("status")
    assert (said.code, said.err) == (1, "")
    _, web, away, fix = said.out.splitlines()
    assert web.split()[:2] == ["web-0", "running"]
    assert away.startswith("location 'west': the in-memory platform does not answer")
    assert away.endswith("; nothing is known of db")
    assert fix == "  fix: set provision-memory:token to another one"
    document = json.loads(run("status", "--format", "json").out)
    assert document["exit_code"] == 1
    assert [item["name"] for item in document["machines"]] == ["web-0"]
    (unreached,) = document["unreached"]
    assert (unreached["location"], unreached["machines"]) == ("west", ["db"])


@pytest.mark.usefixtures("several")
def test_the_status_of_a_machine_is_that_of_its_location(run):
    assert run("status", "web-0").code == 0
    said = run("status", "db")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: location 'west': the in-memory platform does not answer")


def test_a_location_that_fails_after_it_was_reached_is_named_too(run, several, monkeypatch):
    asked = MemoryProvider.machine_status

    def fails(self, session, machines):
        if session.region == "far":
            raise RetriableError("it is busy")
        return asked(self, session, machines)

    monkeypatch.setattr(MemoryProvider, "machine_status", fails)
    stack = several.deployed.stack
    monkeypatch.setattr("provision.cli.deployed.read_state", lambda *given: replace(stack, locations=_both(several)))
    said = run("status")
    assert said.code == 1
    assert "location 'west': it is busy; nothing is known of db" in said.out


def _both(platform):
    store = {"store": platform.store.identity}
    return {
        "default": DeployedLocation("memory", store, frozenset({"web-0"})),
        "west": DeployedLocation("memory", {"region": "far"}, frozenset({"db"})),
    }


@pytest.mark.parametrize(("rests", "tries"), [(1e9, 1), (0.0, 3)])
@pytest.mark.usefixtures("several")
def test_a_location_that_had_to_be_waited_for_is_left_alone_for_a_while(run, monkeypatch, rests, tries):
    monkeypatch.setattr("provision.cli.deployed._RESTS", rests)
    asked, connect = [], MemoryProvider.connect

    def connecting(self, config):
        asked.append(config.token is not None)
        return connect(self, config)

    monkeypatch.setattr(MemoryProvider, "connect", connecting)
    run("status")  # begins with all of them, and looks twice
    assert (asked.count(False), asked.count(True)) == (1, tries)


def test_where_no_location_can_be_reached_status_fails_as_such(run, several, monkeypatch):
    away = {name: DeployedLocation("memory", {"token": "wrong"}) for name in ("default", "west")}
    stack = replace(several.deployed.stack, locations=away)
    monkeypatch.setattr("provision.cli.deployed.read_state", lambda *given: stack)
    said = run("status")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: location 'default': the in-memory platform does not answer")


def test_watching_needs_a_terminal(run):
    said = run("status", "--watch")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: --watch shows a table on a terminal\n  fix: ")


@pytest.mark.parametrize(
    "words",
    [("power", "web-1", "on"), ("logs", "web-1"), ("exec", "web-1", "true"), ("snapshot", "list", "web-1")],
)
def test_an_unknown_machine_is_guessed(run, words):
    said = run(*words)
    assert said.code == (255 if words[0] == "exec" else 1)
    assert said.err == "error: there is no machine called 'web-1'\n  fix: did you mean 'web-0'?\n"


@pytest.mark.parametrize(
    ("words", "lack"),
    [
        (("status",), "does not tell how machines are"),
        (("power", "web-0", "on"), "cannot switch machines"),
        (("logs", "web-0"), "keeps no logs of machines"),
        (("exec", "web-0", "true"), "cannot run commands in machines"),
        (("snapshot", "create", "web-0"), "has no snapshots"),
    ],
)
def test_a_platform_that_lacks_it_is_named(run, platform, words, lack):
    platform.provider = SimpleNamespace(name="clay")
    said = run(*words)
    assert said.code == (255 if words[0] == "exec" else 1)
    assert said.err == f"error: the platform 'clay' {lack}\n"


def test_power_switches_and_says_when_the_file_differs(run, platform):
    said = run("power", "web-0", "off")
    assert said.code == 0
    assert said.out.startswith(
        "web-0 is off.\nThe stack file has `power: running`, and that stays the truth: after `provision refresh`"
    )
    assert run("power", "web-0", "off").out.startswith("web-0 is off already.\n")
    assert run("power", "web-0", "on").out == "web-0 runs.\n"
    assert run("power", "web-0", "reboot").out == "web-0 was started anew.\n"
    assert platform.store.get("compute:Server", "server-web-0").properties["starts"] == 3


def test_a_guest_that_does_not_shut_down_is_left_alone_unless_forced(run, platform):
    platform.set("web-0", stubborn=True)
    said = run("power", "web-0", "off", "--timeout", "0.5")
    assert (said.code, said.out) == (1, "")
    assert "did not shut down within 0.5 s; it is left as it is\n  fix: " in said.err
    assert "--force" in said.err
    assert run("power", "web-0", "off", "--force").code == 0


def test_logs_prints_all_or_the_last_lines(run):
    assert run("logs", "web-0").out == "first\nsecond\nthird"
    assert run("logs", "web-0", "--tail", "2").out == "second\nthird"
    assert run("logs", "web-0", "--tail", "0").out == ""


def test_following_prints_every_byte_once_also_while_the_platform_is_away_and_ends_with_ctrl_c(
    run, platform, monkeypatch
):
    steps = iter(
        [
            LogPiece(b"one\x1b[3", 1),
            RetriableError("the hypervisor is away"),
            RetriableError("the hypervisor is away"),
            LogPiece(b"1mtwo\n\xc3", 2),
            LogPiece(b"\xa4", 3, lost=True),
            LogPiece(b"", 3),
            KeyboardInterrupt(),
        ]
    )
    asked = []

    def read_log(self, session, machine, position=None):
        asked.append(position)
        step = next(steps)
        if isinstance(step, BaseException):
            raise step
        return step

    monkeypatch.setattr(MemoryProvider, "read_log", read_log)
    said = run("logs", "web-0", "--follow")
    assert (said.code, said.out) == (0, "onetwo\nä")
    assert said.err == (
        "the hypervisor is away; waiting for it\n\n(what was printed in between is not kept any more)\n"
    )
    assert asked == [None, 1, 1, 1, 2, 3, 3]


def test_exec_passes_on_output_and_exit_code(run):
    said = run("exec", "web-0", "--", "echo", "-n", "--timeout", "x")
    assert (said.code, said.out, said.err) == (0, "-n --timeout x\n", "")
    said = run("exec", "web-0", "fail", "7")
    assert (said.code, said.out, said.err) == (7, "", "it failed\n")


def test_exec_that_could_not_run_exits_with_255(run, platform):
    assert run("exec", "--timeout", "2", "web-0", "hang").code == 255
    said = run("exec", "db", "true")
    assert (said.code, said.err) == (255, "error: the machine 'db' is stopped\n  fix: switch it on\n")


@pytest.mark.parametrize("words", [("web-0",), ("web-0", "--"), ("web-0", "--timeout", "2", "true")])
def test_exec_without_a_command_is_wrong_usage(run, words):
    said = run("exec", *words)
    assert said.code == 2
    assert "Usage: provision exec" in said.err


def test_snapshots_are_made_listed_reverted_and_deleted(run, platform):
    assert run("snapshot", "list", "web-0").out == "web-0 has no snapshots.\n"
    assert run("snapshot", "create", "web-0", "clean").out == "web-0 is kept as 'clean' (running).\n"
    assert run("snapshot", "create", "web-0").out.startswith("web-0 is kept as '20")
    listed = json.loads(run("snapshot", "list", "web-0", "--format", "json").out)
    assert [(item["name"], item["parent"], item["current"]) for item in listed] == [
        ("clean", "", False),
        (listed[1]["name"], "clean", True),
    ]
    run("power", "web-0", "off")
    assert run("snapshot", "revert", "web-0", "clean", "--yes").code == 0
    assert run("power", "web-0", "on").out == "web-0 runs already.\n"
    assert "clean (now)" in run("snapshot", "list", "web-0").out
    assert run("snapshot", "delete", "web-0", "clean").out == "The snapshot 'clean' of web-0 is deleted.\n"
    said = run("snapshot", "delete", "web-0", "clean")
    assert (said.code, said.err) == (1, "error: the machine 'web-0' has no snapshot 'clean'\n")


def test_a_revert_without_a_terminal_needs_yes(run, platform):
    run("snapshot", "create", "web-0", "clean")
    platform.set("web-0", power="stopped")
    said = run("snapshot", "revert", "web-0", "clean")
    assert (said.code, said.out) == (1, "")
    assert "fix: add --yes" in said.err
    assert platform.store.get("compute:Server", "server-web-0").properties["power"] == "stopped"


@pytest.mark.parametrize("name", ["a b", "-x/y", "x" * 64, "é"])
def test_a_name_that_no_snapshot_can_have_is_refused(run, platform, name):
    said = run("snapshot", "create", "web-0", "--", name)
    assert said.code == 1
    assert "cannot be the name of a snapshot" in said.err


HOSTILE = b"a\x1b]0;owned\x07b\x1b[2Jc\x1bPq\x1b\\d\x9be\x08f\r\ng\rh\xff\xc3\xa4\x1b(Bi"


def test_control_sequences_of_a_guest_never_reach_the_terminal():
    assert shown(HOSTILE) == "abcd\ufffdef\ngh\ufffdäi"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_text_cut_anywhere_is_the_same(size):
    text = TerminalText()
    parts = [text.feed(HOSTILE[at : at + size]) for at in range(0, len(HOSTILE), size)]
    assert "".join(parts) + text.feed(b"", last=True) == shown(HOSTILE)
