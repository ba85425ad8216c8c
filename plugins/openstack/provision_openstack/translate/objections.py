"""What of a stack one cloud cannot do together, though it could do each field of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from provision.models import (
    HideHypervisorPolicy,
    Internet,
    Machine,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    PackPolicy,
    SecureBootPolicy,
    Share,
    SpreadPolicy,
    Stack,
)
from provision.spi import Capabilities, Decision, Objection, enforced
from provision.spi.peers import selected
from provision_openstack.extra_specs import problems
from provision_openstack.sizes import FlavorRequirements, closest, smallest
from provision_openstack.translate import encryption, overrides, reaching, referring
from provision_openstack.translate.encryption import is_sealed
from provision_openstack.translate.hardware import asking, limits, specs, specs_of
from provision_openstack.translate.images import found, named, source_of
from provision_openstack.translate.networks import external
from provision_openstack.translate.quotas import sizes
from provision_openstack.translate.wanted import on_volume, wanted_flavor

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
        yield from referring.objections(self.stack, self.capabilities, overrides.stateless(self.stack))
        yield from overrides.objections(self.stack, self.capabilities)
        yield from self._ways_out()
        yield from self._leases()
        yield from self._images_and_flavors()
        yield from self._firmware()
        yield from encryption.objections(self.stack, self.capabilities, self.decisions)
        yield from sizes(self.stack, self.capabilities, self.decisions)
        yield from self._placed_twice()
        yield from self._limits()
        yield from self._limited_twice()
        yield from self._by_hosts()
        yield from reaching.objections(self.stack, self.capabilities, self.decisions)

    def _ways_out(self) -> Iterator[Objection]:
        there = external(self.capabilities)
        own = {name: it for name, it in self.stack.networks.items() if referring.PLATFORM not in it.existing}
        hiding = [name for name, it in own.items() if it.internet is Internet.NAT]
        for name, network in own.items():
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
        for entry, machine in self.stack.machines.items():
            called = named(source_of(self.stack, machine.image))
            if called is not None and found(self.capabilities, called) is None:
                yield Objection(
                    ("machines", entry, "image"),
                    f"the cloud shows no image '{called}'",
                    "upload it (`openstack image create`), or describe one under 'images:'",
                )
            yield from self._flavor(entry, machine)

    def _flavor(self, entry: str, machine: Machine) -> Iterator[Objection]:
        flavors = self.capabilities.facts.get("flavors") or []
        sealed = is_sealed(self.stack, self.decisions, entry)
        ask = partial(wanted_flavor, self.stack, self.capabilities, machine, sealed=sealed)
        if smallest(flavors, ask({})) is None:
            yield Objection(*_no_flavor(entry, ask({}), closest(flavors, ask({}))))
            return
        alone = True
        for name, policy, entries in asking(self.stack, self.decisions):
            special = ask(specs(policy))
            if entry in entries and smallest(flavors, special) is None:
                alone = False
                yield Objection(("isolation", "policies", name), *_no_special_flavor(entry, special))
        for name, share in self.stack.sharing.shares.items():
            if entry in selected(self.stack, share.machines):
                for found in self._limited(name, share, entry, machine, ask(limits(share, machine))):
                    alone = False
                    yield found
        together = ask(specs_of(self.stack, self.decisions, entry))
        flavor = smallest(flavors, together)
        if flavor is None:
            if alone:
                yield Objection(("machines", entry), *_no_special_flavor(entry, together))
        elif together.extra_specs:
            for problem in problems(flavor["extra_specs"]):
                reason = f"flavor '{flavor['name']}', which '{entry}' gets for its policies: {problem}"
                yield Objection(("machines", entry), reason, "tell the cloud's operators", warns=True)

    def _limited(
        self, name: str, share: Share, entry: str, machine: Machine, wanted: FlavorRequirements
    ) -> Iterator[Objection]:
        """Limits of CPUs and disks, which are the flavor's."""
        path = ("sharing", "shares", name)
        flavor = smallest(self.capabilities.facts.get("flavors") or [], wanted)
        if flavor is None:
            yield Objection(path, *_no_special_flavor(entry, wanted))
        elif share.cpu is not None and share.cpu.cap is not None and flavor["cpus"] != machine.cpus:
            yield Objection(
                (*path, "cpu"),
                f"a flavor limits each of its CPUs, and '{entry}' would get {flavor['cpus']} with '{flavor['name']}' "
                f"instead of {machine.cpus}",
                f"write 'cpus: {flavor['cpus']}', or ask the operators for a flavor",
            )
        sealed = is_sealed(self.stack, self.decisions, entry)
        if share.disk is not None and (machine.disks or on_volume(machine, sealed=sealed)):
            reason = f"a flavor limits its own disk alone, and '{entry}' has volumes"
            yield Objection((*path, "disk"), reason, "write a 'type' of volumes that has the limit, and remove 'disk'")

    def _by_hosts(self) -> Iterator[Objection]:
        """What is the same for all machines of a host, and so no flavor's."""
        for name, policy in enforced(self.stack, self.decisions):
            path = ("isolation", "policies", name)
            if isinstance(policy, MemoryIsolationPolicy) and not (policy.huge_pages or policy.shared_pages):
                reason = "whether hosts merge equal pages of machines is their own matter; huge ones are never merged"
                yield Objection(path, reason, "write 'huge_pages: true', or 'shared_pages: true'")
            if isinstance(policy, HideHypervisorPolicy) and not policy.nested:
                reason = "whether guests may run virtual machines themselves is set for all of a host, by its operators"
                yield Objection(path, reason, "write 'nested: true' to hide the hypervisor alone")

    def _firmware(self) -> Iterator[Objection]:
        """What needs UEFI, which the image says."""
        for name, policy in enforced(self.stack, self.decisions):
            if not isinstance(policy, SecureBootPolicy | MemoryEncryptionPolicy):
                continue
            for entry in selected(self.stack, policy.machines):
                called = named(source_of(self.stack, self.stack.machines[entry].image))
                image = found(self.capabilities, called) if called is not None else None
                if image is None or (image.get("properties") or {}).get("hw_firmware_type") == "uefi":
                    continue
                yield Objection(
                    ("isolation", "policies", name),
                    f"'{entry}' must start by UEFI for it, and image '{called}' does not say so",
                    "set 'hw_firmware_type=uefi' at the image, or take another one",
                )

    def _placed_twice(self) -> Iterator[Objection]:
        placed: dict[str, str] = {}
        for name, policy in enforced(self.stack, self.decisions):
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

    def _limits(self) -> Iterator[Objection]:
        """Who may make limits of bandwidth (Neutron's default policy of `create_policy`)."""
        roles = self.capabilities.facts.get("roles", ())
        for name, share in self.stack.sharing.shares.items():
            if share.nic is not None and not {"admin", "manager"} & set(roles):
                yield Objection(
                    ("sharing", "shares", name, "nic"),
                    "only an administrator or a project's manager may make limits of bandwidth, and the user is "
                    f"{' and '.join(roles) or 'none'}",
                    "ask for the role 'manager' in the project, or remove 'nic'",
                )

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


def _no_flavor(entry: str, wanted: FlavorRequirements, near: str) -> tuple[tuple[str, ...], str, str]:
    if wanted.name is not None:
        path = ("machines", entry, "size", "openstack")
        return path, f"the cloud shows no flavor '{wanted.name}'", "`openstack flavor list` shows which there are"
    return (
        ("machines", entry),
        f"no flavor has {wanted.cpus} CPUs, {wanted.memory_mib} MiB and a disk of {wanted.disk_gib} GiB; {near}",
        "ask for less, or ask the operators for a flavor",
    )


def _no_special_flavor(entry: str, wanted: FlavorRequirements) -> tuple[str, str]:
    said = ", ".join(f"{key}={value}" for key, value in sorted(wanted.extra_specs.items()))
    which = f"the flavor '{wanted.name}' does not have" if wanted.name is not None else "no flavor that fits has"
    return (
        f"{which} what '{entry}' needs for it: {said}",
        "ask the operators for a flavor with these extra specs, or name one that has them as 'size'",
    )
