"""Sets of addresses as few prefixes: what is left over, and what several have in common."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

Prefix = IPv4Network | IPv6Network


def merged(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """The fewest prefixes that hold the same addresses, IPv4 first."""
    known = list(prefixes)
    four = collapse_addresses(one for one in known if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in known if isinstance(one, IPv6Network))
    return (*four, *six)


def without(prefixes: Iterable[Prefix], gone: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Every address of `prefixes` that is in none of `gone`."""
    left = list(merged(prefixes))
    for hole in merged(gone):
        kept: list[Prefix] = []
        for one in left:
            if one.version != hole.version or not one.overlaps(hole):
                kept.append(one)
            elif one.prefixlen < hole.prefixlen:
                kept.extend(one.address_exclude(hole))  # type: ignore[arg-type]
        left = kept
    return merged(left)


def common(prefixes: Iterable[Prefix], others: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Every address that is in both."""
    second = merged(others)
    found: list[Prefix] = []
    for one in merged(prefixes):
        found += [max(one, two, key=lambda p: p.prefixlen) for two in second if one.version == two.version
                  and one.overlaps(two)]  # fmt: skip
    return merged(found)
