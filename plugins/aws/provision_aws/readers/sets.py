"""What groups, routes and network ACLs let pass, as sets of connections.

From the VPC User Guide ("Security groups"): an interface lets in, and out, what any rule of any of its groups allows;
answers pass by themselves. Groups do not filter what goes to Amazon's own services on the machine's host: the metadata
service is told here, since each machine has a switch for it; those for names, time and DHCP are the VPC's, and no rule
decides on them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_network

from provision.packets.sets import Address, Field, Packet, PacketSet, PacketSpace, Prefix
from provision.spi import Readout
from provision_aws.readers.acls import Acls
from provision_aws.readers.groups import Groups
from provision_aws.readers.model import Network
from provision_aws.readers.prefixes import Ranges
from provision_aws.readers.ways import SIDES, Ways, known

METADATA: dict[int, Address] = {4: IPv4Address("169.254.169.254"), 6: IPv6Address("fd00:ec2::254")}


@dataclass(frozen=True)
class Filter:
    """Makes sets of what was read."""

    space: PacketSpace
    network: Network

    def read(self) -> Readout:
        """What all of it together lets pass."""
        passing = self._groups.passing() & self._open & self._acls.passing(answer=False)
        for side in SIDES:
            passing -= self.space.prefixes(side, [*self.network.absent, *self._silent])
        connected = passing & self._acls.passing(answer=True)
        return Readout(
            delivered=passing | self._metadata,
            connected=connected | self._metadata,
            forged=self._forged,
            unmodelled=tuple(self.network.unmodelled),
            explain=self.explain,
            claimed=self.space.none,  # a VPC answers the questions of address resolution itself
            overheard=self.space.none,  # and hands packets to the interface that has the address alone
        )

    @cached_property
    def _ranges(self) -> Ranges:
        return Ranges(self.space, [own for card in self.network.cards for own in card.own], self.network.odd)

    @cached_property
    def _silent(self) -> list[Prefix]:
        """What Amazon has, but for addresses that machines have all the same: those of IPv6 may be other ones."""
        return sorted(self.network.silent - set(known(self.network.cards)), key=str)

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self.space, self.network, self._ranges)

    @cached_property
    def _acls(self) -> Acls:
        return Acls(self.space, self.network, self._ranges)

    @cached_property
    def _ways(self) -> Ways:
        return Ways(self.space, self.network, self._ranges)

    @cached_property
    def _open(self) -> PacketSet:
        # Over IPv6 the service has an address that `outside` means too: for all else there, groups have the word.
        return self._ways.open() - self.space.prefixes(Field.DESTINATION, [ip_network(METADATA[4])])

    @cached_property
    def _metadata(self) -> PacketSet:
        """Questions to the metadata service, which no rule stops."""
        found = []
        for version, address in METADATA.items():
            asking = known(card for card in self.network.cards if version in card.metadata)
            to = self.space.prefixes(Field.DESTINATION, [ip_network(address)])
            found.append(self.space.prefixes(Field.SOURCE, asking) & to)
        port = self.space.protocol(6) & self.space.between(Field.DESTINATION_PORT, 80, 80)
        return self.space.union(found) & port

    @cached_property
    def _forged(self) -> PacketSet:
        """Packets that a machine may send under another address: only where the check of addresses is off."""
        return self.space.union(
            self._groups.let_out(card) - self.space.prefixes(Field.SOURCE, known([card]))
            for card in self.network.cards
            if not card.checked
        )

    def explain(self, packet: Packet) -> str:
        """The rules that let a packet out and in, or what stops it."""
        if packet.destination in METADATA.values():
            return "the metadata service is on, and no security group filters it"
        return "; ".join(dict.fromkeys(self._said(packet))) or "no rule is in the way"

    def _said(self, packet: Packet) -> Iterator[str]:
        point = self.space.only(packet)
        for side, address, way in (
            (Field.SOURCE, packet.source, "out of"),
            (Field.DESTINATION, packet.destination, "into"),
        ):
            for card in self.network.cards:
                if any(own.known == address for own in card.own):
                    deciding = [str(rule) for rule in self._groups.deciding(card, side, point)]
                    yield from deciding or [f"no rule of {', '.join(sorted(card.groups))} lets it {way} {card.name}"]
                    if packet.family == 4 and not card.public and point <= self._ways.through_internet:
                        yield f"{card.name} has no public address, so that nothing comes by before it has one"
        if not point <= self._open:
            yield "no route leads there"
        if not point <= self._acls.passing(answer=False):
            yield "a network ACL drops it"
        elif not point <= self._acls.passing(answer=True):
            yield "a network ACL drops the answers"
        if point <= self._forged:
            yield "the source/destination check is off"
