"""Wanted inputs that are, byte for byte, the recorded ones, as of most resources in most runs: nothing need be read.

Whatever could make a difference out of equal inputs is left to the comparison itself: state of another version, a
change of which only a part was made, write-only values, and what is not known yet.
"""

from functools import cache

from google.protobuf import struct_pb2

from provision.host.plugin.shapes import Record
from provision.host.plugin.upgrades import APPLIED, VERSION
from provision.host.protocol import provider_pb2
from provision.host.values import OUTPUT, UNKNOWN_SENTINELS

_UNSURE = tuple(text.encode() for text in (*UNKNOWN_SENTINELS, OUTPUT))


def is_unchanged(request: provider_pb2.DiffRequest, version: int) -> bool:
    """Whether wanted inputs are the recorded ones.

    Args:
        request: what the engine asks.
        version: of the resource type today.
    """
    if not request.HasField("old_inputs") or request.news != request.old_inputs:
        return False
    if APPLIED in request.olds.fields or not all(_is_of(half, version) for half in (request.old_inputs, request.olds)):
        return False
    news = request.news.SerializeToString()
    return not any(mark in news for mark in _UNSURE)


@cache
def lasting(outputs: Record) -> tuple[str, ...]:
    """Outputs that stay what they are as long as the object is not replaced."""
    return tuple(
        wire for wire, field in outputs.fields.items() if field.computed is not None and not field.computed.depends_on
    )


def _is_of(half: struct_pb2.Struct, version: int) -> bool:
    if not half.fields:
        return True
    if VERSION not in half.fields:
        return version == 0
    return half.fields[VERSION].HasField("number_value") and half.fields[VERSION].number_value == version
