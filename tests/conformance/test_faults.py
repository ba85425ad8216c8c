"""The fault-injecting transport: what is counted, what is wrapped, and what goes wrong."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace

import pytest

from provision.testing import Effect, Faults


class Refused(Exception):
    pass


@dataclass(frozen=True)
class Answer:
    text: str


class Machine:
    def __init__(self, client: "Client", name: str) -> None:
        self.client = client
        self.name = name

    def start(self) -> str:
        self.client.started.append(self.name)
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Machine) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class Client:
    limit = 3

    def __init__(self) -> None:
        self.started: list[str] = []

    def machine(self, name: str) -> Machine:
        return Machine(self, name)

    def machines(self) -> list[Machine]:
        return [Machine(self, "a"), Machine(self, "b")]

    def pages(self):
        yield Machine(self, "c")

    def status(self) -> Answer:
        return Answer("fine")

    def same(self, machine: Machine) -> bool:
        return type(machine) is Machine

    def label(self) -> str:
        return "client"

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        return None


def made():
    faults = Faults({Effect.ERROR: lambda: Refused("no"), Effect.LOST_AFTER: lambda: Refused("lost")})
    client = Client()
    return faults, client, faults.wrap(client, local={"label"})


def test_calls_of_the_client_and_of_what_it_returns_are_counted_by_name():
    faults, client, wrapped = made()

    wrapped.machine("web").start()
    for machine in (*wrapped.machines(), *wrapped.pages()):
        machine.start()

    assert faults.calls == [
        "Client.machine",
        "Machine.start",
        "Client.machines",
        "Client.pages",
        *(["Machine.start"] * 3),
    ]
    assert client.started == ["web", "a", "b", "c"]


def test_what_makes_no_call_is_not_counted():
    faults, _, wrapped = made()

    assert wrapped.label() == "client"
    assert wrapped.limit == 3
    assert wrapped.machine("a").name == "a"
    assert faults.forget() == ["Client.machine"]
    with wrapped as entered:
        assert entered.label() == "client"
    assert faults.calls == []


def test_stand_ins_pass_for_what_they_stand_for():
    _, _, wrapped = made()
    machine = wrapped.machine("a")

    assert isinstance(wrapped, Client)
    assert isinstance(machine, Machine)
    assert machine == Machine(Client(), "a")
    assert hash(machine) == hash("a")
    assert wrapped.same(machine), "the SDK gets the real object"
    assert machine in wrapped.machines()


def test_records_are_handed_on_as_they_are():
    _, _, wrapped = made()

    assert replace(wrapped.status(), text="busy") == Answer("busy")
    assert type(wrapped.status()) is Answer


def test_what_is_wrapped_can_be_chosen():
    faults = Faults()
    wrapped = faults.wrap(Client(), deep=lambda value: False)

    wrapped.machine("a").start()

    assert faults.calls == ["Client.machine"]


def test_modules_and_functions_can_be_wrapped():
    faults = Faults()

    faults.wrap(subprocess.run)([sys.executable, "-c", ""], check=True)
    faults.wrap(time, name="clock").monotonic()

    assert faults.calls == ["run", "clock.monotonic"]


def test_one_call_fails_before_it_takes_effect_and_those_around_it_do_not():
    faults, client, wrapped = made()
    machine = wrapped.machine("a")
    faults.arm(1, Effect.ERROR)

    machine.start()
    with pytest.raises(Refused, match="no"):
        machine.start()
    machine.start()

    assert client.started == ["a", "a"]
    assert faults.fired == "Machine.start"


def test_a_lost_answer_comes_after_the_effect():
    faults, client, wrapped = made()
    machine = wrapped.machine("a")
    faults.arm(0, Effect.LOST_AFTER)

    with pytest.raises(Refused, match="lost"):
        machine.start()

    assert client.started == ["a"]


def test_a_call_that_hangs_ends_as_a_broken_connection_when_nobody_waits_any_more():
    faults, client, wrapped = made()
    machine = wrapped.machine("a")
    faults.arm(0, Effect.HANG)
    failed: list[BaseException] = []

    def start() -> None:
        try:
            machine.start()
        except ConnectionError as error:
            failed.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    assert not faults.settle(longest=0.2)
    faults.forget()
    thread.join(5)

    assert len(failed) == 1
    assert client.started == []
    assert faults.settle()


def test_a_hook_is_called_before_the_call_which_goes_on():
    faults, client, wrapped = made()
    machine = wrapped.machine("a")
    seen: list[list[str]] = []
    faults.hook(1, lambda: seen.append(list(client.started)))

    machine.start()
    machine.start()

    assert seen == [["a"]]
    assert client.started == ["a", "a"]


@pytest.mark.parametrize(("effect", "printed"), [(Effect.KILL_BEFORE, ""), (Effect.KILL_AFTER, "effect\n")])
def test_a_process_is_killed_before_or_after_the_effect(effect, printed):
    code = (
        "from provision.testing.faults import Effect, Faults\n"
        "faults = Faults()\n"
        "call = faults.wrap(lambda: print('effect', flush=True), name='call')\n"
        f"faults.arm(0, Effect('{effect}'))\n"
        "call()\n"
        "print('never')\n"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (-9, printed)
