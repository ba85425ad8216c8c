"""Conditions of kernel rules as sets of connections, each told by its first packet.

Written from iptables-extensions(8) and ebtables(8), and without any code of the translation or of the reader of
libvirt's filters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network, summarize_address_range

from provision.packets.sets import Field, PacketSet, PacketSpace
from provision_libvirt.readers.kernel.ports import Surroundings
from provision_libvirt.readers.kernel.tables import Rule, Test

_NUMBERS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58,
            "sctp": 132, "udplite": 136}  # fmt: skip
_REPLIES = {1: {8: 0, 13: 14, 15: 16, 17: 18}, 58: {128: 129, 139: 140}}
_MODULES = {"tcp", "udp", "icmp", "icmp6", "conntrack", "state", "physdev", "comment", "iprange", "multiport", "sctp"}


@dataclass(frozen=True)
class Gate:
    """Where packets are looked at.

    Attributes:
        family: 4 or 6 for tables of IP; 0 for frames of bridges.
        answer: whether the packet answers the connection.
        later: whether it is a further packet of the end that opened the connection.
        bridged: whether it stays on one bridge.
        port: the port that it comes in by, when that is given whatever its addresses say.
        forged: with `port`: whether the frame is from another hardware address than the NIC's own.
        heard: with `port`: whether the frame goes out by it, to the NIC.
        arp: with `port`: whether the frame is of ARP (RFC 826). The address that it says is its sender's stands in
            place of a packet's destination.
        lying: of ARP: whether it says that another hardware address than the NIC's own has it.
        only: the end of the connection whose port is known, None for both.
    """

    family: int
    answer: bool = False
    later: bool = False
    bridged: bool = False
    port: str = ""
    forged: bool = False
    heard: bool = False
    arp: bool = False
    lying: bool = False
    only: Field | None = None

    def field(self, side: str) -> Field:
        """The part of the first packet that is this packet's `source` or `destination`."""
        return Field.SOURCE if (side == "source") is not self.answer else Field.DESTINATION

    def ports(self, side: str) -> Field:
        """The same of ports."""
        return Field.SOURCE_PORT if (side == "source") is not self.answer else Field.DESTINATION_PORT

    @property
    def state(self) -> str:
        """Of the connection, when the packet is looked at."""
        return "ESTABLISHED" if self.answer or self.later else "NEW"


class NotUnderstood(Exception):
    """A condition has no meaning here."""


@dataclass(frozen=True)
class Matcher:
    """Makes sets of rules at one gate."""

    around: Surroundings
    gate: Gate

    @property
    def _space(self) -> PacketSpace:
        return self.around.space

    def match(self, rule: Rule) -> tuple[PacketSet, str]:
        """What a rule matches as far as it is understood, and the condition that is not (empty: all are)."""
        found, odd = self._space.all, ""
        for test in rule.tests:
            try:
                made = self._test(test, rule)
            except (NotUnderstood, ValueError, KeyError, IndexError):
                odd = odd or " ".join([*(["!"] if test.negated else []), test.option, *test.values])
                continue
            found &= self._space.all - made if test.negated else made
        return found, odd

    def _test(self, test: Test, rule: Rule) -> PacketSet:
        known = self._frames if self.gate.family == 0 else self._flows
        for options, make in known.items():
            if test.option in options:
                return make(test.values[0] if test.values else "", rule)
        raise NotUnderstood

    @property
    def _flows(self) -> Mapping[tuple[str, ...], Callable[[str, Rule], PacketSet]]:
        gate = self.gate
        return {
            ("-s", "--source"): lambda v, _: self._prefix("source", v),
            ("-d", "--destination"): lambda v, _: self._prefix("destination", v),
            ("-p", "--protocol"): lambda v, _: self._protocol(v),
            ("--sport", "--source-port", "--sports"): lambda v, _: self._ports("source", v.split(",")),
            ("--dport", "--destination-port", "--dports"): lambda v, _: self._ports("destination", v.split(",")),
            ("--icmp-type",): lambda v, _: self._icmp(1, v),
            ("--icmpv6-type",): lambda v, _: self._icmp(58, v),
            ("--ctstate", "--state"): lambda v, _: self._if(gate.state in v.split(",")),
            ("--ctdir",): lambda v, _: self._if((v == "REPLY") is gate.answer),
            ("--src-range",): lambda v, _: self._range("source", v),
            ("--dst-range",): lambda v, _: self._range("destination", v),
            ("-i", "--in-interface"): lambda v, _: self._device("source", v),
            ("-o", "--out-interface"): lambda v, _: self._device("destination", v),
            ("--physdev-in",): lambda v, _: self._port("source", v) if self._seen else self._space.none,
            ("--physdev-out",): lambda v, _: (
                self._port("destination", v) if self._seen and gate.bridged else self._space.none
            ),
            ("--physdev-is-bridged",): lambda v, _: self._if(gate.bridged and self._seen),
            ("--comment",): lambda v, _: self._space.all,
            ("-m", "--match"): lambda v, _: self._module(v),
        }

    @property
    def _frames(self) -> Mapping[tuple[str, ...], Callable[[str, Rule], PacketSet]]:
        return {
            ("-p", "--protocol"): lambda v, _: self._ethertype(v),
            ("-s", "--source"): lambda v, _: self._hardware(v),
            ("-i", "--in-interface"): lambda v, _: self._port("source", v),
            ("-o", "--out-interface"): lambda v, _: self._port("destination", v),
            ("--ip-src", "--ip-source", "--ip6-src", "--ip6-source"): lambda v, _: self._prefix("source", v),
            ("--ip-dst", "--ip-destination", "--ip6-dst", "--ip6-destination"): lambda v, _: self._prefix(
                "destination", v
            ),
            ("--ip-proto", "--ip-protocol", "--ip6-proto", "--ip6-protocol"): lambda v, _: self._protocol(v),
            ("--ip-sport", "--ip-source-port", "--ip6-sport", "--ip6-source-port"): lambda v, _: self._ports(
                "source", [v]
            ),
            ("--ip-dport", "--ip-destination-port", "--ip6-dport", "--ip6-destination-port"): lambda v, _: self._ports(
                "destination", [v]
            ),
            ("--ip-icmp-type",): lambda v, _: self._icmp_range(1, v),
            ("--ip6-icmp-type",): lambda v, _: self._icmp_range(58, v),
            **(self._resolution if self.gate.arp else {}),
        }

    @property
    def _resolution(self) -> Mapping[tuple[str, ...], Callable[[str, Rule], PacketSet]]:
        return {
            ("--arp-ip-src",): lambda v, _: self._space.prefixes(Field.DESTINATION, [ip_network(v, strict=False)]),
            ("--arp-mac-src",): lambda v, _: self._if(
                self.gate.lying is not (v.lower() == self.around.by_device[self.gate.port].mac.lower())
            ),
        }

    @property
    def _seen(self) -> bool:
        """Whether the tables of IP know by which port of a bridge a packet came."""
        return self.gate.family in self.around.calls

    def _if(self, holds: bool) -> PacketSet:
        return self._space.all if holds else self._space.none

    def _prefix(self, side: str, value: str) -> PacketSet:
        return self._space.prefixes(self.gate.field(side), [ip_network(value, strict=False)])

    def _range(self, side: str, value: str) -> PacketSet:
        first, _, last = value.partition("-")
        blocks = summarize_address_range(ip_address(first), ip_address(last))
        return self._space.prefixes(self.gate.field(side), list(blocks))

    def _protocol(self, value: str) -> PacketSet:
        if value in ("all", "0"):
            return self._space.all
        return self._space.protocol(int(value) if value.isdigit() else _NUMBERS[value])

    def _ports(self, side: str, values: Sequence[str]) -> PacketSet:
        found = []
        for value in values:
            first, colon, last = value.partition(":")
            found.append(
                self._space.between(self.gate.ports(side), int(first or 0), int(last or 65535) if colon else int(first))
            )
        return self._space.union(found)

    def _icmp(self, protocol: int, value: str) -> PacketSet:
        """One type, with or without a code: `8`, `3/1`."""
        if value == "any":
            return self._space.all
        kind, _, code = value.partition("/")
        return self._kinds(protocol, int(kind), int(kind), int(code) if code else None)

    def _icmp_range(self, protocol: int, value: str) -> PacketSet:
        """Ranges of types and codes: `135:136/0:255`."""
        kinds, _, codes = value.partition("/")
        first, _, last = kinds.partition(":")
        low, colon, high = codes.partition(":")
        if codes and (low or "0", high or "255") != ("0", "255"):
            if colon and low != high:
                raise NotUnderstood
            return self._kinds(protocol, int(first), int(last or first), int(low))
        return self._kinds(protocol, int(first), int(last or first), None)

    def _kinds(self, protocol: int, first: int, last: int, code: int | None) -> PacketSet:
        replies = _REPLIES[protocol]
        kinds = [
            asked for asked in range(256) if first <= (replies.get(asked, asked) if self.gate.answer else asked) <= last
        ]
        return self._space.union(self._space.icmp(kind, code) for kind in kinds)

    def _device(self, side: str, value: str) -> PacketSet:
        """A device of the host: told by the route to the address, and for the host itself by its own addresses."""
        if value == "lo":
            return self._space.none
        return self.around.led(value, self.gate.field(side))

    def _port(self, side: str, value: str) -> PacketSet:
        if self.gate.port:
            return self._if((side == "destination") is self.gate.heard and value == self.gate.port)
        where = self.gate.field(side)
        return self.around.at(value, where) if self.gate.only in (None, where) else self._space.none

    def _hardware(self, value: str) -> PacketSet:
        """The hardware address that a NIC sends from; that of a router is known to nobody here."""
        owners = [port for port in self.around.ports if port.mac.lower() == value.lower()]
        if self.gate.port and not self.gate.heard:
            return self._if(not self.gate.forged and any(port.device == self.gate.port for port in owners))
        if not owners:
            raise NotUnderstood
        return self._space.prefixes(self.gate.field("source"), [one for port in owners for one in port.own])

    def _ethertype(self, value: str) -> PacketSet:
        names = {"ipv4": 4, "0x0800": 4, "0x800": 4, "ipv6": 6, "0x86dd": 6}
        family = names.get(value.lower())
        if self.gate.arp:
            return self._if(value.lower() in ("arp", "0x0806", "0x806"))
        return self._space.none if family is None else self._space.family(family)  # ARP, VLANs: no packets of IP

    def _module(self, value: str) -> PacketSet:
        if value not in _MODULES:
            raise NotUnderstood
        return self._space.all
