"""Security groups as sets: what the rules of the groups of interfaces let out, and in."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix
from provision_aws.readers.model import Card, Network, Rule, Traffic
from provision_aws.readers.prefixes import Ranges
from provision_aws.readers.ways import FAR, SIDES, known


@dataclass(frozen=True)
class Groups:
    """Makes sets of the groups of machines."""

    space: PacketSpace
    network: Network
    ranges: Ranges

    def passing(self) -> PacketSet:
        """First packets that the groups of both ends let pass; an end that is no machine of the stack has none."""
        found = self.space.all
        for side in SIDES:
            allowed = self.space.union(
                self.space.prefixes(side, known(cards)) & self._certain(group, side)
                for group, cards in self._cards_of.items()
            )
            allowed |= self.space.union(
                self.space.prefixes(side, known(cards)) & self._unknown(groups, side)
                for groups, cards in self._cards_with.items()
            )
            found &= allowed | (self.space.all - self.space.prefixes(side, known(self.network.cards)))
        return found

    def let_out(self, card: Card) -> PacketSet:
        """What the groups of an interface let it send, from whatever address."""
        certain = self.space.union(self._certain(group, Field.SOURCE) for group in card.groups)
        return certain | self._unknown(card.groups, Field.SOURCE)

    def deciding(self, card: Card, side: Field, point: PacketSet) -> Iterator[Rule]:
        """The rules of an interface that let a packet pass."""
        for group in sorted(card.groups):
            for rule in self._rules(group, side):
                peers = self.ranges.certain(FAR[side], rule.prefixes) | self._told(rule, FAR[side])
                if self.ranges.holds_unknown(rule.prefixes):
                    peers |= self.space.prefixes(FAR[side], self._left(rule.left_out))
                if point <= self._meant(rule.traffic) & peers:
                    yield rule

    @cached_property
    def _cards_of(self) -> dict[str, list[Card]]:
        """By group, the interfaces of machines in it."""
        found: dict[str, list[Card]] = defaultdict(list)
        for card in self.network.cards:
            for group in card.groups:
                found[group].append(card)
        return found

    @cached_property
    def _cards_with(self) -> dict[frozenset[str], list[Card]]:
        """Interfaces with exactly the same groups."""
        found: dict[frozenset[str], list[Card]] = defaultdict(list)
        for card in self.network.cards:
            found[card.groups].append(card)
        return found

    def _rules(self, group: str, side: Field) -> Iterator[Rule]:
        """Rules for what is let out (of the source), or in."""
        return (rule for rule in self.network.rules.get(group, ()) if rule.egress is (side is Field.SOURCE))

    def _certain(self, group: str, side: Field) -> PacketSet:
        """What the rules of a group match, but for addresses that nobody knows; those of one traffic together."""
        prefixes: dict[Traffic, list[Prefix]] = defaultdict(list)
        others: dict[Traffic, list[PacketSet]] = defaultdict(list)
        for rule in self._rules(group, side):
            prefixes[rule.traffic] += rule.prefixes
            others[rule.traffic].append(self._told(rule, FAR[side]))
        return self.space.union(
            self._meant(traffic) & self.space.union([self.ranges.certain(FAR[side], found), *others[traffic]])
            for traffic, found in prefixes.items()
        )

    def _unknown(self, groups: Iterable[str], side: Field) -> PacketSet:
        """What several groups together match of the addresses that Amazon has not given yet."""
        if not self.ranges.unknown:
            return self.space.none
        prefixes: dict[tuple[Traffic, frozenset[Prefix]], list[Prefix]] = defaultdict(list)
        for group in sorted(groups):
            for rule in self._rules(group, side):
                if rule.prefixes and (not rule.left_out or self._left(rule.left_out)):
                    prefixes[rule.traffic, rule.left_out] += rule.prefixes
        return self.space.union(
            self._meant(traffic) & self.space.prefixes(FAR[side], self._left(left_out))
            for (traffic, left_out), found in prefixes.items()
            if self.ranges.holds_unknown(found)
        )

    def _left(self, left_out: frozenset[Prefix]) -> tuple[Prefix, ...]:
        """Addresses that nobody knows, and that a rule does not leave out."""
        return tuple(one for one in self.ranges.unknown if one not in left_out) if left_out else self.ranges.unknown

    def _told(self, rule: Rule, side: Field) -> PacketSet:
        """Packets from or to what a rule means by the file's own addresses, and by its group."""
        made = self.space.prefixes(side, rule.known)
        if not rule.group:
            return made
        if (rule.group, side) not in self._members:
            strangers = self.ranges.set_of(side, self.network.members.get(rule.group, ()))
            own = self.space.prefixes(side, known(self._cards_of.get(rule.group, ())))
            self._members[rule.group, side] = strangers | own
        return made | self._members[rule.group, side]

    @cached_property
    def _members(self) -> dict[tuple[str, Field], PacketSet]:
        """Packets from or to the private addresses of a group's interfaces, as far as they were asked for."""
        return {}

    def _meant(self, traffic: Traffic) -> PacketSet:
        if traffic.protocol is None:
            return self.space.all
        found = self.space.protocol(traffic.protocol)
        if traffic.first is None:
            return found
        if traffic.has_ports:
            return found & self.space.between(Field.DESTINATION_PORT, traffic.first, traffic.last or 0)
        return found & self.space.icmp(traffic.first, traffic.last)
