"""The rules of one policy for one direction, IP version and reach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from provision.models import Internet, Stack
from provision.packets import Service
from provision.spi.peers import PeerSet
from provision_libvirt.translate import priorities as at
from provision_libvirt.translate.hostside import host_address
from provision_libvirt.translate.services import Rule, exists_in, prefix_attributes, rule, stateful, stateless
from provision_libvirt.translate.special import NOT_PUBLIC

_ALL = {4: "all", 6: "all-ipv6"}
_IP = {4: "ip", 6: "ipv6"}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a NIC's packets get: to `network` alone, or (empty) to all routed networks and beyond."""

    network: str = ""


@dataclass(frozen=True)
class Group:
    """What a group's rules depend on.

    Attributes:
        stack: what the file says.
        services: what passes.
        peers: the other side of the policy.
        direction: `in` when the peers open connections, `out` when the NICs with this filter do.
        family: 4 or 6.
        reach: how far the NICs with this filter get.
        members: addresses of machines among the peers, within that reach.
        host_addresses: addresses of the hypervisor beyond the stack's networks.
        elsewhere: prefixes of the stack's networks on other hypervisors.
        unspoken: addresses that are neither outside nor, if the peers are that, public, and of which no policy speaks
            that allows anything.
    """

    stack: Stack
    services: Sequence[Service]
    peers: PeerSet
    direction: str
    family: int
    reach: Reach
    members: Sequence[str]
    host_addresses: Sequence[str] = ()
    elsewhere: Sequence[str] = ()
    unspoken: Sequence[str] = ()

    def accept(self, prefix: str, priority: int, *, both_layers: bool) -> Iterator[Rule]:
        """Let the services pass; frames from networks of the stack are accepted by the network's filter already."""
        for service in self.services:
            if exists_in(service, self.family):
                yield from stateful(service, self.family, self.direction, prefix, priority)
                if both_layers:
                    yield from stateless(service, self.family, self.direction, prefix, priority)

    def close(self, prefix: str, priority: int) -> Iterator[Rule]:
        """Drop everything to and from a prefix. In the stateful layer libvirt mirrors a drop to the other direction."""
        yield rule("drop", "out", priority, _ALL[self.family], **prefix_attributes("dst", prefix))
        yield rule("drop", "in", priority, _IP[self.family], **prefix_attributes("src", prefix))


def group_rules(group: Group) -> Iterator[Rule]:
    """All rules of the group, empty when none of the peers is within reach."""
    if not any(exists_in(service, group.family) for service in group.services):
        return
    yield from _hosts(group)
    yield from _written(group)
    yield from _inside(group)
    if not group.reach.network and (group.peers.outside or group.peers.internet):
        yield from _beyond(group)


def near(group: Group) -> list[str]:
    """Networks within reach."""
    if group.reach.network:
        return [group.reach.network]
    return [name for name in group.stack.networks if group.stack.networks[name].internet is Internet.ROUTED]


def gateways(group: Group, networks: Sequence[str]) -> list[str]:
    """The hypervisor's addresses on some networks."""
    found = [host_address(group.stack, name, group.family) for name in networks]
    return [address for address in found if address is not None]


def _hosts(group: Group) -> Iterator[Rule]:
    if not group.peers.host:
        return
    everywhere = [group.reach.network] if group.reach.network else list(group.stack.networks)
    further = () if group.reach.network else group.host_addresses
    for address in dict.fromkeys([*gateways(group, everywhere), *further]):
        yield from group.accept(address, at.EXPLICIT, both_layers=True)


def _written(group: Group) -> Iterator[Rule]:
    """Prefixes as written: whatever has such an address, be it a machine, the hypervisor or outside."""
    for text in group.peers.cidrs(group.family):
        if not group.reach.network:
            yield from group.accept(text, at.EXPLICIT, both_layers=True)
            continue
        network = group.stack.networks[group.reach.network]
        own = network.cidr if group.family == 4 else network.cidr6
        prefix = ip_network(text)
        if own is None or not prefix.overlaps(own):
            continue
        narrower = prefix if prefix.prefixlen >= own.prefixlen else own
        gateway = host_address(group.stack, group.reach.network, group.family)
        if gateway is not None and not group.peers.host and ip_address(gateway) in narrower:
            yield from group.accept(gateway, at.EXPLICIT, both_layers=True)
        yield from group.accept(str(narrower), at.INSIDE, both_layers=False)


def _inside(group: Group) -> Iterator[Rule]:
    for name in near(group):
        if name not in group.peers.networks:
            continue
        network = group.stack.networks[name]
        prefix = network.cidr if group.family == 4 else network.cidr6
        if prefix is None:
            continue
        for gateway in gateways(group, [name]):
            yield rule("drop", "out", at.CLOSED_HOST, _ALL[group.family], dstipaddr=gateway)
        yield from group.accept(str(prefix), at.INSIDE, both_layers=False)
    for address in group.members:
        yield from group.accept(address, at.INSIDE, both_layers=False)


def _beyond(group: Group) -> Iterator[Rule]:
    for network in group.stack.networks.values():
        prefix = network.cidr if group.family == 4 else network.cidr6
        if prefix is not None:
            yield from group.close(str(prefix), at.CLOSED_INSIDE)
    for address in (*group.elsewhere, *group.host_addresses):
        yield from group.close(address, at.CLOSED_INSIDE)
    if group.peers.outside:
        yield from group.accept(_everything(group.family), at.OUTSIDE, both_layers=True)
        return
    for special in NOT_PUBLIC[group.family]:
        yield from group.close(special, at.CLOSED_SPECIAL)
    yield from group.accept(_everything(group.family), at.INTERNET, both_layers=True)


def _everything(family: int) -> str:
    return "0.0.0.0/0" if family == 4 else "::/0"
