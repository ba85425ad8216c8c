"""The value codec: Python values to and from the structs of Pulumi's protocol.

Beside JSON's kinds the protocol carries unknowns, secrets, outputs, assets, archives, references to resources and byte
strings. Unknowns are one of seven reserved strings; every other kind is an object with a signature under a reserved key
(`pkg/resource/plugin/rpc.go` of Pulumi). All of them round-trip exactly.

Numbers travel as doubles: a whole number comes back as `int`, any other as `float`, and an integer that no double holds
is refused rather than rounded.
"""

import base64
import binascii
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2
from pydantic import SecretBytes, SecretStr

from provision.host.kinds import Archive, Asset, OutputValue, ResourceReference, SecretValue
from provision.spi.properties import SIMPLE, UNKNOWN, Unknown

__all__ = [
    "UNKNOWN",
    "Archive",
    "Asset",
    "OutputValue",
    "ResourceReference",
    "SecretValue",
    "contains_secret",
    "decode",
    "decode_struct",
    "encode",
    "encode_struct",
    "plain",
]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
BYTE_STRING = "803fd3297a5875dc03ca845dda5d2a98"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"

UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWN_SENTINELS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        UNKNOWN_STRING,
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

_WHOLE = 2.0**63


@dataclass(frozen=True, slots=True)
class _Keep:
    """What is written as it is; what is not kept is replaced by the plain value."""

    unknowns: bool = True
    secrets: bool = True
    outputs: bool = True
    resources: bool = True


def encode(
    value: Any,
    *,
    keep_unknowns: bool = True,
    keep_secrets: bool = True,
    keep_outputs: bool = True,
    keep_resources: bool = True,
) -> struct_pb2.Value:
    """Write a value as the protocol does.

    Args:
        value: JSON kinds, bytes, enums, pydantic secrets, and the kinds of this module.
        keep_unknowns: False refuses unknowns, as outside a preview.
        keep_secrets: False writes the values of secrets in the clear.
        keep_outputs: False writes outputs as their value, secret or unknown.
        keep_resources: False writes references as their id, or URN for a component.

    Raises:
        ValueError: the protocol cannot carry the value; the message never holds the value itself.
    """
    target = struct_pb2.Value()
    _put(target, value, _Keep(keep_unknowns, keep_secrets, keep_outputs, keep_resources))
    return target


def encode_struct(
    values: Mapping[str, Any],
    *,
    keep_unknowns: bool = True,
    keep_secrets: bool = True,
    keep_outputs: bool = True,
    keep_resources: bool = True,
) -> struct_pb2.Struct:
    """Write properties by name; arguments and errors as for `encode`."""
    target = struct_pb2.Struct()
    keep = _Keep(keep_unknowns, keep_secrets, keep_outputs, keep_resources)
    for key, item in values.items():
        _put(target.fields[_key(key)], item, keep)
    return target


def decode(
    value: struct_pb2.Value, *, keep_secrets: bool = True, keep_outputs: bool = True, keep_resources: bool = True
) -> Any:
    """Read a value of the protocol.

    Args:
        value: as received.
        keep_secrets: False gives the values of secrets in the clear.
        keep_outputs: False gives outputs as their value, a `SecretValue` or `UNKNOWN`.
        keep_resources: False gives references as their id, or URN for a component.

    Raises:
        ValueError: a typed object is malformed or of a kind that is not known here.
    """
    return _take(value, _Keep(True, keep_secrets, keep_outputs, keep_resources))


def decode_struct(
    values: struct_pb2.Struct, *, keep_secrets: bool = True, keep_outputs: bool = True, keep_resources: bool = True
) -> dict[str, Any]:
    """Read properties by name, in the order of their names; arguments and errors as for `decode`."""
    return _fields(values, _Keep(True, keep_secrets, keep_outputs, keep_resources))


def plain(value: Any) -> Any:
    """The value without any secret or output around or inside it; unknowns stay."""
    if type(value) in SIMPLE:
        return value
    if type(value) is dict:
        return {key: item if type(item) in SIMPLE else plain(item) for key, item in value.items()}
    if isinstance(value, SecretValue | OutputValue):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def contains_secret(value: Any) -> bool:
    """Whether anything in it is secret."""
    if type(value) in SIMPLE:
        return False
    if isinstance(value, SecretValue | SecretStr | SecretBytes):
        return True
    if isinstance(value, OutputValue):
        return value.secret or contains_secret(value.value)
    if isinstance(value, Mapping):
        return any(contains_secret(item) for item in value.values())
    return isinstance(value, list | tuple) and any(contains_secret(item) for item in value)


def _put_map(target: struct_pb2.Value, value: Mapping[Any, Any], keep: _Keep) -> None:
    target.struct_value.SetInParent()
    fields = target.struct_value.fields
    for key, item in value.items():
        _put(fields[_key(key)], item, keep)


def _put(target: struct_pb2.Value, value: Any, keep: _Keep) -> None:
    if type(value) is str:  # what most values are comes first: each of the kinds below takes its time
        target.string_value = _text(value)
        return
    if type(value) is dict:
        _put_map(target, value, keep)
        return
    match value:
        case None:
            target.null_value = struct_pb2.NULL_VALUE
        case Unknown():
            if not keep.unknowns:
                raise ValueError("a value is unknown, which only a preview may have")
            target.string_value = UNKNOWN_STRING
        case enum.Enum():
            _put(target, value.value, keep)
        case bool():
            target.bool_value = value
        case int() | float():
            target.number_value = _number(value)
        case str():
            target.string_value = _text(value)
        case Mapping():
            _put_map(target, value, keep)
        case list() | tuple():
            target.list_value.SetInParent()
            for item in value:
                _put(target.list_value.values.add(), item, keep)
        case SecretStr() | SecretBytes():
            _put(target, SecretValue(value.get_secret_value()), keep)
        case SecretValue():
            if keep.secrets:
                _typed(target, SECRET, {"value": value.value}, keep)
            else:
                _put(target, value.value, keep)
        case OutputValue():
            _output(target, value, keep)
        case bytes():
            _typed(target, BYTE_STRING, {"value": base64.b64encode(value).decode("ascii")}, keep)
        case ResourceReference():
            _reference(target, value, keep)
        case Asset():
            _asset(target, value, keep)
        case Archive():
            _archive(target, value, keep)
        case _:
            raise ValueError(f"a value of type {type(value).__name__} cannot be sent to Pulumi")


def _typed(target: struct_pb2.Value, signature: str, fields: Mapping[str, Any], keep: _Keep) -> None:
    target.struct_value.fields[SIGNATURE].string_value = signature
    for key, item in fields.items():
        _put(target.struct_value.fields[key], item, keep)


def _output(target: struct_pb2.Value, output: OutputValue, keep: _Keep) -> None:
    if not keep.outputs:
        _put(target, SecretValue(output.value) if output.secret else output.value, keep)
        return
    fields: dict[str, Any] = {}
    if output.value is not UNKNOWN:
        fields["value"] = output.value
    elif not keep.unknowns:
        raise ValueError("an output is unknown, which only a preview may have")
    if output.secret:
        fields["secret"] = True
    if output.dependencies:
        fields["dependencies"] = list(output.dependencies)
    _typed(target, OUTPUT, fields, keep)


def _reference(target: struct_pb2.Value, reference: ResourceReference, keep: _Keep) -> None:
    if not keep.resources:
        _put(target, reference.urn if reference.id is None else reference.id, keep)
        return
    fields: dict[str, Any] = {"urn": reference.urn}
    if reference.id is not None:
        fields["id"] = "" if reference.id is UNKNOWN else reference.id
    optional = {"packageVersion": reference.package_version, "name": reference.name, "type": reference.type}
    _typed(target, RESOURCE, fields | {key: item for key, item in optional.items() if item}, keep)


def _asset(target: struct_pb2.Value, asset: Asset, keep: _Keep) -> None:
    fields = {"text": asset.text, "path": asset.path, "uri": asset.uri, "hash": asset.hash or None}
    _typed(target, ASSET, {key: item for key, item in fields.items() if item is not None}, keep)


def _archive(target: struct_pb2.Value, archive: Archive, keep: _Keep) -> None:
    fields = {"assets": archive.assets, "path": archive.path, "uri": archive.uri, "hash": archive.hash or None}
    _typed(target, ARCHIVE, {key: item for key, item in fields.items() if item is not None}, keep)


def _number(value: int | float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("a number is too large or not a number at all, which Pulumi cannot carry")
    if isinstance(value, int) and int(number) != value:
        raise ValueError("an integer needs more than 53 bits, which Pulumi's numbers do not have; use a string")
    return number


def _text(value: str) -> str:
    if value in UNKNOWN_SENTINELS:
        raise ValueError("a string is one of those that Pulumi reserves for unknown values")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("a string holds a lone surrogate, which is not text") from None
    return str(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"keys must be strings, not {type(key).__name__}")
    if key == SIGNATURE:
        raise ValueError("a key is the one that Pulumi reserves for typed values")
    return _text(key)


def _take(value: struct_pb2.Value, keep: _Keep) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in UNKNOWN_SENTINELS else text
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and -_WHOLE < number < _WHOLE else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_take(item, keep) for item in value.list_value.values]
    if kind == "struct_value":
        if SIGNATURE in value.struct_value.fields:
            return _take_typed(value.struct_value, keep)
        return _fields(value.struct_value, keep)
    return None


def _fields(values: struct_pb2.Struct, keep: _Keep) -> dict[str, Any]:
    return {key: _take(item, keep) for key, item in sorted(values.fields.items(), key=_first)}


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _take_typed(struct: struct_pb2.Struct, keep: _Keep) -> Any:
    fields = _fields(struct, keep)
    signature = fields.pop(SIGNATURE)
    match signature:
        case _ if signature == SECRET:
            if "value" not in fields:
                raise ValueError("a secret has no value")
            return SecretValue(fields["value"]) if keep.secrets else fields["value"]
        case _ if signature == OUTPUT:
            return _take_output(fields, keep)
        case _ if signature == BYTE_STRING:
            try:
                return base64.b64decode(_string(fields, "value") or "", validate=True)
            except binascii.Error:
                raise ValueError("a byte string is not valid base64") from None
        case _ if signature == RESOURCE:
            return _take_reference(fields, keep)
        case _ if signature == ASSET:
            text, path, uri = (_string(fields, key) for key in ("text", "path", "uri"))
            return Asset(text, path, uri, _string(fields, "hash") or "")
        case _ if signature == ARCHIVE:
            assets = fields.get("assets")
            if assets is not None and not (
                isinstance(assets, dict) and all(isinstance(item, Asset | Archive) for item in assets.values())
            ):
                raise ValueError("an archive holds something that is neither asset nor archive")
            return Archive(assets, _string(fields, "path"), _string(fields, "uri"), _string(fields, "hash") or "")
        case _:
            raise ValueError(f"values with the signature {signature!r} are not known to this release")


def _take_output(fields: Mapping[str, Any], keep: _Keep) -> Any:
    value, secret = fields.get("value", UNKNOWN), fields.get("secret", False)
    dependencies = fields.get("dependencies", [])
    if not isinstance(secret, bool) or not (
        isinstance(dependencies, list) and all(isinstance(item, str) for item in dependencies)
    ):
        raise ValueError("an output value is malformed")
    if keep.outputs:
        return OutputValue(value, secret, tuple(dependencies))
    return SecretValue(value) if secret and keep.secrets else value


def _take_reference(fields: Mapping[str, Any], keep: _Keep) -> Any:
    urn = _string(fields, "urn")
    if urn is None:
        raise ValueError("a resource reference has no URN")
    identity = fields.get("id")
    if isinstance(identity, OutputValue | SecretValue):
        identity = plain(identity)
    if identity == "":
        identity = UNKNOWN
    if not (identity is None or identity is UNKNOWN or isinstance(identity, str)):
        raise ValueError("the id of a resource reference is not a string")
    if not keep.resources:
        return urn if identity is None else identity
    version, name, kind = (_string(fields, key) or "" for key in ("packageVersion", "name", "type"))
    return ResourceReference(urn, identity, version, name, kind)


def _string(fields: Mapping[str, Any], key: str) -> str | None:
    found = fields.get(key)
    if found is not None and not isinstance(found, str):
        raise ValueError(f"'{key}' of a typed value is not a string")
    return found
