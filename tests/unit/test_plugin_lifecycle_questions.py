"""Lists and data functions over a real channel."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from lifecycle_sample import THING, WILL, EchoResult, trial

from provision.errors import NotFound, RetriableError
from provision.host.values import UNKNOWN, SecretValue
from provision.spi import Listed
from provision.testing import CheckRefused, Lifecycle, MemoryProvider, OperationFailed
from provision.testing.store import StoredObject

ECHO = "trial:echo"


@pytest.fixture(autouse=True)
def _as_usual() -> Iterator[None]:
    yield
    WILL.clear()


def many(count: int, taken: list[int] | None = None) -> Any:
    """A search that finds so many, and notes how far it was asked."""

    def search(request: Any) -> Iterator[Listed]:
        for number in range(count):
            if taken is not None:
                taken.append(number)
            yield Listed(f"id-{number}", f"{request.query.prefix}{number}")

    return search


# --- lists


def test_everything_is_listed_when_no_page_size_is_asked_for() -> None:
    WILL["list"] = many(250)

    async def work(platform: Lifecycle) -> None:
        page = await platform.list_page(THING, {"prefix": "web-"})
        assert [item.id for item in page.found] == [f"id-{number}" for number in range(250)]
        assert page.found[7].name == "web-7"
        assert page.more == ""

    trial(work)


def test_pages_follow_each_other_without_beginning_anew() -> None:
    taken: list[int] = []
    WILL["list"] = many(7, taken)

    async def work(platform: Lifecycle) -> None:
        first = await platform.list_page(THING, page_size=3)
        assert [item.id for item in first.found] == ["id-0", "id-1", "id-2"]
        assert taken == [0, 1, 2, 3], "no more is asked for than is wanted, and whether there is more"
        second = await platform.list_page(THING, page_size=3, continuation=first.more)
        third = await platform.list_page(THING, page_size=3, continuation=second.more)
        assert [item.id for item in (*second.found, *third.found)] == ["id-3", "id-4", "id-5", "id-6"]
        assert third.more == ""
        assert taken == list(range(7))

    trial(work)


def test_a_page_can_be_asked_for_again() -> None:
    WILL["list"] = many(5)

    async def work(platform: Lifecycle) -> None:
        first = await platform.list_page(THING, page_size=2)
        for _ in range(2):
            second = await platform.list_page(THING, page_size=2, continuation=first.more)
            assert [item.id for item in second.found] == ["id-2", "id-3"]

    trial(work)


@pytest.mark.parametrize("rest", [5, 3], ids=["as the protocol says", "as the command line does"])
def test_the_limit_counts_over_all_pages(rest: int) -> None:
    WILL["list"] = many(100)

    async def work(platform: Lifecycle) -> None:
        first = await platform.list_page(THING, page_size=2, limit=5)
        second = await platform.list_page(THING, page_size=2, limit=rest, continuation=first.more)
        third = await platform.list_page(THING, page_size=2, limit=1, continuation=second.more)
        assert [len(page.found) for page in (first, second, third)] == [2, 2, 1]
        assert third.more == ""
        assert len(await platform.list(THING, limit=4)) == 4

    trial(work)


def test_a_failure_that_passes_loses_and_doubles_nothing() -> None:
    failures = [RetriableError("busy"), RetriableError("busy")]

    def search(request: Any) -> Iterator[Listed]:
        for number in range(5):
            if number == 3 and failures:
                raise failures.pop()
            yield Listed(f"id-{number}")

    WILL["list"] = search

    async def work(platform: Lifecycle) -> None:
        assert [item.id for item in await platform.list(THING)] == [f"id-{number}" for number in range(5)]
        assert not failures

    trial(work)


def test_a_query_is_validated_and_an_unknown_one_is_not_answered_yet() -> None:
    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.list(THING, {"size": 0, "prefx": "x"})
        assert failed.value.code == "INVALID_ARGUMENT"
        assert "size must be greater than or equal to 1" in failed.value.message
        assert "did you mean 'prefix'?" in failed.value.message
        page = await platform.list_page(THING, {"prefix": UNKNOWN})
        assert page.computed
        assert page.found == ()

    trial(work)


@pytest.mark.parametrize("token", ["nonsense", "WzEsIDIsIDNd", "bnVsbA==", "é"])
def test_a_continuation_of_somebody_else_is_refused(token: str) -> None:
    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.list_page(THING, continuation=token)
        assert failed.value.code == "INVALID_ARGUMENT"

    trial(work)


def test_what_is_no_listing_is_the_plugins_fault() -> None:
    WILL["list"] = lambda request: ["id-1"]

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed, match="`list` must give Listed with a non-empty id"):
            await platform.list(THING)

    trial(work)


def test_a_type_that_cannot_be_listed_says_so() -> None:
    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed, match="cannot be listed"):
            await platform.list("index:AddressPlan")
        with pytest.raises(OperationFailed, match="did you mean 'trial:Thing'"):
            await platform.list("trial:Thin")

    trial(work)


# --- data functions


def test_a_function_answers_with_its_defaults_filled_in() -> None:
    async def work(platform: Lifecycle) -> None:
        assert await platform.invoke(ECHO, {"text": "ab"}) == {"text": "ab", "parts": []}
        assert (await platform.invoke(ECHO, {"text": "ab", "times": 2}))["text"] == "abab"

    trial(work)


def test_wrong_arguments_are_refused_one_by_one_with_their_places() -> None:
    async def work(platform: Lifecycle) -> None:
        with pytest.raises(CheckRefused) as refused:
            await platform.invoke(ECHO, {"text": "", "tims": 1, "times": "x"})
        assert set(refused.value.failures) == {"text", "tims", "times"}

    trial(work)


def test_secrets_of_an_answer_are_kept() -> None:
    def call(request: Any) -> EchoResult:
        return EchoResult(text="plain", parts=["a", f"key={request.arguments.key.get_secret_value()}"], token="t0ken")

    WILL["call"] = call

    async def work(platform: Lifecycle) -> None:
        answer = await platform.invoke(ECHO, {"text": "x", "key": SecretValue("hunter22")})
        assert answer["token"] == SecretValue("t0ken")
        assert answer["text"] == "plain"
        assert answer["parts"] == ["a", SecretValue("key=hunter22")]

    trial(work)


def test_secrets_of_a_question_stay_out_of_its_failure() -> None:
    def call(request: Any) -> EchoResult:
        raise NotFound(f"nothing for {request.arguments.key.get_secret_value()}", "ask for something else")

    WILL["call"] = call

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.invoke(ECHO, {"text": "x", "key": "hunter22"})
        assert failed.value.code == "NOT_FOUND"
        assert failed.value.message == "nothing for [secret]\n  fix: ask for something else"

    trial(work)


def test_an_argument_that_is_not_known_gives_no_answer_and_no_call() -> None:
    WILL["call"] = lambda request: pytest.fail("must not be called")

    async def work(platform: Lifecycle) -> None:
        assert await platform.invoke(ECHO, {"text": UNKNOWN}, preview=True) == {}

    trial(work)


def test_a_function_that_passes_is_tried_again_and_a_wrong_answer_is_the_plugins_fault() -> None:
    answers: list[Any] = [RetriableError("busy"), "text"]

    def call(request: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    WILL["call"] = call

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed, match="trial:echo: `call` must return a EchoResult"):
            await platform.invoke(ECHO, {"text": "x"})

    trial(work)


def test_an_unknown_function_says_what_is_meant() -> None:
    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed, match="has no function 'trial:ech'\n  fix: did you mean 'trial:echo'"):
            await platform.invoke("trial:ech", {})

    trial(work)


def test_nothing_is_asked_before_the_platform_is_connected() -> None:
    from lifecycle_sample import TrialProvider

    async def go() -> None:
        async with Lifecycle(TrialProvider, configure=False) as platform:
            for question in (platform.invoke(ECHO, {"text": "x"}), platform.list(THING)):
                with pytest.raises(OperationFailed) as failed:
                    await question
                assert failed.value.code == "FAILED_PRECONDITION"

    asyncio.run(go())


def test_the_in_memory_platform_lists_and_answers() -> None:
    async def go() -> None:
        async with Lifecycle(MemoryProvider) as platform:
            store = platform.servicer._session.store
            store.put(StoredObject("volume-x", "compute:Volume", "by-hand", "", {"size_gib": 4}))
            assert [item.name for item in await platform.list("compute:Volume", {"prefix": "by"})] == ["by-hand"]
            assert await platform.list("compute:Volume", {"prefix": "no"}) == []
            found = await platform.invoke("compute:findVolume", {"name": "by-hand", "key": "hunter22"})
            assert found == {"id": "volume-x", "sizeGib": 4, "ticket": SecretValue("hunter22/volume-x")}
            sizes = await platform.invoke("compute:listSizes", {"minCpus": 3})
            assert [size["name"] for size in sizes["sizes"]] == ["m4", "m8"]
            store.remove("volume-x")

    asyncio.run(go())
