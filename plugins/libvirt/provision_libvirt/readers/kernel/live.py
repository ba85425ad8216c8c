"""The rules that the kernel applies to a stack's NICs, as sets of connections."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_network

import libvirt

from provision.errors import PlatformError
from provision.packets.sets import Field, Packet, PacketSet, PacketSpace, Prefix
from provision.packets.special import NOT_UNICAST
from provision.spi import LiveRulesRequest, Readout
from provision_libvirt.hostview import host_view
from provision_libvirt.readers.kernel.host import KernelState, Unreadable, kernel_state
from provision_libvirt.readers.kernel.match import Gate, Matcher
from provision_libvirt.readers.kernel.ports import Port, Surroundings, local_addresses, routes
from provision_libvirt.readers.kernel.tables import Rule, Table
from provision_libvirt.readers.kernel.walk import Walk
from provision_libvirt.resources.finding import DOMAIN
from provision_libvirt.resources.xml_tools import attribute, from_text
from provision_libvirt.session import Session, explained

_FAMILIES = (4, 6)
_DOMAIN = "domain:Domain"
_UNSEEN = "the hypervisor's host cannot be looked at from here"
# What rules of the table that translates addresses usually do, and what leaves a packet's way as it is.
_TRANSLATING = {"MASQUERADE", "SNAT", "", "ACCEPT", "RETURN", "LOG", "NFLOG"}
_TOOLS = {0: "ebtables", 4: "iptables", 6: "ip6tables"}


def read_live_rules(session: Session, request: LiveRulesRequest) -> Readout | str:
    """What the host's kernel lets pass between the machines, or why that cannot be read.

    Raises:
        PlatformError: libvirt did not answer.
    """
    view = host_view(session.config.uri)
    if view is None:
        return _UNSEEN
    try:
        state = kernel_state(view)
        ports = list(_ports(session, request, state))
    except Unreadable as reason:
        return str(reason)
    return KernelReader(request.space, ports, state).read()


def _ports(session: Session, request: LiveRulesRequest, state: KernelState) -> Iterator[Port]:
    """The host's end of every NIC.

    Raises:
        Unreadable: a machine does not run.
        PlatformError: a machine is not there.
    """
    connection = session.connection()
    for machine in request.machines:
        native = machine.native(_DOMAIN)
        domain = None if native is None else DOMAIN.marked(connection, native.id)
        if domain is None:
            raise PlatformError(f"the machine '{machine.name}' is not there", "run `provision up`")
        with explained(f"reading the machine '{machine.name}'"):
            state_now, _ = domain.state()
            root = from_text(domain.XMLDesc(0))
        if state_now == libvirt.VIR_DOMAIN_SHUTOFF:
            raise Unreadable(f"{machine.name} does not run")
        cards = root.findall("devices/interface")
        given = request.addresses.get(machine.name, ())
        if len(cards) != len(given):
            raise PlatformError(f"the machine '{machine.name}' has {len(cards)} network cards instead of {len(given)}")
        for card, address in zip(cards, given, strict=True):
            device = attribute(card, "target", "dev") or ""
            own: tuple[Prefix, ...] = tuple(ip_network(text) for text in (address.ipv4, address.ipv6) if text)
            mac = attribute(card, "mac", "address") or ""
            bridge, alone = state.masters.get(device, ""), device in state.isolated
            yield Port(device, machine.name, mac, own, bridge, alone)


@dataclass
class KernelReader:
    """Reads the tables of one host for the ports of one stack.

    Attributes:
        space: of the sets.
        ports: of the stack's NICs.
        state: of the host's kernel.
        unmodelled: what was not understood.
    """

    space: PacketSpace
    ports: Sequence[Port]
    state: KernelState
    unmodelled: dict[str, None] = field(default_factory=dict)

    @cached_property
    def around(self) -> Surroundings:
        """Where packets come from and go to."""
        led = [route for family in _FAMILIES for route in routes(self.state.routes.get(family, ()), family)]
        return Surroundings(self.space, self.ports, self._local, led, self.state.calls)

    @cached_property
    def _local(self) -> Sequence[Prefix]:
        """All addresses of the host, those on networks of other stacks too."""
        taken = {one for port in self.ports for one in port.own}
        return [one for one in local_addresses(self.state.addresses) if one not in taken]

    def read(self) -> Readout:
        """What all tables together let pass."""
        for port in self.ports:
            if not port.bridge:
                self.unmodelled[f"the port {port.device} of {port.machine} is on no bridge"] = None
        for text in self.state.others:
            self.unmodelled[text] = None
        delivered = self._way(Gate(4)) - self.around.apart
        connected = delivered & self._way(Gate(4, answer=True)) & self._way(Gate(4, later=True))
        single = self.space.union(self._alone(end) for end in (Field.SOURCE, Field.DESTINATION))
        forged = self.space.union(self._forged(port) for port in self.ports)
        self._look_aside()
        far = tuple(str(one.network_address) for one in self._local)
        claimed = self.space.union(map(self._claimed, self.ports))
        overheard = self.space.union(map(self._overheard, self.ports))
        return Readout(
            delivered, connected, forged, far, tuple(self.unmodelled), self.explain, single, claimed, overheard
        )

    def _alone(self, end: Field) -> PacketSet:
        """Connections that come through when only the port of one of their ends has rules.

        Where the receiver alone can tell first packets apart, on its own bridge, they are not to come through either.
        """
        around = self.around
        first = self._way(Gate(4, only=end)) & around.of_ports(end) - around.apart
        if end is Field.SOURCE:
            return first
        whole = first & self._way(Gate(4, answer=True, only=end)) & self._way(Gate(4, later=True, only=end))
        return whole | (first & around.bridged)

    def _way(self, moment: Gate) -> PacketSet:
        """Packets of connections, at one moment of theirs, that come through."""
        space, around = self.space, self.around
        source, destination = moment.field("source"), moment.field("destination")
        from_port, to_port = around.of_ports(source), around.of_ports(destination)
        local = space.prefixes(source, self._local), space.prefixes(destination, self._local)
        bridged = around.bridged
        inward, outward = local[1] - bridged, local[0] - local[1] - bridged
        routed = space.all - bridged - inward - outward

        def frames(table: str, chain: str, packets: PacketSet) -> PacketSet:
            return self._walk(self._gate(moment, 0), table).passing(chain, packets)

        packets = frames("nat", "PREROUTING", from_port) | (space.all - from_port)
        packets = (
            frames("filter", "FORWARD", packets & bridged)
            | frames("filter", "INPUT", packets & from_port - bridged)
            | (packets - bridged - from_port)
        )
        near = space.none
        for family in _FAMILIES:
            here = packets & space.family(family)
            bare = here & bridged if family not in around.calls else space.none
            for hook, part, gate in (
                ("FORWARD", here & bridged - bare, self._gate(moment, family, bridged=True)),
                ("INPUT", here & inward, self._gate(moment, family)),
                ("OUTPUT", here & outward, self._gate(moment, family)),
                ("FORWARD", here & routed, self._gate(moment, family)),
            ):
                near |= self._flow(gate, hook, part)
            near |= bare
        packets = near
        packets = frames("filter", "OUTPUT", packets & to_port - bridged) | (packets & bridged) | (packets - to_port)
        packets = frames("nat", "OUTPUT", packets & to_port - bridged) | (packets & bridged) | (packets - to_port)
        return frames("nat", "POSTROUTING", packets & to_port) | (packets - to_port)

    def _flow(self, gate: Gate, hook: str, packets: PacketSet) -> PacketSet:
        """What the tables of one IP version let pass on one of the three ways through the host."""
        for table in ("raw", "mangle") if hook != "OUTPUT" else ():
            packets = self._walk(gate, table).passing("PREROUTING", packets)
        for table in ("mangle", "filter", "security"):
            packets = self._walk(gate, table).passing(hook, packets)
        return packets if hook == "INPUT" else self._walk(gate, "mangle").passing("POSTROUTING", packets)

    def _forged(self, port: Port) -> PacketSet:
        """What a NIC may send under another IP or hardware address; its first questions are from nowhere."""
        space = self.space
        own = space.prefixes(Field.SOURCE, port.own)
        nowhere = (
            space.prefixes(Field.SOURCE, [ip_network("0.0.0.0/32")])
            & space.protocol(17)
            & space.between(Field.SOURCE_PORT, 68, 68)
            & space.between(Field.DESTINATION_PORT, 67, 67)
        )
        near = space.prefixes(Field.SOURCE, [ip_network("fe80::/10")]) & space.protocol(58)
        own_mac = self._walk(Gate(0, port=port.device), "nat").passing("PREROUTING", space.all)
        other = self._walk(Gate(0, port=port.device, forged=True), "nat").passing("PREROUTING", space.all)
        return (own_mac - own - nowhere - near) | other

    def _claimed(self, port: Port) -> PacketSet:
        """Addresses that a NIC may claim in ARP though they, or the frames, are not its own; a pair stands for each."""
        space, any_address = self.space, self.space.family(4)
        own = [one for one in port.own if one.version == 4]
        true = space.prefixes(Field.DESTINATION, own)
        found = space.none
        for forged, lying in ((False, False), (False, True), (True, False), (True, True)):
            gate = Gate(0, port=port.device, forged=forged, arp=True, lying=lying)
            passing = self._walk(gate, "nat").passing("PREROUTING", any_address)
            found |= passing if forged or lying else passing - true
        return found & (space.prefixes(Field.SOURCE, own) if own else any_address)

    def _overheard(self, port: Port) -> PacketSet:
        """Packets that a NIC gets although they are for another; errors and leases need not be for anyone."""
        space = self.space
        leases = space.between(Field.SOURCE_PORT, 67, 67) & space.between(Field.DESTINATION_PORT, 68, 68)
        spared = space.prefixes(Field.DESTINATION, [*NOT_UNICAST, *port.own])
        spared |= space.protocol(1) | space.protocol(58) | (space.protocol(17) & leases)
        families = {one.version for one in port.own}
        spared |= space.union(space.family(one) for one in _FAMILIES if one not in families)
        gate = Gate(0, port=port.device, heard=True)
        return self._walk(gate, "nat").passing("POSTROUTING", space.all) - spared

    def _gate(self, moment: Gate, family: int, *, bridged: bool = False) -> Gate:
        return replace(moment, family=family, bridged=bridged)

    def _walk(self, gate: Gate, table: str) -> Walk:
        return Walk(self._table(gate.family, table), Matcher(self.around, gate), self.unmodelled)

    def _table(self, family: int, name: str) -> Table | None:
        return self.state.tables.get(family, {}).get(name)

    def _look_aside(self) -> None:
        """Rules of tables that are not followed, when they do more than those usually do."""
        for family, name, usual in ((4, "nat", _TRANSLATING), (6, "nat", _TRANSLATING), (0, "broute", frozenset())):
            table = self._table(family, name)
            for rules in table.chains.values() if table is not None else ():
                for rule in rules:
                    if table is not None and rule.target not in usual and rule.target not in table.chains:
                        told = f"the kernel rule '{_told(family, rule)}' of the table '{name}' is not understood"
                        self.unmodelled[told] = None

    def explain(self, packet: Packet) -> str:
        """The kernel's rules that decide on the first packet of a connection."""
        point = self.space.only(packet)
        said = []
        for gate, table, chain in self._stations(packet, point):
            found = list(self._walk(gate, table).deciding(chain, point))
            said += [_told(gate.family, rule) for rule in found]
            if found and found[-1].target in ("DROP", "REJECT"):
                break
        return "; ".join(dict.fromkeys(said)) or "no rule of the kernel is in the way"

    def _stations(self, packet: Packet, point: PacketSet) -> Iterator[tuple[Gate, str, str]]:
        around, family = self.around, packet.family
        bridged = point <= around.bridged
        if point <= around.of_ports(Field.SOURCE):
            yield Gate(0), "nat", "PREROUTING"
        gate, hook = Gate(family, bridged=bridged), "FORWARD"
        if not bridged and any(packet.destination in one for one in self._local):
            hook = "INPUT"
        elif not bridged and any(packet.source in one for one in self._local):
            hook = "OUTPUT"
        if not bridged or family in around.calls:
            yield gate, "mangle", hook
            yield gate, "filter", hook
        if point <= around.of_ports(Field.DESTINATION):
            yield Gate(0), "nat", "POSTROUTING"


def _told(family: int, rule: Rule) -> str:
    return f"{_TOOLS[family]} {rule.text}"
