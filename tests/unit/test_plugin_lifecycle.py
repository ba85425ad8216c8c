"""What the host does for every plugin: time limits, cancelling, trying again, and keeping what was made."""

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
from lifecycle_sample import BEGUN, THING, WILL, Thing, ThingInputs, ThingOutputs, TrialProvider, thing, trial

from provision.errors import PlatformError, RetriableError, Throttled
from provision.host.plugin import calls
from provision.spi import Created, Pending, Read, Retries, Timeouts, Updated
from provision.testing import Lifecycle, Made, OperationFailed

WANTED = {"name": "a", "password": "hunter22-secret"}

SOON = 15.0
"""Seconds: more than a loaded machine needs for what ends at once, less than what blocks for good here takes."""


@pytest.fixture(autouse=True)
def _as_usual() -> Iterator[None]:
    yield
    WILL.clear()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a call that ignores everything waits for."""
    event = threading.Event()
    yield event
    event.set()


async def made(platform: Lifecycle) -> Made:
    return await platform.create(THING, WANTED)


# --- time limits


def waiting(request: Any) -> Any:
    request.operation.wait_until(lambda: Pending("the thing is starting"))


@pytest.mark.parametrize("action", ["create", "read", "update", "delete"])
def test_an_operation_ends_when_its_time_is_up_and_says_what_was_last_seen(
    action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "GRACE_S", 5.0)

    async def work(platform: Lifecycle) -> None:
        old = await made(platform)
        WILL[action] = waiting
        started = time.monotonic()
        with pytest.raises(OperationFailed) as failed:
            await act(platform, action, old, timeout=0.3)
        assert time.monotonic() - started < SOON
        assert failed.value.code == "DEADLINE_EXCEEDED"
        assert f"the time limit of 0.3 s for {action} of {THING} has passed" in failed.value.message
        assert "last seen: the thing is starting" in failed.value.message
        assert "customTimeouts" in failed.value.message
        assert platform.log.texts("warning") == []
        assert not [said for said in platform.log.texts("status") if "waiting for the" in said]

    trial(work)


async def act(platform: Lifecycle, action: str, old: Made, timeout: float = 0) -> Any:
    if action == "create":
        return await platform.create(THING, WANTED, timeout=timeout)
    if action == "update":
        return await platform.update(THING, old, {**WANTED, "name": "b"}, timeout=timeout)
    if action == "read":
        return await platform.read(THING, old, timeout=timeout)
    return await platform.delete(THING, old, timeout=timeout)


def test_the_types_own_limit_counts_where_the_program_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Thing, "timeouts", Timeouts(create=0.2))
    WILL["create"] = waiting

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed, match=r"the time limit of 0\.2 s for create"):
            await platform.create(THING, WANTED)
        with pytest.raises(OperationFailed, match=r"the time limit of 0\.1 s for create"):
            await platform.create(THING, WANTED, timeout=0.1)

    trial(work)


def test_a_create_that_ignores_its_limit_is_waited_for_and_recorded_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "GRACE_S", 0.1)
    monkeypatch.setattr(calls, "REMINDER_S", 0.1)
    monkeypatch.setattr(calls, "OVERDUE_S", 0.2)

    def stubborn(request: Any) -> Any:
        time.sleep(0.9)
        return thing(request)

    WILL["create"] = stubborn

    async def work(platform: Lifecycle) -> None:
        answer = await platform.create(THING, WANTED, timeout=0.2)
        assert answer.id == "id-a"
        assert platform.log.texts("warning") == ["create took longer than its time limit of 0.2 s"]
        said = platform.log.texts("status")
        assert set(said) == {"its time limit of 0.2 s has passed: waiting for the create under way to end"}
        assert len(said) >= 3

    trial(work)


def test_a_read_that_ignores_its_limit_is_left_alone(release: threading.Event) -> None:
    WILL["read"] = lambda request: release.wait(20)

    async def work(platform: Lifecycle) -> None:
        started = time.monotonic()
        with pytest.raises(OperationFailed) as failed:
            await platform.read(THING, await made(platform), timeout=0.2)
        assert time.monotonic() - started < SOON
        assert failed.value.code == "DEADLINE_EXCEEDED"

    trial(work)


@pytest.mark.parametrize("action", ["update", "delete"])
def test_a_change_that_ignores_its_limit_is_given_up_after_a_while(
    action: str, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "OVERDUE_S", 0.3)
    WILL[action] = lambda request: release.wait(20)

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await act(platform, action, await made(platform), timeout=0.1)
        assert failed.value.code == "DEADLINE_EXCEEDED"

    trial(work)


def test_a_create_that_has_told_of_its_object_is_given_up_and_the_object_kept(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "OVERDUE_S", 0.2)

    def create(request: Any) -> Any:
        request.operation.made("id-7", {"name": "a", "state": "starting"})
        release.wait(20)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED, timeout=0.1)
        kept = failed.value.kept
        assert kept is not None
        assert kept.id == "id-7"
        assert kept.outputs["state"] == "starting"
        assert "its time limit of 0.1 s (see customTimeouts) has passed" in failed.value.reasons[0]

    trial(work)


def test_a_create_that_tells_of_its_object_late_is_given_up_then(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "OVERDUE_S", 0.1)
    monkeypatch.setattr(calls, "REMINDER_S", 0.1)

    def create(request: Any) -> Any:
        time.sleep(0.6)
        request.operation.made("id-7", {"name": "a"})
        release.wait(20)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        started = time.monotonic()
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED, timeout=0.1)
        assert 0.5 < time.monotonic() - started < SOON
        assert failed.value.kept is not None
        assert failed.value.kept.id == "id-7"

    trial(work)


# --- cancelling


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_nothing_is_begun_after_the_run_was_cancelled(action: str) -> None:
    begun = threading.Event()
    WILL[action] = lambda request: begun.set()

    async def work(platform: Lifecycle) -> None:
        there = None if action == "create" else await made(platform)
        await platform.cancel()
        with pytest.raises(OperationFailed, match="the run was cancelled") as failed:
            await act(platform, action, there)
        assert failed.value.code == "CANCELLED"
        assert not begun.is_set()

    trial(work)


async def cancelled_soon(platform: Lifecycle, operation: Any) -> tuple[OperationFailed | None, float]:
    """Cancel the run while the operation is under way: how it ended, and how long that took."""
    BEGUN.clear()
    running = asyncio.ensure_future(operation)
    while not BEGUN.is_set():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # until it waits
    started = time.monotonic()
    await platform.cancel()
    try:
        await running
    except OperationFailed as failed:
        return failed, time.monotonic() - started
    return None, time.monotonic() - started


@pytest.mark.parametrize("action", ["create", "read", "update", "delete"])
def test_a_cancelled_run_ends_every_wait_at_once(action: str) -> None:
    async def work(platform: Lifecycle) -> None:
        old = await made(platform)
        WILL[action] = waiting
        failed, seconds = await cancelled_soon(platform, act(platform, action, old))
        assert seconds < SOON
        assert failed is not None
        assert failed.code == "CANCELLED"
        assert f"{action} of {THING} was stopped: the run was cancelled; last seen: the thing is starting" in str(
            failed
        )

    trial(work)


def test_a_pause_between_two_tries_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Thing, "retries", Retries(patience=300))

    def busy(request: Any) -> Any:
        raise RetriableError("the platform is busy", retry_after=60)

    WILL["create"] = busy

    async def work(platform: Lifecycle) -> None:
        failed, seconds = await cancelled_soon(platform, platform.create(THING, WANTED))
        assert seconds < SOON
        assert failed is not None
        assert failed.code == "CANCELLED"
        assert "last seen: the platform is busy" in failed.message

    trial(work)


def test_what_changes_nothing_is_answered_soon_even_if_it_does_not_react(release: threading.Event) -> None:
    def blocking(request: Any) -> Any:
        release.wait(20)
        return ()

    WILL.update(read=blocking, list=blocking, call=blocking)

    async def work(platform: Lifecycle) -> None:
        old = await made(platform)
        questions = [platform.read(THING, old), platform.list(THING), platform.invoke("trial:echo", {"text": "x"})]
        for question in questions:
            failed, seconds = await cancelled_soon(platform, question)
            assert seconds < SOON
            assert failed is not None
            assert failed.code == "CANCELLED"
            platform.servicer.calls.begin_anew()

    trial(work)


def test_a_create_under_way_is_waited_for_and_recorded_although_the_run_was_cancelled() -> None:
    def stubborn(request: Any) -> Any:
        time.sleep(1)
        return thing(request)

    WILL["create"] = stubborn

    async def work(platform: Lifecycle) -> None:
        failed, seconds = await cancelled_soon(platform, platform.create(THING, WANTED))
        assert failed is None
        assert 0.5 < seconds < SOON
        assert platform.log.texts("status") == ["the run was cancelled: waiting for the create under way to end"]

    trial(work)


def test_a_platform_that_does_not_answer_at_all_holds_up_no_cancelled_run(release: threading.Event) -> None:
    class Silent(TrialProvider):
        def connect(self, config: Any) -> None:
            BEGUN.set()
            release.wait(20)

    async def go() -> None:
        async with Lifecycle(Silent, configure=False) as platform:
            failed, seconds = await cancelled_soon(platform, platform.configure({}))
            assert seconds < SOON
            assert failed is not None
            assert failed.code == "CANCELLED"

    asyncio.run(go())


def test_what_a_cancelled_create_has_made_is_kept() -> None:
    def create(request: Any) -> Any:
        request.operation.made("id-1", {"name": "a", "state": "starting"})
        waiting(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        failed, seconds = await cancelled_soon(platform, platform.create(THING, WANTED))
        assert seconds < SOON
        assert failed is not None
        assert failed.kept is not None
        assert failed.kept.id == "id-1"
        assert failed.reasons == (
            "its creation was stopped before it was finished: the run was cancelled; last seen: the thing is starting",
        )
        platform.servicer.calls.begin_anew()
        seen: list[Any] = []
        WILL["update"] = lambda request: (seen.append(request.retry), Updated(ThingOutputs(name="a")))[1]
        await platform.update(THING, failed.kept, WANTED)
        assert seen == [True]

    trial(work)


def test_an_operation_that_begins_after_the_cancel_ends_too() -> None:
    WILL["create"] = waiting

    async def work(platform: Lifecycle) -> None:
        await platform.cancel()
        with pytest.raises(OperationFailed, match="the run was cancelled"):
            await platform.create(THING, WANTED)

    trial(work)


def trying_again(request: Any) -> Any:
    BEGUN.set()
    raise RetriableError("nobody answers", "run again")


def watching(request: Any) -> Any:
    BEGUN.set()
    waiting(request)


@pytest.mark.parametrize("going_on", [trying_again, watching])
@pytest.mark.parametrize("action", ["create", "delete"])
def test_what_goes_on_with_nobody_waiting_for_it_ends_when_the_plugin_is_closed(
    action: str, going_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Thing, "retries", Retries(first_delay=3600, longest_delay=3600, patience=36000))
    before = set(threading.enumerate())
    operations: list[threading.Thread] = []

    async def work(platform: Lifecycle) -> None:
        old = await made(platform)
        WILL[action] = going_on
        BEGUN.clear()
        running = asyncio.ensure_future(act(platform, action, old))
        assert await asyncio.to_thread(BEGUN.wait, SOON)
        running.cancel()
        await asyncio.wait([running])
        found = set(threading.enumerate()) - before
        operations.extend(one for one in found if one.name.startswith("operation"))

    trial(work)

    assert operations
    for thread in operations:
        thread.join(SOON)
        assert not thread.is_alive()


# --- what was made is kept, whatever goes wrong


@pytest.mark.parametrize(
    "error",
    [PlatformError("no room", "make some"), KeyError("x"), RetriableError("busy"), SystemExit(3)],
    ids=["platform", "defect", "retriable", "exit"],
)
def test_a_failure_after_the_object_was_made_keeps_it(error: BaseException) -> None:
    tries: list[int] = []

    def create(request: Any) -> Any:
        tries.append(1)
        request.operation.made("id-1", {"name": "a"})
        raise error

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.kept is not None
        assert failed.value.kept.id == "id-1"
        assert failed.value.code == "FAILED_PRECONDITION"
        assert tries == [1], "an object that exists is not made again"

    trial(work)


def test_an_output_that_nobody_can_record_does_not_cost_the_object() -> None:
    def create(request: Any) -> Any:
        request.operation.made("id-1", {"name": "a", "state": object()})
        raise PlatformError("no room")

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.kept is not None
        assert failed.value.kept.id == "id-1"
        assert failed.value.kept.outputs["name"] == "a"

    trial(work)


def test_a_create_that_succeeds_says_more_than_what_it_told_of_before() -> None:
    def create(request: Any) -> Any:
        request.operation.made("id-1", {"name": "a"})
        return Created("id-1", ThingOutputs(name="a", state="running"))

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        assert (await platform.create(THING, WANTED)).outputs["state"] == "running"

    trial(work)


# --- trying again


def test_a_failure_that_passes_is_tried_again_with_growing_pauses() -> None:
    tries: list[float] = []

    def create(request: Any) -> Any:
        tries.append(time.monotonic())
        if len(tries) < 5:
            raise RetriableError("the platform is busy")
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        await platform.create(THING, WANTED)
        pauses = [after - before for before, after in pairwise(tries)]
        least = [0.01, 0.02, 0.04, 0.05]  # half of each delay: the rest is left to chance
        assert all(pause >= wanted for pause, wanted in zip(pauses, least, strict=True))
        assert platform.log.texts("status") == ["trying again: the platform is busy"] * 4

    trial(work)


def test_the_platforms_own_word_on_when_to_come_back_counts() -> None:
    tries: list[float] = []

    def create(request: Any) -> Any:
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise RetriableError("busy", retry_after=0.3)
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        await platform.create(THING, WANTED)
        assert tries[1] - tries[0] >= 0.3

    trial(work)


def test_what_does_not_pass_is_given_up_and_says_how_often_it_was_tried() -> None:
    tries: list[int] = []

    def create(request: Any) -> Any:
        tries.append(1)
        raise RetriableError("the platform is busy", "come back tomorrow")

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        started = time.monotonic()
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert time.monotonic() - started < SOON
        assert failed.value.code == "ABORTED"
        assert f"the platform is busy (tried {len(tries)} times in" in failed.value.message
        assert "fix: come back tomorrow" in failed.value.message
        assert len(tries) > 3

    trial(work)


def test_other_failures_are_not_tried_again() -> None:
    tries: list[int] = []

    def create(request: Any) -> Any:
        tries.append(1)
        raise PlatformError("no")

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed):
            await platform.create(THING, WANTED)
        assert tries == [1]

    trial(work)


# --- services


def test_further_calls_of_a_service_wait_for_their_turn() -> None:
    def create(request: Any) -> Any:
        for _ in range(5):
            request.operation.throttle("slow")
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        started = time.monotonic()
        await asyncio.gather(*(platform.create(THING, WANTED, name=f"n{n}") for n in range(2)))
        assert time.monotonic() - started >= 0.4, "ten calls, one at once, the others at 20 a second"

    trial(work)


def test_a_service_that_complains_is_called_less_often() -> None:
    tries: list[int] = []

    def create(request: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise Throttled("slow down")
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        await platform.create(THING, WANTED)
        assert platform.servicer._limits.bucket("things").per_second == pytest.approx(5000, rel=0.05)
        assert "things asks to be called less often: 5e+03 calls a second now" in platform.log.texts("status")

    trial(work)


def test_a_service_that_is_not_declared_is_the_plugins_fault() -> None:
    WILL["create"] = lambda request: request.operation.throttle("other")

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert "service 'other' is not in `rate_limits`, which has things, slow" in failed.value.message

    trial(work)


# --- what people see


def test_passing_and_lasting_lines_are_told_apart_and_hide_secrets() -> None:
    def create(request: Any) -> Any:
        request.operation.report("using hunter22-secret")
        request.operation.note("the log with hunter22-secret is in /tmp/x")
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        await platform.create(THING, WANTED)
        assert platform.log.texts("status") == ["using [secret]"]
        assert platform.log.texts("note") == ["the log with [secret] is in /tmp/x"]
        assert platform.log.said("note")[0].urn == platform.urn(THING)

    trial(work)


def test_every_state_that_a_wait_sees_is_shown() -> None:
    states = iter([Pending("the thing is booting"), Pending("the thing gets an address"), "up"])

    def create(request: Any) -> Any:
        assert request.operation.wait_until(lambda: next(states), first=0.01) == "up"
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        await platform.create(THING, WANTED)
        assert platform.log.texts("status") == ["the thing is booting", "the thing gets an address"]

    trial(work)


def test_nothing_is_heard_of_an_operation_that_was_left_alone(release: threading.Event) -> None:
    done = threading.Event()

    def read(request: Any) -> Any:
        release.wait(20)
        request.operation.report("still here")
        request.operation.note("still here")
        done.set()
        return Read("id", ThingInputs(name="a"), ThingOutputs(name="a"))

    WILL["read"] = read

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed):
            await platform.read(THING, await made(platform), timeout=0.1)
        release.set()
        await asyncio.to_thread(done.wait, 5)
        assert "still here" not in platform.log.texts()

    trial(work)


# --- many at a time


def test_a_thousand_creates_at_a_time_are_served_and_hold_up_no_check() -> None:
    def create(request: Any) -> Any:
        request.operation.wait(1)
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        started = time.monotonic()
        creates = [asyncio.ensure_future(platform.create(THING, WANTED, name=f"n{n}")) for n in range(1000)]
        await asyncio.sleep(0.5)
        await asyncio.wait_for(platform.check(THING, WANTED), SOON)
        assert len(await asyncio.gather(*creates)) == 1000
        assert time.monotonic() - started < 300, "one after the other they take a thousand seconds"

    trial(work)


def test_the_framework_takes_a_few_milliseconds_of_an_operation() -> None:
    async def work(platform: Lifecycle) -> None:
        times: list[float] = []
        for _ in range(100):
            started = time.perf_counter()
            inputs = await platform.check(THING, WANTED)
            await platform.diff(THING, await platform.create(THING, inputs), inputs)
            times.append(time.perf_counter() - started)
        assert median(times) < 0.1, "three calls"

    trial(work)


def test_memory_stays_flat_over_many_operations() -> None:
    async def work(platform: Lifecycle) -> None:
        async def some(count: int) -> None:
            for _ in range(count):
                inputs = await platform.check(THING, WANTED)
                await platform.diff(THING, await platform.create(THING, inputs), inputs)

        await some(150)
        before = resident()
        await some(500)
        assert resident() < before * 1.1 + 4096

    trial(work)


def resident() -> int:
    with open("/proc/self/status") as lines:
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))
