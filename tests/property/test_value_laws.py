"""The laws of the value codec: whatever the engine may send or a plugin may answer comes through unchanged."""

from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from provision.host.values import (
    UNKNOWN,
    UNKNOWN_SENTINELS,
    Archive,
    Asset,
    OutputValue,
    ResourceReference,
    SecretValue,
    contains_secret,
    decode,
    decode_struct,
    encode,
    encode_struct,
    plain,
)
from provision.spi import has_unknown

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
words = texts.filter(bool)
assets = st.one_of(
    st.builds(Asset, text=texts, hash=texts),
    st.builds(Asset, path=words),
    st.builds(Asset, uri=words, hash=texts),
    st.builds(Asset, hash=texts),
)
archives = st.recursive(
    st.one_of(
        st.builds(Archive, path=words), st.builds(Archive, uri=words, hash=texts), st.builds(Archive, hash=texts)
    ),
    lambda inner: st.builds(Archive, st.dictionaries(texts, assets | inner, max_size=3)),
    max_leaves=4,
)
leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.binary(max_size=8),
    st.just(UNKNOWN),
    st.builds(ResourceReference, words, st.one_of(st.none(), words, st.just(UNKNOWN)), texts, texts, texts),
    assets,
    archives,
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(texts, inner, max_size=3),
        st.builds(SecretValue, inner),
        st.builds(OutputValue, inner, st.booleans(), st.lists(words, max_size=2).map(tuple)),
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells booleans from numbers, but not 1.0 from 1: the wire has doubles alone."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, SecretValue):
        return isinstance(right, SecretValue) and same(left.value, right.value)
    if isinstance(left, OutputValue):
        return (
            isinstance(right, OutputValue)
            and same(left.value, right.value)
            and (left.secret, left.dependencies) == (right.secret, right.dependencies)
        )
    return bool(left == right)


@given(values)
def test_any_nesting_comes_back_unchanged(value: Any) -> None:
    wire = struct_pb2.Value.FromString(encode(value).SerializeToString())
    assert same(decode(wire), value)


@given(st.dictionaries(texts, values, max_size=4))
def test_properties_come_back_unchanged(properties: dict[str, Any]) -> None:
    assert same(decode_struct(encode_struct(properties)), properties)


@given(st.integers(-(2**53), 2**53))
def test_integers_come_back_as_integers(number: int) -> None:
    assert type(decode(encode(number))) is int


@given(values)
def test_values_without_wrappers_hold_no_secret_and_the_same_unknowns(value: Any) -> None:
    bare = plain(value)
    assert not contains_secret(bare)
    unwrapped = decode(encode(value), keep_secrets=False, keep_outputs=False)
    assert same(unwrapped, bare)


@given(values)
def test_refusing_unknowns_refuses_exactly_those_values_that_have_one(value: Any) -> None:
    if has_unknown(plain(value)):
        with pytest.raises(ValueError, match="unknown"):
            encode(value, keep_unknowns=False)
    else:
        assert encode(value, keep_unknowns=False) == encode(value)


@given(values)
def test_dropping_outputs_while_encoding_equals_dropping_them_while_decoding(value: Any) -> None:
    assert same(decode(encode(value, keep_outputs=False)), decode(encode(value), keep_outputs=False))


@given(st.sampled_from(sorted(UNKNOWN_SENTINELS)), st.integers(0, 3))
def test_every_sentinel_at_any_depth_is_the_unknown(sentinel: str, depth: int) -> None:
    wire, expected = struct_pb2.Value(string_value=sentinel), UNKNOWN
    nested: Any = expected
    for _ in range(depth):
        wire = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[wire]))
        nested = [nested]
    assert decode(wire) == nested


@given(texts)
def test_pydantic_secrets_travel_as_secrets(text: str) -> None:
    assert decode(encode({"a": [SecretStr(text)]})) == {"a": [SecretValue(text)]}


@given(words.filter(lambda text: len(text) > 3))
def test_representations_do_not_show_secrets(text: str) -> None:
    marked = f"<{text}>"
    assert marked not in repr([SecretValue(marked), OutputValue(marked, secret=True)])
