"""Security groups as sets: what the rules of the groups of ports let out, and in.

From the Networking guide ("Security groups") and API: a port lets in, and out, what any rule of any of its groups
allows, and nothing else; answers pass by themselves, unless the group is stateless. A rule that names a group means the
addresses of all ports in it, and those of their address pairs. A port without port security has no filter at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix
from provision_openstack.readers.model import Card, Network, Rule, Traffic

SIDES = (Field.SOURCE, Field.DESTINATION)
FAR = {Field.SOURCE: Field.DESTINATION, Field.DESTINATION: Field.SOURCE}
_ANSWERS = {8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140}


def known(cards: Iterable[Card]) -> list[Prefix]:
    """The addresses of ports."""
    return [one for card in cards for one in card.own]


@dataclass(frozen=True)
class Groups:
    """Makes sets of the groups of machines."""

    space: PacketSpace
    network: Network

    def passing(self) -> PacketSet:
        """First packets that the groups of both ends let pass; an end that is no machine of the stack has none."""
        return self._end(Field.SOURCE) & self._end(Field.DESTINATION)

    def answered(self) -> PacketSet:
        """Connections whose answers the groups of both ends let pass."""
        found = self.space.all
        loose = [card for card in self.network.cards if card.secured and card.groups & self.network.stateless]
        for card in loose:
            for side in SIDES:
                here = self.space.prefixes(side, card.own)
                found &= (self.space.all - here) | self._back(card, side)
        return found

    def single(self) -> PacketSet:
        """Packets between two machines that the groups of one of them let pass."""
        both = self.space.prefixes(Field.SOURCE, known(self.network.cards)) & self.space.prefixes(
            Field.DESTINATION, known(self.network.cards)
        )
        return both & (self._end(Field.SOURCE) | self._end(Field.DESTINATION))

    def forged(self) -> PacketSet:
        """Packets that a machine may send under another address, or from another hardware address, than its own."""
        found = []
        for card in self.network.cards:
            own = self.space.prefixes(Field.SOURCE, card.own)
            if not card.secured:
                found.append(self.space.all - own)
            for pair in card.pairs if card.secured else ():
                lent = self.space.prefixes(Field.SOURCE, [pair.prefix])
                found.append((lent - own if pair.own_mac else lent) & self._let(card.groups, Field.SOURCE))
        return self.space.union(found)

    def claimed(self) -> PacketSet:
        """Addresses that a machine may claim to have: drivers hold address resolution to the same as packets."""
        found = []
        for card in self.network.cards:
            asking, own = self.space.prefixes(Field.SOURCE, card.own), self.space.prefixes(Field.DESTINATION, card.own)
            if not card.secured:
                found.append(asking - own)
            for pair in card.pairs if card.secured else ():
                lent = self.space.prefixes(Field.DESTINATION, [pair.prefix])
                found.append(asking & (lent - own if pair.own_mac else lent))
        return self.space.union(found)

    def deciding(self, card: Card, side: Field, point: PacketSet) -> Iterator[Rule]:
        """The rules of a port that let a packet pass."""
        for group in sorted(card.groups):
            for rule in self._rules(group, side):
                if point <= self._meant(rule.traffic) & self._peers([rule], FAR[side]):
                    yield rule

    def _end(self, side: Field) -> PacketSet:
        """What passes the groups of the end on one side, were there no other."""
        if side not in self._ends:
            secured = [card for card in self.network.cards if card.secured]
            allowed = self.space.union(
                self.space.prefixes(side, known(cards)) & self._let([group], side)
                for group, cards in self._cards_of.items()
            )
            self._ends[side] = allowed | (self.space.all - self.space.prefixes(side, known(secured)))
        return self._ends[side]

    @cached_property
    def _ends(self) -> dict[Field, PacketSet]:
        return {}

    @cached_property
    def _cards_of(self) -> dict[str, list[Card]]:
        """By group, the machines' ports that it filters."""
        found: dict[str, list[Card]] = defaultdict(list)
        for card in self.network.cards:
            for group in sorted(card.groups) if card.secured else ():
                found[group].append(card)
        return found

    def _rules(self, group: str, side: Field) -> Iterator[Rule]:
        """Rules for what is let out (of the source), or in."""
        return (rule for rule in self.network.rules.get(group, ()) if rule.egress is (side is Field.SOURCE))

    def _let(self, groups: Iterable[str], side: Field) -> PacketSet:
        """What the rules of groups match; those of one traffic together."""
        rules: dict[Traffic, list[Rule]] = defaultdict(list)
        for group in groups:
            for rule in self._rules(group, side):
                rules[rule.traffic].append(rule)
        return self.space.union(
            self._meant(traffic) & self._peers(found, FAR[side]) for traffic, found in rules.items()
        )

    def _back(self, card: Card, side: Field) -> PacketSet:
        """Connections of a port, on one side, whose answers its stateless rules, or tracked connections, let pass."""
        tracked = [group for group in card.groups if group not in self.network.stateless]
        found = [self._let(tracked, side)]
        for group in card.groups:
            # An answer goes the other way, so the rules of the other direction decide on it.
            for rule in self._rules(group, FAR[side]):
                found.append(self._asking(rule.traffic) & self._peers([rule], FAR[side]))
        return self.space.union(found)

    def _peers(self, rules: Iterable[Rule], side: Field) -> PacketSet:
        """Packets from or to the other end of rules."""
        given = list(rules)
        prefixes = [prefix for rule in given for prefix in rule.prefixes]
        groups = dict.fromkeys(rule.group for rule in given if rule.group)
        return self.space.union(
            [self.space.prefixes(side, prefixes), *(self._members(group, side) for group in groups)]
        )

    def _members(self, group: str, side: Field) -> PacketSet:
        """Packets from or to the ports of a group."""
        if (group, side) not in self._made:
            inside = [card for card in self.network.cards if group in card.groups]
            lent = [prefix for card in inside for prefix in card.lent]
            found = [*known(inside), *lent, *self.network.members.get(group, ())]
            self._made[group, side] = self.space.prefixes(side, found)
        return self._made[group, side]

    @cached_property
    def _made(self) -> dict[tuple[str, Field], PacketSet]:
        return {}

    def _meant(self, traffic: Traffic) -> PacketSet:
        found = self.space.family(traffic.family)
        if traffic.protocol is None:
            return found
        found &= self.space.protocol(traffic.protocol)
        if traffic.first is None:
            return found
        if traffic.has_ports:
            return found & self.space.between(Field.DESTINATION_PORT, traffic.first, traffic.last or 0)
        return found & self.space.icmp(traffic.first, traffic.last)

    def _asking(self, traffic: Traffic) -> PacketSet:
        """First packets whose answers are of some traffic."""
        if traffic.first is None:
            return self._meant(traffic)
        whole = self._meant(replace(traffic, first=None, last=None))
        if traffic.has_ports:
            return whole & self.space.between(Field.SOURCE_PORT, traffic.first, traffic.last or 0)
        asked = [question for question, reply in _ANSWERS.items() if reply == traffic.first]
        alone = [] if traffic.first in _ANSWERS else [traffic.first]
        return whole & self.space.union(self.space.icmp(one, traffic.last) for one in [*asked, *alone])
