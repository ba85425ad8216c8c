"""Ranges that stand for what lies beyond the stack: rules can name what they match, not what they do not."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from provision.models import Stack
from provision.packets import prefixes
from provision.packets.special import NOT_PUBLIC, PUBLIC

Prefix = IPv4Network | IPv6Network

LINK_LOCAL: tuple[Prefix, ...] = (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))
"""Addresses that no router passes on (RFC 3927, RFC 4291). Nova's metadata service answers at one of each version."""


def inside(stack: Stack, elsewhere: Sequence[Prefix] = ()) -> tuple[Prefix, ...]:
    """What is not beyond: the stack's networks, here and elsewhere."""
    own = [prefix for network in stack.networks.values() for prefix in (network.cidr, network.cidr6) if prefix]
    return (*own, *elsewhere)


def outside(family: int, within: Sequence[Prefix]) -> list[str]:
    """All addresses of an IP version but those `within` and those of a single link."""
    return _without([ip_network("0.0.0.0/0" if family == 4 else "::/0")], (*within, *LINK_LOCAL))


def public(family: int, within: Sequence[Prefix]) -> list[str]:
    """Public addresses but those `within`."""
    return _without([one for one in PUBLIC if one.version == family], (*within, *NOT_PUBLIC))


def less_link_local(prefix: Prefix) -> list[str]:
    """A range without the addresses of a single link, and so of the metadata service."""
    return _without([prefix], LINK_LOCAL)


def _without(whole: Iterable[Prefix], gone: Iterable[Prefix]) -> list[str]:
    return [str(one) for one in prefixes.without(whole, gone)]
