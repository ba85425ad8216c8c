"""What the peers and selectors of policies stand for in a stack: entries of machines, networks, prefixes, and the rest.

For translations. What verifies them has its own understanding of peers, so that a mistake in one does not hide in both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from provision.models import Machine, Network, Peer, PeerKind, Selector, Stack
from provision.packets.prefixes import Prefix
from provision.spi.flows import End


@dataclass(frozen=True, slots=True)
class PeerSet:
    """Peers, such as those of one side of a policy, sorted by what they are.

    Attributes:
        entries: of `machines` in the file, and machine instances that are named by themselves.
        networks: of the file.
        prefixes: as written.
        host: whether the hypervisor is among them.
        outside: whether all that is beyond the stack is.
        internet: whether all public addresses are.
    """

    entries: frozenset[str]
    networks: frozenset[str]
    prefixes: tuple[Prefix, ...]
    host: bool
    outside: bool
    internet: bool

    def named(self, end: End) -> bool:
        """Whether an interface is meant by its machine or network."""
        return end.entry in self.entries or end.machine in self.entries or end.network in self.networks

    def holds(self, end: End, family: int) -> bool:
        """Whether the interface's address of IP version 4 or 6 is among them."""
        if self.named(end):
            return True
        text = end.ip(family)
        if text is None or not self.prefixes:
            return False
        address = ip_address(text)
        return any(address in prefix for prefix in self.prefixes if prefix.version == family)

    def cidrs(self, family: int) -> list[str]:
        """The written prefixes of an IP version."""
        return [str(prefix) for prefix in self.prefixes if prefix.version == family]


def peer_set(stack: Stack, peers: Sequence[Peer]) -> PeerSet:
    """Sort peers; instances, which may be named too, are not looked up."""
    kinds = {peer.kind for peer in peers}
    return PeerSet(
        frozenset(name for peer in peers for name in _meant(peer, PeerKind.MACHINE, stack.machines)),
        frozenset(name for peer in peers for name in _meant(peer, PeerKind.NETWORK, stack.networks)),
        tuple(peer.cidr for peer in peers if peer.cidr is not None),
        PeerKind.HOST in kinds,
        PeerKind.OUTSIDE in kinds,
        PeerKind.INTERNET in kinds,
    )


def selects(stack: Stack, selectors: Sequence[Selector], entry: str) -> bool:
    """Whether any of `selectors` selects an entry of machines."""
    labels = stack.machines[entry].labels
    return any(
        one.name in ("*", entry) if one.kind is PeerKind.MACHINE else labels.get(one.name) == one.value
        for one in selectors
    )


def selected(stack: Stack, selectors: Sequence[Selector]) -> list[str]:
    """Entries of machines that any of `selectors` selects, in the order of the file."""
    return [name for name in stack.machines if selects(stack, selectors, name)]


def instances(stack: Stack) -> Iterator[tuple[str, str, Machine]]:
    """Every machine that is to exist: its name, its entry in the file, and what the file says of it."""
    for entry, machine in stack.machines.items():
        for name in machine.names(entry):
            yield name, entry, machine


def _meant(peer: Peer, kind: PeerKind, there: Mapping[str, Machine] | Mapping[str, Network]) -> set[str]:
    """Of the machines or networks of the file, which peers of that kind name, those that a peer means."""
    if peer.kind is kind:
        return set(there) if peer.name == "*" else {peer.name}
    if peer.kind is PeerKind.LABEL:
        return {name for name, one in there.items() if one.labels.get(peer.name) == peer.value}
    return set()
