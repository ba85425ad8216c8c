"""Prefixes that stand for what some others leave over: rules can name what they match, seldom what they do not."""

from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from provision.packets import prefixes
from provision_libvirt.translate.special import NOT_PUBLIC

_WHOLE = {4: "0.0.0.0/0", 6: "::/0"}
PUBLIC6 = IPv6Network("2000::/3")
"""What holds all public addresses of IPv6 (RFC 4291)."""


def without(whole: str, gone: Iterable[str]) -> list[str]:
    """The fewest prefixes that hold every address of `whole` but those of `gone`, which are of the same IP version."""
    holes = [ip_network(text, strict=False) for text in gone]
    return [str(one) for one in prefixes.without([ip_network(whole)], holes)]


@cache
def beyond(family: int, inside: tuple[str, ...]) -> tuple[str, ...]:
    """All addresses of an IP version but those `inside`: the stack's networks and the hypervisor."""
    return tuple(without(_WHOLE[family], inside))


@cache
def public(family: int, inside: tuple[str, ...]) -> tuple[str, ...]:
    """Public addresses, but those `inside`."""
    return tuple(without(_WHOLE[family], (*NOT_PUBLIC[family], *inside)))


@cache
def not_public(family: int, known: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses that are not public, but those that are `known`; of IPv6 those of which only a part is public."""
    whole = [ip_network(text) for text in NOT_PUBLIC[family] if family == 4 or IPv6Network(text).subnet_of(PUBLIC6)]
    return tuple(str(one) for one in prefixes.without(whole, [ip_network(text, strict=False) for text in known]))


def ranges(addresses: Iterable[str]) -> list[str]:
    """The same addresses as ranges (`FIRST-LAST`), which are far fewer where a few prefixes are missing.

    Prefixes of IPv6 stay what they are: libvirt 9.0 takes no address of IPv6 for the end of a range of destinations.
    """
    known = list(addresses)
    found: list[list[int]] = []
    for text in sorted(IPv4Network(one) for one in known if ":" not in one):
        first, last = int(text.network_address), int(text.broadcast_address)
        if found and found[-1][1] + 1 == first:
            found[-1][1] = last
        else:
            found.append([first, last])
    short = [f"{IPv4Address(first)}-{IPv4Address(last)}" for first, last in found]
    return short + [one for one in known if ":" in one]
