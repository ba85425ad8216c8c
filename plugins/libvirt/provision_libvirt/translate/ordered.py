"""The rules of one policy in a stack that denies: at the policy's step, and for exactly whom it speaks of.

Without `deny`, rules may say "the whole prefix, after something else has closed the hypervisor's address in it". Here
another policy may follow that allows what was closed, so each rule matches what the file says and nothing else.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from provision.packets import Service
from provision_libvirt.translate.closing import inside, own_addresses
from provision_libvirt.translate.groups import Group, gateways, near
from provision_libvirt.translate.prefixes import PUBLIC6, beyond, public, ranges, without
from provision_libvirt.translate.services import (
    Rule,
    connectionless,
    denied,
    denied_frames,
    exists_in,
    prefix_attributes,
    rule,
    stateless,
)

_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
_IP = {4: "ip", 6: "ipv6"}


def allow_rules(group: Group, priority: int, on_networks: Sequence[str]) -> Iterator[Rule]:
    """What the policy allows, within the group's reach; `on_networks` as for `deny_rules`."""
    everywhere = [group.reach.network] if group.reach.network else list(group.stack.networks)
    further = () if group.reach.network else group.host_addresses
    if group.peers.host:
        for address in dict.fromkeys([*gateways(group, everywhere), *further]):
            yield from group.accept(address, priority, both_layers=True)
    for text in group.peers.cidrs(group.family):
        if not group.reach.network:
            yield from group.accept(text, priority, both_layers=True)
            continue
        own, prefix = _prefix(group, group.reach.network), ip_network(text)
        if own is None or not prefix.overlaps(ip_network(own)):
            continue
        narrower = prefix if prefix.prefixlen >= ip_network(own).prefixlen else ip_network(own)
        yield from group.accept(str(narrower), priority, both_layers=False)
        for gateway in gateways(group, [group.reach.network]):
            if ip_address(gateway) in narrower:
                yield from group.accept(gateway, priority, both_layers=True)
    for text in _machines(group, [name for name in near(group) if name in group.peers.networks], on_networks):
        yield from group.accept(text, priority, both_layers=False)
    if not group.reach.network:
        for text in ranges(_outside(group)):
            yield from group.accept(text, priority, both_layers=False)
        yield from _frames_from_beyond(group, priority)


def _frames_from_beyond(group: Group, priority: int) -> Iterator[Rule]:
    """Frames from beyond the stack's networks.

    Of what needs an answer the other layer has the last word, so that one wide prefix is as good as the many that
    outside is made of, but for the few addresses that are not meant: these are stopped in the step before.
    """
    services = [service for service in group.services if exists_in(service, group.family)]
    if not (group.peers.outside or group.peers.internet) or not services:
        return
    wide = str(PUBLIC6) if group.family == 6 and not group.peers.outside else _EVERYTHING[group.family]
    if not all(map(connectionless, services)):
        for text in group.unspoken:
            yield rule("drop", "in", priority - 1, _IP[group.family], **prefix_attributes("src", text))
    for service in services:
        for text in _outside(group) if connectionless(service) else [wide]:
            yield from stateless(service, group.family, group.direction, text, priority)


def deny_rules(
    group: Group, services: Sequence[Service], priority: int, on_networks: Sequence[str], *, frames: bool
) -> Iterator[Rule]:
    """What the policy denies, however far away.

    Args:
        group: the policy's peers, all of them.
        services: what is denied.
        priority: of all rules.
        on_networks: addresses of machines that are meant by their network.
        frames: whether frames from beyond the stack's networks are to be stopped too, not only what they ask for.
    """
    for service in services:
        if not exists_in(service, group.family):
            continue
        far = list(_outside(group))
        written = group.peers.cidrs(group.family)
        hosts = own_addresses(group.stack, group.family, group.host_addresses) if group.peers.host else ()
        machines = _machines(group, list(group.stack.networks), on_networks)
        for text in dict.fromkeys([*hosts, *written, *machines, *ranges(far)]):
            yield from denied(service, group.family, group.direction, text, priority)
        if frames and group.direction == "in":
            far = far if connectionless(service) else []
            for prefix in written:
                far += without(prefix, _networks(group))
            for text in dict.fromkeys([*hosts, *far]):
                yield from denied_frames(service, group.family, text, priority)


def _machines(group: Group, networks: Sequence[str], on_networks: Sequence[str]) -> Iterator[str]:
    """Machines that are meant by name or network: one by one, or what is less, the network without the hypervisor."""
    wanted = [name for name in networks if name in group.peers.networks]
    wide = []
    for name in wanted:
        own = _prefix(group, name)
        wide += without(own, gateways(group, [name])) if own is not None else []
    yield from dict.fromkeys([*group.members, *(wide if len(wide) <= len(on_networks) else on_networks)])


def _outside(group: Group) -> Iterator[str]:
    known = inside(group.stack, group.family, group.host_addresses, group.elsewhere)
    if group.peers.outside:
        yield from beyond(group.family, known)
    elif group.peers.internet:
        yield from public(group.family, known)


def _networks(group: Group) -> list[str]:
    found = [_prefix(group, name) for name in group.stack.networks]
    return [one for one in found if one is not None]


def _prefix(group: Group, name: str) -> str | None:
    network = group.stack.networks[name]
    found = network.cidr if group.family == 4 else network.cidr6
    return None if found is None else str(found)
