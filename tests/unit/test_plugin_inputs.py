"""What field annotations make of inputs, over a real channel: names, choices, environment, write-only values, drift."""

from typing import Annotated, Any

import pytest
from annotated_sample import (
    BOX,
    FAIL,
    LIVE,
    SECRET,
    SIZES,
    called,
    checked,
    diff_of,
    fresh,
    made,
    run,
)
from pydantic import Field

from provision.errors import CreatedButUnhealthy
from provision.host.plugin.configuration import check_config
from provision.host.protocol import provider_pb2
from provision.host.values import UNKNOWN, SecretValue, plain
from provision.spi import (
    FromEnvironment,
    Properties,
)
from provision.testing import CheckRefused, OperationFailed
from provision.testing.harness import Made


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def test_another_spelling_of_the_same_is_no_difference_and_survives_a_refresh() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {"colour": "Red", "ranges": ["10.0.0.0/8", "::1"], "policy": '{"a": 1, "b": [2]}'})
        same = {"colour": "rED", "ranges": ["0::1/128", "10.0.0.0/255.0.0.0"], "policy": '{"b":[2],"a":1}'}
        assert (await lab.diff(BOX, box, await checked(lab, BOX, same, box.inputs))).detailed == {}
        other = {"colour": "blue", "ranges": ["10.0.0.0/9"], "policy": '{"a": true, "b": [2]}'}
        found = await lab.diff(BOX, box, await checked(lab, BOX, other, box.inputs))
        assert found.detailed == {"colour": "update", "ranges[0]": "update", "ranges[1]": "delete", "policy": "update"}
        unknown = await lab.diff(BOX, box, {**box.inputs, "ranges": ["10.0.0.0/8", UNKNOWN]})
        assert unknown.detailed == {"ranges[1]": "update"}
        LIVE.update(colour="RED", ranges=["::1/128", "10.0.0.0/8"])
        assert (await lab.read(BOX, box)).inputs == box.inputs
        LIVE.update(colour="green")
        assert (await lab.read(BOX, box)).inputs["colour"] == "green"

    run(work)


def test_what_something_else_may_change_stays_as_recorded() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {"count": 3})
        LIVE.update(count=9, memory=2)
        seen = await lab.read(BOX, box)
        assert (seen.inputs["count"], seen.outputs["count"], seen.inputs["memory"]) == (3, 3, 2)
        assert (await lab.read(BOX, box.id)).inputs["count"] == 9, "an import takes what is there"

    run(work)


def test_a_name_is_made_once_within_its_rules_and_kept() -> None:
    async def work(lab: Any) -> None:
        first = await checked(lab, BOX, {}, name="machines/Web_0")
        assert first["name"].startswith("machines-web-0-")
        assert len(first["name"]) == 20
        assert await checked(lab, BOX, {}, name="machines/Web_0") == first, "an update plan must come true"
        assert (await checked(lab, BOX, {}, name="machines/Web_0", seed=b"other"))["name"] != first["name"]
        assert (await checked(lab, BOX, {}, name="machines/Web_0", seed=b""))["name"] != first["name"]
        assert (await checked(lab, BOX, {}, first, seed=b"other"))["name"] == first["name"]
        assert (await checked(lab, BOX, {"name": "mine"}, first))["name"] == "mine"
        nameless = {key: item for key, item in first.items() if key != "name"}
        assert "name" not in await checked(lab, BOX, {}, nameless), "an object of an older release is not made anew"
        assert len((await checked(lab, BOX, {}, name="x" * 80))["name"]) == 20

    run(work)


def test_pulumis_own_rules_for_names_are_honoured() -> None:
    async def work(lab: Any) -> None:
        options = provider_pb2.CheckRequest.AutonamingOptions
        assert (await checked(lab, BOX, {}, autonaming=(options.ENFORCE, "As It Is")))["name"] == "As It Is"
        proposed = await checked(lab, BOX, {}, autonaming=(options.PROPOSE, "Project/very-long-name-1a2b3"))
        assert proposed["name"] == "project-very-l-1a2b3"
        with pytest.raises(CheckRefused) as refused:
            await checked(lab, BOX, {}, autonaming=(options.DISABLE, ""))
        assert refused.value.failures == {"name": "is required, since `pulumi:autonaming` is disabled"}
        assert (await checked(lab, BOX, {"name": "mine"}, autonaming=(options.DISABLE, "")))["name"] == "mine"
        answer = await lab.stub.Handshake(provider_pb2.ProviderHandshakeRequest())
        assert answer.supports_autonaming_configuration

    run(work)


def test_the_environment_stands_in_for_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOX_REGION", "")
    monkeypatch.setenv("BOX_FALLBACK", "there")
    monkeypatch.setenv("BOX_TAGS", '{"a": "b"}')

    async def work(lab: Any) -> None:
        found = await checked(lab, BOX, {})
        assert (found["region"], found["tags"]) == ("there", {"a": "b"})
        found = await checked(lab, BOX, {"region": "mine", "tags": UNKNOWN})
        assert (found["region"], found["tags"]) == ("mine", UNKNOWN)
        monkeypatch.setenv("BOX_TAGS", "no map")
        with pytest.raises(CheckRefused) as refused:
            await checked(lab, BOX, {})
        assert set(refused.value.failures) == {"tags"}

    run(work)


def test_settings_come_from_the_environment_too() -> None:
    class Settings(Properties):
        url: Annotated[str, FromEnvironment(("LAB_URL",))] = "here"
        limits: Annotated[dict[str, int], FromEnvironment(("LAB_LIMITS",))] = Field(default_factory=dict)

    around = {"LAB_URL": "there", "LAB_LIMITS": '{"a": 1}'}
    assert check_config(Settings, {"version": "1"}, around) == (
        {"url": "there", "limits": {"a": 1}, "version": "1"},
        [],
    )
    assert check_config(Settings, {"url": "mine"}, around)[0]["url"] == "mine"
    assert [failure.property for failure in check_config(Settings, {}, {"LAB_LIMITS": "[]"})[1]] == ["limits"]


def test_a_deprecated_input_is_warned_of_when_it_is_set() -> None:
    async def work(lab: Any) -> None:
        await checked(lab, BOX, {"speed": None})
        assert lab.told.lines == []
        await checked(lab, BOX, {"speed": 3})
        assert lab.told.lines == [("warning", "speed is deprecated: use `memory`")]

    run(work)


def test_a_choice_is_made_once_and_kept_while_the_request_stays() -> None:
    async def work(lab: Any) -> None:
        first = await checked(lab, BOX, {})
        assert first["size"] == "small"
        SIZES[1] = "new-small"
        try:
            assert (await checked(lab, BOX, {"count": 4}, first))["size"] == "small"
            assert called("choose") == [1]
            assert (await checked(lab, BOX, {"lookAgain": True}, first))["size"] == "new-small"
            assert (await checked(lab, BOX, {"memory": 2}, first))["size"] == "large"
            assert (await checked(lab, BOX, {"size": "mine"}, first))["size"] == "mine"
        finally:
            SIZES[1] = "small"
        made_without = {key: item for key, item in first.items() if key != "size"}
        assert "size" not in await checked(lab, BOX, {}, made_without), "a new kind of choice changes no object"
        assert (await checked(lab, BOX, {"memory": UNKNOWN}, first))["size"] is UNKNOWN
        assert (await checked(lab, BOX, {"lookAgain": UNKNOWN}, first))["size"] is UNKNOWN
        with pytest.raises(CheckRefused) as refused:
            await checked(lab, BOX, {"memory": 7})
        assert refused.value.failures == {"size": "no size has that much memory\n  fix: ask for 2, the closest"}
        with pytest.raises(CheckRefused) as refused:
            await checked(lab, BOX, {"memory": "much"})
        assert set(refused.value.failures) == {"memory"}

    run(work)


def test_a_choice_is_unknown_while_the_provider_is_not_configured_unless_it_is_recorded() -> None:
    async def work(lab: Any) -> None:
        first = await checked(lab, BOX, {})
        assert first["size"] is UNKNOWN
        assert called("choose") == []
        assert (await checked(lab, BOX, {}, {**first, "size": "small"}))["size"] == "small"

    run(work, configure=False)


def test_a_write_only_value_reaches_the_plugin_and_never_the_state() -> None:
    async def work(lab: Any) -> None:
        news = {"pin": SECRET, "logins": [{"user": "a", "password": SECRET + "2"}]}
        inputs = await checked(lab, BOX, news)
        assert SECRET not in repr(inputs)
        assert inputs["pin"].value.startswith("digest:scrypt14:")
        assert inputs["logins"][0]["password"].value.startswith("digest:")
        assert await checked(lab, BOX, news) == inputs, "the same seed gives the same digest"
        assert plain((await checked(lab, BOX, news, seed=b"x"))["pin"]) != plain(inputs["pin"])
        preview = await lab.create(BOX, inputs, preview=True)
        assert "pin" not in preview.outputs
        box = await lab.create(BOX, inputs)
        (got,) = called("create")
        assert (got.pin, got.logins[0].password.get_secret_value()) == (SECRET, SECRET + "2")
        assert "pin" not in box.outputs, "outputs never show it"
        again = await checked(lab, BOX, news, inputs, seed=b"next")
        assert again == inputs
        assert (await lab.diff(BOX, box, again)).detailed == {}
        changed = await checked(lab, BOX, {**news, "pin": "another"}, inputs, seed=b"next")
        assert (await lab.diff(BOX, box, changed)).detailed == {"pin": "update"}
        await lab.update(BOX, box, changed)
        (update,) = called("update")
        assert (update.inputs.pin, update.old_inputs.pin) == ("another", plain(inputs["pin"]))
        assert update.old_inputs.logins == update.inputs.logins, "what did not change compares as the same"
        seen = await lab.read(BOX, box)
        assert seen.inputs == box.inputs
        assert (await checked(lab, BOX, {"pin": UNKNOWN}))["pin"] == SecretValue(UNKNOWN)
        with pytest.raises(CheckRefused) as refused:
            await checked(lab, BOX, {"pin": SECRET * 3})
        assert SECRET not in str(refused.value)

    run(work)


def test_a_write_only_value_that_is_not_known_any_more_is_asked_for() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {"pin": SECRET})
        ignored = await checked(lab, BOX, {"pin": box.inputs["pin"], "memory": 2}, box.inputs)
        assert ignored["pin"] == box.inputs["pin"], "as `ignoreChanges` gives it"
        with pytest.raises(OperationFailed) as failed:
            await lab.update(BOX, box, ignored)
        assert "the value of 'pin' is not known in this run" in failed.value.message
        assert "ignoreChanges" in failed.value.message
        with pytest.raises(CheckRefused) as refused:
            await checked(lab, BOX, {"pin": box.inputs["pin"]})
        assert set(refused.value.failures) == {"pin"}, "a replacement has nothing to make the new object with"
        await lab.delete(BOX, box)
        (delete,) = called("delete")
        assert delete.inputs.pin == plain(box.inputs["pin"])

    run(work)


def test_a_value_that_was_recorded_before_it_was_write_only_leaves_the_state_without_a_change() -> None:
    async def work(lab: Any) -> None:
        former = Made("1", {"name": "n"}, {"name": "n", "pin": SecretValue(SECRET)})
        news = await checked(lab, BOX, {"name": "n", "pin": SECRET}, former.inputs)
        found = await diff_of(lab, BOX, former, news)
        assert (found.changes, dict(found.detailedDiff)) == (found.DIFF_SOME, {})
        await lab.update(BOX, former, news)
        assert called("update") == []

    run(work)


def test_a_write_only_value_does_not_occur_in_failures() -> None:
    async def work(lab: Any) -> None:
        inputs = await checked(lab, BOX, {"pin": SECRET})
        FAIL.append(RuntimeError(f"cannot set {SECRET}"))
        with pytest.raises(OperationFailed) as failed:
            await lab.create(BOX, inputs)
        assert "cannot set [secret]" in failed.value.message
        FAIL.append(CreatedButUnhealthy("sick", id="1", outputs={"name": "n", "pin": SECRET}))
        with pytest.raises(OperationFailed) as failed:
            await lab.create(BOX, inputs)
        assert "pin" not in failed.value.kept.outputs  # type: ignore[union-attr]

    run(work)
