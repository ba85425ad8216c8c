"""Values that platforms and people spell in more than one way."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from provision.spi import Normalized


def _cidr(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


def address_value(value: Any) -> Any:
    """An address in its one spelling; what is none as it is."""
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def mac_value(value: Any) -> Any:
    """A MAC address in its one spelling."""
    return value.lower().replace("-", ":") if isinstance(value, str) else value


def key_value(value: Any) -> Any:
    """A public key without its comment."""
    return " ".join(value.split()[:2]) if isinstance(value, str) else value


Cidr = Annotated[str, AfterValidator(_cidr), Field(description="An address range such as 10.0.0.0/8.")]
Address = Annotated[str, AfterValidator(_address), Field(description="An IPv4 or IPv6 address.")]
Mac = Annotated[str, Field(pattern=re.compile(r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$"))]

AS_ADDRESS = Normalized(address_value, "compared as an address: its spelling does not matter")
AS_MAC = Normalized(mac_value, "compared as a MAC address: its spelling does not matter")
WITHOUT_COMMENT = Normalized(key_value, "the comment does not matter")
