"""Policies that allow what no packet can do here: the way between the peers is missing, whatever the filters say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from provision.models import Internet, Peer, PeerKind, Stack, TrafficPolicy
from provision.spi import Objection
from provision.spi.peers import instances, peer_set
from provision_libvirt.translate.hostside import gateway, has_host_address


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a peer's members are: on which networks, at the hypervisor, beyond the stack."""

    networks: frozenset[str] = frozenset()
    host: bool = False
    beyond: bool = False


@dataclass(frozen=True)
class Reaching:
    """Which ways there are between the peers of a stack's policies.

    Attributes:
        stack: what the file says.
        policies: the traffic policies that are carried out.
    """

    stack: Stack
    policies: Sequence[tuple[str, TrafficPolicy]]

    def objections(self) -> Iterator[Objection]:
        """Peers of policies that allow something, to or from which there is no way at all."""
        for name, policy in self.policies:
            if not policy.allow:
                continue
            sources = [self._where(peer) for peer in policy.sources]
            targets = [self._where(peer) for peer in policy.destinations]
            for index, target in enumerate(targets):
                if not any(self._way(source, target) for source in sources):
                    yield self._objection(name, policy, "to", index, sources, target)
                    break
            else:
                for index, source in enumerate(sources):
                    if not any(self._way(source, target) for target in targets):
                        yield self._objection(name, policy, "from", index, targets, source)
                        break

    def _where(self, peer: Peer) -> Whereabouts:
        if peer.kind is PeerKind.CIDR and peer.cidr is not None:
            inside = {name for name in self.stack.networks if self._overlaps(peer, name)}
            host = any(self._hosts(name) and self._holds_gateway(peer, name) for name in inside)
            return Whereabouts(frozenset(inside), host, beyond=not self._within(peer))
        meant = peer_set(self.stack, [peer])
        on = {network for name in meant.entries for network in self._attached.get(name, ())}
        return Whereabouts(frozenset(on) | meant.networks, meant.host, meant.outside or meant.internet)

    @cached_property
    def _attached(self) -> dict[str, frozenset[str]]:
        """The networks of each entry of machines, and of each machine that it makes."""
        found: dict[str, frozenset[str]] = {}
        for name, entry, machine in instances(self.stack):
            found[name] = found[entry] = frozenset(nic.network for nic in machine.nics)
        return found

    def _overlaps(self, peer: Peer, name: str) -> bool:
        network = self.stack.networks[name]
        own = network.cidr if peer.cidr is not None and peer.cidr.version == 4 else network.cidr6
        return own is not None and peer.cidr is not None and peer.cidr.overlaps(own)

    def _within(self, peer: Peer) -> bool:
        """Whether a prefix has no address beyond one of the stack's networks."""
        if peer.cidr is None:
            return False
        own = [net.cidr if peer.cidr.version == 4 else net.cidr6 for net in self.stack.networks.values()]
        return any(net is not None and peer.cidr.subnet_of(net) for net in own)  # type: ignore[arg-type]

    def _way(self, source: Whereabouts, target: Whereabouts) -> bool:
        return (
            any(self._between(one, other) for one in source.networks for other in target.networks)
            or (source.host and any(self._hosts(name) for name in target.networks))
            or (target.host and any(self._hosts(name) for name in source.networks))
            or (target.beyond and any(self.stack.networks[n].internet is not Internet.NONE for n in source.networks))
            or (source.beyond and any(self.stack.networks[n].internet is Internet.ROUTED for n in target.networks))
        )

    def _hosts(self, network: str) -> bool:
        return has_host_address(self.stack, self.stack.networks[network])

    def _between(self, here: str, there: str) -> bool:
        if here == there:
            return True
        if (
            self.stack.networks[here].internet is Internet.NONE
            or self.stack.networks[there].internet is not Internet.ROUTED
        ):
            return False
        return self.stack.networks[here].internet is Internet.ROUTED or there in self._open_to_host

    @cached_property
    def _open_to_host(self) -> frozenset[str]:
        """Networks on which some policy lets the hypervisor in, by whose address packets from behind NAT arrive."""
        found: set[str] = set()
        for _, policy in self.policies:
            if not policy.allow:
                continue
            targets = frozenset[str]().union(*(self._where(peer).networks for peer in policy.destinations))
            for peer in policy.sources:
                if peer.kind is PeerKind.HOST:
                    found |= targets
                elif peer.kind is PeerKind.CIDR and peer.cidr is not None:
                    found |= {name for name in targets if self._holds_gateway(peer, name)}
        return frozenset(found)

    def _holds_gateway(self, peer: Peer, name: str) -> bool:
        address = None if peer.cidr is None else gateway(self.stack.networks[name], peer.cidr.version)
        return peer.cidr is not None and address is not None and address in peer.cidr

    def _objection(
        self, name: str, policy: TrafficPolicy, key: str, index: int, others: Sequence[Whereabouts], one: Whereabouts
    ) -> Objection:
        written = (policy.destinations if key == "to" else policy.sources)[index]
        other_written = policy.sources if key == "to" else policy.destinations
        other = Whereabouts(
            frozenset[str]().union(*(item.networks for item in others)),
            any(item.host for item in others),
            any(item.beyond for item in others),
        )
        source, target = (other, one) if key == "to" else (one, other)
        start, end = (_names(other_written), str(written)) if key == "to" else (str(written), _names(other_written))
        reason, fix = self._why(source, target)
        return Objection(
            ("isolation", "policies", name, key, index),
            f"nothing of '{start}' can reach '{end}', though the policy allows it: {reason}",
            fix,
        )

    def _why(self, source: Whereabouts, target: Whereabouts) -> tuple[str, str]:
        """Why there is no way, and what would make one."""
        closed = sorted(name for name in target.networks if self.stack.networks[name].internet is Internet.NONE)
        hidden = sorted(name for name in target.networks if self.stack.networks[name].internet is Internet.NAT)
        shut = sorted(name for name in source.networks if self.stack.networks[name].internet is Internet.NONE)
        common = "or give the machines a network card on one network"
        if hidden:
            return (
                f"libvirt lets no connection from elsewhere into network '{hidden[0]}' ('internet: nat')",
                f"write 'internet: routed' for network '{hidden[0]}', {common}",
            )
        if closed:
            return (
                f"no way leads into network '{closed[0]}' ('internet: none')",
                f"write 'internet: routed' for network '{closed[0]}', {common}",
            )
        if shut:
            return (
                f"no way leads out of network '{shut[0]}' ('internet: none')",
                f"write 'internet: nat' or 'routed' for network '{shut[0]}', {common}",
            )
        behind = sorted(name for name in source.networks if self.stack.networks[name].internet is Internet.NAT)
        there = sorted(target.networks)
        if behind and there:
            return (
                f"packets from network '{behind[0]}' ('internet: nat') arrive with the hypervisor's address, which no "
                f"policy lets into network '{there[0]}'",
                f"write 'internet: routed' for network '{behind[0]}', add 'host' to 'from', {common}",
            )
        return "they have no network card on any network", "give the machines network cards"


def _names(peers: Sequence[Peer]) -> str:
    return ", ".join(map(str, peers))
