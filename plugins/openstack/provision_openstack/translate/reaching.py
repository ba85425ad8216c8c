"""What packet policies ask together that no rules can say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from provision.models import Nic, NoHostAccessPolicy, Peer, PeerKind, Stack, TrafficPolicy
from provision.packets.prefixes import without
from provision.packets.special import LINK_LOCAL
from provision.spi import Capabilities, Decision, NicAddress, Objection, enforced
from provision.spi.peers import PeerSet, instances, peer_set, selected
from provision_openstack.translate.rules import hosts_of, plan


def objections(stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision]) -> Iterator[Objection]:
    """What stands against the packet policies that are enforced."""
    yield from _Reaching(stack, capabilities, decisions).found()


@dataclass(frozen=True)
class _Reaching:
    stack: Stack
    capabilities: Capabilities
    decisions: Mapping[str, Decision]

    def found(self) -> Iterator[Objection]:
        yield from self._sealed()
        yield from self._peers()
        yield from self._flows()

    def _sealed(self) -> Iterator[Objection]:
        """Policies that keep machines off the cloud's own hosts, against traffic policies that let them out."""
        open_to = {} if hosts_of(self.capabilities) else self._beyond()
        for name, policy in enforced(self.stack, self.decisions):
            if not isinstance(policy, NoHostAccessPolicy):
                continue
            for entry in selected(self.stack, policy.machines):
                if entry in open_to:
                    yield Objection(
                        ("isolation", "policies", name),
                        f"'{open_to[entry]}' lets '{entry}' and addresses beyond the stack meet, and the cloud's own "
                        "hosts cannot be told apart from them there",
                        f"name machines or networks in '{open_to[entry]}', or leave '{entry}' out of one of the two; "
                        "or set 'provision-openstack:hostPrefixes' to where the operators say that the hosts are",
                    )
                    break

    def _peers(self) -> Iterator[Objection]:
        """Peers of which no rule can speak."""
        for name, policy in enforced(self.stack, self.decisions):
            if not isinstance(policy, TrafficPolicy) or not policy.allow:
                continue
            for key, peers in (("from", policy.sources), ("to", policy.destinations)):
                path = ("isolation", "policies", name, key)
                if all(peer.kind is PeerKind.HOST for peer in peers):
                    reason = "hosts of a cloud have no address on the networks of its users"
                    yield Objection(path, reason, "name machines, prefixes or 'outside' instead of 'host'")
                elif all(_of_one_link(peer) for peer in peers):
                    reason = "addresses of a single link, where the metadata service answers, are closed to all"
                    yield Objection(path, reason, "name other addresses, or remove the policy")

    def _flows(self) -> Iterator[Objection]:
        """What is left of services after a `deny`, and no rule could name."""
        yield from plan(self.stack, likely(self.stack), self.decisions).objections

    def _beyond(self) -> dict[str, str]:
        """By entry, a policy by which addresses beyond the stack may be at the other end."""
        found: dict[str, str] = {}
        for name, policy in enforced(self.stack, self.decisions):
            if not isinstance(policy, TrafficPolicy):
                continue
            sources, targets = peer_set(self.stack, policy.sources), peer_set(self.stack, policy.destinations)
            for one, other in ((sources, targets), (targets, sources)):
                if self._leads_out(other):
                    for entry in self._members(one):
                        found.setdefault(entry, name)
        return found

    def _leads_out(self, one: PeerSet) -> bool:
        own = [prefix for it in self.stack.networks.values() for prefix in (it.cidr, it.cidr6) if prefix is not None]
        return (
            one.outside
            or one.internet
            or any(
                not any(prefix.version == net.version and prefix.subnet_of(net) for net in own)  # type: ignore[arg-type]
                for prefix in one.prefixes
            )
        )

    def _members(self, one: PeerSet) -> set[str]:
        """Entries that a side may mean; by address any may be."""
        if one.prefixes or one.outside or one.internet:
            return set(self.stack.machines)
        return {
            entry
            for entry, machine in self.stack.machines.items()
            if {entry, *machine.names(entry)} & one.entries or any(nic.network in one.networks for nic in machine.nics)
        }


def _of_one_link(peer: Peer) -> bool:
    return peer.cidr is not None and not without([peer.cidr], LINK_LOCAL)


def likely(stack: Stack) -> Mapping[str, Sequence[NicAddress]]:
    """Addresses that stand for those which are not given yet."""
    return {
        name: [NicAddress(nic.network, "", *_addresses(stack, nic)) for nic in machine.nics]
        for name, _, machine in instances(stack)
        if all(nic.network in stack.networks for nic in machine.nics)
    }


def _addresses(stack: Stack, nic: Nic) -> tuple[str | None, str | None]:
    network = stack.networks[nic.network]
    found = []
    for prefix, written in ((network.cidr, nic.address), (network.cidr6, nic.address6)):
        address = written if not isinstance(written, list) else None
        if address is None and prefix is not None:
            address = prefix[min(4, prefix.num_addresses - 1)]
        found.append(None if address is None else str(address))
    return found[0], found[1]
