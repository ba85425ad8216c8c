"""The one base of every model that a person writes, and the scalar types that they share."""

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)


class Model(BaseModel):
    """Base of every stack-file model: immutable, and any key that it does not name is an error."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
Name = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="A name: lower-case letters, digits and hyphens, starting with a letter, 40 characters at most.",
    ),
]

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(KiB|MiB|GiB|TiB)\s*$")
_SIZE_FACTOR = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)\s*$")
_DURATION_FACTOR = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(kbit|Mbit|Gbit)/s\s*$")
_RATE_FACTOR = {"kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}
_THROUGHPUT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(KiB|MiB|GiB)/s\s*$")


def _quantity(pattern: re.Pattern[str], factor: dict[str, Any], value: object, example: str) -> float:
    match = pattern.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"write a number with a unit ({', '.join(factor)}), as in '{example}'")
    return float(match[1]) * float(factor[match[2]])


class Bytes(int):
    """A number of bytes that prints as a person writes it."""

    @property
    def mib(self) -> int:
        """In MiB, rounded up."""
        return -(-int(self) // (1 << 20))

    @property
    def gib(self) -> int:
        """In GiB, rounded up."""
        return -(-int(self) // (1 << 30))

    def __str__(self) -> str:
        """The largest unit that gives a whole number: `512MiB`."""
        for unit, factor in reversed(_SIZE_FACTOR.items()):
            if int(self) % factor == 0:
                return f"{int(self) // factor}{unit}"
        return f"{int(self)}B"


def _size(value: object) -> Bytes:
    if isinstance(value, Bytes):
        return value
    amount = _quantity(_SIZE, _SIZE_FACTOR, value, "512MiB")
    if not amount.is_integer() or amount <= 0:
        raise ValueError("must be a whole number of bytes above zero")
    return Bytes(int(amount))


def _written(factor: dict[str, Any], suffix: str = "") -> PlainSerializer:
    """Write a number with the largest unit that keeps it whole, in JSON only: code reads the number."""

    def write(value: float) -> str:
        for unit, size in sorted(factor.items(), key=lambda item: -item[1]):
            if value / size == value // size:
                return f"{value / size:.0f}{unit}{suffix}"
        unit, size = min(factor.items(), key=lambda item: item[1])
        return f"{Decimal(repr(value / size)):f}{unit}{suffix}"

    return PlainSerializer(write, return_type=str, when_used="json")


def _scalar(pattern: str, example: str, description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example], "description": description})


Size = Annotated[
    Bytes,
    PlainValidator(_size),
    PlainSerializer(str, return_type=str),
    _scalar(r"^\d+(\.\d+)?\s*(KiB|MiB|GiB|TiB)$", "2GiB", "A size with a binary unit: KiB, MiB, GiB or TiB."),
]
Duration = Annotated[
    float,
    BeforeValidator(lambda v: v if isinstance(v, float) else _quantity(_DURATION, _DURATION_FACTOR, v, "90s")),
    _written(_DURATION_FACTOR),
    _scalar(r"^\d+(\.\d+)?\s*(ms|s|m|h)$", "90s", "A duration in ms, s, m or h; kept in seconds."),
]
BitRate = Annotated[
    float,
    BeforeValidator(lambda v: v if isinstance(v, float) else _quantity(_RATE, _RATE_FACTOR, v, "100Mbit/s")),
    _written(_RATE_FACTOR, "/s"),
    _scalar(r"^\d+(\.\d+)?\s*(kbit|Mbit|Gbit)/s$", "100Mbit/s", "A bit rate; kept in bits per second."),
]
Throughput = Annotated[
    float,
    BeforeValidator(lambda v: v if isinstance(v, float) else _quantity(_THROUGHPUT, _SIZE_FACTOR, v, "125MiB/s")),
    _written({unit: _SIZE_FACTOR[unit] for unit in ("KiB", "MiB", "GiB")}, "/s"),
    _scalar(r"^\d+(\.\d+)?\s*(KiB|MiB|GiB)/s$", "125MiB/s", "A throughput; kept in bytes per second."),
]
