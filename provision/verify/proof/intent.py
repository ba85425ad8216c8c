"""The intent of a stack as one set: every connection that its policies allow, told by the first packet."""

from collections.abc import Iterable, Mapping
from functools import cached_property

from provision.models import Internet, PeerIsolationPolicy, Posture
from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix
from provision.packets.special import LINK_LOCAL, NOT_PUBLIC, NOT_UNICAST, PUBLIC
from provision.translate.instances import selected
from provision.verify.proof.ends import Ends
from provision.verify.rules import Side, rules


class IntentSet:
    """What the file allows, by the same rules as `provision.verify.rules` gives to the probes."""

    def __init__(self, space: PacketSpace, ends: Ends, without: Iterable[str] = ()) -> None:
        """Build the set; `without` names policies that were downgraded."""
        self.space = space
        self.ends = ends
        self.without = frozenset(without)
        self._sides: dict[tuple[Side, Field], PacketSet] = {}
        self._entries: dict[tuple[str, Field], PacketSet] = {}

    @cached_property
    def allowed(self) -> PacketSet:
        """Every connection that the policies allow, whether or not there is a way for it."""
        space, isolation = self.space, self.ends.stack.isolation
        found = space.all if isolation.default is Posture.ALLOW else space.none
        for rule in reversed(rules(self.ends.stack, self.without)):
            services = space.union(space.service(service) for service in rule.services)
            pairs = self.side(rule.sources, Field.SOURCE) & self.side(rule.destinations, Field.DESTINATION)
            if rule.same_network:
                pairs &= self.same_network
            matching = services & pairs
            found = found | matching if rule.allow else found - matching
        for name, policy in isolation.policies.items():
            if isinstance(policy, PeerIsolationPolicy) and name not in self.without:
                apart = Side(entries=selected(self.ends.stack, policy.machines))
                pairs = self.side(apart, Field.SOURCE) & self.side(apart, Field.DESTINATION)
                found -= pairs & self.same_network
        return found if isolation.services.nd else found & space.family(4)

    @cached_property
    def same_network(self) -> PacketSet:
        """Packets between two addresses of one network."""
        return self.space.union(
            self.space.prefixes(Field.SOURCE, [one]) & self.space.prefixes(Field.DESTINATION, [one])
            for one in self.ends.prefixes
        )

    @cached_property
    def machines(self) -> Mapping[Field, PacketSet]:
        """Packets from, and to, machines of the stack."""
        found = [address for *_, address in self.ends.nics]
        return {side: self.space.prefixes(side, found) for side in (Field.SOURCE, Field.DESTINATION)}

    @cached_property
    def near(self) -> Mapping[Field, PacketSet]:
        """The same of those whose rules are looked at: machines elsewhere have rules of their own."""
        found = [address for *_, network, address in self.ends.nics if self.ends.is_here(network)]
        return {side: self.space.prefixes(side, found) for side in (Field.SOURCE, Field.DESTINATION)}

    @cached_property
    def held(self) -> PacketSet:
        """Unicast packets whose ends somebody has, one of them a machine whose rules are looked at."""
        space, ends = self.space, self.ends
        found = self.near[Field.SOURCE] | self.near[Field.DESTINATION]
        for side in (Field.SOURCE, Field.DESTINATION):
            nobody = space.prefixes(side, ends.prefixes) - self.machines[side] - space.prefixes(side, ends.hosts)
            found -= nobody | space.prefixes(side, NOT_UNICAST)
        return found

    @cached_property
    def judged(self) -> PacketSet:
        """Packets that the file decides on: between a machine and another end, unicast, no part of a connection."""
        space, ends = self.space, self.ends
        own: dict[str, list[Prefix]] = {}
        for _, instance, _, address in ends.nics:
            own.setdefault(instance, []).append(address)
        itself = space.union(
            space.prefixes(Field.SOURCE, mine) & space.prefixes(Field.DESTINATION, mine) for mine in own.values()
        )
        return self.held - itself - space.followers

    @cached_property
    def routed(self) -> PacketSet:
        """Packets for which there is a way, whatever rules say: the file's policies must let these pass."""
        space, ends = self.space, self.ends
        out = {name: network.internet for name, network in ends.stack.networks.items()}
        open_ = [name for name, way in out.items() if way is Internet.ROUTED]
        leaving = [name for name, way in out.items() if way is not Internet.NONE]
        known = [*ends.prefixes, *ends.hosts]

        def both(sources: list[str], destinations: list[str]) -> PacketSet:
            return space.prefixes(Field.SOURCE, ends.of_machines(sources)) & space.prefixes(
                Field.DESTINATION, ends.of_machines(destinations)
            )

        def beyond(side: Field) -> PacketSet:
            return space.all - space.prefixes(side, [*known, *LINK_LOCAL])

        same = self.same_network & self.machines[Field.SOURCE] & self.machines[Field.DESTINATION]
        return (
            same
            | both(open_, open_)
            | (space.prefixes(Field.SOURCE, ends.of_machines(leaving)) & beyond(Field.DESTINATION))
            | (space.prefixes(Field.DESTINATION, ends.of_machines(open_)) & beyond(Field.SOURCE))
        )

    def side(self, side: Side, field: Field) -> PacketSet:
        """Packets from, or to, a set of endpoints."""
        if (side, field) not in self._sides:
            self._sides[side, field] = self._make(side, field)
        return self._sides[side, field]

    def _of_entry(self, name: str, field: Field) -> PacketSet:
        """Packets from, or to, the machines of an entry; each is asked for by many sides."""
        if (name, field) not in self._entries:
            self._entries[name, field] = self.space.prefixes(field, self.ends.named.get(name, ()))
        return self._entries[name, field]

    def _make(self, side: Side, field: Field) -> PacketSet:
        space, ends = self.space, self.ends
        made = space.prefixes(field, [*side.prefixes, *(ends.hosts if side.host else ())])
        made |= space.union(self._of_entry(name, field) for name in sorted(side.entries))
        if side.networks:
            made |= space.prefixes(field, ends.of_machines(side.networks))
        if side.outside or side.internet:
            beyond = space.all - space.prefixes(field, [*ends.prefixes, *ends.hosts])
            if not side.outside:
                beyond &= space.prefixes(field, PUBLIC) - space.prefixes(field, NOT_PUBLIC)
            made |= beyond
        return made
