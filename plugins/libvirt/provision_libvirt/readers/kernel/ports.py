"""Where packets come from and go to on the hypervisor's machine: ports of machines, bridges, addresses, routes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any

from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix


@dataclass(frozen=True)
class Port:
    """The host's end of a NIC.

    Attributes:
        device: its name on the host.
        machine: whose it is.
        mac: of the NIC.
        own: the NIC's addresses.
        bridge: that it is a port of, empty for none.
        isolated: whether it is kept from other isolated ports.
    """

    device: str
    machine: str
    mac: str
    own: tuple[Prefix, ...]
    bridge: str = ""
    isolated: bool = False


@dataclass(frozen=True)
class Surroundings:
    """All that decides which way packets take.

    Attributes:
        space: of the sets.
        ports: of the stack's NICs.
        local: the host's own addresses.
        routes: prefixes with the device that leads there.
        calls: IP versions for which bridged packets are shown to the tables of routed ones.
    """

    space: PacketSpace
    ports: Sequence[Port]
    local: Sequence[Prefix] = ()
    routes: Sequence[tuple[Prefix, str]] = ()
    calls: frozenset[int] = frozenset({4, 6})
    _led: dict[tuple[str, Field], PacketSet] = field(default_factory=dict)

    @cached_property
    def by_device(self) -> Mapping[str, Port]:
        """Ports by name on the host."""
        return {port.device: port for port in self.ports}

    def of_ports(self, side: Field) -> PacketSet:
        """Packets from, or to, the stack's NICs."""
        return self.space.prefixes(side, [one for port in self.ports for one in port.own])

    def at(self, device: str, side: Field) -> PacketSet:
        """Packets that come in by a port, or go out by it; a `+` stands for any end of the name."""
        own = [one for port in self.ports if _named(port.device, device) for one in port.own]
        return self.space.prefixes(side, own)

    def led(self, device: str, side: Field) -> PacketSet:
        """Packets whose source, or destination, lies behind a device of the host."""
        key = (device, side)
        if key not in self._led:
            self._led[key] = self._behind(device, side)
        return self._led[key]

    def _behind(self, device: str, side: Field) -> PacketSet:
        """By the longest prefix: shorter ones hold what longer ones leave over."""
        space, found, taken = self.space, self.space.none, self.space.none
        lengths = sorted({prefix.prefixlen for prefix, _ in self.routes}, reverse=True)
        for length in lengths:
            here = [(prefix, name) for prefix, name in self.routes if prefix.prefixlen == length]
            mine = space.prefixes(side, [prefix for prefix, name in here if _named(name, device)])
            found |= mine - taken
            taken |= space.prefixes(side, [prefix for prefix, _ in here])
        return found

    @cached_property
    def bridged(self) -> PacketSet:
        """Packets between NICs of one bridge."""
        return self._pairs([port for port in self.ports if port.bridge])

    @cached_property
    def apart(self) -> PacketSet:
        """Packets between isolated ports of one bridge."""
        return self._pairs([port for port in self.ports if port.bridge and port.isolated])

    def _pairs(self, ports: Sequence[Port]) -> PacketSet:
        space, bridges = self.space, dict[str, list[Prefix]]()
        for port in ports:
            bridges.setdefault(port.bridge, []).extend(port.own)
        return space.union(
            space.prefixes(Field.SOURCE, own) & space.prefixes(Field.DESTINATION, own) for own in bridges.values()
        )


def _named(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def local_addresses(shown: Sequence[Mapping[str, Any]]) -> list[Prefix]:
    """The host's own addresses, from `ip -json address`; those of one link alone are nobody's business here."""
    found = [
        ip_address(info["local"])
        for link in shown
        for info in link.get("addr_info", ())
        if info.get("family") in ("inet", "inet6") and "local" in info
    ]
    return [ip_network(address) for address in found if not address.is_link_local and not address.is_loopback]


def routes(shown: Sequence[Mapping[str, Any]], family: int) -> list[tuple[Prefix, str]]:
    """The routes of one IP version, from `ip -json route`."""
    found: list[tuple[Prefix, str]] = []
    for route in shown:
        text = route.get("dst", "default")
        whole = "0.0.0.0/0" if family == 4 else "::/0"
        prefix = ip_network(whole if text == "default" else text, strict=False)
        ways = [route] if "dev" in route else route.get("nexthops", ())
        found += [(prefix, way["dev"]) for way in ways if "dev" in way]
    return found
