"""What of a stack one cloud cannot do together, though it could do each field of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provision.models import (
    Internet,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    PackPolicy,
    Policy,
    SpreadPolicy,
    Stack,
    TrafficPolicy,
)
from provision.spi import Capabilities, Decision, Objection, Verdict
from provision_openstack.sizes import FlavorRequirements, closest, smallest
from provision_openstack.translate.hardware import asking, specs, specs_of
from provision_openstack.translate.images import found, named, source_of
from provision_openstack.translate.networks import external
from provision_openstack.translate.peers import Side, selected, side
from provision_openstack.translate.quotas import sizes
from provision_openstack.translate.wanted import wanted_flavor

_NO_WAY_OUT = "the cloud has no external network, or several of which none is called 'public' or 'external'"


def objections(
    stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision] | None = None
) -> Iterator[Objection]:
    """Everything of the stack that cannot be had together in this cloud."""
    yield from _Objections(stack, capabilities, decisions or {}).found()


@dataclass(frozen=True)
class _Objections:
    stack: Stack
    capabilities: Capabilities
    decisions: Mapping[str, Decision]

    def found(self) -> Iterator[Objection]:
        yield from self._ways_out()
        yield from self._leases()
        yield from self._images_and_flavors()
        yield from sizes(self.stack, self.capabilities, self.decisions)
        yield from self._placed_twice()
        yield from self._limited_twice()
        yield from self._sealed()

    def _policies(self) -> Iterator[tuple[str, Policy]]:
        for name, policy in self.stack.isolation.policies.items():
            decision = self.decisions.get(name)
            if decision is None or decision.verdict is not Verdict.DOWNGRADE:
                yield name, policy

    def _ways_out(self) -> Iterator[Objection]:
        there = external(self.capabilities)
        hiding = [name for name, it in self.stack.networks.items() if it.internet is Internet.NAT]
        for name, network in self.stack.networks.items():
            path = ("networks", name, "internet")
            if network.internet is Internet.NONE:
                continue
            if there is None:
                yield Objection(path, _NO_WAY_OUT, "write 'internet: none', or ask the operators for one")
            if network.internet is not Internet.ROUTED:
                continue
            if "admin" not in self.capabilities.facts.get("roles", ()):
                yield Objection(
                    path,
                    "only an administrator may have a router that does not hide machines behind its own address, and "
                    f"the user is {' and '.join(self.capabilities.facts.get('roles', ())) or 'none'}",
                    "write 'internet: nat', with 'public: true' at NICs that must be reached",
                )
            if hiding:
                reason = f"one router either hides its machines or does not, and '{hiding[0]}' says nat"
                yield Objection(path, reason, "write the same for both, or make two stacks")
        for entry, machine in self.stack.machines.items():
            for index, nic in enumerate(machine.nics):
                way = self.stack.networks[nic.network].internet if nic.network in self.stack.networks else None
                if nic.public and way is Internet.NONE:
                    yield Objection(
                        ("machines", entry, "nics", index, "public"),
                        f"'{nic.network}' has no way out, so no public address can lead there",
                        f"write 'internet: nat' for network '{nic.network}'",
                    )

    def _leases(self) -> Iterator[Objection]:
        for name, network in self.stack.networks.items():
            if network.dhcp.enabled and not self.stack.isolation.services.dhcp:
                yield Objection(
                    ("networks", name, "dhcp"),
                    "Neutron lets DHCP pass whatever its rules say, and 'isolation.services.dhcp' does not",
                    "write 'dhcp: true' under 'isolation.services', or remove it here: machines have fixed addresses",
                )

    def _images_and_flavors(self) -> Iterator[Objection]:
        flavors = self.capabilities.facts.get("flavors") or []
        for entry, machine in self.stack.machines.items():
            called = named(source_of(self.stack, machine.image))
            if called is not None and found(self.capabilities, called) is None:
                yield Objection(
                    ("machines", entry, "image"),
                    f"the cloud shows no image '{called}'",
                    "upload it (`openstack image create`), or describe one under 'images:'",
                )
            wanted = wanted_flavor(self.stack, self.capabilities, machine, {})
            if smallest(flavors, wanted) is None:
                yield Objection(*_no_flavor(entry, wanted, closest(flavors, wanted)))
                continue
            alone = True
            for name, policy, entries in asking(self.stack, self.decisions):
                special = wanted_flavor(self.stack, self.capabilities, machine, specs(policy))
                if entry in entries and smallest(flavors, special) is None:
                    alone = False
                    yield Objection(("isolation", "policies", name), *_no_special_flavor(entry, special))
            together = specs_of(self.stack, self.decisions, entry)
            if alone and smallest(flavors, wanted_flavor(self.stack, self.capabilities, machine, together)) is None:
                yield Objection(("machines", entry), *_no_special_flavor(entry, wanted, together))

    def _placed_twice(self) -> Iterator[Objection]:
        placed: dict[str, str] = {}
        for name, policy in self._policies():
            if not isinstance(policy, SpreadPolicy | PackPolicy):
                continue
            for entry in selected(self.stack, policy.machines):
                if entry in placed:
                    yield Objection(
                        ("isolation", "policies", name),
                        f"a server can be in one server group only, and '{entry}' is in that of '{placed[entry]}'",
                        "join the policies into one, or remove one of them",
                    )
                placed.setdefault(entry, name)

    def _limited_twice(self) -> Iterator[Objection]:
        limited: dict[str, str] = {}
        for name, share in self.stack.sharing.shares.items():
            for entry in selected(self.stack, share.machines) if share.nic is not None else ():
                if entry in limited:
                    yield Objection(
                        ("sharing", "shares", name, "nic"),
                        f"a port has one QoS policy only, and '{entry}' has that of '{limited[entry]}'",
                        "say all limits of a machine's NICs in one share",
                    )
                limited.setdefault(entry, name)

    def _sealed(self) -> Iterator[Objection]:
        """Policies that close something, against traffic policies that open it."""
        open_to = self._beyond()
        for name, policy in self._policies():
            if isinstance(policy, MetadataPolicy) or not isinstance(policy, NoInternetPolicy | NoHostAccessPolicy):
                continue
            for entry in selected(self.stack, policy.machines):
                if entry in open_to:
                    what = "public addresses" if isinstance(policy, NoInternetPolicy) else "the cloud's own hosts"
                    yield Objection(
                        ("isolation", "policies", name),
                        f"'{open_to[entry]}' lets '{entry}' and addresses beyond the stack meet, and {what} cannot be "
                        "told apart from them there",
                        f"name machines or networks in '{open_to[entry]}', or leave '{entry}' out of one of the two",
                    )
                    break

    def _beyond(self) -> dict[str, str]:
        """By entry, a policy by which addresses beyond the stack may be at the other end."""
        found: dict[str, str] = {}
        for name, policy in self._policies():
            if not isinstance(policy, TrafficPolicy):
                continue
            sources, targets = side(self.stack, policy.sources), side(self.stack, policy.destinations)
            for one, other in ((sources, targets), (targets, sources)):
                if self._leads_out(other):
                    for entry in self._members(one):
                        found.setdefault(entry, name)
        return found

    def _leads_out(self, one: Side) -> bool:
        own = [prefix for it in self.stack.networks.values() for prefix in (it.cidr, it.cidr6) if prefix is not None]
        return (
            one.outside
            or one.internet
            or any(
                not any(prefix.version == net.version and prefix.subnet_of(net) for net in own)  # type: ignore[arg-type]
                for prefix in one.prefixes
            )
        )

    def _members(self, one: Side) -> set[str]:
        """Entries that a side may mean; by address any may be."""
        if one.prefixes or one.outside or one.internet:
            return set(self.stack.machines)
        return {
            entry
            for entry, machine in self.stack.machines.items()
            if {entry, *machine.names(entry)} & one.entries or any(nic.network in one.networks for nic in machine.nics)
        }


def _no_flavor(entry: str, wanted: FlavorRequirements, near: str) -> tuple[tuple[str, ...], str, str]:
    if wanted.name is not None:
        path = ("machines", entry, "size", "openstack")
        return path, f"the cloud shows no flavor '{wanted.name}'", "`openstack flavor list` shows which there are"
    return (
        ("machines", entry),
        f"no flavor has {wanted.cpus} CPUs, {wanted.memory_mib} MiB and a disk of {wanted.disk_gib} GiB; {near}",
        "ask for less, or ask the operators for a flavor",
    )


def _no_special_flavor(
    entry: str, wanted: FlavorRequirements, together: Mapping[str, str] | None = None
) -> tuple[str, str]:
    said = ", ".join(f"{key}={value}" for key, value in sorted((together or wanted.extra_specs).items()))
    which = f"the flavor '{wanted.name}' does not have" if wanted.name is not None else "no flavor that fits has"
    return (
        f"{which} what '{entry}' needs for it: {said}",
        "ask the operators for a flavor with these extra specs, or name one that has them as 'size'",
    )
