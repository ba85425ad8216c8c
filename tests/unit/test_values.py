"""The value codec against the exact forms that the engine writes."""

import enum
import math

import pytest
from google.protobuf import json_format, struct_pb2

from provision.host.values import (
    UNKNOWN,
    Archive,
    Asset,
    OutputValue,
    ResourceReference,
    SecretValue,
    decode,
    encode,
)

SIG = "4dabf18193072939515e22adb298388d"


def wire(value: object) -> struct_pb2.Value:
    return json_format.ParseDict(value, struct_pb2.Value())


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (UNKNOWN, "04da6b54-80e4-46f7-96ec-b56ff0331ba9"),
        (SecretValue("s"), {SIG: "1b47061264138c4ac30d75fd1eb44270", "value": "s"}),
        (OutputValue(UNKNOWN), {SIG: "d0e6a833031e9bbcd3f4e8bde6ca49a4"}),
        (
            OutputValue(1, True, ("urn:x",)),
            {SIG: "d0e6a833031e9bbcd3f4e8bde6ca49a4", "value": 1, "secret": True, "dependencies": ["urn:x"]},
        ),
        (OutputValue(None), {SIG: "d0e6a833031e9bbcd3f4e8bde6ca49a4", "value": None}),
        (
            ResourceReference("urn:x", "i", "1.0.0"),
            {SIG: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "urn:x", "id": "i", "packageVersion": "1.0.0"},
        ),
        (ResourceReference("urn:x", UNKNOWN), {SIG: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "urn:x", "id": ""}),
        (ResourceReference("urn:x"), {SIG: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "urn:x"}),
        (b"\xff", {SIG: "803fd3297a5875dc03ca845dda5d2a98", "value": "/w=="}),
        (Asset(hash="h"), {SIG: "c44067f5952c0a294b673a41bacd8c17", "hash": "h"}),
        (Asset(text=""), {SIG: "c44067f5952c0a294b673a41bacd8c17", "text": ""}),
        (
            Archive({"a": Asset(path="p")}),
            {
                SIG: "0def7320c3a5731c473e5ecbe6d01bc7",
                "assets": {"a": {SIG: "c44067f5952c0a294b673a41bacd8c17", "path": "p"}},
            },
        ),
        ({}, {}),
        ([], []),
        (None, None),
    ],
)
def test_each_kind_has_the_form_that_the_engine_writes(value: object, form: object) -> None:
    assert encode(value) == wire(form)
    assert decode(wire(form)) == value


def test_an_enum_is_written_as_its_value() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    assert decode(encode(Colour.RED)) == "red"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "not a number at all"),
        (math.inf, "too large"),
        (10**400, "too large"),
        (2**53 + 1, "more than 53 bits"),
        ("\ud800", "surrogate"),
        ({1: 2}, "keys must be strings"),
        ({SIG: "x"}, "reserves for typed values"),
        ("04da6b54-80e4-46f7-96ec-b56ff0331ba9", "reserves for unknown values"),
        (object(), "type object cannot be sent"),
    ],
)
def test_what_the_protocol_cannot_carry_is_refused_and_not_altered(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode([value])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({SIG: "1b47061264138c4ac30d75fd1eb44270"}, "secret has no value"),
        ({SIG: "5cf8f73096256a8f31e491e813e4eb8e"}, "no URN"),
        ({SIG: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "u", "id": 3}, "not a string"),
        ({SIG: "d0e6a833031e9bbcd3f4e8bde6ca49a4", "secret": 1}, "malformed"),
        ({SIG: "803fd3297a5875dc03ca845dda5d2a98", "value": "*"}, "base64"),
        ({SIG: "0def7320c3a5731c473e5ecbe6d01bc7", "assets": {"a": 1}}, "neither asset nor archive"),
        ({SIG: "ffff"}, "not known to this release"),
    ],
)
def test_malformed_values_are_refused_with_a_reason(form: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(wire(form))


def test_a_reference_without_kept_resources_is_its_id_or_its_urn() -> None:
    assert decode(encode(ResourceReference("u", "i")), keep_resources=False) == "i"
    assert decode(encode(ResourceReference("u")), keep_resources=False) == "u"
    assert decode(encode(ResourceReference("u", UNKNOWN), keep_resources=False)) is UNKNOWN
