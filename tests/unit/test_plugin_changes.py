"""What becomes of live objects and their recorded state, over a real channel: words, failed starts, upgrades."""

from typing import Any

import pytest
from annotated_sample import (
    BARE,
    BOX,
    CALLS,
    FAIL,
    LIVE,
    SECRET,
    WAITING,
    Box,
    BoxInputs,
    called,
    checked,
    diff_of,
    fresh,
    made,
    run,
)

from provision.errors import CreatedButUnhealthy, PartiallyUpdated
from provision.host.values import UNKNOWN, SecretValue, plain
from provision.spi import (
    Stored,
)
from provision.testing import OperationFailed
from provision.testing.harness import Made


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def test_the_person_is_told_once_what_a_change_does_to_a_live_object() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {})
        for change, told in (
            ({"memory": 2}, ["restarts: memory changes"]),
            ({"memory": 2, "image": "b"}, ["destroys data: image changes"]),
            ({"colour": "blue"}, []),
            ({"name": "other"}, []),
        ):
            lab.told.lines.clear()
            news = await checked(lab, BOX, {"name": box.inputs["name"], **change}, box.inputs)
            await lab.diff(BOX, box, news)
            await lab.diff(BOX, box, news)  # as a refresh does it, without a check
            assert [text for level, text in lab.told.lines if level == "note"] == told

    run(work)


def test_what_may_change_is_told_as_such() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {})
        for change, told in (
            ({"memory": UNKNOWN}, "may restart: memory may change"),
            ({"memory": 2, "image": UNKNOWN}, "may destroy data: image may change"),
        ):
            lab.told.lines.clear()
            await lab.diff(BOX, box, await checked(lab, BOX, change, box.inputs))
            assert lab.told.lines == [("note", told)]

    run(work)


def test_a_diff_names_the_outputs_that_stay() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {})
        assert list((await diff_of(lab, BOX, box, {**box.inputs, "memory": 2})).stables) == ["serial"]
        assert list((await diff_of(lab, BOX, box, {**box.inputs, "image": "b"})).stables) == []

    run(work)


@pytest.mark.parametrize(("token", "call"), [(BOX, "update"), (WAITING, "wait")])
def test_an_update_that_only_follows_a_failed_start_waits_again(token: str, call: str) -> None:
    async def work(lab: Any) -> None:
        inputs = await checked(lab, token, {"pin": SECRET})
        FAIL.append(CreatedButUnhealthy("sick", id="1", outputs={"name": "n"}))
        with pytest.raises(OperationFailed) as failed:
            await lab.create(token, inputs)
        kept = failed.value.kept
        preview = await lab.update(token, kept, inputs, preview=True)
        assert preview.outputs["serial"] is UNKNOWN, "nobody knows it yet"
        healed = await lab.update(token, kept, inputs)
        assert "__unhealthy" not in healed.outputs
        assert [name for name, _ in CALLS] == ["choose", "create", call]
        assert token == WAITING or called("update")[0].retry
        changed = await checked(lab, token, {"pin": SECRET, "memory": 2}, inputs)
        await lab.update(token, kept, changed)
        assert called("update")[-1].retry, "a change goes to update, which is told that the start had failed"

    run(work)


def test_without_update_or_wait_an_object_that_is_there_is_healthy() -> None:
    async def work(lab: Any) -> None:
        bare = Made("1", {"name": "n", "__unhealthy": True}, await checked(lab, BARE, {"name": "n"}))
        healed = await lab.update(BARE, bare, bare.inputs)
        assert healed.outputs == {"name": "n"}
        found = await lab.diff(BARE, bare, {**bare.inputs, "colour": "blue"})
        assert found.detailed == {"colour": "update_replace"}

    run(work)


def test_after_a_partial_update_only_the_rest_differs() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {"name": "n", "pin": SECRET})
        news = await checked(lab, BOX, {"name": "n", "pin": SECRET, "memory": 2, "colour": "blue"}, box.inputs)
        reached = BoxInputs(name="n", size="large", memory=2, pin=SECRET)
        FAIL.append(PartiallyUpdated("the paint is empty", inputs=reached, outputs={"name": "n", "starts": 2}))
        with pytest.raises(OperationFailed) as failed:
            await lab.update(BOX, box, news)
        kept = failed.value.kept
        assert kept.id == "1"
        assert failed.value.reasons == ("the paint is empty",)
        assert SECRET not in repr(kept)
        recorded = Made(kept.id, kept.outputs, news)  # the engine takes the wanted inputs for the recorded ones
        again = await checked(lab, BOX, {"name": "n", "pin": SECRET, "memory": 2, "colour": "blue"}, news)
        assert (await lab.diff(BOX, recorded, again)).detailed == {"colour": "update"}
        done = await lab.update(BOX, recorded, again)
        assert called("update")[-1].old_inputs.colour == "red"
        assert not called("update")[-1].retry
        assert "__appliedInputs" not in done.outputs
        seen = await lab.read(BOX, recorded)
        assert seen.inputs["colour"] == "red"
        assert "__appliedInputs" not in seen.outputs

    run(work)


def test_what_a_program_calls_secret_stays_so_when_only_that_was_changed() -> None:
    async def work(lab: Any) -> None:
        box = await made(lab, BOX, {"name": "n"})
        news = await checked(lab, BOX, {"name": "n", "colour": SecretValue(SECRET), "memory": 2}, box.inputs)
        reached = BoxInputs(name="n", size="small", colour=SECRET)
        FAIL.append(PartiallyUpdated("no memory is left", inputs=reached, outputs={"name": "n"}))
        with pytest.raises(OperationFailed) as failed:
            await lab.update(BOX, box, news)
        kept = failed.value.kept
        assert plain(kept.outputs["__appliedInputs"])["colour"] == SECRET
        assert isinstance(kept.outputs["__appliedInputs"]["colour"], SecretValue)

    run(work)


class Upgraded:
    """State of three releases."""

    @staticmethod
    def first(stored: Stored) -> Stored:
        inputs = dict(stored.inputs)
        if "paint" in inputs:
            inputs["colour"] = inputs.pop("paint")
        return Stored(inputs, stored.outputs)

    @staticmethod
    def second(stored: Stored) -> Stored:
        inputs, outputs = dict(stored.inputs), dict(stored.outputs)
        inputs["colour"] = inputs.get("colour", "").removeprefix("dark-")
        if "label" in outputs:
            outputs["name"] = outputs.pop("label")
        return Stored(inputs, outputs)


@pytest.fixture
def _third_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "schema_version", 2)
    monkeypatch.setattr(Box, "upgrades", {0: Upgraded.first, 1: Upgraded.second})


@pytest.mark.usefixtures("_third_release")
def test_state_of_older_releases_is_brought_up_by_steps_and_written_anew_without_a_change() -> None:
    async def work(lab: Any) -> None:
        old = Made("1", {"label": "n", "serial": "s"}, {"name": "n", "paint": SecretValue("dark-blue")})
        news = await checked(lab, BOX, {"name": "n", "colour": "blue"}, old.inputs)
        assert news["__schemaVersion"] == 2
        found = await diff_of(lab, BOX, old, news)
        assert (found.changes, dict(found.detailedDiff)) == (found.DIFF_SOME, {})
        done = await lab.update(BOX, old, news)
        assert called("update") == []
        assert done.outputs == {"name": "n", "serial": "s", "__schemaVersion": 2}
        current = Made("1", done.outputs, news)
        assert (await diff_of(lab, BOX, current, news)).changes == found.DIFF_NONE
        changed = {**news, "memory": 2}
        assert (await lab.diff(BOX, old, changed)).detailed == {"memory": "update"}
        await lab.update(BOX, old, changed)
        assert called("update")[-1].old_inputs.colour == "blue"
        assert called("update")[-1].outputs.name == "n"
        seen = await lab.read(BOX, old)
        assert (plain(seen.inputs["colour"]), seen.inputs["__schemaVersion"]) == ("blue", 2)
        assert seen.outputs["__schemaVersion"] == 2
        await lab.delete(BOX, old)
        assert called("delete")[0].outputs.name == "n"
        between = Made("1", {"label": "n", "__schemaVersion": 1}, {"colour": "dark-blue", "__schemaVersion": 1})
        assert (await lab.diff(BOX, between, {"colour": "blue"})).detailed == {}

    run(work)


@pytest.mark.usefixtures("_third_release")
def test_state_that_cannot_be_brought_up_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(lab: Any) -> None:
        newer = Made("1", {"name": "n", "__schemaVersion": 3}, {"__schemaVersion": 3})
        with pytest.raises(OperationFailed) as failed:
            await lab.diff(BOX, newer, {})
        assert "was written by a newer release of the plugin 'lab'" in failed.value.message
        assert "fix: install that release of the plugin 'lab', or a newer one" in failed.value.message
        monkeypatch.setattr(Box, "upgrades", {1: Upgraded.second})
        with pytest.raises(OperationFailed) as failed:
            await lab.diff(BOX, Made("1", {"name": "n"}, {"paint": "x"}), {})
        assert "`upgrades` has no step from version 0" in failed.value.message

    run(work)


@pytest.mark.usefixtures("_third_release")
def test_what_was_secret_stays_so_wherever_an_upgrade_puts_it() -> None:
    async def work(lab: Any) -> None:
        old = Made("1", {"label": "n"}, {"paint": SecretValue("blue")})
        LIVE.update(colour="blue")
        seen = await lab.read(BOX, old)
        assert seen.inputs["colour"] == SecretValue("blue")

    run(work)
