"""Services as a policy names them: a protocol and, where it has them, ports or an ICMP type and code."""

import enum
import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema


class Protocol(enum.StrEnum):
    """Protocols that policies name; the numbers are IANA's."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    ICMPV6 = "icmpv6"
    OTHER = "protocol"
    ANY = "any"


PROTOCOL_NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.ICMP: 1, Protocol.ICMPV6: 58}

_PATTERN = re.compile(
    r"^(?:(?P<ported>tcp|udp)(?:/(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?)?"
    r"|(?P<icmp>icmp|icmpv6)(?:/(?P<type>\d{1,3})(?:\.(?P<code>\d{1,3}))?)?"
    r"|protocol/(?P<number>\d{1,3})|(?P<any>any))$"
)
_HINT = "write tcp/80, tcp/8000-8100, udp/53, icmp, icmp/8.0, icmpv6, protocol/47 or any"


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """A set of packets by protocol: `first` to `last` are ports, `kind` and `code` those of ICMP.

    Attributes:
        protocol: which protocol; `OTHER` carries its number in `number`, `ANY` stands for every protocol.
        first: first port, 0 when all ports.
        last: last port, 65535 when all ports.
        kind: ICMP type, None for every type.
        code: ICMP code, None for every code.
        number: IP protocol number of `OTHER`.
    """

    protocol: Protocol
    first: int = 0
    last: int = 65535
    kind: int | None = None
    code: int | None = None
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Service":
        """Read the written form.

        Raises:
            ValueError: when the text is not a service; the message says how to write one.
        """
        match = _PATTERN.match(text)
        if match is None:
            raise ValueError(f"'{text}' is not a service; {_HINT}")
        if ported := match["ported"]:
            first = int(match["first"]) if match["first"] else 0
            last = int(match["last"]) if match["last"] else first if match["first"] else 65535
            if last > 65535 or first > last:
                raise ValueError(f"'{text}': ports run from 0 to 65535, the first not above the last")
            return cls(Protocol(ported), first, last)
        if icmp := match["icmp"]:
            kind = int(match["type"]) if match["type"] else None
            code = int(match["code"]) if match["code"] else None
            if max(kind or 0, code or 0) > 255:
                raise ValueError(f"'{text}': an ICMP type or code is at most 255")
            return cls(Protocol(icmp), kind=kind, code=code)
        if match["number"]:
            number = int(match["number"])
            if number > 255:
                raise ValueError(f"'{text}': a protocol number is at most 255")
            for protocol, known in PROTOCOL_NUMBERS.items():
                if number == known:
                    return cls(protocol)
            return cls(Protocol.OTHER, number=number)
        return cls(Protocol.ANY)

    @property
    def has_ports(self) -> bool:
        """Whether the protocol has ports."""
        return self.protocol in (Protocol.TCP, Protocol.UDP)

    @property
    def all_ports(self) -> bool:
        """Whether every port is meant."""
        return self.first == 0 and self.last == 65535

    def covers(self, other: "Service") -> bool:
        """Whether every packet of `other` is also one of this service."""
        if self.protocol is Protocol.ANY:
            return True
        return (
            self.protocol is other.protocol
            and self.number == other.number
            and self.first <= other.first
            and other.last <= self.last
            and self.kind in (None, other.kind)
            and self.code in (None, other.code)
        )

    def __str__(self) -> str:
        """The written form, as `parse` reads it."""
        if self.protocol is Protocol.OTHER:
            return f"protocol/{self.number}"
        if self.has_ports and not self.all_ports:
            return f"{self.protocol}/{self.first}" + (f"-{self.last}" if self.last != self.first else "")
        if self.kind is not None:
            return f"{self.protocol}/{self.kind}" + (f".{self.code}" if self.code is not None else "")
        return str(self.protocol)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read from text, write as text."""

        def read(value: object) -> "Service":
            if isinstance(value, Service):
                return value
            if not isinstance(value, str):
                raise ValueError(f"not a service; {_HINT}")
            return cls.parse(value)

        return core_schema.no_info_plain_validator_function(read, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A string with its pattern, for editors."""
        pattern = re.sub(r"\?P<\w+>", "?:", _PATTERN.pattern)
        return {"type": "string", "pattern": pattern, "description": _HINT, "examples": ["tcp/443"]}


ANY_SERVICE = Service(Protocol.ANY)

__all__ = ["ANY_SERVICE", "PROTOCOL_NUMBERS", "Protocol", "Service"]
