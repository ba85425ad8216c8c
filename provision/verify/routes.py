"""Routes: which packets have a way at all, before any policy is asked."""

import enum
from collections.abc import Mapping, Sequence

from provision.models import Internet, Stack
from provision.verify.endpoints import Endpoint, EndpointKind, Family


class Way(enum.StrEnum):
    """How a packet gets from one endpoint to another."""

    DIRECT = "direct"
    HIDDEN = "hidden behind the host's address"
    NONE = "no route"


class Routes:
    """The ways between endpoints, from the networks of the stack and where each machine's NICs are.

    A machine sends what is not on its own networks through its *exit*: its first NIC, with an address of the family, on
    a network that has a way out. Answers must come back through the NIC that was asked, or anti-spoofing drops them.
    """

    def __init__(self, stack: Stack, machines: Mapping[str, Sequence[Endpoint]]) -> None:
        """Know the networks of the stack and the NICs of each machine instance."""
        self._way_out = {name: network.internet for name, network in stack.networks.items()}
        self._hosts = frozenset(name for name in stack.networks if has_host(stack, name))
        self._attached = {name: {nic.network: nic.nic for nic in reversed(nics)} for name, nics in machines.items()}
        self._exits = {(name, family): self._exit(nics, family) for name, nics in machines.items() for family in Family}

    def _exit(self, nics: Sequence[Endpoint], family: Family) -> int | None:
        return next(
            (n.nic for n in nics if n.address(family) and self._internet(n) is not Internet.NONE),
            None,
        )

    def _internet(self, endpoint: Endpoint) -> Internet:
        return self._way_out.get(endpoint.network, Internet.NONE)

    def exit(self, machine: str, family: Family) -> int | None:
        """The NIC through which the machine reaches what is not on its own networks, None when there is none."""
        return self._exits.get((machine, family))

    def source_nic(self, machine: str, destination: Endpoint, family: Family) -> int | None:
        """The NIC that the machine's own routing takes towards `destination`, None when there is none."""
        direct = self._attached.get(machine, {}).get(destination.network) if destination.network else None
        return self.exit(machine, family) if direct is None else direct

    def way(self, source: Endpoint, destination: Endpoint, family: Family) -> Way:
        """How packets, and the answers to them, travel."""
        for end in (source, destination):
            if end.kind is EndpointKind.HOST and end.network not in self._hosts:
                return Way.NONE
        if source.network and source.network == destination.network:
            return Way.DIRECT
        if not self._leaves(source, destination, family) or not self._leaves(destination, source, family):
            return Way.NONE
        here, there = self._internet(source), self._internet(destination)
        if destination.kind is EndpointKind.MACHINE and there is not Internet.ROUTED:
            return Way.NONE
        if source.kind is EndpointKind.MACHINE and here is Internet.NAT and destination.kind is EndpointKind.MACHINE:
            return Way.HIDDEN
        return Way.DIRECT

    def _leaves(self, one: Endpoint, other: Endpoint, family: Family) -> bool:
        """Whether packets of `one` towards `other` leave through the very NIC that is meant."""
        return one.kind is not EndpointKind.MACHINE or self.source_nic(one.name, other, family) == one.nic


def has_host(stack: Stack, name: str) -> bool:
    """Whether the host is on the network: as its way out, or because the file asks for something it offers there."""
    network, services = stack.networks[name], stack.isolation.services
    offered = network.gateway or network.gateway6 or network.dhcp.enabled or network.dns or network.domain
    return network.internet is not Internet.NONE or bool(offered) or services.dhcp or services.dns or services.ntp
