"""All ends that a stack knows of, and the world beyond it cut into pieces that no policy tells apart."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from provision.packets.special import NOT_PUBLIC, NOT_UNICAST, PUBLIC
from provision.verify.endpoints import OUTSIDE, Address, Endpoint, EndpointKind, Family
from provision.verify.intent import Intent

Prefix = IPv4Network | IPv6Network
_WORLD: tuple[Prefix, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Class:
    """Ends that are treated alike; there is at least one."""

    members: tuple[Endpoint, ...]

    def pair(self, other: "Class") -> tuple[Endpoint, Endpoint] | None:
        """One end of this class and one of another; None when all that there are belong to one machine."""
        return next(((one, two) for one in self.members for two in other.members if not _same(one, two)), None)

    def pairs(self, other: "Class") -> int:
        """How many pairs there are."""
        names: dict[str, int] = {}
        for end in self.members:
            if end.kind is EndpointKind.MACHINE:
                names[end.name] = names.get(end.name, 0) + 1
        both = sum(names.get(end.name, 0) for end in other.members if end.kind is EndpointKind.MACHINE)
        return len(self.members) * len(other.members) - both


def classes(ends: Iterable[Endpoint], key: Callable[[Endpoint], object]) -> list[Class]:
    """Ends put together by what `key` says of them, in the order of the first of each."""
    found: dict[object, list[Endpoint]] = {}
    for end in ends:
        found.setdefault(key(end), []).append(end)
    return [Class(tuple(members)) for members in found.values()]


def all_ends(intent: Intent, prefixes: Iterable[Prefix] = ()) -> list[Endpoint]:
    """Every end: machines, the host on each network, and one address of every piece of the world beyond the stack.

    Args:
        intent: of the stack.
        prefixes: prefixes that are to be told apart besides those that policies name.
    """
    machines = [nic for nics in intent.machines.values() for nic in nics]
    return [*machines, *intent.hosts.values(), *_outside(intent, prefixes)]


def entry_of(intent: Intent, end: Endpoint) -> str:
    """The entry in the file of the machine that an end belongs to; empty for other ends."""
    instance = intent.instances.get(end.name) if end.kind is EndpointKind.MACHINE else None
    return instance.entry if instance else ""


def _outside(intent: Intent, prefixes: Iterable[Prefix]) -> Iterator[Endpoint]:
    named = [one for rule in intent.rules for side in (rule.sources, rule.destinations) for one in side.prefixes]
    own = [
        one for network in intent.stack.networks.values() for one in (network.cidr, network.cidr6) if one is not None
    ]
    every = {*_WORLD, *PUBLIC, *NOT_PUBLIC, *own, *named, *prefixes}
    never = (*own, *NOT_UNICAST)
    for family in Family:
        of_family = sorted((one for one in every if one.version == family), key=_extent)
        for address in _pieces(of_family):
            if not any(address in one for one in never if one.version == family):
                four, six = (address, None) if isinstance(address, IPv4Address) else (None, address)
                yield Endpoint(EndpointKind.OUTSIDE, OUTSIDE, ipv4=four, ipv6=six)


def _extent(prefix: Prefix) -> tuple[int, int]:
    return int(prefix.network_address), prefix.prefixlen


def _pieces(ordered: Sequence[Prefix]) -> Iterator[Address]:
    """The first address of each prefix that is in none of those within it; prefixes within others follow them."""
    open_: list[tuple[Prefix, int]] = []  # each with the first address that nothing within it holds, as far as is known
    found: list[tuple[int, Prefix]] = []

    def close() -> None:
        prefix, free = open_.pop()
        if free <= _last(prefix):
            found.append((free, prefix))

    for prefix in ordered:
        while open_ and _last(open_[-1][0]) < int(prefix.network_address):
            close()
        if open_ and open_[-1][1] == int(prefix.network_address):
            open_[-1] = (open_[-1][0], _last(prefix) + 1)
        open_.append((prefix, int(prefix.network_address)))
    while open_:
        close()
    for free, prefix in sorted(found, key=lambda item: (item[0], item[1].prefixlen)):
        yield IPv4Address(free) if prefix.version == 4 else IPv6Address(free)


def _last(prefix: Prefix) -> int:
    return int(prefix.broadcast_address)


def _same(one: Endpoint, two: Endpoint) -> bool:
    return one.kind is EndpointKind.MACHINE and two.kind is EndpointKind.MACHINE and one.name == two.name
