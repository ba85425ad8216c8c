"""Laws of checking and comparing inputs, for any inputs with unknowns anywhere."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import Field, model_validator

from provision.errors import UserError
from provision.host.plugin.checking import check
from provision.host.plugin.diffing import Difference, Kind, compare
from provision.host.plugin.examining import Circumstances
from provision.host.plugin.previews import of_create, of_update
from provision.host.plugin.resources import Resource
from provision.host.plugin.shapes import record_of, to_python_names, to_wire_names
from provision.host.values import SecretValue, decode_struct, encode_struct, plain
from provision.spi import (
    AS_CIDR,
    AS_JSON,
    IGNORE_CASE,
    IGNORE_ORDER,
    UNKNOWN,
    AutoName,
    ChoiceRequest,
    Created,
    CreateRequest,
    Operation,
    Properties,
    ResourceType,
    Sticky,
    WriteOnly,
    has_unknown,
)
from provision.testing.memory_models import ServerInputs, ServerOutputs
from provision.testing.memory_types import MemorySession, Server
from provision.testing.store import Store

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5})", fullmatch=True)
texts = st.text('abc."[ é', max_size=4)


Strategy = st.SearchStrategy[Any]


def perhaps(strategy: Strategy) -> Strategy:
    return st.one_of(strategy, st.just(UNKNOWN))


def always(strategy: Strategy) -> Strategy:
    return strategy


def cards(perhaps: Callable[[Strategy], Strategy]) -> Strategy:
    return st.fixed_dictionaries(
        {"network": perhaps(texts)},
        optional={"address": perhaps(texts), "groups": perhaps(st.lists(perhaps(texts), max_size=2))},
    )


def servers(perhaps: Callable[[Strategy], Strategy]) -> Strategy:
    return st.fixed_dictionaries(
        {"stackId": texts, "name": perhaps(names), "image": perhaps(texts)},
        optional={
            "cpus": perhaps(st.integers(1, 64)),
            "nics": perhaps(st.lists(perhaps(cards(perhaps)), max_size=3)),
            "labels": perhaps(st.dictionaries(texts, perhaps(texts), max_size=3)),
            "password": perhaps(texts),
            "userData": perhaps(texts),
            "power": perhaps(st.sampled_from(["running", "stopped"])),
        },
    )


inputs, known_inputs = servers(perhaps), servers(always)


@given(inputs)
def test_checking_twice_is_checking_once_and_keeps_every_unknown(values: dict[str, Any]) -> None:
    once, failures = check(ServerInputs, values)
    assert not failures
    assert check(ServerInputs, plain(once)) == (once, [])
    for key, value in values.items():
        assert has_unknown(plain(once).get(key)) == has_unknown(value)
    assert decode_struct(encode_struct(once)) == once


@given(known_inputs)
def test_nothing_differs_from_itself_however_it_is_spelt(values: dict[str, Any]) -> None:
    checked, _ = check(ServerInputs, values)
    assert compare(ServerInputs, checked, checked) == []
    assert compare(ServerInputs, values, checked) == []
    assert compare(ServerInputs, checked, values) == []


@given(known_inputs, known_inputs)
def test_a_difference_seen_one_way_is_seen_the_other_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = compare(ServerInputs, one, other), compare(ServerInputs, other, one)
    turned = {Kind.ADD: Kind.DELETE, Kind.DELETE: Kind.ADD, Kind.UPDATE: Kind.UPDATE}
    assert sorted((d.path, d.kind, d.replaces) for d in there) == sorted(
        (d.path, turned[d.kind], d.replaces) for d in back
    )
    assert len({d.wire_path for d in there}) == len(there)
    if plain(check(ServerInputs, one)[0]) != plain(check(ServerInputs, other)[0]):
        assert there


@given(known_inputs, inputs)
def test_unknowns_always_differ_and_replace_where_a_change_would(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = compare(ServerInputs, old, new)
    for wire, field in record_of(ServerInputs).fields.items():
        if has_unknown(new.get(wire)):
            assert any(d.path[0] == wire for d in found)
        assert all(d.replaces for d in found if d.path[0] == wire and field.replaces)


@given(inputs)
def test_names_change_back_and_forth(values: dict[str, Any]) -> None:
    shape = record_of(ServerInputs)
    assert to_wire_names(to_python_names(values, shape), shape) == values


@given(inputs, inputs)
def test_previews_know_exactly_what_their_inputs_say(old: dict[str, Any], new: dict[str, Any]) -> None:
    checked, _ = check(ServerInputs, new)
    made = of_create(ServerInputs, ServerOutputs, checked)
    for key in ("name", "nics", "password"):
        assert made.get(key) == checked.get(key)
    assert all(made[key] is UNKNOWN for key in ("uuid", "address", "starts"))
    before = {"uuid": "u", "address": None, "starts": 1, "name": "x"}
    changed = {str(d.path[0]) for d in compare(ServerInputs, check(ServerInputs, old)[0], checked)}
    after = of_update(ServerInputs, ServerOutputs, checked, before, changed)
    assert after["uuid"] == "u"
    assert (after["starts"] is UNKNOWN) == bool(changed & {"cpus", "memoryMib", "power"})
    assert after["name"] == checked["name"]


def applied(old: dict[str, Any], new: Mapping[str, Any], differences: list[Difference]) -> dict[str, Any]:
    """The old values with nothing but the named places changed."""
    result = deepcopy(old)
    for item in sorted(
        differences, key=lambda d: [(isinstance(p, str), str(p).zfill(6)) for p in d.path], reverse=True
    ):
        if item.kind is Kind.DELETE:
            here: Any = result
            for part in item.path[:-1]:
                here = here[part]
            del here[item.path[-1]]
    for item in differences:
        if item.kind is not Kind.DELETE:
            here, there = result, new
            for part in item.path[:-1]:
                here, there = here[part], there[part]
            value = deepcopy(there[item.path[-1]])
            if isinstance(here, list) and item.path[-1] == len(here):
                here.append(value)
            else:
                here[item.path[-1]] = value
    return result


@given(known_inputs, known_inputs)
def test_the_places_that_differ_are_exact(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = plain(check(ServerInputs, old)[0]), plain(check(ServerInputs, new)[0])
    found = compare(ServerInputs, before, after)
    assert applied(before, after, found) == after, "changing these places, and no others, gives the new inputs"
    for item in found:
        less = [other for other in found if other is not item]
        if item.kind is Kind.UPDATE:
            assert applied(before, after, less) != after, "every one of them is needed"


PLACES = {"cpus": 0, "memoryMib": 1, "power": "off", "name": "No!", "labels": {"a": 1}, "nics": [{"network": 1}]}


@given(inputs, st.sampled_from(sorted(PLACES)))
def test_an_unknown_elsewhere_never_lets_a_known_mistake_pass(values: dict[str, Any], place: str) -> None:
    _, failures = check(ServerInputs, {**values, place: PLACES[place]})
    assert {failure.path[0] for failure in failures} == {place}


@given(st.lists(cards(perhaps), max_size=3), st.integers(0, 3))
def test_an_unknown_beside_it_never_lets_a_known_mistake_pass(before: list[Any], extra: int) -> None:
    mistaken = {"network": UNKNOWN, "mac": "no", **({"address": UNKNOWN} if extra % 2 else {})}
    values = {"stackId": "s", "name": UNKNOWN, "image": "i", "nics": [*before, mistaken]}
    _, failures = check(ServerInputs, values)
    assert [failure.path for failure in failures] == [("nics", len(before), "mac")]


class PaintInputs(Properties):
    """Inputs with everything that is filled in, replaced or compared in its own way."""

    name: Annotated[str | None, AutoName()] = None
    colour: Annotated[str, IGNORE_CASE] = "red"
    ranges: Annotated[list[str], AS_CIDR, IGNORE_ORDER] = Field(default_factory=list)
    rule: Annotated[str, AS_JSON] = "{}"
    litres: int = 1
    can: Annotated[str | None, Sticky(request=("litres",))] = None
    pin: Annotated[str | None, WriteOnly()] = None


class PaintOutputs(Properties):
    """Nothing."""


class Paint(ResourceType[PaintInputs, PaintOutputs, None]):
    """Chooses its can."""

    token: ClassVar[str] = "lab:Paint"
    Inputs: ClassVar[type[Properties]] = PaintInputs
    Outputs: ClassVar[type[Properties]] = PaintOutputs

    def create(self, request: CreateRequest[PaintInputs]) -> Created[PaintOutputs]:
        raise UserError("not here")

    def choose(self, request: ChoiceRequest) -> str:
        return f"can of {request.inputs['litres']}"


cidrs = st.sampled_from(["10.0.0.0/8", "10.0.0.0/255.0.0.0", "::1", "0::1/128", "not one"])


def paints_of(perhaps: Callable[[Strategy], Strategy]) -> Strategy:
    return st.fixed_dictionaries(
        {},
        optional={
            "name": perhaps(texts),
            "colour": perhaps(st.sampled_from(["red", "RED", "Straße", "STRASSE"])),
            "ranges": perhaps(st.lists(perhaps(cidrs), max_size=3)),
            "rule": perhaps(st.sampled_from(["{}", " {}", "[1, true]", "[true,1]", "[1,1]", "no json"])),
            "litres": perhaps(st.integers(1, 3)),
            "can": perhaps(texts),
            "pin": perhaps(st.sampled_from(["", "1234"])),
        },
    )


paints, known_paints = paints_of(perhaps), paints_of(always)
URN = "urn:pulumi:s::p::provision-lab:lab:Paint::it"


@settings(max_examples=20, deadline=None)  # a digest takes its time, on purpose
@given(paints, st.sampled_from([b"", b"seed"]))
def test_a_whole_check_of_what_it_gave_gives_the_same_again(values: dict[str, Any], seed: bytes) -> None:
    paint = Resource(Paint, "lab")
    about = Circumstances(seed=seed, operation=Operation(URN, None))
    once, failures = paint.check(URN, values, {}, about)
    assert not failures
    assert paint.check(URN, plain(once), once, Circumstances(b"other", operation=Operation(URN, None))) == (once, [])
    again, _ = paint.check(URN, values, once, Circumstances(b"other", operation=Operation(URN, None)))
    assert {key: item for key, item in again.items() if item != once[key]} == {}
    if not has_unknown(plain(once)):
        assert paint.diff(once, again) == []
    if values.get("pin") not in (None, UNKNOWN):
        assert plain(once["pin"]).startswith("digest:")


@given(known_paints, known_paints)
def test_what_is_the_same_one_way_is_the_same_the_other_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = compare(PaintInputs, one, other), compare(PaintInputs, other, one)
    assert sorted(item.path for item in there) == sorted(item.path for item in back)
    assert compare(PaintInputs, one, one) == []


@given(known_paints, known_paints, known_paints)
def test_what_is_the_same_as_a_third_is_the_same(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    for wire in PaintInputs.model_fields:
        first, second, third = ({wire: v[wire]} if wire in v else {} for v in (a, b, c))
        if not compare(PaintInputs, first, second) and not compare(PaintInputs, second, third):
            assert compare(PaintInputs, first, third) == []


def contradictions(preview: Any, result: Any) -> list[Any]:
    """What a preview claims, and the result is not."""
    preview, result = plain(preview), plain(result)
    if preview is UNKNOWN:
        return []
    if isinstance(preview, dict) and isinstance(result, dict):
        missing = [key for key in result if key not in preview]
        return missing + [x for key, item in preview.items() for x in contradictions(item, result.get(key))]
    if isinstance(preview, list) and isinstance(result, list) and len(preview) == len(result):
        return [x for pair in zip(preview, result, strict=True) for x in contradictions(*pair)]
    return [] if preview == result else [(preview, result)]


def resolved(value: Any, shape_value: str = "late") -> Any:
    """The value as the update knows it: unknowns have come to be something."""
    if isinstance(value, dict):
        return {key: resolved(item, "late") for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return shape_value if value is UNKNOWN else value


perhaps_texts = st.fixed_dictionaries(
    {"stackId": st.just("s"), "name": st.just("web"), "image": perhaps(st.just("late"))},
    optional={
        "cpus": st.integers(1, 3),
        "memoryMib": st.sampled_from([64, 128]),
        "nics": st.lists(st.fixed_dictionaries({"network": perhaps(texts)}, optional={"address": perhaps(texts)})),
        "labels": st.dictionaries(texts, perhaps(texts), max_size=2),
        "password": perhaps(texts),
        "power": st.sampled_from(["running", "stopped"]),
    },
)


@settings(deadline=None)
@given(perhaps_texts, perhaps_texts)
def test_a_preview_never_claims_what_the_result_contradicts(first: dict[str, Any], second: dict[str, Any]) -> None:
    server, running = Resource(Server, "memory"), Operation("urn:x", MemorySession(Store(), "here"))
    planned, _ = check(ServerInputs, first)
    inputs, _ = check(ServerInputs, resolved(first))
    made = server.create(running, inputs)
    assert contradictions(server.preview_create(planned), made.outputs) == []
    planned, _ = check(ServerInputs, second)
    assume(not any(item.replaces for item in server.diff(inputs, planned)))
    news, _ = check(ServerInputs, resolved(second))
    # What seems to change in the preview and does not in the end is not sent to the plugin at all.
    assume(server.diff(inputs, news) or not server.diff(inputs, planned))
    after = server.update(running, made.id, news, inputs, made.outputs)
    assert contradictions(server.preview_update(planned, inputs, made.outputs), after) == []


def test_the_law_of_previews_can_be_broken() -> None:
    assert contradictions({"a": 1}, {"a": 2})
    assert contradictions({}, {"a": 2})
    assert contradictions({"a": [1]}, {"a": [UNKNOWN, 1]})
    assert not contradictions({"a": UNKNOWN, "b": SecretValue("x")}, {"a": 2, "b": "x"})


@pytest.mark.parametrize("pair", [("[1,true]", "[1,1]"), ("[true]", "[1]"), ('{"a": 1}', '{"a": 1, "b": null}')])
def test_json_that_says_something_else_differs(pair: tuple[str, str]) -> None:
    assert compare(PaintInputs, {"rule": pair[0]}, {"rule": pair[1]})


class Square(Properties):
    """One of two kinds that only their properties tell apart."""

    side: int
    unit: int = 1


class Circle(Properties):
    """The other."""

    radius: int
    centre: Annotated[int, Field(ge=0)] = 0


class Drawing(Properties):
    """Some of both."""

    shapes: list[Square | Circle]


@pytest.mark.parametrize(
    ("shape", "failed"),
    [
        ({"side": UNKNOWN, "unit": 2}, set()),
        ({"radius": UNKNOWN, "centre": 2}, set()),
        ({"side": UNKNOWN}, set()),
        ({"side": UNKNOWN, "unit": "x"}, {"unit"}),
        ({"radius": UNKNOWN, "centre": -1}, {"centre"}),
        ({"radius": 3, "centre": -1}, {"centre"}),
        ({"side": UNKNOWN, "centre": 0}, {"centre"}),
    ],
)
def test_a_choice_that_an_unknown_leaves_open_is_left_open(shape: dict[str, Any], failed: set[str]) -> None:
    _, failures = check(Drawing, {"shapes": [{"side": 1}, shape, UNKNOWN]})
    assert failed <= {failure.path[-1] for failure in failures}
    assert bool(failures) == bool(failed), failures


class Part(Properties):
    """A part of the next."""

    length: Annotated[int, Field(ge=1)] = 1
    width: int


class Touchy(Properties):
    """Its own validator is not prepared for what is missing."""

    parts: list[Part] = Field(default_factory=list)
    first: int
    second: Annotated[int, Field(le=9)] = 0

    @model_validator(mode="after")
    def _ordered(self) -> "Touchy":
        if self.first > self.second or sum(part.width for part in self.parts) > 100:
            raise RuntimeError("not made for this")
        return self


def test_a_validator_that_fails_over_an_unknown_does_not_hide_known_mistakes() -> None:
    values = {"first": 5, "second": UNKNOWN, "parts": [{"length": 0, "width": UNKNOWN}, {"length": 2, "width": "x"}]}
    _, failures = check(Touchy, values)
    assert {failure.path for failure in failures} == {("parts", 0, "length"), ("parts", 1, "width")}
    values = {"first": 5, "second": UNKNOWN, "parts": [{"length": 1, "width": 3}]}
    checked, failures = check(Touchy, values)
    assert not failures, "what the validator says of them together only the update can tell"
    assert checked["second"] is UNKNOWN
    _, failures = check(Touchy, {**values, "first": 5, "parts": [{"length": 0, "width": 3}]})
    assert {failure.path for failure in failures} == {("parts", 0, "length")}


class Corner(Properties):
    edge_length: Annotated[int, Field(description="In millimetres.")] = 3


class Frame(Properties):
    corner_piece: Annotated[Corner, Field(description="Alike at all four.")] = Corner()
    title: Annotated[str, Field(description="Below it.")]


def test_defaults_are_spelt_as_on_the_wire_also_where_something_is_unknown():
    open_, known = check(Frame, {"title": UNKNOWN})[0], check(Frame, {"title": "x"})[0]
    assert open_["cornerPiece"] == known["cornerPiece"] == {"edgeLength": 3}
    assert check(Frame, open_) == (open_, [])
