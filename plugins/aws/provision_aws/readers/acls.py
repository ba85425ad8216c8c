"""Network ACLs as sets: they look at every packet that crosses the border of a subnet, at answers too.

From the VPC User Guide ("Network ACLs"): entries are looked at from the lowest number on, and the first that matches
decides; what none matches is dropped. Packets within a subnet are not looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from provision.packets.sets import Field, PacketSet, PacketSpace
from provision_aws.readers.model import AclEntry, Card, Network, Traffic
from provision_aws.readers.prefixes import Ranges
from provision_aws.readers.ways import FAR, SIDES, known

_ANSWERS = {8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140}


@dataclass(frozen=True)
class Acls:
    """Makes sets of the ACLs around machines."""

    space: PacketSpace
    network: Network
    ranges: Ranges

    def passing(self, *, answer: bool) -> PacketSet:
        """Connections whose first packets, or whose answers, all ACLs let pass."""
        found = self.space.all
        for acl, subnets in self._acls():
            for side in SIDES:
                held = self._crossing(side, subnets)
                if held:
                    found &= (self.space.all - held) | self._decided(acl, side, answer=answer)
        return found

    def _acls(self) -> Iterator[tuple[tuple[AclEntry, ...], list[str]]]:
        """ACLs that do not let everything pass, with the subnets that have them."""
        found: dict[tuple[AclEntry, ...], list[str]] = {}
        for name, around in self.network.subnets.items():
            if around.acl is not None:
                found.setdefault(around.acl, []).append(name)
        yield from found.items()

    def _crossing(self, side: Field, subnets: list[str]) -> PacketSet:
        """Connections of machines in some subnets, on one side, with an end elsewhere."""
        found = []
        for name in subnets:
            cards: list[Card] = [card for card in self.network.cards if card.subnet == name]
            here = known(cards)
            far = self.space.prefixes(FAR[side], here)
            found.append(self.space.prefixes(side, here) - far)
        return self.space.union(found)

    def _decided(self, acl: tuple[AclEntry, ...], side: Field, *, answer: bool) -> PacketSet:
        """What an ACL around the end on `side` of a connection lets pass of its first packets, or of its answers."""
        leaves = (side is Field.SOURCE) is not answer
        passing, left = self.space.none, self.space.all
        for entry in sorted(acl, key=lambda entry: entry.number):
            if entry.egress is leaves:
                matched = left & self._matching(entry, side, answer=answer)
                passing = passing | matched if entry.allow else passing
                left -= matched
        return passing

    def _matching(self, entry: AclEntry, side: Field, *, answer: bool) -> PacketSet:
        traffic = entry.traffic
        found = self.ranges.set_of(FAR[side], [entry.prefix]) & self.space.family(entry.prefix.version)
        if traffic.protocol is None:
            return found
        found &= self.space.protocol(traffic.protocol)
        if traffic.first is None:
            return found
        if traffic.has_ports:
            # An answer goes to the port that the first packet came from.
            ports = Field.SOURCE_PORT if answer else Field.DESTINATION_PORT
            return found & self.space.between(ports, traffic.first, traffic.last or 0)
        return found & self._icmp(traffic, answer=answer)

    def _icmp(self, traffic: Traffic, *, answer: bool) -> PacketSet:
        """Connections whose question, or whose answer, has an ICMP type and code; answers repeat the code."""
        kind = traffic.first or 0
        if not answer:
            return self.space.icmp(kind, traffic.last)
        asked = [question for question, reply in _ANSWERS.items() if reply == kind]
        alone = [] if kind in _ANSWERS else [kind]
        return self.space.union(self.space.icmp(one, traffic.last) for one in [*asked, *alone])
