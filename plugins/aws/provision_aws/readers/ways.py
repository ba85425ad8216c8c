"""Routes as sets: for which packets there is a way at all.

From the VPC User Guide ("Route tables", "Enable internet access", "NAT gateway basics"): within a VPC there is always a
way; beyond, the longest prefix of the subnet's route table decides. Through an internet gateway connections are opened
both ways; through the other gateways from inside alone. That IPv4 goes through an internet gateway only for those who
have a public address is not counted as a rule: addresses come and go without anybody touching rules.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network

from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix
from provision_aws.readers.model import Card, Network, Surroundings, Target
from provision_aws.readers.prefixes import Ranges

SIDES = (Field.SOURCE, Field.DESTINATION)
FAR = {Field.SOURCE: Field.DESTINATION, Field.DESTINATION: Field.SOURCE}
_THROUGH_NAT = (6, 17, 1, 58)
"""Protocols that a NAT gateway takes: TCP, UDP and ICMP."""


def known(cards: Iterable[Card]) -> list[Prefix]:
    """The addresses by which sets tell interfaces."""
    return [ip_network(own.known) for card in cards for own in card.own]


@dataclass(frozen=True)
class Ways:
    """Makes sets of the routes around machines."""

    space: PacketSpace
    network: Network
    ranges: Ranges

    def open(self) -> PacketSet:
        """Packets for which there is a way; those between two ends that are no machines of the stack among them."""
        nobody = self.space.all
        for side in SIDES:
            nobody -= self.space.prefixes(side, known(self.network.cards))
        return nobody | self._inside | self._outward | self._inward

    @cached_property
    def _vpcs(self) -> dict[str, dict[Field, PacketSet]]:
        """By VPC, packets from and to its addresses: its ranges, and those of its machines."""
        cards: dict[str, list[Card]] = {name: [] for name in self.network.ranges}
        for card in self.network.cards:
            cards.setdefault(self.network.subnets[card.subnet].vpc, []).append(card)
        return {
            name: {
                side: self.ranges.set_of(side, self.network.ranges.get(name, ()))
                | self.space.prefixes(side, known(found))
                for side in SIDES
            }
            for name, found in cards.items()
        }

    @cached_property
    def _inside(self) -> PacketSet:
        return self.space.union(one[Field.SOURCE] & one[Field.DESTINATION] for one in self._vpcs.values())

    @cached_property
    def _outward(self) -> PacketSet:
        found = []
        for around, cards in self._around():
            beyond = self.space.all - self._vpcs[around.vpc][Field.DESTINATION]
            for target, where in self._routed(around, Field.DESTINATION):
                sources = self.space.prefixes(Field.SOURCE, self._through(target, cards))
                found.append(sources & where & beyond & self._carried(target))
        return self.space.union(found)

    @cached_property
    def _inward(self) -> PacketSet:
        return self._by_internet(Field.DESTINATION)

    @cached_property
    def through_internet(self) -> PacketSet:
        """Packets that come or go through an internet gateway."""
        return self._inward | self._by_internet(Field.SOURCE)

    def _by_internet(self, side: Field) -> PacketSet:
        """Packets through an internet gateway with a machine on one side."""
        far, found = FAR[side], []
        for around, cards in self._around():
            beyond = self.space.all - self._vpcs[around.vpc][far]
            for target, where in self._routed(around, far):
                if target is Target.INTERNET:
                    found.append(self.space.prefixes(side, self._through(target, cards)) & where & beyond)
        return self.space.union(found)

    def _around(self) -> Iterator[tuple[Surroundings, list[Card]]]:
        """Interfaces whose subnets have the same routes, together."""
        found: dict[object, tuple[Surroundings, list[Card]]] = {}
        for card in self.network.cards:
            around = self.network.subnets[card.subnet]
            found.setdefault((around.vpc, around.ways), (around, []))[1].append(card)
        yield from found.values()

    def _routed(self, around: Surroundings, side: Field) -> Iterator[tuple[Target, PacketSet]]:
        """By target, packets whose address on one side it is the way to: the longest prefix decides."""
        routes = [(prefix, way.target) for way in around.ways for prefix in way.prefixes]
        taken = self.space.none
        for prefix, target in sorted(routes, key=lambda route: -route[0].prefixlen):
            where = self.ranges.set_of(side, [prefix]) - taken
            taken |= where
            yield target, where

    def _through(self, target: Target, cards: Iterable[Card]) -> list[Prefix]:
        """Addresses that a target takes packets from."""
        versions = {Target.NOWHERE: (), Target.EGRESS_ONLY: (6,), Target.NAT: (4,)}.get(target, (4, 6))
        return [ip_network(own.known) for card in cards for own in card.own if own.known.version in versions]

    def _carried(self, target: Target) -> PacketSet:
        if target is not Target.NAT:
            return self.space.all
        return self.space.union(self.space.protocol(number) for number in _THROUGH_NAT)
