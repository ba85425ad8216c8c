"""What the peers of a traffic policy stand for: NICs, prefixes, the outside."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from provision.models import Machine, Peer, PeerKind, Selector, Stack
from provision.spi import NicAddress

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC of a machine instance, with all that policies can know of it."""

    machine: str
    entry: str
    index: int
    address: NicAddress

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all others."""
        return self.machine, self.index

    def ip(self, family: int) -> str | None:
        """Its address of IP version 4 or 6."""
        return self.address.ipv4 if family == 4 else self.address.ipv6


@dataclass(frozen=True, slots=True)
class Side:
    """The peers of one side of a policy, sorted by what they are."""

    entries: frozenset[str]
    networks: frozenset[str]
    prefixes: tuple[Prefix, ...]
    host: bool
    outside: bool
    internet: bool

    def names(self, nic: Nic) -> bool:
        """Whether the NIC is meant by its machine or network."""
        return nic.entry in self.entries or nic.machine in self.entries or nic.address.network in self.networks

    def holds(self, nic: Nic, family: int) -> bool:
        """Whether the NIC is meant by its address of an IP version."""
        text = nic.ip(family)
        return text is not None and any(
            ip_address(text) in prefix for prefix in self.prefixes if prefix.version == family
        )

    @property
    def beyond(self) -> bool:
        """Whether it speaks of more than machines and networks of the stack."""
        return bool(self.prefixes) or self.outside or self.internet or self.host


def side(stack: Stack, peers: Sequence[Peer]) -> Side:
    """Sort the peers of one side."""
    kinds = {peer.kind for peer in peers}
    return Side(
        frozenset(name for peer in peers for name in _entries(stack, peer)),
        frozenset(name for peer in peers for name in _networks(stack, peer)),
        tuple(peer.cidr for peer in peers if peer.cidr is not None),
        PeerKind.HOST in kinds,
        PeerKind.OUTSIDE in kinds,
        PeerKind.INTERNET in kinds,
    )


def selected(stack: Stack, selectors: Sequence[Selector]) -> list[str]:
    """Entries of machines that any of `selectors` selects, in the order of the file."""
    chosen = {name for selector in selectors for name in _entries(stack, selector)}
    return [name for name in stack.machines if name in chosen]


def machines(stack: Stack) -> Iterator[tuple[str, str, Machine]]:
    """Every machine that is to exist: its name, its entry in the file, and what the file says of it."""
    for entry, machine in stack.machines.items():
        for name in machine.names(entry):
            yield name, entry, machine


def nics(stack: Stack, addresses: Mapping[str, tuple[NicAddress, ...]]) -> list[Nic]:
    """Every NIC of every machine, in the order of the file."""
    return [
        Nic(name, entry, index, address)
        for name, entry, _ in machines(stack)
        for index, address in enumerate(addresses.get(name, ()))
    ]


def _entries(stack: Stack, peer: Peer) -> set[str]:
    if peer.kind is PeerKind.MACHINE:
        return set(stack.machines) if peer.name == "*" else {peer.name}
    if peer.kind is PeerKind.LABEL:
        return {name for name, machine in stack.machines.items() if machine.labels.get(peer.name) == peer.value}
    return set()


def _networks(stack: Stack, peer: Peer) -> set[str]:
    if peer.kind is PeerKind.NETWORK:
        return set(stack.networks) if peer.name == "*" else {peer.name}
    if peer.kind is PeerKind.LABEL:
        return {name for name, network in stack.networks.items() if network.labels.get(peer.name) == peer.value}
    return set()
