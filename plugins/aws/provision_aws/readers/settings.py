"""Reading the settings of a translated graph back: what its machines and disks say of policies.

Written from what EC2's inputs mean (EC2 API Reference, RunInstances and CreateVolume), without the translation's code.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from provision.models import (
    AntiSpoofingPolicy,
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    MemoryEncryptionPolicy,
    MetadataPolicy,
    PackPolicy,
    SingleTenancyPolicy,
    SpreadPolicy,
    Topology,
)
from provision.spi import EXISTING, Node, Output, SettingsRequest, Shown
from provision.spi.planned import PlannedMachine, said_by

Said = Iterator[tuple[bool, str]]
_BURSTABLE = ("t1.", "t2.", "t3.", "t3a.", "t4g.")
"""Families that share cores by credits (EC2 User Guide, "Burstable performance instances")."""


def read_settings(request: SettingsRequest) -> Sequence[Sequence[Shown]]:
    """What the graph says of each policy that is asked about."""
    return said_by(Plan(request), _ANSWERS)


class Plan(PlannedMachine):
    """One machine of a graph."""

    token: ClassVar[str] = "ec2:Instance"

    def part(self, name: str, machine: str = "") -> Mapping[str, Any]:
        """A structure of a machine's inputs, empty when there is none."""
        node = self.machines.get(machine or self.request.machine)
        return {} if node is None else node.inputs.get(name) or {}

    @property
    def disks(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Its disks: the first, and those that are attached to it."""
        yield "the first disk", {"encrypted": True, **self.part("root_disk")} if self.part("root_disk") else {}
        for node in self.graph.of_type("ec2:VolumeAttachment"):
            if _refers(node.inputs.get("instance_id"), self.own):
                found = self.graph.referred(node.inputs.get("volume_id"))
                yield node.name, {} if found is None else {"encrypted": True, **found.inputs}

    @property
    def cards(self) -> Iterator[Mapping[str, Any]]:
        """Its network interfaces."""
        for nic in self.own.inputs.get("nics") or () if self.own is not None else ():
            found = self.graph.referred(nic.get("network_interface_id"))
            yield nic if found is None else found.inputs

    def group(self, machine: str = "") -> Node | None:
        """The placement group of a machine."""
        name = self.part("placement", machine).get("group_name")
        return self.graph.referred(name, property="group_name")


def _refers(value: Any, node: Node | None) -> bool:
    return isinstance(value, Output) and node is not None and value.node == node.name


def _tenancy(plan: Plan, policy: SingleTenancyPolicy, members: Sequence[str]) -> Said:
    found = plan.part("placement").get("tenancy", "default")
    yield found in ("dedicated", "host"), f"tenancy {found}"


def _cpus(plan: Plan, policy: DedicatedCpusPolicy, members: Sequence[str]) -> Said:
    kind = plan.own.inputs.get("instance_type") if plan.own is not None else None
    wanted = plan.part("requirements")
    shared = str(kind).startswith(_BURSTABLE) if kind else wanted.get("burstable", True)
    yield not shared, "a type that shares cores by credits" if shared else "a type with cores of its own"
    threads = plan.part("cpu_options").get("threads_per_core")
    if policy.smt == "isolate":
        yield threads == 1, f"threads per core: {threads or 'as the type has'}"
    if policy.smt == "require":
        two = threads == 2 or (threads is None and (bool(kind) or wanted.get("threads_per_core") == 2))
        yield two, f"threads per core: {threads or 'as the type has'}"


def _memory(plan: Plan, policy: MemoryEncryptionPolicy, members: Sequence[str]) -> Said:
    found = plan.part("cpu_options").get("amd_sev_snp")
    right = found == "enabled" and policy.technology in ("any", "sev-snp")
    yield right, f"AMD SEV-SNP {found or 'not asked for'}"


def _metadata(plan: Plan, policy: MetadataPolicy, members: Sequence[str]) -> Said:
    options = plan.part("metadata_options")
    endpoint, tokens = options.get("http_endpoint", "enabled"), options.get("http_tokens", "required")
    hops = options.get("http_put_response_hop_limit", 1)
    if endpoint == "disabled":
        yield True, "metadata service disabled"
    elif policy.access == "closed":
        yield False, f"metadata service {endpoint}"
    else:
        yield tokens == "required", f"session tokens {tokens}"
        yield hops <= policy.hop_limit, f"hop limit {hops}"


def _encryption(plan: Plan, policy: DiskEncryptionPolicy, members: Sequence[str]) -> Said:
    disks = dict(plan.disks)
    plain = [name for name, disk in disks.items() if disk.get("encrypted") is not True]
    other = [name for name, disk in disks.items() if policy.key is not None and disk.get("kms_key_id") != policy.key]
    if plain or other:
        yield False, f"not encrypted as asked: {', '.join(dict.fromkeys([*plain, *other]))}"
    else:
        yield True, f"{len(disks)} encrypted disk{'s' * (len(disks) != 1)}"


def _checks(plan: Plan, policy: AntiSpoofingPolicy, members: Sequence[str]) -> Said:
    off = [str(index) for index, card in enumerate(plan.cards) if card.get("source_dest_check", True) is not True]
    text = f"no source/destination check on network card {', '.join(off)}"
    yield not off, text if off else "source/destination check on every network card"


def _apart(plan: Plan, policy: SpreadPolicy, members: Sequence[str]) -> Said:
    if policy.over is Topology.ZONE:
        zones = {name: _zone(plan, name) for name in members}
        count = Counter(zones.values())[zones.get(plan.request.machine)]
        yield count <= policy.max_per, f"{count} of the machines in its zone"
        return
    wanted = "spread" if policy.max_per == 1 else "partition"
    yield _grouped(plan, wanted, members)
    if wanted == "partition":
        parts = {name: plan.part("placement", name).get("partition_number") for name in members}
        own = parts.get(plan.request.machine)
        count = Counter(parts.values())[own]
        yield own is not None and count <= policy.max_per, f"{count} of the machines in its partition"


def _together(plan: Plan, policy: PackPolicy, members: Sequence[str]) -> Said:
    if policy.over is Topology.ZONE:
        zones = {_zone(plan, name) for name in members}
        yield len(zones) == 1, f"the machines in {len(zones)} zone{'s' * (len(zones) != 1)}"
    else:
        yield _grouped(plan, "cluster", members)


def _grouped(plan: Plan, strategy: str, members: Sequence[str]) -> tuple[bool, str]:
    group = plan.group()
    found = None if group is None else group.inputs.get("strategy")
    alike = group is not None and all(plan.group(name) is group for name in members)
    return (
        found == strategy and alike,
        f"a placement group with the strategy {found}" if group else "no placement group",
    )


def _zone(plan: Plan, machine: str) -> Any:
    """The zone of a machine: that of its first interface's subnet."""
    node = plan.machines.get(machine)
    nics = (node.inputs.get("nics") or ()) if node is not None else ()
    for nic in nics[:1]:
        card = plan.graph.referred(nic.get("network_interface_id"))
        subnet = (nic if card is None else card.inputs).get("subnet_id")
        if isinstance(subnet, str):  # one that is there already
            return plan.request.capabilities.facts.get(EXISTING, {}).get("subnets", {}).get(subnet, {}).get("zone")
        found = plan.graph.referred(subnet)
        return None if found is None else found.inputs.get("availability_zone")
    return None


_ANSWERS: Mapping[type, Callable[[Plan, Any, Sequence[str]], Said]] = {
    AntiSpoofingPolicy: _checks,
    DedicatedCpusPolicy: _cpus,
    DiskEncryptionPolicy: _encryption,
    MemoryEncryptionPolicy: _memory,
    MetadataPolicy: _metadata,
    PackPolicy: _together,
    SingleTenancyPolicy: _tenancy,
    SpreadPolicy: _apart,
}
