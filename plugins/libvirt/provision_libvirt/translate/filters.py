"""Traffic policies as packet filters: one for each NIC, made of shared ones, so that the whole grows with its parts.

A NIC's own filter holds what is true of it alone (its addresses) and refers to: the base filter (what is dropped in the
end), its network's filter, and one filter for each policy, direction and IP version that speaks of it. Peers are listed
once in the policy's filter, never once per pair.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256

from provision.models import Internet, Posture, Stack, TrafficPolicy
from provision.spi import Decision, GraphBuilder, Node, Output, enforced
from provision.spi.flows import End
from provision.spi.peers import PeerSet, peer_set
from provision_libvirt.resources import Filter
from provision_libvirt.translate.basis import base6_rules, base_rules, own_rules
from provision_libvirt.translate.closing import CLOSING, closing_rules, has_anything_to_close
from provision_libvirt.translate.groups import Group, Reach, group_rules
from provision_libvirt.translate.lookup import Places, Policies, SidedPolicy
from provision_libvirt.translate.names import Names
from provision_libvirt.translate.network_rules import NetworkRules
from provision_libvirt.translate.ordered import allow_rules, deny_rules
from provision_libvirt.translate.services import Rule
from provision_libvirt.translate.steps import Steps
from provision_libvirt.translate.unspoken import Unspoken

_FAMILIES = (4, 6)


@dataclass
class Filters:
    """Makes the filters of one stack and remembers which are there.

    Attributes:
        stack: what the file says.
        names: of native objects.
        builder: where nodes go.
        places: every NIC of the stack.
        host_addresses: addresses of the hypervisor beyond the stack's networks, as far as they are known.
        pool: the pool's node, on which everything depends.
        elsewhere: prefixes of the stack's networks on other hypervisors, which are not outside.
    """

    stack: Stack
    names: Names
    builder: GraphBuilder
    places: Sequence[End]
    decisions: Mapping[str, Decision]
    host_addresses: Sequence[str]
    pool: Node
    elsewhere: Sequence[str] = ()
    _groups: dict[tuple[str, str], Node | None] = field(default_factory=dict)
    _networks: dict[str, Node] = field(default_factory=dict)
    _base: dict[int, Node] = field(default_factory=dict)
    _present: tuple[int, ...] = _FAMILIES

    def __post_init__(self) -> None:
        """Sort NICs and policies once."""
        self._lookup = Places(self.places)
        wide = any(network.cidr6 is not None for network in self.stack.networks.values())
        self._present = self._families if wide else (4,)
        traffic = [
            (name, policy) for name, policy in enforced(self.stack, self.decisions) if isinstance(policy, TrafficPolicy)
        ]
        self._steps = Steps.of(traffic)
        self._policies = Policies(
            [
                SidedPolicy(
                    name, policy, peer_set(self.stack, policy.sources), peer_set(self.stack, policy.destinations)
                )
                for name, policy in traffic
                if self._steps.needed or not self._open
            ]
        )
        self._unspoken = Unspoken(self.stack, self._policies.policies, self.host_addresses, self.elsewhere)
        self._near = NetworkRules(self.stack, self._families, self._policies.policies, self._lookup, self._steps.needed)
        self._closing = [
            (name, policy, peer_set(self.stack, policy.machines))
            for name, policy in enforced(self.stack, self.decisions)
            if isinstance(policy, CLOSING)
        ]
        self._whole = self._open or self._steps.needed or bool(self._closing)

    @property
    def _open(self) -> bool:
        return self.stack.isolation.default is Posture.ALLOW

    @property
    def _in(self) -> Output:
        return self.pool.output("name")

    @property
    def _families(self) -> tuple[int, ...]:
        return _FAMILIES if self.stack.isolation.services.nd else (4,)

    def nic(self, place: End) -> Node:
        """The filter of one NIC."""
        found = [self._basis(4)]
        addresses = {family: place.ip(family) for family in self._families}
        if addresses.get(6) is not None:
            found.append(self._basis(6))
        found.append(self._network(place.network))
        found.extend(self._closed_for_good(place))
        for policy in self._policies.about(place):
            found.extend(self._groups_of(policy, place, addresses))
        return self.builder.add(
            Filter,
            f"machines/{place.machine}/nic-{place.index}/filter",
            {
                "pool": self._in,
                "name": self.names.filter(place.machine, "nic", str(place.index)),
                "rules": own_rules(addresses),
                "references": [{"filter": node.output("name")} for node in found],
            },
            parent=f"machines/{place.machine}",
        )

    def _closed_for_good(self, place: End) -> Iterator[Node]:
        for name, policy, machines in self._closing:
            if machines.named(place) and has_anything_to_close(self.stack, policy, place):
                rules = partial(closing_rules, self.stack, policy, self._present, self.host_addresses, self.elsewhere)
                node = self._shared(name, "closed", rules)
                if node is not None:
                    yield node

    def _basis(self, family: int) -> Node:
        if family not in self._base:
            part = "base" if family == 4 else "base6"
            rules = list(base_rules(self._open) if family == 4 else base6_rules())
            self._base[family] = self.builder.add(
                Filter, f"filter-{part}", self._inputs(self.names.filter("filter", part), rules)
            )
        return self._base[family]

    def _network(self, name: str) -> Node:
        if name not in self._networks:
            self._networks[name] = self.builder.add(
                Filter,
                f"networks/{name}/filter",
                self._inputs(self.names.filter("network", name), list(self._near.of(name))),
                parent=f"networks/{name}",
            )
        return self._networks[name]

    def _groups_of(self, policy: SidedPolicy, place: End, addresses: Mapping[int, str | None]) -> Iterator[Node]:
        for direction in ("out", "in"):
            own = policy.own(direction)
            if not own.prefixes:
                held = [self._present] if own.named(place) else []
            else:  # by prefix a NIC may be meant with its address of one IP version only
                held = [(f,) for f, address in addresses.items() if address is not None and own.holds(place, f)]
            for families in held:
                found = [self._denied(policy, direction, families)] if policy.policy.deny else []
                if policy.policy.allow:
                    found += [self._group(policy, direction, families, reach)
                              for reach in self._reaches(place.network, direction)]  # fmt: skip
                yield from (node for node in found if node is not None)

    def _reaches(self, network: str, direction: str) -> tuple[Reach, ...]:
        here = self.stack.networks[network].internet
        if here is Internet.ROUTED:
            return (Reach(),)
        if here is Internet.NAT and direction == "out":
            return (Reach(network), Reach())
        return (Reach(network),)

    def _group(self, policy: SidedPolicy, direction: str, families: tuple[int, ...], reach: Reach) -> Node | None:
        part = f"{direction}{self._version(families)}"
        rules = partial(self._allowed, policy, direction, families, reach)
        return self._shared(policy.name, f"{part}-{reach.network}" if reach.network else part, rules)

    def _allowed(self, policy: SidedPolicy, direction: str, families: tuple[int, ...], reach: Reach) -> Iterator[Rule]:
        peers = policy.peers(direction)
        for family in families:
            within = self._places_of(peers, family, reach)
            if self._steps.needed:
                priority = Steps.priority(self._steps.allow[policy.name], direction)
                group = self._peers(policy, direction, family, reach, within)
                if not self._open:
                    group = replace(group, unspoken=self._unspoken.beside(peers, family))
                yield from allow_rules(group, priority, self._on_networks(peers, family, reach))
            else:
                members = [place for place in within if place.network not in peers.networks]
                yield from group_rules(self._peers(policy, direction, family, reach, members))

    def _denied(self, policy: SidedPolicy, direction: str, families: tuple[int, ...]) -> Node | None:
        return self._shared(
            policy.name, f"deny-{direction}{self._version(families)}", partial(self._deny, policy, direction, families)
        )

    def _deny(self, policy: SidedPolicy, direction: str, families: tuple[int, ...]) -> Iterator[Rule]:
        peers = policy.peers(direction)
        priority = Steps.priority(self._steps.deny[policy.name], direction)
        for family in families:
            members = self._places_of(peers, family, None)
            group = self._peers(policy, direction, family, Reach(), members)
            there = self._on_networks(peers, family, None)
            yield from deny_rules(group, policy.policy.deny, priority, there, frames=not self._open)

    def _version(self, families: tuple[int, ...]) -> str:
        return "" if families == self._present else str(families[0])

    def _peers(self, policy: SidedPolicy, direction: str, family: int, reach: Reach, members: Sequence[End]) -> Group:
        return Group(
            stack=self.stack,
            services=tuple(policy.policy.allow),
            peers=policy.peers(direction),
            direction=direction,
            family=family,
            reach=reach,
            members=[address for place in members if (address := place.ip(family)) is not None],
            host_addresses=tuple(a for a in self.host_addresses if (":" in a) == (family == 6)),
            elsewhere=tuple(prefix for prefix in self.elsewhere if (":" in prefix) == (family == 6)),
        )

    def _shared(self, policy: str, part: str, rules: Callable[[], Iterable[Rule]]) -> Node | None:
        """A filter of a policy that NICs share; made when the first of them needs it, None when it has no rules."""
        key = (policy, part)
        if key not in self._groups:
            made = list(rules())
            self._groups[key] = self._group_node(policy, part, made) if made else None
        return self._groups[key]

    def _group_node(self, policy: str, part: str, rules: list[Rule]) -> Node:
        return self.builder.add(
            Filter,
            f"isolation/{policy}/{part}",
            self._inputs(self.names.filter("isolation", policy, part), rules),
            parent=f"isolation/{policy}",
        )

    def _inputs(self, name: str, rules: list[Rule]) -> dict[str, object]:
        """Of a filter that NICs share.

        Where nothing but an allow lets a packet pass, shared filters change in place, in any order: what is allowed
        neither before nor after is allowed by no mixture of both. Where something denies, a mixture may lack the old
        denial and the new one: there each change makes a new filter, and a NIC goes from all old ones to all new ones
        in the one step in which its own filter changes.
        """
        made: dict[str, object] = {"pool": self._in, "name": name, "rules": rules}
        if self._whole:
            made["content"] = sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16]
        return made

    def _places_of(self, peers: PeerSet, family: int, reach: Reach | None) -> list[End]:
        """NICs of the machines that are meant by name, where `reach` gets to (None: all of them)."""
        return [
            place
            for place in self._lookup.named(peers)
            if place.ip(family) is not None and self._within(place, reach)
        ]  # fmt: skip

    def _within(self, place: End, reach: Reach | None) -> bool:
        if reach is None or place.network == reach.network:
            return True
        return not reach.network and self.stack.networks[place.network].internet is Internet.ROUTED

    def _on_networks(self, peers: PeerSet, family: int, reach: Reach | None) -> list[str]:
        """Addresses of the machines that are meant by their network."""
        return [
            address
            for name in self.stack.networks
            if name in peers.networks
            for place in self._lookup.at(name)
            if (address := place.ip(family)) is not None and self._within(place, reach)
        ]
