"""pydantic's findings in short sentences that name the field and say what to write."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from provision.diagnostics import Path
from provision.loader.convert import name_of, noun_of
from provision.loader.expressions import closest
from provision.loader.shape import Either, Fixed, Items, Leaf, Named, Shape, Tagged, choose, shape_of
from provision.models.base import NAME_PATTERN, Model
from provision.models.cloud_init import HOST_NAME, LOGIN_NAME, OWNER

_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}
_NAME_RULE = "lower-case letters, digits and hyphens, beginning with a letter, 40 characters at most"
_PATTERNS = {
    NAME_PATTERN: f"use {_NAME_RULE}",
    r"^https?://": "begin it with https://",
    r"^[0-9a-f]{64}$": "write the 64 hexadecimal digits that sha256sum prints",
    LOGIN_NAME: "use lower-case letters, digits, '_', '.' and '-', beginning with a letter, 32 characters at most",
    HOST_NAME: "use letters, digits, '-' and '.', beginning and ending with a letter or digit",
    OWNER: "write USER:GROUP, as in root:adm",
    r"^/": "begin it with /",
    r"^[0-7]{3,4}$": "write three or four octal digits in quotes, as in '0644'",
    r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$": "write six pairs of lower-case hexadecimal digits, as in 52:54:00:12:34:56",
}
_IP = {
    "ip_v4_address": ("an IPv4 address", "write it as in 10.20.1.5"),
    "ip_v6_address": ("an IPv6 address", "write it as in fd00:20:1::5"),
    "ip_v4_network": ("an IPv4 prefix", "write it as in 10.20.1.0/24"),
    "ip_v6_network": ("an IPv6 prefix", "write it as in fd00:20:1::/64"),
}
_BARE_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z/]*)\s*\Z")
_SIZE_UNITS = {"K": "KiB", "M": "MiB", "G": "GiB", "T": "TiB"}


def data_path(location: tuple[str | int, ...], data: Any, model: type[Model]) -> tuple[Path, bool, bool]:
    """Where in the document of a model a pydantic error location is.

    pydantic's locations also hold the tags and names of union options, which nobody wrote.

    Returns:
        The path; whether its last part, a key, is itself what is wrong; and whether the location lies in the option of
        a union that is not the one meant.
    """
    shape: Shape = shape_of(model)
    path: Path = ()
    other = False
    for part in location:
        if part == "[key]":
            return path, True, other
        if isinstance(shape, Either):
            picked = choose(shape, data)
            other = other or not _is_option(part, picked)
            shape = picked
            continue
        if isinstance(shape, Tagged):
            shape = choose(shape, data)
            continue
        if isinstance(shape, Leaf):
            break  # the name of an option of a union of scalars
        path = (*path, part)
        shape = _child(shape, part)
        data = _step(data, part)
    return path, False, other


def _is_option(part: str | int, picked: Shape) -> bool:
    text = str(part)
    if isinstance(picked, Items):
        return text.startswith("list[")
    if isinstance(picked, Fixed):
        return text == picked.model.__name__
    return text == "str" or not (text.startswith("list[") or text.isidentifier())


def _child(shape: Fixed | Items | Named, part: str | int) -> Shape:
    if isinstance(shape, Fixed):
        return shape.child(str(part))
    return shape_of(shape.item if isinstance(shape, Items) else shape.value)


def _step(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def shape_at(path: Path, data: Any, model: type[Model]) -> Any:
    """The shape at a path of the document of a model."""
    shape: Shape = shape_of(model)
    for part in path:
        shape = choose(shape, data)
        if not isinstance(shape, Fixed | Items | Named):
            break
        shape = _child(shape, part)
        data = _step(data, part)
    return shape


def value_at(path: Path, data: Any) -> Any:
    """The plain value at a path."""
    for part in path:
        data = _step(data, part)
    return data


def sentence(error: Mapping[str, Any], path: Path, value: object, *, key: bool) -> tuple[str, str]:
    """Summary and fix for one pydantic error."""
    kind, context = str(error["type"]), error.get("ctx", {})
    shown = f"'{value}'" if isinstance(value, str | int | float) and len(str(value)) <= 80 else "this value"
    if key:
        return (
            f"'{path[-1]}' cannot be the name of a {noun_of(path)}",
            f"use {_NAME_RULE}{_name_hint(str(path[-1]))}",
        )
    if kind in _BOUNDS:
        bound, word = _BOUNDS[kind]
        limit = f"{word} {context[bound]}"
        return f"{name_of(path)} must be {limit}, and is {value}", f"write {limit}"
    if kind in _IP:
        return _address(kind, path, value, shown)
    if kind in ("enum", "literal_error"):
        return _choice(str(context.get("expected", "")), path, shown, value)
    if kind == "string_pattern_mismatch":
        fix = _PATTERNS.get(str(context.get("pattern")), f"it must match {context.get('pattern')}")
        if context.get("pattern") == NAME_PATTERN:
            return f"{name_of(path)}: {shown} cannot be a name", fix + _name_hint(str(value))
        return f"{name_of(path)}: {shown} is not written as it must be", fix
    if kind == "too_short":
        return f"{name_of(path)} is empty", "write at least one entry"
    if kind in ("too_long", "missing") and isinstance(path[-1], int | str):
        return (
            f"{name_of(path[:-1] if kind == 'missing' else path)} needs another number of entries",
            "write exactly two",
        )
    if kind == "value_error":
        return _own(str(context.get("error", "")), path, value, shown)
    message = str(error.get("msg", "not valid")).removeprefix("Input should be ")
    return f"{name_of(path)}: {shown} is not {message}", "see the reference of the stack file"


def _name_hint(name: str) -> str:
    made = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")
    made = re.sub(r"^[^a-z]+", "", made)[:40].rstrip("-")
    return f", such as '{made}'" if made and made != name else ""


def _address(kind: str, path: Path, value: object, shown: str) -> tuple[str, str]:
    noun, fix = _IP[kind]
    if len(path) > 1 and path[-2] == "dns":
        noun, fix = "an address", "write it as in 10.20.1.5 or fd00:20:1::5"
    if kind.endswith("network") and isinstance(value, str):
        from ipaddress import ip_interface, ip_network

        try:
            prefix = ip_network(value, strict=False)
            if (kind == "ip_v4_network") != (prefix.version == 4):
                other = {"cidr": "cidr6", "cidr6": "cidr"}.get(str(path[-1]))
                return f"{shown} is not {noun}", f"move it to '{other}'" if other else fix
            if ip_interface(value).ip != prefix.network_address:
                return f"{shown} has bits set behind its prefix", f"write {prefix}"
        except ValueError:
            pass
    if kind.endswith("address") and isinstance(value, str):
        from ipaddress import ip_address

        if path[-1] in ("address", "address6") or (isinstance(path[-1], int) and path[-2] in ("address", "address6")):
            try:
                ip_address(value)
            except ValueError:
                pass
            else:
                here = "address6" if kind == "ip_v4_address" else "address"
                return f"{shown} is not {noun}", f"move it to '{here}'"
        if "/" in value:
            fix = f"write the address alone: {value.split('/')[0]}"
    return f"{name_of(path)}: {shown} is not {noun}", fix


def _choice(expected: str, path: Path, shown: str, value: object) -> tuple[str, str]:
    options = re.findall(r"'([^']*)'", expected) or [expected]
    if path == ("version",):
        return f"version {value} is not known", "write 'version: 1'"
    fix = f"write {' or '.join(options) if len(options) < 3 else 'one of: ' + ', '.join(options)}"
    near = difflib.get_close_matches(str(value), options, 1, 0.6)
    return f"{name_of(path)} cannot be {shown}", f"did you mean '{near[0]}'? Otherwise {fix}" if near else fix


def _own(message: str, path: Path, value: object, shown: str) -> tuple[str, str]:
    """The messages of our own validators: 'what is wrong; what to write'."""
    if message.startswith("write a number with a unit"):
        units = re.findall(r"\((.*?)\)", message)[0].split(", ")
        return f"{name_of(path)}: {shown} has no unit that is known", _unit_fix(message, units, value, path)
    summary, _, fix = message.partition("; ")
    if summary == "not a service" and isinstance(value, int) and 0 < value < 65536:
        return f"{shown} is {summary}", f"write tcp/{value} or udp/{value}"
    if summary.startswith("not a "):
        return f"{shown} is {summary}", fix
    if fix:
        wanted = _peer_hint(value) if " peer" in summary or "select" in summary else ""
        return summary, wanted + fix
    if summary.startswith("must be"):
        return f"{name_of(path)} {summary}", "write another number"
    if " is not a CIDR: " in summary:
        return _address("ip_v6_network" if ":" in str(value) else "ip_v4_network", path, value, shown)
    if quoted := re.match(r"('.*?'): (.*)\Z", summary):
        return f"{quoted[1]} is not possible", quoted[2]
    if isinstance(value, str) and value and value in summary:
        return summary, "write another value"
    return f"{name_of(path)}: {summary}", "add what is missing"


def _unit_fix(message: str, units: list[str], value: object, path: Path) -> str:
    match = _BARE_NUMBER.match(str(value)) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        return message
    number, unit = match[1], match[2]
    suffix = "/s" if "/s'" in message else ""
    if "KiB" in units:
        letter = unit[:1].upper() or "M"
        return f"write {number}{_SIZE_UNITS.get(letter, 'MiB')}{suffix}"
    if "kbit" in units:
        return f"write {number}{ {'k': 'kbit', 'K': 'kbit', 'G': 'Gbit', 'g': 'Gbit'}.get(unit[:1], 'Mbit') }/s"
    words = {"s": "s", "m": "m", "h": "h"}
    return f"write {number}{'ms' if unit.startswith(('ms', 'milli')) else words.get(unit[:1].lower(), 's')}"


def _peer_hint(value: object) -> str:
    if not isinstance(value, str):
        return ""
    words = ["host", "outside", "internet", "machine", "label", "network", "reference"]
    head = value.split(".")[0]
    near = closest(head, words)
    if near.startswith("did you mean") and head not in words:
        return f"{near} "
    return ""
