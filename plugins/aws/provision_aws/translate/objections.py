"""What of a stack EC2 cannot do together, though it could do each field of it; and what is other than it looks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from provision.models import (
    Disk,
    Internet,
    Machine,
    Network,
    Nic,
    Peer,
    PeerKind,
    Power,
    SpreadPolicy,
    Stack,
    Topology,
    TrafficPolicy,
)
from provision.spi import EXISTING, Capabilities, Decision, NicAddress, Objection
from provision.spi.flows import End, ends, flows
from provision.spi.own_words import problem
from provision_aws.labels import check_tags
from provision_aws.resources.volume_model import check_performance
from provision_aws.translate import endpoints, named, referring
from provision_aws.translate.layout import Layout
from provision_aws.translate.machines import DEVICES
from provision_aws.translate.overrides import EXISTING as REFERRED
from provision_aws.translate.overrides import MODELS, MachineOverrides, joined, of
from provision_aws.translate.parts import Parts
from provision_aws.translate.rules import Planned, plan

_MOST_CARDS = 15


def objections(stack: Stack, capabilities: Capabilities) -> Iterator[Objection]:
    """Everything of the stack that cannot be had together, as far as is known before addresses are given."""
    if _wrong_overrides(stack):
        return  # said of the fields already
    known = {name: _likely(stack, machine) for name, _, machine in _instances(stack)}
    yield from found(stack, capabilities, {}, known, exact=False)
    yield from _remarks(stack, capabilities)


def found(
    stack: Stack,
    capabilities: Capabilities,
    decisions: Mapping[str, Decision],
    addresses: Mapping[str, Sequence[NicAddress]],
    *,
    exact: bool = True,
    scope: tuple[str, str] | None = None,
) -> Iterator[Objection]:
    """Everything of the stack that cannot be had together, with the addresses of its machines.

    Args:
        stack: what the file says.
        capabilities: what the account and region told.
        decisions: what becomes of each policy.
        addresses: per machine instance, its cards in order.
        exact: whether these are the addresses that the machines get, or stand for them.
        scope: Pulumi project and stack, whose addresses are nobody else's.
    """
    layout = layout_of(stack, capabilities)
    wrong = [*layout.objections(), *_cards(stack)]
    yield from wrong
    yield from endpoints.objections(stack)
    yield from _keys(stack)
    referring_to = list(referring.objections(stack, layout, capabilities.facts))
    yield from referring_to
    wrong += (one for one in referring_to if not one.warns)
    yield from Parts(stack, decisions, capabilities.facts).objections()
    yield from _first_boot(stack, Parts(stack, decisions, capabilities.facts))
    yield from _disks(stack)
    yield from _labels(stack)
    yield from _public(stack)
    yield from _services(stack)
    yield from _hosts(stack, decisions)
    zones = {entry: layout.zones_of(_networks(stack, entry)) for entry in (() if wrong else stack.machines)}
    yield from named.objections(stack, Parts(stack, decisions, capabilities.facts), capabilities.facts, zones)
    if wrong:
        return  # what follows needs to know where each card is
    if scope is not None:
        yield from referring.taken(stack, layout, addresses, scope)
    held = ends(stack, addresses)
    if exact or all(len(parts) == 1 for parts in layout.parts.values()):
        yield from _zones(layout, Parts(stack, decisions, capabilities.facts), held)
    made = planned(stack, capabilities, decisions, held)
    yield from made.objections
    yield from _joins(stack, made, held)


def _networks(stack: Stack, entry: str) -> list[str]:
    return [nic.network for nic in stack.machines[entry].nics if nic.network in stack.networks]


def _joins(stack: Stack, made: Planned, held: Sequence[End]) -> Iterator[Objection]:
    """Groups that a card joins count beside its own."""
    most = made.limits["groups_per_interface"]
    for end in held:
        more = len(joined(stack.machines[end.entry].nics[end.index]))
        count = max(1, made.count(end.key))
        if more and count <= most < count + more:
            yield Objection(
                ("machines", end.entry, "nics", end.index, "existing"),
                f"a network card of machine '{end.machine}' would be in {count} groups of the stack and {more} others, "
                f"and the account allows {most}",
                "name fewer, or select the machine by fewer different peers",
            )


def groups_of(stack: Stack, limits: Mapping[str, int]) -> Planned | None:
    """Groups and rules of the stack within some quotas, as far as addresses matter likely ones; None when unsound."""
    if _wrong_overrides(stack) or any(network.cidr is None for network in stack.networks.values()):
        return None
    held = ends(stack, {name: _likely(stack, machine) for name, _, machine in _instances(stack)})
    return planned(stack, Capabilities("aws", {"limits": limits}), {}, held)


def layout_of(stack: Stack, capabilities: Capabilities) -> Layout:
    """Where the networks of a stack lie."""
    return Layout(stack, capabilities.facts["zones"], capabilities.facts.get(EXISTING, {}))


def planned(
    stack: Stack,
    capabilities: Capabilities,
    decisions: Mapping[str, Decision],
    held: Sequence[End],
    elsewhere: Sequence[Any] = (),
) -> Planned:
    """Groups and rules of the stack."""
    own = [one for net in stack.networks.values() for one in (net.cidr, net.cidr6) if one is not None]
    compiled = flows(stack, held, decisions, elsewhere)
    hidden = frozenset(name for name, network in stack.networks.items() if network.internet is Internet.NAT)
    return plan(compiled, held, own, capabilities.facts["limits"], hidden)


def _instances(stack: Stack) -> Iterator[tuple[str, str, Machine]]:
    for entry, machine in stack.machines.items():
        for name in machine.names(entry):
            yield name, entry, machine


def _likely(stack: Stack, machine: Machine) -> tuple[NicAddress, ...]:
    """Addresses that stand for those which are not given yet."""
    made = []
    for nic in machine.nics:
        network = stack.networks.get(nic.network)
        if network is None:
            continue
        four = nic.address if nic.address is not None and not isinstance(nic.address, list) else None
        if four is None and network.cidr is not None:
            four = network.cidr[min(4, network.cidr.num_addresses - 1)]
        six = network.cidr6[min(4, network.cidr6.num_addresses - 1)] if network.cidr6 is not None else None
        made.append(NicAddress(nic.network, "", None if four is None else str(four), None if six is None else str(six)))
    return tuple(made)


def _wrong_overrides(stack: Stack) -> bool:
    written: list[Machine | Network | Disk] = [*stack.machines.values(), *stack.networks.values()]
    written += [disk for machine in stack.machines.values() for disk in machine.disks.values()]
    wrong = any(problem(MODELS[type(one)], one.overrides.get("aws", {})) for one in written)
    named: list[Network | Nic] = [*stack.networks.values()]
    named += [nic for machine in stack.machines.values() for nic in machine.nics]
    return wrong or any(problem(REFERRED[type(one)], one.existing["aws"]) for one in named if "aws" in one.existing)


def _cards(stack: Stack) -> Iterator[Objection]:
    for entry, machine in stack.machines.items():
        if not machine.nics:
            yield Objection(
                ("machines", entry), "EC2 makes no machine without a network card", "add 'nics: [{network: NAME}]'"
            )
        if len(machine.nics) > _MOST_CARDS:
            yield Objection(
                ("machines", entry, "nics"), f"no type of machine has more than {_MOST_CARDS} network cards",
                "use fewer",
            )  # fmt: skip


def _first_boot(stack: Stack, parts: Parts) -> Iterator[Objection]:
    """EC2 hands user data, and with it keys, over by the metadata service."""
    for entry, machine in stack.machines.items():
        asked = [key for key in ("user_data", "cloud_init", "ssh_keys") if getattr(machine, key)]
        if asked and parts.metadata(entry)["http_endpoint"] == "disabled":
            closed = "a policy closes it" if stack.isolation.services.metadata else "it is closed"
            yield Objection(
                ("machines", entry, asked[0]),
                f"machines of EC2 read it from the metadata service, and {closed}",
                "write 'isolation: {services: {metadata: true}}' (it then answers with a session token alone), and "
                "'access: token' in policies of the kind 'metadata'",
            )
        said = of(MachineOverrides, machine.overrides)
        if said.spot is not None and machine.power is Power.STOPPED:
            yield Objection(
                ("machines", entry, "power"), "a spot machine cannot be stopped", "remove 'spot' or 'power'"
            )


def _keys(stack: Stack) -> Iterator[Objection]:
    """A machine of EC2 has one key pair, or none."""
    for entry, machine in stack.machines.items():
        said, path = of(MachineOverrides, machine.overrides), ("machines", entry, "overrides")
        if not said.key_pair:
            continue
        if said.key_name is not None:
            yield Objection(path, "a machine has one key pair", "remove 'key_name' or 'key_pair'")
        if len(machine.ssh_keys) != 1:
            yield Objection(
                path,
                f"a key pair is one key, and the machine has {len(machine.ssh_keys)}",
                "write one under 'ssh_keys', or remove 'key_pair': keys are in the user data all the same",
            )
        elif machine.ssh_keys[0].split()[0] not in ("ssh-rsa", "ssh-ed25519"):
            yield Objection(
                path, "EC2 takes keys of the kinds ssh-ed25519 and ssh-rsa", "use one of these, or remove 'key_pair'"
            )


def _disks(stack: Stack) -> Iterator[Objection]:
    for entry, machine in stack.machines.items():
        if len(machine.disks) > len(DEVICES):
            yield Objection(
                ("machines", entry, "disks"), f"EC2 names devices for {len(DEVICES)} data disks", "use fewer"
            )
        root = of(MachineOverrides, machine.overrides).root_disk
        if root is not None and machine.root is not None and machine.root.type not in (None, "gp3"):
            yield Objection(
                ("machines", entry, "overrides"),
                f"'root_disk' says how fast a disk of gp3 is, and the root disk is of {machine.root.type}",
                "write 'type: gp3' for the root disk, or remove 'root_disk'",
            )
        for name, disk in machine.disks.items():
            kind = disk.type or "gp3"
            throughput = None if disk.throughput is None else round(disk.throughput / (1 << 20))
            try:
                check_performance(kind, disk.iops, throughput)
            except ValueError as error:
                yield Objection(("machines", entry, "disks", name), str(error), "mend 'type', 'iops' or 'throughput'")


def _labels(stack: Stack) -> Iterator[Objection]:
    """Labels are tags."""
    labelled = {("machines", name): one.labels for name, one in stack.machines.items()}
    labelled |= {("networks", name): one.labels for name, one in stack.networks.items()}
    for path, labels in labelled.items():
        try:
            check_tags(labels)
        except (ValidationError, ValueError) as error:
            text = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            yield Objection((*path, "labels"), f"they become tags of EC2: {text}", "use other labels")


def _public(stack: Stack) -> Iterator[Objection]:
    for entry, machine in stack.machines.items():
        for index, nic in enumerate(machine.nics):
            network = stack.networks.get(nic.network)
            if nic.public and network is not None and network.internet is not Internet.ROUTED:
                yield Objection(
                    ("machines", entry, "nics", index, "public"),
                    f"a public address needs a way to the internet and back, and network '{nic.network}' has none",
                    f"write 'internet: routed' for network '{nic.network}'",
                )


def _services(stack: Stack) -> Iterator[Objection]:
    if not stack.isolation.services.nd and any(net.cidr6 is not None for net in stack.networks.values()):
        yield Objection(
            ("isolation", "services", "nd"),
            "neighbour discovery is the VPC's own, which nobody can close, and networks have IPv6",
            "remove 'nd: false', or 'cidr6' of the networks",
        )


def _hosts(stack: Stack, decisions: Mapping[str, Decision]) -> Iterator[Objection]:
    """There is nothing to reach at a host of EC2's, and nothing that comes from there."""
    for name, policy in Parts(stack, decisions, {}).enforced(TrafficPolicy):
        for key, peers in (("from", policy.sources), ("to", policy.destinations)):
            if policy.allow and _only_hosts(peers):
                yield Objection(
                    ("isolation", "policies", name, key),
                    "hosts of EC2 have no address that a machine could reach, or that could reach a machine",
                    "name machines, prefixes or 'outside' instead of 'host'",
                )


def _only_hosts(peers: Sequence[Peer]) -> bool:
    return all(peer.kind is PeerKind.HOST for peer in peers)


def _zones(layout: Layout, parts: Parts, held: Sequence[End]) -> Iterator[Objection]:
    """A machine is in one zone, with all its cards; policies may want machines in several."""
    zones: dict[str, str] = {}
    for end in held:
        zone = layout.part(end.network, str(end.address.ipv4)).zone
        other = zones.setdefault(end.machine, zone)
        if other != zone:
            yield Objection(
                ("machines", end.entry, "nics"),
                f"machine '{end.machine}' has network cards in the zones {other} and {zone}, and EC2 wants all in one",
                "give it addresses of one zone ('address:'), or its networks the same 'availability_zones'",
            )
    for name, spread in parts.enforced(SpreadPolicy):
        counted: dict[str, int] = {}
        for member in parts.members(spread) if spread.over is Topology.ZONE else ():
            zone = zones.get(member, "")
            counted[zone] = counted.get(zone, 0) + 1
        if counted and max(counted.values()) > spread.max_per:
            said = ", ".join(f"{count} in {zone}" for zone, count in sorted(counted.items()))
            yield Objection(
                ("isolation", "policies", name),
                f"a machine is in the zone of its address, and of those that the policy selects there are {said}",
                "divide the network over zones ('overrides: {aws: {availability_zones: […]}}'), and give the machines "
                "addresses of different parts ('address:')",
            )


def _remarks(stack: Stack, capabilities: Capabilities) -> Iterator[Objection]:
    """What is done, but is other than it looks."""
    if stack.machines and not stack.isolation.services.dhcp:
        yield Objection(
            ("isolation",),
            "every machine of EC2 reaches the VPC's DHCP and time service (169.254.169.123): groups do not filter them",
            "nothing can close them; nobody but Amazon answers there",
            warns=True,
        )
    for name, network in stack.networks.items():
        if network.cidr6 is not None:
            yield Objection(
                ("networks", name, "cidr6"),
                f"{network.cidr6} stands for the /64 that Amazon gives network '{name}': machines keep the end of "
                "their addresses",
                "the state shows the whole address of each",
                warns=True,
            )
    for entry, machine in stack.machines.items():
        for index, nic in enumerate(machine.nics):
            found_network = stack.networks.get(nic.network)
            if found_network is not None and found_network.internet is Internet.ROUTED and not nic.public:
                yield Objection(
                    ("machines", entry, "nics", index),
                    f"machine '{entry}' has no public IPv4 address on the routed network '{nic.network}': over IPv4 it "
                    "reaches, and is reached from, the VPC alone",
                    "write 'public: true' for the network card",
                    warns=True,
                )
    blocked = capabilities.facts.get("block_public_access", "off")
    if blocked not in ("off", "unknown") and any(n.internet is not Internet.NONE for n in stack.networks.values()):
        yield Objection(
            ("networks",),
            f"the account keeps VPCs from the internet (VPC Block Public Access: {blocked}), whatever routes say",
            "ask whoever looks after the account for an exclusion",
            warns=True,
        )
