"""Reading the live cloud: what its groups and routers let pass now, whoever made them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_network
from typing import Any

from provision.errors import PlatformError
from provision.packets.sets import Prefix
from provision.spi import DeployedMachine, Evidence, LiveRulesRequest, NicAddress, Readout
from provision_openstack.kinds import (
    ADDRESS_GROUP,
    FLOATING_IP,
    PORT,
    ROUTER,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    SUBNET,
    Kind,
)
from provision_openstack.ownership import stack_of
from provision_openstack.readers.model import Card, Network, NotUnderstood, Pair, Router, Rule, Traffic, own_of
from provision_openstack.readers.sets import Filter
from provision_openstack.reading import Live, having
from provision_openstack.session import Session

_SERVER = "compute:Server"
_INTERFACES = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)
"""Owners of the ports by which routers are on networks (Networking API, `device_owner`)."""


def read_live_rules(session: Session, request: LiveRulesRequest) -> Readout | str:
    """What Neutron lets pass between the machines now.

    Raises:
        provision.errors.PlatformError: a machine is not there, or Neutron does not answer.
    """
    found = Filter(request.space, Cloud(session, request).network()).read(session.config.host_prefixes)
    return replace(found, kind=Evidence.ACCEPTED)  # the API's word: what hosts apply is for their operators to see


@dataclass
class Cloud:
    """Reads what surrounds the machines of one stack: a few calls for all of them."""

    session: Session
    request: LiveRulesRequest
    found: Network = field(default_factory=Network)

    def network(self) -> Network:
        """Everything that decides on packets.

        Raises:
            PlatformError: a machine is not there, or Neutron does not answer.
        """
        for machine in self.request.machines:
            self._machine(machine)
        groups = {group for card in self.found.cards for group in card.groups}
        for group in self._asked(SECURITY_GROUP, "id", groups):
            if group.get("stateful") is False:
                self.found.stateless.add(str(group["id"]))
        for rule in self._asked(SECURITY_GROUP_RULE, "security_group_id", groups):
            self._rule(rule)
        named = {rule.group for listed in self.found.rules.values() for rule in listed if rule.group}
        self._strangers(groups | named, groups)
        networks = {card.network for card in self.found.cards}
        for subnet in self._asked(SUBNET, "network_id", networks):
            self.found.ranges.setdefault(str(subnet["network_id"]), []).append(ip_network(str(subnet["cidr"])))
        self._routers(networks)
        return self.found

    # --- asking

    def _asked(self, kind: Kind, name: str, values: Iterable[str], **more: Any) -> Iterator[Live]:
        """Objects that a filter finds."""
        return having(self.session.reader, kind, name, sorted(set(values)), **more)

    @cached_property
    def _ids(self) -> Mapping[str, str]:
        natives = ((machine.name, machine.native(_SERVER)) for machine in self.request.machines)
        return {name: native.id for name, native in natives if native is not None}

    @cached_property
    def _ports(self) -> Mapping[str, list[Live]]:
        """By server, its ports."""
        found: dict[str, list[Live]] = {}
        for port in self._asked(PORT, "device_id", self._ids.values()):
            found.setdefault(str(port["device_id"]), []).append(port)
        return found

    @cached_property
    def _public(self) -> frozenset[str]:
        """Ports that floating IP addresses lead to."""
        ports = [str(port["id"]) for listed in self._ports.values() for port in listed]
        return frozenset(str(one["port_id"]) for one in self._asked(FLOATING_IP, "port_id", ports))

    @cached_property
    def _stacks(self) -> frozenset[str]:
        """Whose the machines are."""
        natives = (machine.native(_SERVER) for machine in self.request.machines)
        return frozenset(str(one.inputs.get("stack_id")) for one in natives if one is not None)

    # --- machines

    def _machine(self, machine: DeployedMachine) -> None:
        native, given = machine.native(_SERVER), self.request.addresses.get(machine.name, ())
        there = {str(port["id"]): port for port in self._ports.get(self._ids.get(machine.name, ""), ())}
        wanted = [str(nic["port_id"]) for nic in (native.inputs.get("nics") or ())] if native is not None else []
        if native is None or len(wanted) != len(given) or not there:
            raise PlatformError(f"the machine '{machine.name}' is not there, or has no ports", "run `provision up`")
        for identity, address in zip(wanted, given, strict=True):
            port = there.pop(identity, None)
            if port is None:
                self.found.absent += [ip_network(one) for one in (address.ipv4, address.ipv6) if one is not None]
            else:
                self._card(port, machine.name, address)
        for identity, port in there.items():
            own = ", ".join(_addresses(port)) or "no address"
            self.found.odd(f"'{machine.name}' has a further port, {identity} ({own}), of which the file knows nothing")

    def _card(self, port: Live, machine: str, given: NicAddress) -> None:
        name = f"port {port['id']} of {machine}"
        own = own_of(name, (given.ipv4, given.ipv6), _addresses(port), self.found)
        mac = str(port.get("mac_address") or "")
        if given.mac and mac.lower() != given.mac.lower():
            self.found.odd(f"{name} has the hardware address {mac} instead of {given.mac}")
        if port.get("trunk_details"):
            self.found.odd(f"{name} is a trunk, which carries other networks too")
        pairs = [
            Pair(ip_network(str(one["ip_address"]), strict=False), str(one.get("mac_address") or mac) == mac)
            for one in port.get("allowed_address_pairs") or ()
        ]
        self.found.cards.append(
            Card(
                machine,
                name,
                str(port["network_id"]),
                own,
                frozenset(str(group) for group in port.get("security_groups") or ()),
                port.get("port_security_enabled") is not False,
                tuple(pairs),
                str(port["id"]) in self._public,
            )
        )

    # --- groups

    def _rule(self, live: Live) -> None:
        name = f"{live['direction']} rule {live['id']} of {live['security_group_id']}"
        protocol = live.get("protocol")
        try:
            traffic = Traffic.of(
                str(live["ethertype"]),
                None if protocol is None else str(protocol),
                live.get("port_range_min"),
                live.get("port_range_max"),
            )
            prefixes, group = self._peer(live)
            rule = Rule.about(name, str(live["direction"]), traffic, prefixes, group)
        except NotUnderstood as reason:
            self.found.odd(f"{name}: {reason} is not understood")
            return
        foreign = stack_of("description", live) not in self._stacks
        self.found.rules.setdefault(str(live["security_group_id"]), []).append(replace(rule, foreign=foreign))

    def _peer(self, live: Live) -> tuple[list[Prefix] | None, str]:
        if live.get("remote_group_id"):
            return None, str(live["remote_group_id"])
        if live.get("remote_address_group_id"):
            return self._listed(str(live["remote_address_group_id"])), ""
        if live.get("remote_ip_prefix"):
            return [ip_network(str(live["remote_ip_prefix"]), strict=False)], ""
        return None, ""

    def _listed(self, identity: str) -> list[Prefix]:
        """The ranges of an address group, asked for once.

        Raises:
            NotUnderstood: it cannot be seen.
        """
        if identity not in self._lists:
            found = next(iter(self._asked(ADDRESS_GROUP, "id", [identity])), None)
            if found is None:
                raise NotUnderstood(f"the address group {identity}, which is not shown,")
            self._lists[identity] = [ip_network(str(one), strict=False) for one in found.get("addresses") or ()]
        return self._lists[identity]

    @cached_property
    def _lists(self) -> dict[str, list[Prefix]]:
        return {}

    def _strangers(self, groups: set[str], ours: set[str]) -> None:
        """Ports that are in the groups, and are no machine's of the stack."""
        mine = {str(port["id"]) for listed in self._ports.values() for port in listed}
        for port in self._asked(PORT, "security_groups", groups) if groups else ():
            if str(port["id"]) in mine:
                continue
            pairs = [str(one["ip_address"]) for one in port.get("allowed_address_pairs") or ()]
            for group in port.get("security_groups") or ():
                held = self.found.members.setdefault(str(group), [])
                held += [ip_network(one, strict=False) for one in (*_addresses(port), *pairs)]
                if str(group) in ours and self.found.rules.get(str(group)):  # without rules nobody gains anything
                    self.found.odd(
                        f"the port {port['id']} ({', '.join(_addresses(port))}) is in the group {group}, and no "
                        "machine's of the stack: it may do what they may"
                    )

    # --- routers

    def _routers(self, networks: set[str]) -> None:
        on: dict[str, set[str]] = {}
        for port in self._asked(PORT, "network_id", networks, device_owner=list(_INTERFACES)):
            on.setdefault(str(port["device_id"]), set()).add(str(port["network_id"]))
        shown = {str(one["id"]): one for one in self._asked(ROUTER, "id", on)}
        for identity, joined in on.items():
            live = shown.get(identity)
            if live is None:
                self.found.odd(f"where the router {identity} leads is not shown: it is not this project's")
                self.found.routers[identity] = Router(joined, leads_out=True, hides=False)
                continue
            gateway = live.get("external_gateway_info") or {}
            leads_out = bool(gateway or live.get("routes"))
            self.found.routers[identity] = Router(joined, leads_out, gateway.get("enable_snat") is not False)


def _addresses(port: Live) -> list[str]:
    return [str(one["ip_address"]) for one in port.get("fixed_ips") or ()]
