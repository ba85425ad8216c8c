"""Reading the packet filters of a translated graph back: what they let pass, as sets of connections.

Two layers must both let a packet pass:

- *frames* (`mac`, `arp`, `ip`, `ipv6`: ebtables) look at every packet on the NIC by itself;
- *flows* (all other elements: iptables) follow connections, and see what a guest sends, and what it gets from its own
  bridge; what is routed to it they do not see.

In both, the first rule that matches decides, by priority; a packet that none matches passes.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from ipaddress import ip_network
from typing import Any

from provision.packets.sets import Address, Field, Packet, PacketSet, PacketSpace
from provision.packets.special import NOT_UNICAST
from provision.spi import Readout, RulesRequest
from provision_libvirt.readers.contents import Filters, Nic
from provision_libvirt.readers.layers import Layers
from provision_libvirt.readers.rules import FRAMES, Gate, Matcher, Shape
from provision_libvirt.readers.upkeep import Upkeep

_SIDES = (Field.SOURCE, Field.DESTINATION)


@dataclass
class Reader:
    """Reads the filters of one graph."""

    request: RulesRequest

    @cached_property
    def _filters(self) -> Filters:
        return Filters(self.request)

    @cached_property
    def _layers(self) -> Layers:
        return Layers(self._filters)

    @cached_property
    def _upkeep(self) -> Upkeep:
        return Upkeep(self._filters)

    @property
    def _space(self) -> PacketSpace:
        return self.request.space

    def _passing(self, frames: bool, way: str, answer: bool, later: bool = False) -> PacketSet:
        return self._layers.passing(Gate(frames, way, answer, later))

    def read(self) -> Readout:
        """What all filters together let pass."""
        space, filters = self._space, self._filters
        segments = self._by_network(filters.nics)
        unbridged = space.all - self._pairs("segments", segments)
        apart = self._pairs("apart", self._by_network([nic for nic in filters.nics if nic.native.get("isolated")]))
        sent = self._passing(True, "out", False) & self._passing(False, "out", False)
        got = self._passing(True, "in", False) & (self._passing(False, "in", False) | unbridged)
        answered = self._passing(True, "out", True) & self._passing(False, "out", True)
        heard = self._passing(True, "in", True) & (self._passing(False, "in", True) | unbridged)
        kept_out = self._translated() | apart
        delivered = (sent & got) - kept_out
        connected = delivered & answered & heard
        later_sent, later_got = space.all, space.all
        if any(content.first_only for content in filters.contents.values()):
            later_sent = self._passing(False, "out", False, later=True)
            later_got = self._passing(False, "in", False, later=True) | unbridged
            connected &= later_sent & later_got
        connected -= space.union(self._upkeep.lame(side) for side in _SIDES)
        guarded = [nic for nic in filters.nics if nic.reached]
        openers, holders = (self._layers.addresses(side, guarded) for side in _SIDES)
        # A NIC's own rules are to be right whatever the other end's say. Where they alone can tell first packets apart,
        # on one bridge, these are not to come through; elsewhere whole connections are not to.
        single = (sent & openers) | (got & holders & ((answered & later_got) | (space.all - unbridged)))
        return Readout(
            delivered=delivered,
            connected=connected,
            forged=self._forged(),
            host_addresses=tuple(self.request.capabilities.facts.get("host_addresses", ())),
            unmodelled=tuple(filters.unmodelled),
            explain=self.explain,
            single=single - kept_out,
            claimed=self._upkeep.claimed(),
            overheard=self._overheard(),
        )

    def _translated(self) -> PacketSet:
        """First packets from beyond to networks behind the hypervisor's address: libvirt lets only answers in there."""
        hidden, known = list[str](), list[str]()
        for node in self._filters.nodes.values():
            if node.type.token != "network:Network":
                continue
            for key in ("ipv4", "ipv6"):
                if (own := node.inputs.get(key)) is not None:
                    prefix = f"{own['address']}/{own['prefix']}"
                    known.append(prefix)
                    if node.inputs["mode"] == "nat":
                        hidden.append(prefix)
        known += self.request.capabilities.facts.get("host_addresses", ())

        def prefixes(field: Field, texts: Sequence[str]) -> PacketSet:
            return self._space.prefixes(field, [ip_network(text, strict=False) for text in texts])

        return prefixes(Field.DESTINATION, hidden) - prefixes(Field.SOURCE, known)

    def _by_network(self, nics: Sequence[Nic]) -> Sequence[Sequence[Nic]]:
        """NICs by network: those of one network share a bridge."""
        found: dict[str, list[Nic]] = defaultdict(list)
        for nic in nics:
            found[nic.network].append(nic)
        return list(found.values())

    def _pairs(self, what: str, groups: Sequence[Sequence[Nic]]) -> PacketSet:
        """Packets between two NICs of the same group."""
        key = ("pairs", what, tuple(tuple(nic.number for nic in group) for group in groups))
        return self._once(
            key,
            lambda: self._space.union(
                self._layers.addresses(Field.SOURCE, group) & self._layers.addresses(Field.DESTINATION, group)
                for group in groups
            ),
        )

    def _once(self, key: Hashable, make: Callable[[], PacketSet]) -> PacketSet:
        kept = self._filters.kept
        if key not in kept:
            kept[key] = make()
        found: PacketSet = kept[key]
        return found

    @cached_property
    def _unspoken(self) -> PacketSet:
        """What a NIC sends before, or beside, its own address: first questions from nowhere, neighbour discovery."""
        space = self._space
        nowhere = (
            space.prefixes(Field.SOURCE, [ip_network("0.0.0.0/32")])
            & space.protocol(17)
            & space.between(Field.SOURCE_PORT, 68, 68)
            & space.between(Field.DESTINATION_PORT, 67, 67)
        )
        asking = space.protocol(58) & (space.icmp(135) | space.icmp(136))
        return nowhere | (space.prefixes(Field.SOURCE, [ip_network("fe80::/10")]) & asking)

    def _forged(self) -> PacketSet:
        """Packets that a NIC may send although their source, or their hardware address, is not its own."""
        found = []
        for nic in self._filters.nics:
            if nic.reached:
                found.append(
                    self._once(("forged", nic.number, self._filters.standing(nic)), partial(self._forges, nic))
                )
            elif not nic.native.get("user"):
                found.append(self._space.all - self._layers.addresses(Field.SOURCE, [nic]))
        return self._space.union(filter(None, found))

    def _forges(self, nic: Nic) -> PacketSet:
        """The same of one NIC."""
        gate, other = Gate(True, "out", False), Gate(True, "out", False, forged=True)
        if self._speaks_for_itself(nic) and not (
            self._layers.beside(gate, nic, self._unspoken) or self._layers.beside(other, nic, self._space.none)
        ):
            return self._space.none
        own = self._layers.addresses(Field.SOURCE, [nic])
        return (self._layers.of_nic(gate, nic) - own - self._unspoken) | self._layers.of_nic(other, nic)

    def _speaks_for_itself(self, nic: Nic) -> bool:
        """Whether all that the NIC's own filter lets out is from its own addresses."""
        own = {str(prefix.network_address) for prefix in nic.own}
        return all(
            rule["action"] == "drop"
            or (rule["attributes"].get("srcmacaddr") == "$MAC" and rule["attributes"].get("srcipaddr") in own
                and "srcipmask" not in rule["attributes"] and "match" not in rule["attributes"])
            for rule in self._filters.contents[nic.reached[0]].rules
            if rule["direction"] != "in" and rule["protocol"] in ("ip", "ipv6", "mac")
            for rule in [{"attributes": {}, **rule}]
        )  # fmt: skip

    def _overheard(self) -> PacketSet:
        """Packets that NICs get although they are for another; errors and answers of DHCP need not be for anyone."""
        found = [
            self._once(("overheard", nic.number, self._filters.standing(nic)), partial(self._overhears, nic))
            for nic in self._filters.nics
            if nic.reached
        ]
        return self._space.union(filter(None, found))

    @cached_property
    def _for_anyone(self) -> PacketSet:
        space = self._space
        anyone = space.prefixes(Field.DESTINATION, NOT_UNICAST) | space.protocol(1) | space.protocol(58)
        leases = space.protocol(17) & space.between(Field.SOURCE_PORT, 67, 67)
        return anyone | (leases & space.between(Field.DESTINATION_PORT, 68, 68))

    def _overhears(self, nic: Nic) -> PacketSet:
        """The same of one NIC."""
        space, gate = self._space, Gate(True, "in", False)
        families = {prefix.version for prefix in nic.own}
        spared = self._for_anyone | space.union(space.family(one) for one in (4, 6) if one not in families)
        closed = self._closed_from(nic)
        if closed is not None and not self._layers.beside(gate, nic, spared, before=closed):
            return space.none
        return self._layers.of_nic(gate, nic) - self._layers.addresses(Field.DESTINATION, [nic]) - spared

    def _closed_from(self, nic: Nic) -> int | None:
        """From which priority on the NIC's own filter drops all that is for others; None when it does not."""
        found: dict[str, int] = {}
        for rule in self._filters.contents[nic.reached[0]].rules:
            if rule["protocol"] in ("ip", "ipv6", "mac") and rule["direction"] != "out":
                attributes = rule.get("attributes", {})
                if (
                    rule["action"] != "drop"
                    or attributes.keys() != {"match", "dstipaddr"}
                    or attributes["match"] != "no"
                ):
                    return None
                found[attributes["dstipaddr"]] = rule.get("priority", 500)
        own = {str(prefix.network_address) for prefix in nic.own}
        return max(found.values()) if found and found.keys() == own else None

    def explain(self, packet: Packet) -> str:
        """The rules that decide on a packet where it is sent and where it arrives."""
        point, said = self._space.only(packet), list[str]()
        for frames, way in ((True, "out"), (False, "out"), (True, "in"), (False, "in")):
            gate = Gate(frames, way, False)
            address = packet.source if gate.holder is Field.SOURCE else packet.destination
            rule = next(self._deciding(gate, address, point), None)
            if rule is not None:
                said.append(rule)
        said += [lack for address in (packet.source, packet.destination) if (lack := self._upkeep.why(address))]
        return "; ".join(dict.fromkeys(said)) or "no filter is in the way"

    def _deciding(self, gate: Gate, address: Address, point: PacketSet) -> Iterator[str]:
        matcher = Matcher(self._space)
        for name, rule in self._rules_on(address):
            if (rule["protocol"] in FRAMES) is not gate.frames:
                continue
            shape, prefixes = Shape.of(rule)
            made = matcher.match(gate, shape, prefixes)
            if made is not None and point <= made:
                shown = " ".join(f"{key}={value}" for key, value in rule.get("attributes", {}).items())
                yield f"{name}: {rule['action']} {gate.way} {rule['protocol']} {shown}".rstrip()

    def _rules_on(self, address: Address) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Rules on the NICs with an address, with their filters, in the order of priority."""
        names = dict.fromkeys(
            name for nic in self._filters.nics if any(address in one for one in nic.own) for name in nic.reached
        )
        found = [(name, rule) for name in names for rule in self._filters.contents[name].rules]
        return sorted(found, key=lambda item: item[1].get("priority", 500))


def read_rules(request: RulesRequest) -> Readout:
    """What the packet filters of a graph let pass."""
    return Reader(request).read()
