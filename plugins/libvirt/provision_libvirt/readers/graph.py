"""Reading the packet filters of a translated graph back: what they let pass, as sets of connections.

Two layers must both let a packet pass:

- *frames* (`mac`, `arp`, `ip`, `ipv6`: ebtables) look at every packet on the NIC by itself;
- *flows* (all other elements: iptables) follow connections, and see what a guest sends, and what it gets from its own
  bridge; what is routed to it they do not see.

In both, the first rule that matches decides, by priority; a packet that none matches passes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from typing import Any

from provision.packets.sets import Address, Field, Packet, PacketSet, PacketSpace, Prefix
from provision.spi import Node, Output, Readout, RulesRequest
from provision_libvirt.readers.rules import FRAMES, Gate, Matcher, Shape, not_understood


@dataclass(frozen=True)
class _Nic:
    """A NIC of a machine: as its domain has it, on which network, and its own addresses."""

    machine: str
    network: str
    native: Mapping[str, Any]
    own: tuple[Prefix, ...]


@dataclass
class Reader:
    """Reads the filters of one graph."""

    request: RulesRequest
    unmodelled: dict[str, None] = field(default_factory=dict)

    @property
    def _space(self) -> PacketSpace:
        return self.request.space

    @property
    def _matcher(self) -> Matcher:
        return Matcher(self.request.space)

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.request.graph.nodes}

    @cached_property
    def _nics(self) -> Sequence[_Nic]:
        """Every NIC of the stack."""
        found = []
        for node in self._nodes.values():
            if node.name.endswith("/domain"):
                machine = node.name.split("/")[1]
                for native, address in zip(node.inputs["nics"], self.request.addresses[machine], strict=True):
                    own = tuple(ip_network(text) for text in (address.ipv4, address.ipv6) if text)
                    found.append(_Nic(machine, address.network, native, own))
        return found

    @cached_property
    def _users(self) -> Mapping[str, Sequence[Prefix]]:
        """Addresses of the NICs that each filter is on, by the filter's node."""
        found: dict[str, list[Prefix]] = defaultdict(list)
        for nic in self._nics:
            if nic.native.get("user"):  # nothing filters it, and QEMU speaks for it: nobody sees another's address
                continue
            if nic.native.get("filter") is None:
                self.unmodelled[f"a NIC of {nic.machine} has no filter"] = None
                continue
            for name in self._reachable(nic.native["filter"]):
                found[name].extend(nic.own)
        return found

    def _reachable(self, reference: Output) -> Iterator[str]:
        if not isinstance(reference, Output) or reference.node not in self._nodes:
            self.unmodelled[f"the filter {reference!r} is not part of the stack"] = None
            return
        yield reference.node
        for further in self._nodes[reference.node].inputs.get("references", ()):
            yield from self._reachable(further["filter"])

    @cached_property
    def _rules(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Every rule that is on some NIC, with its filter's node, in the order of priority."""
        found = [
            (name, rule)
            for name in self._users
            for rule in self._nodes[name].inputs.get("rules", ())
            if self._understood(name, rule)
        ]
        return sorted(found, key=lambda item: item[1].get("priority", 500))

    def _understood(self, name: str, rule: Mapping[str, Any]) -> bool:
        chain = self._nodes[name].inputs.get("chain", "root")
        why = not_understood(rule) if chain == "root" else f"the chain '{chain}'"
        if why is not None:
            self.unmodelled[f"{name}: {why} is not understood"] = None
        return why is None

    def passing(self, gate: Gate) -> PacketSet:
        """What a gate lets pass, of connections whose holder of the NIC is a machine of the stack."""
        levels: dict[int, dict[str, list[PacketSet]]] = {}
        for name, rules in self._by_filter(gate).items():
            held = self._space.prefixes(gate.holder, self._users[name])
            for (priority, action), sets in rules.items():
                levels.setdefault(priority, {}).setdefault(action, []).append(held & self._space.union(sets))

        def undecided(priority: int) -> None:
            self.unmodelled[f"rules of priority {priority} that accept and drop the same packets"] = None

        return _decided(self._space, levels, undecided)

    @cached_property
    def _alike(self) -> Sequence[tuple[str, int, Shape, tuple[Prefix, ...]]]:
        """The rules of each filter; those that differ in one address only are taken together."""
        found: dict[tuple[str, int, Shape], list[Prefix]] = defaultdict(list)
        for name, rule in self._rules:
            shape, prefix = Shape.of(rule)
            found[name, rule.get("priority", 500), shape] += prefix
        return [
            (*key, tuple(group))
            for key, prefixes in found.items()
            for group in ([[one] for one in prefixes] if key[2].negated and prefixes else [prefixes])
        ]

    def _by_filter(self, gate: Gate) -> Mapping[str, Mapping[tuple[int, str], list[PacketSet]]]:
        """The sets that the rules of each filter match."""
        found: dict[str, dict[tuple[int, str], list[PacketSet]]] = defaultdict(lambda: defaultdict(list))
        for name, priority, shape, prefixes in self._alike:
            made = self._matcher.match(gate, shape, prefixes)
            if made is not None:
                found[name][priority, shape.action].append(made)
        return found

    def read(self) -> Readout:
        """What all filters together let pass."""
        space = self._space
        bridged = _pairs(space, self._segments())
        sent = self.passing(Gate(True, "out", False)) & self.passing(Gate(False, "out", False))
        got = self.passing(Gate(True, "in", False)) & (self.passing(Gate(False, "in", False)) | (space.all - bridged))
        answered = self.passing(Gate(True, "out", True)) & self.passing(Gate(False, "out", True))
        heard = self.passing(Gate(True, "in", True)) & (self.passing(Gate(False, "in", True)) | (space.all - bridged))
        delivered = (sent & got) - self._translated() - self._apart()
        connected = delivered & answered & heard
        if self._first_only:
            later = self.passing(Gate(False, "in", False, later=True)) | (space.all - bridged)
            connected &= self.passing(Gate(False, "out", False, later=True)) & later
        return Readout(
            delivered=delivered,
            connected=connected,
            forged=self._forged(),
            host_addresses=tuple(self.request.capabilities.facts.get("host_addresses", ())),
            unmodelled=tuple(self.unmodelled),
            explain=self.explain,
        )

    @property
    def _first_only(self) -> bool:
        """Whether rules pass the first packet of a connection and may stop the next."""
        return any(
            rule["action"] == "drop" or "ESTABLISHED" not in rule["attributes"]["state"].split(",")
            for _, rule in self._rules
            if "state" in rule.get("attributes", {})
        )

    def _apart(self) -> PacketSet:
        """Packets between isolated ports of one bridge."""
        found: dict[str, list[Prefix]] = defaultdict(list)
        for nic in self._nics:
            if nic.native.get("isolated"):
                found[nic.network] += nic.own
        return _pairs(self._space, found.values())

    def _translated(self) -> PacketSet:
        """First packets from beyond to networks behind the hypervisor's address: libvirt lets only answers in there."""
        space, hidden, known = self._space, list[Prefix](), list[Prefix]()
        for node in self._nodes.values():
            if node.type.token != "network:Network":
                continue
            for key in ("ipv4", "ipv6"):
                if (own := node.inputs.get(key)) is not None:
                    prefix = ip_network(f"{own['address']}/{own['prefix']}", strict=False)
                    known.append(prefix)
                    if node.inputs["mode"] == "nat":
                        hidden.append(prefix)
        known += [ip_network(text) for text in self.request.capabilities.facts.get("host_addresses", ())]
        return space.prefixes(Field.DESTINATION, hidden) - space.prefixes(Field.SOURCE, known)

    def _segments(self) -> Iterator[list[Prefix]]:
        """Addresses of NICs by network: those of one network share a bridge."""
        found: dict[str, list[Prefix]] = defaultdict(list)
        for nics in self.request.addresses.values():
            for nic in nics:
                found[nic.network].extend(ip_network(text) for text in (nic.ipv4, nic.ipv6) if text)
        yield from found.values()

    def _forged(self) -> PacketSet:
        """Packets that a NIC may send although their source is not its own; its first questions are from nowhere."""
        space, gate = self._space, Gate(True, "out", False)
        sets = {name: dict(levels) for name, levels in self._by_filter(gate).items()}
        nowhere = (
            space.prefixes(Field.SOURCE, [ip_network("0.0.0.0/32")])
            & space.protocol(17)
            & space.between(Field.SOURCE_PORT, 68, 68)
            & space.between(Field.DESTINATION_PORT, 67, 67)
        )
        near = space.prefixes(Field.SOURCE, [ip_network("fe80::/10")]) & space.protocol(58)
        found = []
        for nic in (nic for nic in self._nics if not nic.native.get("user")):
            levels: dict[int, dict[str, list[PacketSet]]] = {}
            for name in self._reachable(nic.native["filter"]) if nic.native.get("filter") is not None else ():
                for (priority, action), made in sets.get(name, {}).items():
                    levels.setdefault(priority, {}).setdefault(action, []).extend(made)
            own = space.prefixes(Field.SOURCE, nic.own)
            found.append(_decided(space, levels) - own - nowhere - near)
        return space.union(found)

    def explain(self, packet: Packet) -> str:
        """The rules that decide on a packet where it is sent and where it arrives."""
        point, said = self._space.only(packet), []
        for gate in (
            Gate(True, "out", False),
            Gate(False, "out", False),
            Gate(True, "in", False),
            Gate(False, "in", False),
        ):
            address = packet.source if gate.holder is Field.SOURCE else packet.destination
            rule = next(self._deciding(gate, address, point), None)
            if rule is not None:
                said.append(rule)
        return "; ".join(dict.fromkeys(said)) or "no filter is in the way"

    def _deciding(self, gate: Gate, address: Address, point: PacketSet) -> Iterator[str]:
        for name, rule in self._rules:
            if (rule["protocol"] in FRAMES) is not gate.frames or not any(address in one for one in self._users[name]):
                continue
            shape, prefix = Shape.of(rule)
            made = self._matcher.match(gate, shape, prefix)
            if made is not None and point <= made:
                shown = " ".join(f"{key}={value}" for key, value in rule.get("attributes", {}).items())
                yield f"{name}: {rule['action']} {gate.way} {rule['protocol']} {shown}".rstrip()


def _pairs(space: PacketSpace, groups: Iterable[Iterable[Prefix]]) -> PacketSet:
    """Packets between two addresses of the same group."""
    return space.union(
        space.prefixes(Field.SOURCE, group) & space.prefixes(Field.DESTINATION, group) for group in groups
    )


def _decided(
    space: PacketSpace,
    levels: Mapping[int, Mapping[str, list[PacketSet]]],
    undecided: Callable[[int], None] | None = None,
) -> PacketSet:
    """What passes rules by priority: drops beside accepts of the same priority have the last word.

    Args:
        space: of the sets.
        levels: what rules match, by priority and action.
        undecided: told of a priority at which some packets are both accepted and dropped.
    """
    found = space.all
    for priority in sorted(levels, reverse=True):
        accepted, dropped = (space.union(levels[priority].get(action, ())) for action in ("accept", "drop"))
        if undecided is not None and accepted & dropped:
            undecided(priority)
        found = (found | accepted) - dropped
    return found


def read_rules(request: RulesRequest) -> Readout:
    """What the packet filters of a graph let pass."""
    return Reader(request).read()
