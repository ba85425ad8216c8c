"""Policies and shares: every peer exists and can match."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from provision.diagnostics import Path
from provision.loader.checks.context import Context, families, makes
from provision.models import Network, Peer, PeerKind, TrafficPolicy
from provision.packets import Protocol

_BOTH = frozenset((4, 6))
_BEYOND = (PeerKind.HOST, PeerKind.OUTSIDE, PeerKind.INTERNET, PeerKind.REFERENCE, PeerKind.CIDR)


def check_policies(context: Context) -> None:
    """Report peers that do not exist or select nobody, and traffic policies that can never match."""
    peers = _Peers(context)
    stack = context.stack
    for name, policy in stack.isolation.policies.items():
        at: Path = ("isolation", "policies", name)
        if isinstance(policy, TrafficPolicy):
            peers.check((*at, "from"), policy.sources, networks=True)
            peers.check((*at, "to"), policy.destinations, networks=True)
            if context.known(*at):
                _traffic(context, peers, at, name, policy)
        else:
            peers.check((*at, "machines"), policy.machines, networks=False)
    for name, share in stack.sharing.shares.items():
        at = ("sharing", "shares", name)
        peers.check((*at, "machines"), share.machines, networks=False)
        memory = share.memory
        if memory and memory.minimum and memory.maximum and memory.minimum > memory.maximum:
            context.sink.error(
                (*at, "memory", "minimum"), f"the minimum {memory.minimum} is above the maximum {memory.maximum}",
                "lower the minimum",
            )  # fmt: skip


class _Peers:
    """Answers about peers in constant time, so that many policies over many machines stay linear."""

    def __init__(self, context: Context) -> None:
        self._context = context
        stack = context.stack
        self._machine: dict[str, frozenset[int]] = {}
        self._labels: dict[tuple[str, str], frozenset[int]] = {}
        self._network_labels: dict[tuple[str, str], frozenset[int]] = {}
        everything: frozenset[int] = frozenset()
        self._labels_known = context.written("machines") and not any(
            path[0] == "machines" and (len(path) < 3 or path[2] == "labels") for path in context.holes if path
        )
        self._network_labels_known = not any(
            path[0] == "networks" and (len(path) < 3 or path[2] == "labels") for path in context.holes if path
        )
        for name, machine in stack.machines.items():
            found: set[int] = set()
            for nic in machine.nics:
                network = stack.networks.get(nic.network)
                found |= families(network) if network is not None else _BOTH
            if not context.known("machines", name):
                found |= _BOTH
            self._machine[name] = frozenset(found)
            everything |= self._machine[name]
            for item in machine.labels.items():
                self._labels[item] = self._labels.get(item, frozenset()) | self._machine[name]
        for network in stack.networks.values():
            for item in network.labels.items():
                self._network_labels[item] = self._network_labels.get(item, frozenset()) | families(network)
        self._all = everything
        self._ranges = {version: _ranges(stack.networks.values(), version) for version in _BOTH}

    def is_inside(self, peer: Peer) -> bool:
        """Whether a prefix has addresses in common with a network of the stack."""
        if peer.cidr is None:
            return False
        first = int(peer.cidr.network_address)
        starts, ends = self._ranges[peer.cidr.version]
        at = bisect_right(starts, first + peer.cidr.num_addresses - 1)
        return at > 0 and ends[at - 1] >= first

    def families(self, peer: Peer) -> frozenset[int]:
        """The IP versions in which a peer has addresses; those of an unknown one are all."""
        stack = self._context.stack
        match peer.kind:
            case PeerKind.MACHINE:
                return self._all if peer.name == "*" else self._machine.get(peer.name, _BOTH)
            case PeerKind.NETWORK:
                network = stack.networks.get(peer.name)
                return families(network) if network and self._context.known("networks", peer.name) else _BOTH
            case PeerKind.LABEL:
                key = (peer.name, peer.value)
                found = self._labels.get(key, frozenset()) | self._network_labels.get(key, frozenset())
                return found if self._labels_known and self._network_labels_known else _BOTH
            case PeerKind.CIDR:
                return frozenset([peer.cidr.version]) if peer.cidr else _BOTH
            case _:
                return _BOTH

    def check(self, path: Path, peers: Sequence[Peer], *, networks: bool) -> None:
        """Report the peers of a list that do not exist."""
        for index, peer in enumerate(peers):
            at = (*path, index)
            if self._context.known(*at):
                self._one(at, peer, networks)

    def _one(self, at: Path, peer: Peer, networks: bool) -> None:
        context, stack = self._context, self._context.stack
        match peer.kind:
            case PeerKind.MACHINE:
                self._check_machine(at, peer.name)
            case PeerKind.NETWORK:
                if peer.name not in stack.networks and context.written("networks", peer.name):
                    fix = context.suggest(peer.name, stack.networks, "network.") or "declare it under 'networks:'"
                    context.sink.error(at, f"there is no network '{peer.name}'", fix)
            case PeerKind.REFERENCE:
                if peer.name not in stack.references and context.written("references", peer.name):
                    fix = context.suggest(peer.name, stack.references) or "declare it under 'references:'"
                    context.sink.error(at, f"there is no reference '{peer.name}'", fix)
            case PeerKind.LABEL:
                self._check_label(at, peer, networks)

    def _check_machine(self, at: Path, name: str) -> None:
        context, machines = self._context, self._context.stack.machines
        if name == "*":
            if not machines and context.known("machines"):
                context.sink.error(at, "'machine.*' selects nobody: the stack has no machines", "add a machine")
            return
        if name in machines or not context.written("machines", name):
            return
        entry = context.entry_of(name)
        if entry is not None:
            context.sink.error(
                at,
                f"'{name}' is one of the machines that '{entry[0]}' makes ({makes(entry[0], machines[entry[0]])})",
                f"write machine.{entry[0]}, which means all of them, or make it an entry of its own",
            )
            return
        fix = context.suggest(name, machines, "machine.") or "declare it under 'machines:'"
        context.sink.error(at, f"there is no machine '{name}'", fix)

    def _check_label(self, at: Path, peer: Peer, networks: bool) -> None:
        key = (peer.name, peer.value)
        if key in self._labels or (networks and key in self._network_labels):
            return
        if not self._labels_known or (networks and not self._network_labels_known):
            return
        known = dict.fromkeys([*self._labels, *(self._network_labels if networks else ())])
        written = [f"{name}={value}" for name, value in known]
        who = "no machine and no network has" if networks else "no machine has"
        fix = self._context.suggest(f"{peer.name}={peer.value}", written, "label.")
        self._context.sink.error(
            at,
            f"{who} the label '{peer.name}={peer.value}'",
            fix or "give the machines that you mean this label",
        )


def _ranges(networks: Iterable[Network], version: int) -> tuple[list[int], list[int]]:
    """First and last addresses of the networks' prefixes, sorted, each last the highest so far."""
    prefixes = [prefix for n in networks if (prefix := n.cidr if version == 4 else n.cidr6) is not None]
    pairs = sorted((int(p.network_address), int(p.network_address) + p.num_addresses - 1) for p in prefixes)
    return [first for first, _ in pairs], list(accumulate((last for _, last in pairs), max))


def _traffic(context: Context, peers: _Peers, at: Path, name: str, policy: TrafficPolicy) -> None:
    both = [*policy.sources, *policy.destinations]
    if all(peer.kind in _BEYOND for peer in both) and not any(peers.is_inside(peer) for peer in both):
        context.sink.error(
            at,
            f"neither side of the policy '{name}' is in this stack",
            "name a machine, a label or a network on one side",
            key=True,
        )
        return
    sides = [frozenset().union(*(peers.families(peer) for peer in side)) for side in
             (policy.sources, policy.destinations)]  # fmt: skip
    common = sides[0] & sides[1]
    if not common:
        if all(sides):
            context.sink.warning(
                at, f"the policy '{name}' can never match: its sides have no IP version in common",
                "give both a prefix of the same version", key=True,
            )  # fmt: skip
        return
    for key, services in (("allow", policy.allow), ("deny", policy.deny)):
        for index, service in enumerate(services):
            needs = {Protocol.ICMP: 4, Protocol.ICMPV6: 6}.get(service.protocol)
            if needs is not None and needs not in common:
                other = "icmpv6" if needs == 4 else "icmp"
                context.sink.warning(
                    (*at, key, index),
                    f"'{service}' can never match: between these peers there is only IPv{10 - needs}",
                    f"write {other}, or add IPv{needs} prefixes",
                )
