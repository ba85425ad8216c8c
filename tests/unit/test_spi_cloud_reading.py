"""Looking at objects of a cloud: calls grow with pages, not with objects, and nothing stale is believed."""

import itertools
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from dock_sample import dock

from provision.spi.cloud import CloudSession, Reader

MANY = 30
MINE = "mine"


class Catalogue(Reader):
    """Objects by id, of which it knows how they were looked at."""

    def __init__(self, count: int = MANY):
        super().__init__(lambda identity: identity in self.touched)
        self.touched: set[str] = set()
        self.objects = {f"id-{number}": {"id": f"id-{number}", "stack": MINE} for number in range(count)}
        self.asked: list[list[str]] = []
        self.surveys = 0
        self.error: Exception | None = None

    def shown(self, kind, ids):
        self.asked.append(ids)
        if self.error is not None:
            raise self.error
        return {one: self.objects[one] for one in ids if one in self.objects}

    def owned(self, kind, stack_id):
        self.surveys += 1
        return [live for live in self.objects.values() if live["stack"] == stack_id or self.scope(stack_id) == ""]


class ByTens(Catalogue):
    most = 10


class AfterThree(Catalogue):
    few = 3


class OfTheAccount(Catalogue):
    def scope(self, stack_id):
        return ""


KIND = dock.DockKind("thing")
OTHER = dock.DockKind("other thing")


@pytest.fixture
def together(monkeypatch):
    """What many threads do, of which the first waits for all others, however slowly they begin."""
    begun, everyone = itertools.count(1), threading.Event()
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: everyone.wait(60))
    monkeypatch.setattr("provision.spi.cloud.reading.time", clock)

    def run(look):
        def one(identity):
            if next(begun) == MANY:
                everyone.set()
            return look(identity)

        with ThreadPoolExecutor(MANY) as pool:
            return list(pool.map(one, [f"id-{number}" for number in range(MANY)]))

    return run


@pytest.fixture
def clock(monkeypatch):
    """The reader's clock, which a test sets."""

    def sleep(seconds):
        made.now += seconds

    made = SimpleNamespace(now=1000.0, monotonic=lambda: made.now, sleep=sleep)
    monkeypatch.setattr("provision.spi.cloud.reading.time", made)
    return made


def test_whoever_asks_at_the_same_time_is_answered_together(together):
    reader = Catalogue()

    found = together(lambda identity: reader.look(KIND, identity))

    assert [live["id"] for live in found] == [f"id-{number}" for number in range(MANY)]
    assert len(reader.asked) < MANY


def test_a_batch_has_no_more_than_the_platform_takes(together):
    reader = ByTens()

    found = together(lambda identity: reader.look(KIND, identity))

    assert None not in found
    assert max(len(ids) for ids in reader.asked) <= 10


def test_one_survey_answers_all_reads_of_a_stack():
    reader = Catalogue()

    for number in range(MANY):
        assert reader.look(KIND, f"id-{number}", MINE) is not None

    assert (reader.surveys, reader.asked) == (1, [])


def test_the_first_few_are_asked_for_where_a_survey_is_dear():
    reader = AfterThree()

    for number in range(MANY):
        assert reader.look(KIND, f"id-{number}", MINE) is not None

    assert (reader.surveys, len(reader.asked)) == (1, 3)


def test_a_survey_that_is_there_serves_also_the_first_few():
    reader = AfterThree()
    reader.survey(KIND, MINE)

    assert reader.look(KIND, "id-1", MINE) is not None

    assert (reader.surveys, reader.asked) == (1, [])


def test_surveys_of_one_scope_are_one():
    alone, shared = Catalogue(), OfTheAccount()
    for reader in (alone, shared):
        reader.survey(KIND, MINE)
        reader.survey(KIND, "theirs")
        reader.survey(KIND, MINE)

    assert (alone.surveys, shared.surveys) == (2, 1)
    assert alone.survey(KIND, "theirs") == {}
    assert len(shared.survey(KIND, "theirs")) == MANY


def test_kinds_are_surveyed_by_themselves():
    reader = Catalogue()
    reader.survey(KIND, MINE)
    reader.survey(OTHER, MINE)

    assert reader.surveys == 2


def test_a_survey_grows_old(clock):
    reader = Catalogue()
    reader.survey(KIND, MINE)
    clock.now += 59
    reader.survey(KIND, MINE)
    assert reader.surveys == 1

    clock.now += 2
    reader.survey(KIND, MINE)

    assert reader.surveys == 2


def test_a_survey_is_not_believed_of_what_this_process_has_touched():
    reader = Catalogue()
    reader.survey(KIND, MINE)
    reader.objects["id-3"] = {"id": "id-3", "stack": MINE, "name": "new"}
    reader.touched.add("id-3")

    assert reader.look(KIND, "id-3", MINE)["name"] == "new"


def test_nor_of_what_is_touched_while_it_is_made():
    reader = Catalogue()
    usual = reader.owned

    def slowly(kind, stack_id):
        found = [dict(live) for live in usual(kind, stack_id)]
        reader.objects["id-3"] = {"id": "id-3", "stack": MINE, "name": "new"}
        reader.touched.add("id-3")
        return found

    reader.owned = slowly

    assert reader.look(KIND, "id-3", MINE)["name"] == "new"


def test_what_a_survey_does_not_have_is_asked_for_by_itself():
    reader = Catalogue()
    reader.survey(KIND, MINE)
    reader.objects["id-99"] = {"id": "id-99", "stack": ""}

    assert reader.look(KIND, "id-99", MINE) == {"id": "id-99", "stack": ""}
    assert reader.look(KIND, "nothing", MINE) is None


def test_what_is_as_good_as_gone_is_none_and_still_remembered():
    reader = Catalogue()
    reader.objects["id-1"]["state"] = "sunk"

    assert reader.look(KIND, "id-1") is None
    assert reader.look(KIND, "id-1", MINE) is None
    assert reader.remembered(KIND, "id-1")["state"] == "sunk"


def test_those_who_wait_share_what_they_see(together):
    reader = Catalogue()

    def wait(identity):
        with reader.watching(KIND, identity):
            return [reader.watch(KIND, identity)["id"] for _ in range(2)]

    found = together(wait)

    assert [ids[0] for ids in found] == [f"id-{number}" for number in range(MANY)]
    assert len(reader.asked) <= MANY  # alone each would look twice


def test_what_was_seen_for_another_is_believed_for_a_moment_and_not_when_it_is_forgotten(clock):
    reader = Catalogue()
    with reader.watching(KIND, "id-1"), reader.watching(KIND, "id-2"):
        reader.watch(KIND, "id-1")
        reader.watch(KIND, "id-2")
        assert reader.asked == [["id-1", "id-2"]]

        clock.now += 60
        reader.watch(KIND, "id-2")
        assert len(reader.asked) == 2

        reader.forget(KIND, "id-2")
        reader.watch(KIND, "id-2")
        assert len(reader.asked) == 3


def test_what_nobody_watches_is_not_asked_for_along_with_others(clock):
    reader = Catalogue()
    with reader.watching(KIND, "id-1"):
        reader.watch(KIND, "id-1")
    with reader.watching(KIND, "id-2"):
        reader.watch(KIND, "id-2")

    assert reader.asked == [["id-1"], ["id-2"]]


def test_a_look_that_is_no_waiting_asks_for_nothing_else(clock):
    reader = Catalogue()
    with reader.watching(KIND, "id-1"):
        reader.look(KIND, "id-2")

    assert reader.asked == [["id-2"]]


class Prompt(Catalogue):
    first_wait_seconds = 0.2


@pytest.mark.parametrize(("kind", "first"), [(Catalogue, 1.5), (Prompt, 0.2)])
def test_the_first_look_waits_for_others_as_long_as_the_platform_says_and_later_ones_as_long_as_ever(
    clock, kind, first
):
    reader = kind()
    with ExitStack() as coming:
        for _ in range(MANY + 1):
            coming.enter_context(reader.expecting(KIND))  # they never come
        with reader.watching(KIND, "id-1"):
            for wanted in (first, 1.5):
                begun = clock.now
                reader.watch(KIND, "id-1")
                assert clock.now - begun == pytest.approx(wanted, abs=0.02)
                clock.now += 60


def test_watched_objects_fill_a_batch_and_no_more(clock):
    reader = ByTens()
    with ExitStack() as watching:
        for number in range(20):
            watching.enter_context(reader.watching(KIND, f"id-{number}"))
        reader.watch(KIND, "id-0")

    assert [len(ids) for ids in reader.asked] == [10]
    assert "id-0" in reader.asked[0]


@pytest.mark.parametrize("kind", [Catalogue, ByTens])
def test_where_one_look_sees_all_that_is_watched_none_begins_beside_another(kind):
    begun, going_on, beside = threading.Event(), threading.Event(), threading.Event()

    class Slow(kind):
        def shown(self, kind, ids):
            if begun.is_set():
                beside.set()
            begun.set()
            assert going_on.wait(60)
            return super().shown(kind, ids)

    reader = Slow()

    def wait(identity):
        with reader.watching(KIND, identity):
            return reader.watch(KIND, identity)["id"]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(wait, "id-1")
        assert begun.wait(60)
        second = pool.submit(wait, "id-2")
        together = beside.wait(0.3 if kind is Catalogue else 60)
        going_on.set()

    assert together is (kind is ByTens)
    assert (first.result(), second.result()) == ("id-1", "id-2")


def test_a_failure_reaches_everybody_who_asked(together):
    reader = Catalogue()
    reader.error = LookupError("down")

    def look(identity):
        with pytest.raises(LookupError, match="down"):
            reader.look(KIND, identity)

    together(look)


# What a session knows


@pytest.fixture
def session() -> CloudSession:
    return dock.DockSession(dock.Api())


def fails(session, *, begun):
    """An attempt that fails."""
    try:
        with session.attempt("urn") as attempt:
            assert not attempt.begun
            attempt.begun = begun
            raise LookupError
    except LookupError:
        return attempt


def test_an_attempt_that_failed_is_gone_on_with_and_one_that_ended_well_is_not(session):
    first = fails(session, begun=True)

    with session.attempt("urn") as again:
        assert (again.token, again.begun) == (first.token, True)

    with session.attempt("urn") as another:
        assert another.token != first.token
        assert another.begun  # this process has made one: a look is worth its call


def test_a_forgotten_attempt_is_another_one(session):
    first = fails(session, begun=False)
    session.forget_attempt("urn")

    with session.attempt("urn") as another:
        assert another.token != first.token


def test_what_was_touched_is_known_and_for_a_while_recent(session, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("provision.spi.cloud.session.time", SimpleNamespace(monotonic=lambda: now))
    session.touched("a", "b")
    now += 60
    session.touched("b", "c")

    assert [session.is_touched(one) for one in "abcd"] == [True, True, True, False]
    assert sorted(session.recent(30)) == ["b", "c"]


def test_whose_an_object_is_is_remembered(session):
    session.belongs("crate-1", MINE)

    assert (session.stack_of("crate-1"), session.stack_of("crate-2")) == (MINE, None)


def test_a_question_is_asked_once(session):
    asked = []

    def ask() -> Mapping[str, int]:
        asked.append(1)
        return {"answer": len(asked)}

    assert session.once("key", ask) is session.once("key", ask)
    assert session.once("other", ask) == {"answer": 2}


def test_questions_in_parallel_are_answered_in_order_and_a_failure_is_raised(session):
    barrier = threading.Barrier(4, timeout=60)

    def ask(number):
        barrier.wait()
        return number

    assert session.together(*[lambda number=number: ask(number) for number in range(4)]) == [0, 1, 2, 3]
    assert session.together() == []
    with pytest.raises(LookupError, match="no"):
        session.together(lambda: 1, lambda: {}["no"])
