"""What groups and routers let pass, as sets of connections.

From the Networking guide: within a network there is always a way, between networks by a router that is on both, and
beyond by a router with a gateway. Over IPv4 a router hides machines behind its own address unless that is switched off:
then nobody gets in but by a floating IP address. As these come and go without anybody touching rules, what they would
let in counts as delivered, and as a connection only where one is there. The metadata service answers at a link-local
address on every network. What Neutron lets pass whatever rules say is not told: questions of DHCP clients, neighbour
discovery, address resolution.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from provision.packets.sets import Field, Packet, PacketSet, PacketSpace, Prefix
from provision.packets.special import LINK_LOCAL
from provision.spi import Readout
from provision_openstack.readers.groups import FAR, SIDES, Groups, known
from provision_openstack.readers.model import Card, Network, Router


@dataclass(frozen=True)
class Filter:
    """Makes sets of what was read."""

    space: PacketSpace
    network: Network

    def read(self, hosts: Iterable[str] = ()) -> Readout:
        """What all of it together lets pass; `hosts`: prefixes of the cloud's own hosts, as far as they are known."""
        passing = self._groups.passing()
        for side in SIDES:
            passing -= self.space.prefixes(side, self.network.absent)
        delivered = passing & self._open
        return Readout(
            delivered=delivered,
            connected=delivered & self._groups.answered() & (self._nobody | self._reached),
            forged=self._groups.forged(),
            host_addresses=tuple(hosts),
            unmodelled=tuple(self.network.unmodelled),
            explain=self.explain,
            single=self._groups.single(),
            claimed=self._groups.claimed(),
        )

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self.space, self.network)

    @cached_property
    def _nobody(self) -> PacketSet:
        """Packets between two ends that are no machines of the stack."""
        found = self.space.all
        for side in SIDES:
            found -= self.space.prefixes(side, known(self.network.cards))
        return found

    @cached_property
    def _open(self) -> PacketSet:
        """Packets for which there is a way, or would be with a floating IP address."""
        return self._nobody | self._reached | self._beyond(Field.DESTINATION, exact=False)

    @cached_property
    def _reached(self) -> PacketSet:
        """Packets of machines for which there is a way now."""
        inside = self.space.union(
            self._on(Field.SOURCE, networks) & self._on(Field.DESTINATION, networks)
            for networks in self.network.joined()
        )
        asking = self.space.prefixes(Field.SOURCE, known(self.network.cards))
        near = asking & self.space.prefixes(Field.DESTINATION, LINK_LOCAL)
        return inside | near | self._beyond(Field.SOURCE, exact=True) | self._beyond(Field.DESTINATION, exact=True)

    def _on(self, side: Field, networks: frozenset[str]) -> PacketSet:
        """Packets from or to networks."""
        held = [card for card in self.network.cards if card.network in networks]
        ranges = [one for name in sorted(networks) for one in self.network.ranges.get(name, ())]
        return self.space.prefixes(side, [*ranges, *known(held)])

    def _beyond(self, side: Field, *, exact: bool) -> PacketSet:
        """Packets with a machine on one side, and the other end behind a router with a gateway."""
        found = []
        for networks in self.network.joined():
            routers = [one for one in self.network.routers.values() if one.networks & networks and one.leads_out]
            if not routers:
                continue
            cards = [card for card in self.network.cards if card.network in networks]
            held = list(self._entered(cards, routers)) if exact and side is Field.DESTINATION else known(cards)
            found.append(self.space.prefixes(side, held) - self._on(FAR[side], networks))
        return self.space.union(found)

    @staticmethod
    def _entered(cards: list[Card], routers: list[Router]) -> Iterator[Prefix]:
        """Addresses to which there is a way from beyond now."""
        hides = all(router.hides for router in routers)
        for card in cards:
            yield from (one for one in card.own if one.version == 6 or card.public or not hides)

    def explain(self, packet: Packet) -> str:
        """The rules that let a packet out and in, or what stops it."""
        return "; ".join(dict.fromkeys(self._said(packet))) or "no rule is in the way"

    def _said(self, packet: Packet) -> Iterator[str]:
        point = self.space.only(packet)
        for side, address, way in (
            (Field.SOURCE, packet.source, "out of"),
            (Field.DESTINATION, packet.destination, "into"),
        ):
            for card in self.network.cards:
                if not any(address in one for one in (*card.own, *card.lent)):
                    continue
                if not card.secured:
                    yield f"{card.name} has no port security, and so no filter"
                    continue
                if not any(address in one for one in card.own):
                    yield f"{card.name} may use {address} (allowed address pairs)"
                deciding = [str(rule) for rule in self._groups.deciding(card, side, point)]
                groups = ", ".join(sorted(card.groups)) or "no group"
                yield from deciding or [f"no rule of {groups} lets it {way} {card.name}"]
        if not point <= self._open:
            yield "no router leads there"
        elif not point <= self._nobody | self._reached:
            yield "its router hides it behind another address: nothing gets in before it has a floating IP address"
        if not point <= self._groups.answered():
            yield "a stateless group stops the answers"
