"""What a stack refers to instead of having it made, held against what is there: before the first call."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

from pydantic import Field

from provision.models import Internet, Model, Network, Nic, Stack
from provision.spi import EXISTING, Capabilities, NicAddress, Objection
from provision.spi.own_words import problem

PLATFORM = "openstack"
Found = Mapping[str, Any]
_Reference = Annotated[str, Field(min_length=1, max_length=255)]


class NetworkExisting(Model):
    """Under `networks.NAME.existing.openstack`."""

    network: Annotated[_Reference, Field(description="Name or id of the network; its subnets have the file's ranges.")]


class NicExisting(Model):
    """Under `machines.NAME.nics[].existing.openstack`."""

    security_groups: Annotated[
        list[_Reference],
        Field(min_length=1, description="Names or ids of groups without rules of their own, to which others refer."),
    ]


MODELS: Mapping[type[Model], type[Model]] = {Network: NetworkExisting, Nic: NicExisting}
"""What may be referred to."""


def referred(network: Network) -> str | None:
    """The network that is meant, by name or id; None when it is made."""
    said = network.existing.get(PLATFORM)
    return None if said is None else NetworkExisting.model_validate(said).network


def joined(nic: Nic) -> list[str]:
    """Security groups that a NIC joins, by name or id."""
    said = nic.existing.get(PLATFORM)
    return [] if said is None else NicExisting.model_validate(said).security_groups


def is_sound(stack: Stack) -> bool:
    """Whether all references can be read; what is wrong with others is told of the fields themselves."""
    named: list[Network | Nic] = [*stack.networks.values()]
    named += [nic for machine in stack.machines.values() for nic in machine.nics]
    return not any(problem(MODELS[type(one)], one.existing[PLATFORM]) for one in named if PLATFORM in one.existing)


def network_of(capabilities: Capabilities, reference: str) -> Found | None:
    """The network of a name or id; None when there is none, or several."""
    return _only(capabilities, "networks", reference)


def subnet_of(found: Found, prefix: object) -> Found | None:
    """The subnet of a network that has exactly this range."""
    return next((one for one in found["subnets"] if ip_network(one["cidr"]) == prefix), None)


def group_of(capabilities: Capabilities, reference: str) -> Found | None:
    """The security group of a name or id; None when there is none, or several."""
    return _only(capabilities, "groups", reference)


def objections(stack: Stack, capabilities: Capabilities, stateless: Collection[str] = ()) -> Iterator[Objection]:
    """What is wrong with what a stack refers to; nothing where nobody has looked.

    Args:
        stack: what the file says.
        capabilities: of the cloud.
        stateless: networks whose ports have stateless groups.
    """
    if EXISTING not in capabilities.facts or not is_sound(stack):
        return
    for name, network in stack.networks.items():
        if (reference := referred(network)) is not None:
            yield from _network(name, network, reference, stack, capabilities)
    for entry, machine in stack.machines.items():
        for index, nic in enumerate(machine.nics):
            for reference in joined(nic):
                path = ("machines", entry, "nics", index, EXISTING)
                yield from _group(path, reference, capabilities, stateful=nic.network not in stateless)


def taken(
    stack: Stack, capabilities: Capabilities, addresses: Mapping[str, Sequence[NicAddress]], own: Mapping[str, str]
) -> Iterator[Objection]:
    """Addresses that other ports have.

    Args:
        stack: what the file says.
        capabilities: of the cloud.
        addresses: of each machine.
        own: names of the stack's own ports, by the name of the machine and the index of the NIC (`web-0/0`).
    """
    for machine, cards in addresses.items():
        for index, card in enumerate(cards):
            reference = referred(stack.networks[card.network])
            found = network_of(capabilities, reference) if reference is not None else None
            if found is None:
                continue
            for address in (card.ipv4, card.ipv6):
                holder = found["taken"].get(str(ip_address(address))) if address is not None else None
                if holder is not None and holder["name"] != own[f"{machine}/{index}"]:
                    yield Objection(
                        ("networks", card.network, EXISTING),
                        f"'{machine}' would get {address}, which the port {holder['id']} of '{reference}' has",
                        f"write another 'address' for '{machine}', or remove that port",
                    )


def _only(capabilities: Capabilities, kind: str, reference: str) -> Found | None:
    found = capabilities.facts.get(EXISTING, {}).get(kind, {}).get(reference) or []
    return found[0] if len(found) == 1 else None


def _several(noun: str, reference: str, capabilities: Capabilities, kind: str) -> tuple[str, str]:
    found = capabilities.facts[EXISTING].get(kind, {}).get(reference) or []
    if not found:
        return f"the cloud shows no {noun} '{reference}'", f"`openstack {noun} list` shows which there are"
    ids = ", ".join(one["id"] for one in found)
    return f"several are called '{reference}': {ids}", "write the id of the one that is meant"


def _network(
    name: str, network: Network, reference: str, stack: Stack, capabilities: Capabilities
) -> Iterator[Objection]:
    path = ("networks", name)
    found = network_of(capabilities, reference)
    if found is None:
        yield Objection((*path, EXISTING), *_several("network", reference, capabilities, "networks"))
        return
    there = ", ".join(one["cidr"] for one in found["subnets"]) or "none"
    for field, prefix, gateway in (
        ("cidr", network.cidr, network.gateway),
        ("cidr6", network.cidr6, network.gateway6),
    ):
        if prefix is None:
            continue
        subnet = subnet_of(found, prefix)
        if subnet is None:
            reason = f"network '{reference}' has no subnet with exactly {prefix}; it has {there}"
            yield Objection((*path, field), reason, "write the range of one of its subnets")
            continue
        if gateway is not None and str(gateway) != subnet["gateway"]:
            reason = f"the gateway of {prefix} in '{reference}' is {subnet['gateway'] or 'none'}"
            yield Objection((*path, field.replace("cidr", "gateway")), reason, "write that, or remove it")
        if prefix.version == 4:
            yield from _leases(name, network, reference, stack, serves=subnet["dhcp"])
    if network.mtu is not None and network.mtu != found["mtu"]:
        yield Objection((*path, "mtu"), f"that of '{reference}' is {found['mtu']}", "write that, or remove it")
    yield from _way_out(name, network, reference, found["way"])


def _leases(name: str, network: Network, reference: str, stack: Stack, *, serves: bool) -> Iterator[Objection]:
    path = ("networks", name, "dhcp")
    if network.dhcp.enabled and not serves:
        yield Objection(path, f"the subnet of '{reference}' has no DHCP", "remove it: machines have fixed addresses")
    if serves and not stack.isolation.services.dhcp:
        reason = f"the subnet of '{reference}' has DHCP, which Neutron lets pass whatever its rules say"
        yield Objection(path, reason, "write 'dhcp: true' under 'isolation.services'")
    if network.dhcp.range is not None:
        reason = f"which addresses are given out on '{reference}' is said there"
        yield Objection((*path, "range"), reason, "remove 'range'")


def _way_out(name: str, network: Network, reference: str, way: str) -> Iterator[Objection]:
    """What leads out is as it is there; what cannot be seen is taken as the file says."""
    if way in ("", network.internet.value):
        return
    words = {
        Internet.NONE: "no router that leads out",
        Internet.NAT: "a router that hides machines behind its own address",
        Internet.ROUTED: "a router that does not hide machines behind its own address",
    }
    reason = f"network '{reference}' has {words[Internet(way)]}"
    yield Objection(("networks", name, "internet"), reason, f"write 'internet: {way}'")


def _group(
    path: tuple[str | int, ...], reference: str, capabilities: Capabilities, *, stateful: bool
) -> Iterator[Objection]:
    found = group_of(capabilities, reference)
    if found is None:
        yield Objection(path, *_several("security group", reference, capabilities, "groups"))
    elif found["rules"]:
        reason = f"group '{reference}' has {found['rules']} rules, which would let pass what this file does not say"
        yield Objection(path, reason, "name a group without rules, to which rules of others refer; or write policies")
    elif found["stateful"] is not stateful:
        one, other = ("stateless", "stateful") if stateful else ("stateful", "stateless")
        reason = f"group '{reference}' is {one}, and the stack's own there are not"
        yield Objection(path, reason, f"name a {other} one: Neutron lets a port have the one kind or the other")
