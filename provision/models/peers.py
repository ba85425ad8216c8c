"""Peers and selectors: how policies name machines, networks and the world.

The written forms are one word or a dotted pair: `host`, `outside`, `internet`, `machine.web`, `label.tier=db`,
`network.front`, `reference.shared.cidr`, or a CIDR such as `10.0.0.0/8`.
"""

import enum
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

_HINT = (
    "write host, outside, internet, machine.NAME, machine.*, label.KEY=VALUE, network.NAME, "
    "reference.NAME.OUTPUT or a CIDR such as 10.0.0.0/8"
)
_DOTTED = re.compile(
    r"^(?P<kind>machine|network)\.(?P<name>[a-z][a-z0-9-]*|\*)$"
    r"|^label\.(?P<key>[^=\s]+)=(?P<value>\S*)$"
    r"|^reference\.(?P<reference>[a-z][a-z0-9-]*)\.(?P<output>[A-Za-z][\w-]*)$"
)


class PeerKind(enum.StrEnum):
    """What a peer stands for."""

    HOST = "host"
    OUTSIDE = "outside"
    INTERNET = "internet"
    MACHINE = "machine"
    LABEL = "label"
    NETWORK = "network"
    REFERENCE = "reference"
    CIDR = "cidr"


@dataclass(frozen=True, slots=True)
class Peer:
    """One side of a traffic policy, or a selector of machines.

    Attributes:
        kind: what it stands for. `HOST` is the hypervisor itself; `OUTSIDE` whatever is beyond the stack's networks;
            `INTERNET` public addresses only.
        name: name of the machine, network or reference; `*` for all machines; the key of a label.
        value: value of a label; output of a reference.
        cidr: the prefix of `CIDR`.
    """

    kind: PeerKind
    name: str = ""
    value: str = ""
    cidr: IPv4Network | IPv6Network | None = None

    @classmethod
    def parse(cls, text: str) -> "Peer":
        """Read the written form.

        Raises:
            ValueError: when the text is no peer; the message says how to write one.
        """
        if text in ("host", "outside", "internet"):
            return cls(PeerKind(text))
        if match := _DOTTED.match(text):
            if match["kind"]:
                return cls(PeerKind(match["kind"]), match["name"])
            if match["key"]:
                return cls(PeerKind.LABEL, match["key"], match["value"])
            return cls(PeerKind.REFERENCE, match["reference"], match["output"])
        if "/" in text or re.match(r"^[0-9a-fA-F:.]+$", text):
            try:
                return cls(PeerKind.CIDR, cidr=ip_network(text))
            except ValueError as error:
                raise ValueError(f"'{text}' is not a CIDR: {error}") from None
        raise ValueError(f"'{text}' is not a peer; {_HINT}")

    def __str__(self) -> str:
        """The written form, as `parse` reads it."""
        match self.kind:
            case PeerKind.CIDR:
                return str(self.cidr)
            case PeerKind.LABEL:
                return f"label.{self.name}={self.value}"
            case PeerKind.REFERENCE:
                return f"reference.{self.name}.{self.value}"
            case PeerKind.MACHINE | PeerKind.NETWORK:
                return f"{self.kind}.{self.name}"
            case _:
                return str(self.kind)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read from text, write as text."""

        def read(value: object) -> "Peer":
            if isinstance(value, Peer):
                return value
            if not isinstance(value, str):
                raise ValueError(f"not a peer; {_HINT}")
            return cls.parse(value)

        return core_schema.no_info_plain_validator_function(read, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A string with a description, for editors."""
        return {"type": "string", "description": _HINT, "examples": ["machine.web", "outside"]}


class Selector(Peer):
    """A peer that selects machines of the stack: `machine.NAME`, `machine.*` or `label.KEY=VALUE`."""

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read the written form.

        Raises:
            ValueError: when the text does not select machines.
        """
        peer = Peer.parse(text) if "." in text else None
        if peer is None or peer.kind not in (PeerKind.MACHINE, PeerKind.LABEL):
            raise ValueError(f"'{text}' does not select machines; write machine.NAME, machine.* or label.KEY=VALUE")
        return cls(peer.kind, peer.name, peer.value)
