"""Types of a cloud: what interrupted runs left is taken up, what is another's is let be, and state stays true."""

import asyncio
from typing import Annotated

import pytest
from dock_sample import dock
from pydantic import Field

from provision.errors import CreatedButUnhealthy, ForeignObject, NotFound, PartiallyUpdated, PlatformError, UserError
from provision.spi import (
    AS_CIDR,
    IMMUTABLE,
    Cancelled,
    CreateRequest,
    DeleteRequest,
    ListRequest,
    Operation,
    Properties,
    ReadRequest,
    Replacement,
    UpdateRequest,
    registry,
)
from provision.spi.cloud import built, foreign, kept, respelt, unfit
from provision.testing import Lifecycle

MINE, URN = "mine", "urn:pulumi:s::p::provision-dock:dock:Crate::box"
OWN = {"name": "box", "place": "quay", "weight": 1, "mark": f"{MINE}/{URN}"}


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setattr("provision.spi.cloud.reading._GATHERING_SECONDS", 0.0)
    return dock.DockSession(dock.Api())


@pytest.fixture
def api(session):
    return session.api


@pytest.fixture
def operation(session):
    return Operation(URN, session)


def wanted(**more):
    return dock.CrateInputs(**{"stack_id": MINE, "name": "box", **more})


def laid(api, **fields):
    return api.make({**OWN, **fields})["id"]


class EarlyCrate(dock.Crate):
    """One that is made before the old one goes."""

    replacement = Replacement.CREATE_FIRST


class PreciousCrate(dock.Crate):
    """One that is never removed but by its own delete."""

    disposable = False


class FragileCrate(dock.Crate):
    """One that a leak breaks for good."""

    def broken(self, live):
        return self.kind.state(live) == "leaking"


# Making


def test_the_call_that_makes_an_object_marks_it(api, session, operation):
    made = dock.Crate().create(CreateRequest(operation, wanted()))

    assert session.is_touched(made.id)
    assert session.stack_of(made.id) == MINE
    assert api.crates[made.id]["mark"] == f"{MINE}/{URN}"
    assert made.outputs == dock.CrateOutputs(crate_id=made.id)


def test_what_an_interrupted_run_left_is_taken_up(api, operation):
    left = laid(api)

    made = dock.Crate().create(CreateRequest(operation, wanted(weight=5)))

    assert (made.id, list(api.crates)) == (left, [left])
    assert api.crates[left]["weight"] == 5


def test_what_an_interrupted_run_left_and_cannot_be_used_is_removed(api, operation):
    left = laid(api, place="ship")

    made = dock.Crate().create(CreateRequest(operation, wanted()))

    assert list(api.crates) == [made.id]
    assert made.id != left


def test_so_is_what_is_broken_though_it_is_just_as_wanted(api, operation):
    left = laid(api, state="leaking")

    made = FragileCrate().create(CreateRequest(operation, wanted()))

    assert list(api.crates) == [made.id]
    assert made.id != left


def test_or_is_refused_where_it_may_not_be_removed(api, operation):
    left = laid(api, place="ship")

    with pytest.raises(ForeignObject, match=f"the crate {left} was made for this resource by an earlier run"):
        PreciousCrate().create(CreateRequest(operation, wanted()))

    assert list(api.crates) == [left]


@pytest.mark.parametrize("fields", [{"mark": ""}, {"mark": f"{MINE}/other"}, {"mark": f"theirs/{URN}"}])
def test_what_has_another_mark_is_let_be(api, operation, fields):
    other = laid(api, **fields)

    made = dock.Crate().create(CreateRequest(operation, wanted()))

    assert sorted(api.crates) == sorted([other, made.id])


def test_a_type_that_is_made_first_takes_up_nothing(api, operation):
    live = laid(api)

    assert EarlyCrate().create(CreateRequest(operation, wanted())).id != live


@pytest.mark.parametrize("kind", [dock.Crate, EarlyCrate])
def test_what_this_very_attempt_has_made_is_found_when_its_answer_is_lost(api, operation, kind):
    usual, api.make = api.make, lambda fields: (usual(fields), (_ for _ in ()).throw(dock.Refusal("Busy")))[0]
    with pytest.raises(PlatformError, match="making the crate 'box': the dock is busy"):
        kind().create(CreateRequest(operation, wanted()))
    api.make = usual

    made = kind().create(CreateRequest(operation, wanted()))

    assert list(api.crates) == [made.id]


def test_an_object_is_waited_for(api, operation):
    api.packing = 2

    made = dock.Crate().create(CreateRequest(operation, wanted()))

    assert api.crates[made.id]["looks"] == 3


def test_what_takes_long_is_noticed_as_soon_as_its_platform_asks(api, session, monkeypatch):
    monkeypatch.setattr(session.reader, "longest_pause_seconds", 0.3)
    monkeypatch.setattr(session.reader, "fresh_seconds", 0.05)
    pauses = []
    operation = Operation(URN, session, wait=lambda seconds: pauses.append(seconds))
    api.packing = 12

    dock.Crate().create(CreateRequest(operation, wanted()))

    assert len(pauses) >= 8
    assert max(pauses) <= 0.3


def test_one_that_will_never_be_ready_is_kept_with_the_reason(api, operation):
    usual, api.make = api.make, lambda fields: usual({**fields, "state": "leaking"})

    with pytest.raises(CreatedButUnhealthy, match="the crate crate-1 was made, but it leaks") as caught:
        dock.Crate().create(CreateRequest(operation, wanted()))

    assert caught.value.id == "crate-1"
    assert caught.value.outputs == {"crate_id": "crate-1", "adopted": False}


@pytest.mark.parametrize("stopped", [PlatformError("no"), Cancelled("late")], ids=lambda error: type(error).__name__)
def test_one_that_exists_is_kept_when_what_follows_fails(session, stopped):
    told = []

    def change(*asked, **more):
        raise stopped

    kind = dock.Crate()
    kind.change = change
    operation = Operation(URN, session, made=lambda identity, outputs: told.append((identity, outputs)))

    with pytest.raises(type(stopped)):
        kind.create(CreateRequest(operation, wanted()))

    assert told == [("crate-1", {"crate_id": "crate-1", "adopted": False})]


# Reading, changing, removing


def read(operation, identity, inputs=None, outputs=None, kind=dock.Crate):
    return kind().read(ReadRequest(operation, identity, inputs, outputs))


def test_an_object_is_read_as_it_is(api, operation):
    live = laid(api, weight=7)

    found = read(operation, live, wanted(), dock.CrateOutputs(crate_id=live))

    assert found.inputs == wanted(weight=7)
    assert not found.outputs.adopted
    assert read(operation, "crate-9", wanted()) is None


def test_an_import_keeps_the_mark_and_says_that_it_is_one(api, operation):
    live = laid(api, mark="theirs/x")

    found = read(operation, live)

    assert found.inputs.stack_id == "theirs"
    assert found.outputs.adopted
    again = read(operation, live, found.inputs, found.outputs)
    assert again.outputs.adopted


def update(operation, identity, old, new, **outputs):
    request = UpdateRequest(operation, identity, new, old, dock.CrateOutputs(crate_id=identity, **outputs))
    return dock.Crate().update(request)


def test_an_object_is_changed_from_what_it_is(api, operation):
    live = laid(api)

    update(operation, live, wanted(weight=3), wanted(weight=1))
    assert "change" not in api.calls

    update(operation, live, wanted(), wanted(weight=3))
    assert api.crates[live]["weight"] == 3


def test_what_a_change_breaks_is_told_of(api, operation):
    live = laid(api)
    usual = api.change
    api.change = lambda identity, fields: usual(identity, {**fields, "state": "leaking"})

    with pytest.raises(CreatedButUnhealthy, match="it leaks"):
        update(operation, live, wanted(), wanted(weight=3))


def test_half_a_change_is_told_of(api, operation):
    live = laid(api)
    usual = api.change

    def half(identity, fields):
        usual(identity, {"weight": fields["weight"]})
        raise dock.Refusal("Storm")

    api.change = half

    with pytest.raises(PartiallyUpdated, match="changing the crate crate-1: Storm") as caught:
        update(operation, live, wanted(), wanted(name="chest", weight=3))

    assert caught.value.inputs == wanted(weight=3)


@pytest.mark.parametrize("mark", ["", "theirs/x"])
def test_what_is_not_the_stacks_own_is_neither_changed_nor_removed(api, operation, mark):
    live = laid(api, mark=mark)
    request = DeleteRequest(operation, live, wanted(), dock.CrateOutputs(crate_id=live))

    with pytest.raises(ForeignObject, match="does not belong to this stack"):
        update(operation, live, wanted(), wanted(weight=2))
    with pytest.raises(ForeignObject, match="does not belong to this stack"):
        dock.Crate().delete(request)

    assert api.crates[live]["weight"] == 1


def test_what_was_imported_is_the_stacks_to_change(api, operation):
    live = laid(api, mark="")

    done = update(operation, live, wanted(stack_id=""), wanted(weight=2), adopted=True)

    assert done.outputs.adopted
    assert api.crates[live]["weight"] == 2


def test_what_is_gone_cannot_be_changed(operation):
    with pytest.raises(NotFound, match="the crate crate-9 is gone"):
        update(operation, "crate-9", wanted(), wanted(weight=2))


def test_a_removal_is_waited_for_and_one_that_is_gone_is_a_success(api, operation):
    live = laid(api)
    request = DeleteRequest(operation, live, wanted(), dock.CrateOutputs(crate_id=live))
    looks = []

    def remove(identity):
        api.crates[identity]["state"] = "sinking"

    def show(ids):
        looks.append(ids)
        if len(looks) == 3:
            api.crates[live]["state"] = "sunk"
        return usual(ids)

    usual, api.show, api.remove = api.show, show, remove

    dock.Crate().delete(request)
    assert api.crates[live]["state"] == "sunk"
    dock.Crate().delete(request)
    dock.Crate().delete(DeleteRequest(operation, "crate-9", wanted(), None))


def test_one_that_goes_while_it_is_removed_is_a_success(api, operation):
    live = laid(api)
    usual = api.remove

    def remove(identity):
        usual(identity)
        raise dock.Refusal("NoSuchCrate")

    api.remove = remove

    dock.Crate().delete(DeleteRequest(operation, live, wanted(), dock.CrateOutputs(crate_id=live)))

    assert api.crates == {}


def test_one_that_stays_while_something_else_is_said_to_be_absent_is_told_of_and_not_waited_for(
    api, operation, monkeypatch
):
    monkeypatch.setattr("provision.spi.cloud.native._OUTDATED_S", 0.0)
    live = laid(api)

    def remove(identity):
        raise dock.Refusal("NoSuchCrate")

    api.remove = remove

    with pytest.raises(
        PlatformError, match=f"removing the crate {live}: NoSuchCrate; it is there all the same"
    ) as told:
        dock.Crate().delete(DeleteRequest(operation, live, wanted(), dock.CrateOutputs(crate_id=live)))

    assert not isinstance(told.value, NotFound)  # that would be taken for a success


def test_what_can_be_described_and_is_not_gone_is_listed(api, session):
    laid(api)
    laid(api, weight=0)
    laid(api, state="sunk")

    found = list(dock.Crate().list(ListRequest(Operation("", session), dock.CrateQuery())))

    assert [(one.id, one.name) for one in found] == [("crate-1", "box")]


# Parts


def strap(crate, **more):
    return dock.StrapInputs(**{"stack_id": MINE, "crate_id": crate, "colour": "red", **more})


def tie(operation, inputs):
    return dock.Strap().create(CreateRequest(operation, inputs))


def test_a_part_is_made_found_and_removed(api, operation):
    crate = laid(api)

    made = tie(operation, strap(crate))

    assert made.id == f"{crate}|red"
    found = read(operation, made.id, strap(crate), made.outputs, dock.Strap)
    assert (found.inputs, found.outputs.adopted) == (strap(crate), False)
    dock.Strap().delete(DeleteRequest(operation, made.id, strap(crate), made.outputs))
    assert api.crates[crate]["straps"] == []
    assert read(operation, made.id, strap(crate), made.outputs, dock.Strap) is None
    dock.Strap().delete(DeleteRequest(operation, made.id, strap(crate), made.outputs))


def test_a_part_whose_answer_was_lost_is_found_by_the_next_try(api, operation):
    crate = laid(api)
    usual = api.strap

    def lost(*asked):
        usual(*asked)
        raise dock.Refusal("Busy")

    api.strap = lost
    with pytest.raises(PlatformError, match="the dock is busy"):
        tie(operation, strap(crate))

    assert tie(operation, strap(crate)).id == f"{crate}|red"
    assert len(api.crates[crate]["straps"]) == 1


def test_a_part_that_was_removed_is_not_read_from_a_survey_of_before(api, session, operation):
    crate = laid(api)
    api.strap(crate, "red", "reef")
    session.reader.survey(dock.CRATE, MINE)

    dock.Strap().delete(DeleteRequest(operation, f"{crate}|red", strap(crate), dock.StrapOutputs()))

    assert read(operation, f"{crate}|red", strap(crate), dock.StrapOutputs(), dock.Strap) is None


def test_a_part_that_is_there_already_just_so_is_taken(api, operation):
    crate = laid(api)
    api.strap(crate, "red", "reef")

    assert tie(operation, strap(crate)).id == f"{crate}|red"


def test_a_part_in_the_way_is_not_touched(api, operation):
    crate = laid(api)
    api.strap(crate, "red", "granny")

    with pytest.raises(ForeignObject, match=rf"there is a strap in the way, {crate}\|red"):
        tie(operation, strap(crate))

    assert api.crates[crate]["straps"] == [{"colour": "red", "knot": "granny"}]


def test_a_part_that_is_said_to_be_there_and_is_not_found_is_a_failure(api, operation):
    crate = laid(api)

    def elsewhere(*asked):
        raise dock.Refusal("StrapExists")

    api.strap = elsewhere

    with pytest.raises(PlatformError, match=f"making the strap of {crate}: StrapExists"):
        tie(operation, strap(crate))


def test_the_object_of_another_stack_gets_no_part(api, operation):
    theirs, nobodys = laid(api, mark="theirs/x"), laid(api, mark="")

    with pytest.raises(ForeignObject, match=f"the crate {theirs} belongs to another stack"):
        tie(operation, strap(theirs))
    with pytest.raises(NotFound, match="there is no crate crate-9"):
        tie(operation, strap("crate-9"))

    assert api.crates[theirs]["straps"] == []
    assert tie(operation, strap(nobodys)).id == f"{nobodys}|red"


@pytest.mark.parametrize(
    ("mark", "knot", "adopted", "removed"),
    [
        (f"{MINE}/x", "granny", False, True),
        ("theirs/x", "reef", False, False),
        ("theirs/x", "granny", True, True),
        ("", "reef", False, True),
        ("", "granny", False, False),
    ],
)
def test_whose_part_may_be_removed(api, operation, mark, knot, adopted, removed):
    crate = laid(api, mark=mark)
    api.strap(crate, "red", knot)
    request = DeleteRequest(operation, f"{crate}|red", strap(crate), dock.StrapOutputs(adopted=adopted))

    if removed:
        dock.Strap().delete(request)
    else:
        with pytest.raises(ForeignObject, match="does not belong to this stack"):
            dock.Strap().delete(request)

    assert (api.crates[crate]["straps"] == []) is removed


def test_an_imported_part_is_of_the_stack_of_its_whole(api, operation):
    crate = laid(api)
    api.strap(crate, "red", "reef")

    found = read(operation, f"{crate}|red", kind=dock.Strap)

    assert found.inputs == strap(crate)
    assert found.outputs.adopted


# Models and refusals


class Inner(Properties):
    size: Annotated[int, Field(description="x"), IMMUTABLE] = 1
    note: Annotated[str, Field(description="x")] = ""


class Outer(Properties):
    place: Annotated[str | None, Field(description="x"), IMMUTABLE] = None
    network: Annotated[str, Field(description="x"), IMMUTABLE, AS_CIDR] = "fd00::/64"
    one: Annotated[Inner | None, Field(description="x")] = None
    many: Annotated[list[Inner] | None, Field(description="x")] = None


@pytest.mark.parametrize(
    ("live", "other", "names"),
    [
        ({"place": "a"}, {"place": "b"}, ["place"]),
        ({"place": "a"}, {}, []),  # not said: whatever it is
        ({"network": "FD00:0::/64"}, {}, []),
        ({"one": Inner(size=1)}, {"one": Inner(size=2)}, ["one.size"]),
        ({"one": Inner(note="a")}, {"one": Inner(note="b")}, []),
        ({"one": None}, {"one": Inner()}, []),
        ({"many": [Inner(), Inner(size=2)]}, {"many": [Inner(), Inner(size=3)]}, ["many.size"]),
        ({"many": None}, {"many": [Inner()]}, []),
    ],
)
def test_what_differs_and_cannot_be_changed_is_named(live, other, names):
    assert unfit(Outer(**live), Outer(**other)) == names


def test_what_was_read_is_spelt_as_it_was_recorded_where_both_mean_the_same():
    recorded = Outer(network="FD00:0::/64")

    assert respelt(Outer, "network", "fd00::/64", recorded) == "FD00:0::/64"
    assert respelt(Outer, "network", "fd01::/64", recorded) == "fd01::/64"
    assert respelt(Outer, "network", "fd00::/64", None) == "fd00::/64"


def test_what_no_input_can_say_is_told_with_the_place_and_without_the_value():
    with pytest.raises(UserError) as caught:
        built(Outer, "the thing x", {"one": {"size": "hush-hush"}})

    assert caught.value.summary.startswith("the thing x cannot be described by this type: one.size: ")
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PlatformError("no"), True),
        (Cancelled(), True),
        (CreatedButUnhealthy("ill", id="x", outputs={}), False),
        (LookupError("a defect"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_which_failures_have_an_object_kept(error, told):
    kept_ids = []
    operation = Operation(URN, None, made=lambda identity, outputs: kept_ids.append(identity))

    with pytest.raises(type(error)), kept(operation, "x", dict):
        raise error

    assert (kept_ids == ["x"]) is told


def test_a_refusal_names_the_object_and_a_way_out():
    assert "the crate x does not belong to this stack" in foreign("crate", "x").summary
    assert foreign("crate", "x").fix


# The example as a whole


def test_the_example_is_a_plugin_and_lives_a_life_behind_the_real_host(monkeypatch):
    monkeypatch.setattr(dock.DockProvider, "api", dock.Api())
    registry.check("dock", dock.DockProvider)

    async def talk():
        async with Lifecycle(dock.DockProvider) as platform:
            inputs = await platform.check("dock:Crate", {"stackId": MINE, "name": "box"})
            crate = await platform.create("dock:Crate", inputs)
            around = await platform.check("dock:Strap", {"stackId": MINE, "crateId": crate.id, "colour": "red"})
            tied = await platform.create("dock:Strap", around)
            imported = await platform.read("dock:Crate", crate.id)
            assert imported is not None
            assert [one.id for one in await platform.list("dock:Crate", {})] == [crate.id]
            await platform.delete("dock:Strap", tied)
            await platform.delete("dock:Crate", crate)
            assert await platform.read("dock:Crate", crate) is None

    asyncio.run(talk())
    assert dock.DockProvider.api.crates == {}
