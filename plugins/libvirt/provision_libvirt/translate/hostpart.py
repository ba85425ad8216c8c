"""Each machine's part of its host: what sharing limits, and what policies give to it alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from provision.models import (
    ConfinementPolicy,
    DiskEncryptionPolicy,
    HideHypervisorPolicy,
    Machine,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    PeerIsolationPolicy,
    SecureBootPolicy,
    Share,
    Stack,
    TrafficPolicy,
)
from provision.spi import Capabilities, Decision, enforced
from provision.spi.peers import instances, peer_set
from provision_libvirt.resources.xml_protection import MANDATORY
from provision_libvirt.support_host import encryption_technology
from provision_libvirt.translate.overrides import most_cpus
from provision_libvirt.translate.placing import Placing, place_machines

P = TypeVar("P")

CAP_PERIOD_US = 100_000
_V1_SHARES_PER_WEIGHT = 1024 / 100  # what no weight at all counts as, in either version of control groups


def cpu_shares(weight: int, cgroup_version: int) -> int:
    """A weight (100 is usual) as the host's control groups count it."""
    return weight if cgroup_version == 2 else max(2, round(weight * _V1_SHARES_PER_WEIGHT))


def mandatory_model(capabilities: Capabilities) -> str | None:
    """The security model by which the hypervisor confines QEMU beyond its user; None for none."""
    return next((model for model in capabilities.facts.get("security_models") or () if model in MANDATORY), None)


def huge_page_kib(capabilities: Capabilities, needed_mib: int) -> int | None:
    """Size of the smallest huge pages of which the host has set enough aside; None when there are not enough."""
    return next(
        (size for size, count in sorted(huge_pages(capabilities).items()) if count * size >= needed_mib * 1024), None
    )


def huge_pages(capabilities: Capabilities) -> dict[int, int]:
    """How many huge pages the host has set aside, by size in KiB."""
    found: dict[int, int] = {}
    for node in capabilities.facts.get("topology") or ():
        for size, count in node["huge_pages"].items():
            found[int(size)] = found.get(int(size), 0) + int(count)
    return found


@dataclass(frozen=True)
class HostParts:
    """The parts of all machines of a stack.

    Attributes:
        stack: what the file says.
        capabilities: what the host has.
        decisions: what became of each policy; without one it counts as enforced.
    """

    stack: Stack
    capabilities: Capabilities
    decisions: Mapping[str, Decision] = field(default_factory=dict)

    def domain(self, name: str, entry: str, machine: Machine) -> dict[str, Any]:
        """Inputs of the domain of a machine instance, beyond those that every domain has."""
        made = self._shares(entry) | self.placing.domain(name, most_cpus(machine))
        for policy in self._about_memory(entry):
            if not policy.shared_pages:
                made["share_pages"] = False
            if policy.locked:
                made["locked"] = True
            if policy.huge_pages:
                made["huge_page_kib"] = huge_page_kib(self.capabilities, self.huge_mib)
        return made | self._protection(entry)

    def _protection(self, entry: str) -> dict[str, Any]:
        """How it is confined, hidden and booted."""
        made: dict[str, Any] = {}
        for _, confined in self.policies(ConfinementPolicy, entry):
            if confined.mandatory_access_control:
                made["confinement"] = mandatory_model(self.capabilities)
        for _, hidden in self.policies(HideHypervisorPolicy, entry):
            made["hide_hypervisor"] = True
            if not hidden.nested:
                made["nested"] = False
        for _, booted in self.policies(SecureBootPolicy, entry):
            made["secure_boot"] = True
            if booted.vtpm:
                made["tpm"] = True
        for _, sealed in self.policies(MemoryEncryptionPolicy, entry):
            made["memory_encryption"] = encryption_technology(self.capabilities, sealed.technology)
            made["firmware"] = "uefi"  # which measures what it starts
        return made

    def encrypted(self, entry: str, disk: str | None) -> bool:
        """Whether a disk of a machine is to be encrypted; None is the one that it boots from."""
        machine = self.stack.machines[entry]
        asked = machine.root if disk is None else machine.disks[disk]
        return (asked is not None and asked.encrypted) or any(
            entry in self.selected[name] for name, _ in self._encryption
        )

    @cached_property
    def _encryption(self) -> list[tuple[str, DiskEncryptionPolicy]]:
        return self.enforced(DiskEncryptionPolicy)

    def nic(self, entry: str) -> dict[str, Any]:
        """Inputs of each network card of a machine, beyond those that every card has."""
        made: dict[str, Any] = {}
        if self.policies(PeerIsolationPolicy, entry):
            made["isolated"] = True
        for _, share in self.shares_of(entry):
            if share.nic is not None:
                if share.nic.inbound is not None:
                    made["inbound_kilobytes_s"] = int(share.nic.inbound // 8000)
                if share.nic.outbound is not None:
                    made["outbound_kilobytes_s"] = int(share.nic.outbound // 8000)
        return made

    # ---- sharing

    def shares_of(self, entry: str) -> Iterator[tuple[str, Share]]:
        """Shares that select a machine."""
        for name, entries in self._share_entries.items():
            if entry in entries:
                yield name, self.stack.sharing.shares[name]

    @cached_property
    def _share_entries(self) -> dict[str, frozenset[str]]:
        return {name: peer_set(self.stack, share.machines).entries for name, share in self.stack.sharing.shares.items()}

    def _shares(self, entry: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for _, share in self.shares_of(entry):
            if share.cpu is not None and share.cpu.weight is not None:
                version = int(self.capabilities.facts.get("cgroup_version") or 2)
                made["cpu_shares"] = cpu_shares(share.cpu.weight, version)
            if share.cpu is not None and share.cpu.cap is not None:
                made["cpu_quota_us"] = int(share.cpu.cap * CAP_PERIOD_US)
            if share.memory is not None:
                if share.memory.maximum is not None:
                    made["memory_limit_mib"] = share.memory.maximum.mib
                if share.memory.balloon:
                    made["balloon"] = True
                if share.memory.page_sharing is False:
                    made["share_pages"] = False
            if share.disk is not None and share.disk.iops is not None:
                made["disk_iops"] = share.disk.iops
            if share.disk is not None and share.disk.throughput is not None:
                made["disk_bytes_s"] = int(share.disk.throughput)
        return made

    # ---- its place on the host, and its memory

    @cached_property
    def placing(self) -> Placing:
        """Who runs where on the host."""
        topology = self.capabilities.facts.get("topology") or ()
        return place_machines(topology, list(instances(self.stack)), self.enforced, self.selected)

    @cached_property
    def huge_mib(self) -> int:
        """Memory of all machines that is to be made of huge pages, in MiB."""
        return sum(
            machine.memory.mib
            for _, entry, machine in instances(self.stack)
            if any(policy.huge_pages for policy in self._about_memory(entry))
        )

    @cached_property
    def _memory(self) -> list[tuple[str, MemoryIsolationPolicy]]:
        return self.enforced(MemoryIsolationPolicy)

    def _about_memory(self, entry: str) -> list[MemoryIsolationPolicy]:
        return [policy for name, policy in self._memory if entry in self.selected[name]]

    # ---- policies

    def enforced(self, kind: type[P]) -> list[tuple[str, P]]:
        """Policies of one kind that are to be carried out."""
        return [(name, policy) for name, policy in enforced(self.stack, self.decisions) if isinstance(policy, kind)]

    def policies(self, kind: type[P], entry: str) -> list[tuple[str, P]]:
        """Those about one machine."""
        return [(name, policy) for name, policy in self.enforced(kind) if entry in self.selected[name]]

    @cached_property
    def selected(self) -> dict[str, frozenset[str]]:
        """Machines that each policy other than those about traffic selects."""
        return {
            name: peer_set(self.stack, policy.machines).entries
            for name, policy in self.stack.isolation.policies.items()
            if not isinstance(policy, TrafficPolicy)
        }


@dataclass(frozen=True)
class OfHost:
    """A view of the parts of all machines of a stack; what looks for objections begins with it."""

    parts: HostParts

    @property
    def stack(self) -> Stack:
        """What the file says."""
        return self.parts.stack

    @property
    def capabilities(self) -> Capabilities:
        """What the host has."""
        return self.parts.capabilities
