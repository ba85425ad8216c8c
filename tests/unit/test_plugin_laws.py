"""Laws of checking and comparing inputs, for any inputs with unknowns anywhere."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from provision.host.plugin.checking import check
from provision.host.plugin.diffing import Kind, compare
from provision.host.plugin.previews import of_create, of_update
from provision.host.plugin.shapes import record_of, to_python_names, to_wire_names
from provision.host.values import decode_struct, encode_struct, plain
from provision.spi import UNKNOWN, has_unknown
from provision.testing.memory_models import ServerInputs, ServerOutputs

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5})", fullmatch=True)
texts = st.text('abc."[ é', max_size=4)


def perhaps(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, st.just(UNKNOWN))


nics = st.fixed_dictionaries(
    {"network": perhaps(texts)},
    optional={"address": perhaps(texts), "groups": perhaps(st.lists(perhaps(texts), max_size=2))},
)
inputs = st.fixed_dictionaries(
    {"stackId": texts, "name": perhaps(names), "image": perhaps(texts)},
    optional={
        "cpus": perhaps(st.integers(1, 64)),
        "nics": perhaps(st.lists(perhaps(nics), max_size=3)),
        "labels": perhaps(st.dictionaries(texts, perhaps(texts), max_size=3)),
        "password": perhaps(texts),
        "userData": perhaps(texts),
        "power": perhaps(st.sampled_from(["running", "stopped"])),
    },
)
known_inputs = inputs.filter(lambda value: not has_unknown(value))


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
