"""What the peers of a traffic policy stand for: NICs, prefixes, the hypervisor, the outside."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from provision.models import Internet, Machine, Peer, PeerKind, Stack
from provision.spi import NicAddress

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class NicPlace:
    """A NIC of a machine instance, with all that policies can know of it."""

    machine: str
    entry: str
    index: int
    address: NicAddress

    @property
    def network(self) -> str:
        """The network that it is on."""
        return self.address.network

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

    def named(self, nic: NicPlace) -> bool:
        """Whether the NIC is meant by its machine or network."""
        return nic.entry in self.entries or nic.machine in self.entries or nic.network in self.networks

    def holds(self, nic: NicPlace, family: int) -> bool:
        """Whether the NIC's address of `family` is in the set."""
        if self.named(nic):
            return True
        text = nic.ip(family)
        if text is None or not self.prefixes:
            return False
        address = IPv4Address(text) if family == 4 else IPv6Address(text)
        return any(address in prefix for prefix in self.prefixes if prefix.version == family)

    def cidrs(self, family: int) -> list[str]:
        """The written prefixes of `family`."""
        return [str(prefix) for prefix in self.prefixes if prefix.version == family]


def side(stack: Stack, peers: Sequence[Peer]) -> Side:
    """Sort the peers of one side."""
    entries: set[str] = set()
    networks: set[str] = set()
    kinds = {peer.kind for peer in peers}
    for peer in peers:
        entries |= _entries(stack, peer)
        networks |= _networks(stack, peer)
    return Side(
        frozenset(entries),
        frozenset(networks),
        tuple(peer.cidr for peer in peers if peer.cidr is not None),
        PeerKind.HOST in kinds,
        PeerKind.OUTSIDE in kinds,
        PeerKind.INTERNET in kinds,
    )


def _entries(stack: Stack, peer: Peer) -> set[str]:
    match peer.kind:
        case PeerKind.MACHINE:
            return set(stack.machines) if peer.name == "*" else {peer.name}
        case PeerKind.LABEL:
            return {name for name, machine in stack.machines.items() if machine.labels.get(peer.name) == peer.value}
        case _:
            return set()


def _networks(stack: Stack, peer: Peer) -> set[str]:
    match peer.kind:
        case PeerKind.NETWORK:
            return set(stack.networks) if peer.name == "*" else {peer.name}
        case PeerKind.LABEL:
            return {name for name, network in stack.networks.items() if network.labels.get(peer.name) == peer.value}
        case _:
            return set()


def instances(stack: Stack) -> Iterator[tuple[str, str, Machine]]:
    """Every machine that is to exist: its name, its entry in the file, and what the file says of it."""
    for entry, machine in stack.machines.items():
        for name in machine.names(entry):
            yield name, entry, machine


def places(stack: Stack, addresses: Mapping[str, tuple[NicAddress, ...]]) -> list[NicPlace]:
    """Every NIC of every machine instance, in the order of the file."""
    return [
        NicPlace(name, entry, index, address)
        for name, entry, _ in instances(stack)
        for index, address in enumerate(addresses.get(name, ()))
    ]


def way_out(stack: Stack, network: str) -> Internet:
    """How a network reaches what lies beyond it."""
    return stack.networks[network].internet
