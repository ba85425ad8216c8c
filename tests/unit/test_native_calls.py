"""Native calls of plugins, told to the command: what, for which resource, how long; and nothing when nobody asks."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provision.errors import RetriableError
from provision.host.plugin.engine_log import Silent
from provision.host.plugin.masking import Masker
from provision.host.plugin.running import operation, with_retries
from provision.host.told import VARIABLE, NativeCall, Retry, told_by_plugins
from provision.host.watching import tell_command
from provision.spi import Retries, WatchedModule, calls_are_watched, carried, native_call
from provision.spi.calls import calls_for, watch_calls


@pytest.fixture
def told() -> Iterator[list[NativeCall]]:
    found: list[NativeCall] = []
    watch_calls(lambda *call: found.append(NativeCall(*call)))
    yield found
    watch_calls(None)


PLUGIN = """
from provision.host.watching import tell_command
from provision.spi.calls import calls_for, native_call
tell_command()
with calls_for("urn:3"):
    native_call("api.Make", lambda: None)
"""


class Refused(Exception):
    code = "Busy"


def test_a_call_is_told_of_with_its_resource_time_and_outcome(told: list[NativeCall]) -> None:
    def refuse() -> None:
        raise Refused

    with calls_for("urn:1"):
        assert native_call("api.Look", lambda: 7) == 7
        with pytest.raises(Refused):
            native_call("api.Make", refuse, code=lambda error: getattr(error, "code", ""))
    with pytest.raises(Refused):
        native_call("api.Make", refuse)
    assert native_call("api.Answer", lambda: 409, failed=lambda status: str(status)) == 409
    assert [(one.name, one.urn, one.failure) for one in told] == [
        ("api.Look", "urn:1", ""),
        ("api.Make", "urn:1", "Busy"),
        ("api.Make", "", "Refused"),
        ("api.Answer", "", "409"),
    ]
    assert all(one.seconds >= 0 and one.begun > 1e9 for one in told)


def test_a_call_within_a_call_is_a_part_of_it(told: list[NativeCall]) -> None:
    assert native_call("outer", lambda: native_call("inner", lambda: 1)) == 1
    native_call("next", lambda: None)
    assert [one.name for one in told] == ["outer", "next"]


def test_work_that_another_thread_does_is_for_the_same_resource(told: list[NativeCall]) -> None:
    def ask() -> None:
        native_call("api.Look", lambda: None)

    with ThreadPoolExecutor(1) as pool, calls_for("urn:2"):
        pool.submit(carried(ask)).result()
        pool.submit(ask).result()
    assert [one.urn for one in told] == ["urn:2", ""]


def test_nobody_watching_costs_no_more_than_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not calls_are_watched()
    monkeypatch.setattr("provision.spi.calls.time", None)  # not even the clock is asked
    assert native_call("api.Look", lambda: 3) == 3
    work = threading.Lock  # anything
    assert carried(work) is work


def test_functions_of_a_module_are_told_of_as_they_are_chosen(told: list[NativeCall]) -> None:
    library = SimpleNamespace(virMake=lambda name: -1 if name == "bad" else 0, virFree=lambda: None, VERSION=3)
    module = WatchedModule(library, lambda name: name != "virFree", lambda made: "Failed" if made == -1 else "")
    assert (module.virMake("good"), module.virMake("bad"), module.virFree(), module.VERSION) == (0, -1, None, 3)
    assert [(one.name, one.failure) for one in told] == [("virMake", ""), ("virMake", "Failed")]


def test_what_processes_tell_reaches_the_command_before_the_run_ends() -> None:
    found: list[Any] = []
    with told_by_plugins(found.append):
        assert Path(os.environ[VARIABLE]).is_fifo()
        subprocess.run([sys.executable, "-c", PLUGIN], check=True, timeout=120)
    assert VARIABLE not in os.environ
    assert [(type(one), one.name, one.urn) for one in found] == [(NativeCall, "api.Make", "urn:3")]


def test_whoever_takes_what_is_told_and_fails_holds_up_no_plugin() -> None:
    def fail(one: Any) -> None:
        raise OSError("the disk is full")

    def run() -> None:
        with told_by_plugins(fail):
            tell_command()
            for _ in range(2000):  # far more than a pipe holds
                native_call("api.Look", lambda: None)
            watch_calls(None)

    with pytest.raises(OSError, match="the disk is full"):
        run()
    tell_command()


def test_a_plugin_that_outlives_the_command_goes_on() -> None:
    with told_by_plugins(lambda one: None):
        tell_command()
        assert calls_are_watched()
    assert native_call("api.Look", lambda: 1) == 1
    assert not calls_are_watched()
    tell_command()


def test_what_is_tried_again_is_told_with_the_reason_and_without_its_text() -> None:
    found: list[Any] = []
    tries: list[int] = []

    def call() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise RetriableError("the platform is too busy for 'hunter2'")
        return "made"

    log, mask = Silent(), Masker(())
    running = operation("urn:4", None, 60, log, mask, action="create", retries=Retries(first_delay=0.001))
    with told_by_plugins(found.append):
        tell_command()
        try:
            assert with_retries(call, running) == "made"
        finally:
            watch_calls(None)
    assert [(one.urn, one.operation, one.attempt, one.failure) for one in found if isinstance(one, Retry)] == [
        ("urn:4", "create", 1, "RetriableError"), ("urn:4", "create", 2, "RetriableError"),
    ]  # fmt: skip
    tell_command()
