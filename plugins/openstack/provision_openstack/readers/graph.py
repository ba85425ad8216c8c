"""Reading a translated graph: what its ports, groups and routers will let pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from typing import Any

from provision.packets.sets import Prefix
from provision.spi import EXISTING, NicAddress, Node, Readout, ResourceGraph, RulesRequest
from provision_openstack.readers.model import (
    Card,
    Network,
    NotUnderstood,
    Pair,
    Router,
    Rule,
    Traffic,
    own_of,
)
from provision_openstack.readers.sets import Filter

_MACHINES = "machines/"


def read_rules(request: RulesRequest) -> Readout:
    """What the native resources of a graph let pass."""
    hosts = request.capabilities.facts.get("host_prefixes") or ()
    return Filter(request.space, Graph(request).network()).read(hosts)


@dataclass
class Graph:
    """Reads one graph; things are called by the name of their node, or by their id where they are not the stack's."""

    request: RulesRequest
    found: Network = field(default_factory=Network)

    @property
    def _graph(self) -> ResourceGraph:
        return self.request.graph

    def network(self) -> Network:
        """Everything that decides on packets."""
        for node in self._graph.of_type("network:SecurityGroup"):
            self.found.rules[node.name] = []
            if node.inputs.get("stateful", True) is False:
                self.found.stateless.add(node.name)
        for node in self._graph.of_type("network:SecurityGroupRule"):
            self._rule(node)
        for node in self._graph.of_type("network:Subnet"):
            network = self._name(node.inputs.get("network_id"), "network:Network")
            self.found.ranges.setdefault(network, []).append(ip_network(node.inputs["cidr"]))
        self._routers()
        for node in self._graph.of_type("compute:Server"):
            self._machine(node)
        return self.found

    def _name(self, value: Any, token: str) -> str:
        node = self._graph.referred(value, token)
        return str(value) if node is None else node.name

    # --- machines

    def _machine(self, node: Node) -> None:
        machine = node.name.removeprefix(_MACHINES).partition("/")[0] if node.name.startswith(_MACHINES) else ""
        addresses, nics = self.request.addresses.get(machine), node.inputs.get("nics") or ()
        if addresses is None or len(addresses) != len(nics):
            self.found.odd(f"{node.name} has {len(nics)} ports, and the file gives it {len(addresses or ())}")
            return
        for position, (nic, given) in enumerate(zip(nics, addresses, strict=True)):
            port = self._graph.referred(nic.get("port_id"), "network:Port")
            if port is None:
                self.found.odd(f"port {position} of {node.name} is {nic.get('port_id')}, which is not the stack's")
            else:
                self._card(port, machine, given)

    def _card(self, port: Node, machine: str, given: NicAddress) -> None:
        inputs, name = port.inputs, port.name
        network = self._name(inputs.get("network_id"), "network:Network")
        if network not in self._graph.named:
            self._referred(network)
        fixed = [one.get("ip_address") for one in inputs.get("fixed_ips") or ()]
        if not fixed or None in fixed:
            self.found.odd(f"{name} has addresses that Neutron chooses")
        own = own_of(name, (given.ipv4, given.ipv6), [one for one in fixed if one is not None], self.found)
        secured = inputs.get("port_security_enabled", True) is not False
        groups = frozenset(self._group(group) for group in inputs.get("security_group_ids") or ()) if secured else ()
        pairs = [
            Pair(ip_network(one["ip_address"]), one.get("mac_address") in (None, inputs.get("mac_address")))
            for one in inputs.get("allowed_address_pairs") or ()
        ]
        self.found.cards.append(
            Card(machine, name, network, own, frozenset(groups), secured, tuple(pairs), self._has_floating_ip(port))
        )

    def _has_floating_ip(self, port: Node) -> bool:
        return any(self._graph.referred(one.inputs.get("port_id"), "network:Port") is port for one in self._floating)

    @cached_property
    def _floating(self) -> list[Node]:
        return list(self._graph.of_type("network:FloatingIp"))

    def _there(self, kind: str, identity: str) -> Mapping[str, Any] | None:
        """Something that was looked at because the file refers to it; None when nobody looked."""
        told = (self.request.capabilities.facts.get(EXISTING) or {}).get(kind) or {}
        return next((one for meant in told.values() for one in meant if one["id"] == identity), None)

    def _referred(self, network: str) -> None:
        """A network that is not the stack's, with whatever leads out of it."""
        told = self._there("networks", network)
        if told is None or not told["way"]:
            self.found.odd(f"the network {network} is not the stack's: its routers can be read live only")
            return
        self.found.ranges[network] = [ip_network(one["cidr"]) for one in told["subnets"]]
        leads_out = told["way"] != "none"
        self.found.routers[f"of {network}"] = Router({network}, leads_out, hides=told["way"] == "nat")

    # --- groups

    def _group(self, value: Any) -> str:
        node = self._graph.referred(value, "network:SecurityGroup")
        if node is not None:
            return node.name
        told = self._there("groups", str(value))
        if told is None or told["rules"]:
            self.found.odd(f"the security group {value} is not the stack's: its rules can be read live only")
        elif not told["stateful"]:
            self.found.stateless.add(str(value))
        return str(value)

    def _rule(self, node: Node) -> None:
        inputs = node.inputs
        try:
            ethertype, protocol = str(inputs.get("ethertype")), inputs.get("protocol")
            traffic = Traffic.of(ethertype, protocol, inputs.get("port_range_min"), inputs.get("port_range_max"))
            prefixes, group = self._peer(inputs)
            rule = Rule.about(node.name, str(inputs.get("direction")), traffic, prefixes, group)
        except NotUnderstood as reason:
            self.found.odd(f"{node.name}: {reason} is not understood")
            return
        self.found.rules.setdefault(self._group(inputs.get("security_group_id")), []).append(rule)

    def _peer(self, inputs: Mapping[str, Any]) -> tuple[list[Prefix] | None, str]:
        """The other end of a rule: ranges (None for everybody's), or a group.

        Raises:
            NotUnderstood: it is not the stack's.
        """
        if (group := inputs.get("remote_group_id")) is not None:
            return None, self._group(group)
        if (cidr := inputs.get("remote_ip_prefix")) is not None:
            return [ip_network(cidr)], ""
        if (listed := inputs.get("remote_address_group_id")) is not None:
            node = self._graph.referred(listed, "network:AddressGroup")
            if node is None:
                raise NotUnderstood(f"the address group {listed}, which is not the stack's,")
            return [ip_network(one) for one in node.inputs.get("addresses") or ()], ""
        return None, ""

    # --- routers

    def _routers(self) -> None:
        for node in self._graph.of_type("network:Router"):
            hides = node.inputs.get("enable_snat") is not False
            leads_out = bool(node.inputs.get("external_network_id") or node.inputs.get("routes"))
            self.found.routers[node.name] = Router(leads_out=leads_out, hides=hides)
        for node in self._graph.of_type("network:RouterInterface"):
            router = self._name(node.inputs.get("router_id"), "network:Router")
            subnet = self._graph.referred(node.inputs.get("subnet_id"), "network:Subnet")
            if subnet is None:
                self.found.odd(f"{node.name} joins the subnet {node.inputs.get('subnet_id')}, which is not the stack's")
                continue
            if router not in self.found.routers:
                self.found.odd(f"the router {router} is not the stack's: where it leads can be read live only")
                self.found.routers[router] = Router(leads_out=True, hides=False)
            network = self._name(subnet.inputs.get("network_id"), "network:Network")
            self.found.routers[router].networks.add(network)
