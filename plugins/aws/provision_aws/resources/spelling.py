"""How addresses, ranges and zones are spelt."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator


def _range4(text: str) -> str:
    return _range(text, 4)


def _range6(text: str) -> str:
    return _range(text, 6)


def _range(text: str, version: int) -> str:
    network = ipaddress.ip_network(text)  # its messages tell of host bits that are set
    if network.version != version:
        raise ValueError(f"'{text}' is no range of IPv{version}")
    return text


def _either(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _address4(text: str) -> str:
    ipaddress.IPv4Address(text)
    return text


def _address6(text: str) -> str:
    ipaddress.IPv6Address(text)
    return text


Ipv4Cidr = Annotated[str, AfterValidator(_range4)]
Ipv6Cidr = Annotated[str, AfterValidator(_range6)]
Cidr = Annotated[str, AfterValidator(_either)]
Ipv4 = Annotated[str, AfterValidator(_address4)]
Ipv6 = Annotated[str, AfterValidator(_address6)]


def canonical(cidr: str) -> str:
    """The one spelling of a range; what is none as it is."""
    try:
        return str(ipaddress.ip_network(cidr, strict=False))
    except ValueError:
        return cidr


def nth_64(block: str, index: int) -> str:
    """The /64 number `index` of a larger IPv6 range.

    Raises:
        ValueError: there is no such one.
    """
    network = ipaddress.IPv6Network(block)
    if index >= 1 << (64 - network.prefixlen):
        raise ValueError(f"{block} has no /64 number {index}")
    return str(ipaddress.IPv6Network((int(network.network_address) + (index << 64), 64)))


def within(prefix: str, address: str) -> str:
    """An address such as `::10` inside of `prefix`; one that has a prefix of its own stays.

    Raises:
        ValueError: one of the two is not what it should be.
    """
    given = int(ipaddress.IPv6Address(address))
    if given >> 64:
        return str(ipaddress.IPv6Address(given))
    network = ipaddress.IPv6Network(prefix)
    return str(ipaddress.IPv6Address(int(network.network_address) | given))
