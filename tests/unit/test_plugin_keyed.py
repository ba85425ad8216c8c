# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""Lists whose items are told apart by a property of theirs."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.host.plugin.diffing import Kind, compare
from provision.spi import IMMUTABLE, RESTARTS, UNKNOWN, Change, Keyed, Properties


class Card(Properties):
    mac_address: str | None = None
    network: Annotated[str, RESTARTS] = "front"
    filter: str = "open"


class Board(Properties):
    cards: Annotated[list[Card], Keyed("mac_address")] = []
    plain: list[Card] = []
    chips: Annotated[list[Card], Keyed("mac_address"), IMMUTABLE] = []


def cards(*names, **more):
    return [{"macAddress": name, **more} for name in names]


def found(old, new, field="cards"):
    return [(item.wire_path, item.kind, item.change) for item in compare(Board, {field: old}, {field: new})]


def test_an_item_that_comes_or_goes_is_a_change_of_the_list_alone():
    assert found(cards("a", "b"), cards("b")) == [("cards[0]", Kind.DELETE, Change.IN_PLACE)]
    assert found(cards("b"), cards("a", "b")) == [("cards[0]", Kind.ADD, Change.IN_PLACE)]
    assert found(cards("a"), cards("b"), "chips") == [
        ("chips[0]", Kind.ADD, Change.REPLACE),
        ("chips[0]", Kind.DELETE, Change.REPLACE),
    ]


def test_a_difference_inside_of_an_item_is_found_wherever_it_stands():
    assert found(cards("a", "b"), cards("b", network="back")) == [
        ("cards[0].network", Kind.UPDATE, Change.RESTART),
        ("cards[0]", Kind.DELETE, Change.IN_PLACE),
    ]
    assert found(cards("a"), [*cards("b"), *cards("a", filter="closed")]) == [
        ("cards[0]", Kind.ADD, Change.IN_PLACE),
        ("cards[1].filter", Kind.UPDATE, Change.IN_PLACE),
    ]


@given(
    st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=5).flatmap(
        lambda n: st.permutations(n).map(lambda m: (n, m))
    )
)
def test_the_order_is_no_difference(names):
    one, other = names

    assert found(cards(*one), cards(*other)) == []
    assert bool(found(cards(*one), cards(*other), "plain")) is (one != other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (cards("a", "a"), cards("a")),
        (cards("a"), cards("a", "a")),
        (cards("a"), cards("a", UNKNOWN)),
        (cards("a", None), cards("a")),
        ([{"network": "front"}], []),
        (UNKNOWN, cards("a")),
        (cards("a"), UNKNOWN),
    ],
)
def test_where_the_property_does_not_tell_items_apart_places_do(old, new):
    assert [path for path, *_ in found(old, new)] == [
        path.replace("plain", "cards") for path, *_ in found(old, new, "plain")
    ]
