"""Which fields of a stack file this plugin enforces, and why it refuses the others."""

from collections.abc import Callable, Mapping
from typing import get_args

from provision.models import Topology
from provision.spi import ENFORCED, Capabilities, Evidence, FeatureUse, Support, unsupported
from provision.spi.own_words import own_words
from provision_aws.resources.volume_model import VolumeType
from provision_aws.translate.overrides import EXISTING, MODELS

_PACKETS = Support(True, evidence=frozenset({Evidence.TRANSLATED, Evidence.ACCEPTED}))
_SEEN = Support(True, evidence=frozenset({Evidence.ACCEPTED}))

_ENFORCED = frozenset({
    "images.sources.builtin",
    "images.sources.builtin.name",
    "images.sources.builtin.refresh",
    "images.sources.named",
    "images.sources.named.name",
    "images.sources.search",
    "images.sources.search.name",
    "images.sources.search.owner",
    "images.sources.search.refresh",
    "images.sources.ssm",
    "images.sources.ssm.parameter",
    "images.sources.ssm.refresh",
    "images.user",
    "isolation.default",
    "isolation.policies.anti_spoofing.arp",
    "isolation.policies.anti_spoofing.ip",
    "isolation.policies.anti_spoofing.mac",
    "isolation.policies.anti_spoofing.machines",
    "isolation.policies.dedicated_cpus.emulator",
    "isolation.policies.dedicated_cpus.machines",
    "isolation.policies.dedicated_cpus.smt",
    "isolation.policies.disk_encryption.key",
    "isolation.policies.disk_encryption.machines",
    "isolation.policies.memory_encryption.machines",
    "isolation.policies.memory_encryption.technology",
    "isolation.policies.metadata.access",
    "isolation.policies.metadata.hop_limit",
    "isolation.policies.metadata.machines",
    "isolation.policies.no_host_access.machines",
    "isolation.policies.no_internet.machines",
    "isolation.policies.pack.machines",
    "isolation.policies.pack.over",
    "isolation.policies.peer_isolation.machines",
    "isolation.policies.secure_boot.machines",
    "isolation.policies.secure_boot.vtpm",
    "isolation.policies.single_tenancy.machines",
    "isolation.policies.spread.machines",
    "isolation.policies.spread.max_per",
    "isolation.policies.spread.over",
    "isolation.policies.traffic.allow",
    "isolation.policies.traffic.deny",
    "isolation.policies.traffic.destinations",
    "isolation.policies.traffic.order",
    "isolation.policies.traffic.sources",
    "isolation.services.dhcp",
    "isolation.services.dns",
    "isolation.services.metadata",
    "isolation.services.nd",
    "isolation.services.ntp",
    "machines.cloud_init",
    "machines.cpus",
    "machines.delete_protection",
    "machines.disks.encrypted",
    "machines.disks.image",
    "machines.disks.iops",
    "machines.disks.keep_on_delete",
    "machines.disks.size",
    "machines.disks.throughput",
    "machines.image",
    "machines.memory",
    "machines.nics.address",
    "machines.nics.address6",
    "machines.nics.network",
    "machines.nics.public",
    "machines.power",
    "machines.root.disposable",
    "machines.root.encrypted",
    "machines.root.size",
    "machines.size",
    "machines.ssh_keys",
    "machines.user_data",
    "networks.cidr",
    "networks.cidr6",
    "networks.dhcp.enabled",
    "networks.gateway",
    "networks.internet",
    "sharing.shares.machines",
})  # fmt: skip

_GUEST = "a machine of EC2 is ready when it runs: nothing tells what goes on in it"
_SHARES = (
    "EC2 shares a host by the type of machine, and nobody else sees to it",
    "take a type that has what is wanted ('size: {aws: TYPE}'), and performance of disks by 'iops' and 'throughput'",
)
_CONFINED = (
    "what runs a machine of EC2 is Amazon's Nitro system: what confines it can be neither set nor seen",
    "use libvirt or a hypervisor of your own where that must be shown",
)

_SWITCHES: Mapping[str, tuple[str, str]] = {
    "images.agent": (_GUEST, "remove 'agent' for this image"),
    "machines.autostart": ("EC2 starts running machines again by itself when a host fails", "remove 'autostart'"),
    "isolation.policies.dedicated_cpus.numa": (
        "EC2 gives no say in NUMA nodes, but for whole servers",
        "remove 'numa', or use libvirt",
    ),
}
"""Fields that are refused only when they are switched on: reason and fix."""

_REFUSED: Mapping[str, tuple[str, str]] = {
    "images.sources.file": ("EC2 starts machines from its own images", "import it (aws ec2 import-image) and name it"),
    "images.sources.url": ("EC2 starts machines from its own images", "import it (aws ec2 import-image) and name it"),
    "isolation.policies.confinement": _CONFINED,
    "isolation.policies.hide_hypervisor": (
        "a machine of EC2 is always told that it runs on Nitro",
        "use a hypervisor of your own",
    ),
    "isolation.policies.memory": (
        "how EC2 backs the memory of machines can be neither set nor seen",
        "'memory_encryption' keeps it from the host, on types with AMD SEV-SNP",
    ),
    "machines.firmware": ("the image says what starts it", "take an image that is registered for it"),
    "machines.nics.mac": ("EC2 gives MAC addresses itself", "remove 'mac'"),
    "machines.ready_timeout": (_GUEST, "remove 'ready_timeout'"),
    "machines.shutdown_timeout": ("EC2 itself decides how long a machine may take to stop", "remove it"),
    "networks.dhcp.range": ("a VPC gives each machine its own address and no other", "remove 'range'"),
    "networks.dns": ("names in a VPC are Route 53's, which this plugin does not manage", "remove 'dns'"),
    "networks.domain": ("names in a VPC are Route 53's, which this plugin does not manage", "remove 'domain'"),
    "networks.gateway6": ("a VPC's router has an address of its own choice", "remove 'gateway6'"),
    "networks.mtu": ("a VPC has 9001 bytes inside and 1500 to the internet", "remove 'mtu', and set it in the guest"),
    "sharing": _SHARES,
}
"""Refused whatever the value, with all that lies below: reason and fix."""

Answer = Callable[[FeatureUse, Capabilities], Support]


def supports(use: FeatureUse, capabilities: Capabilities) -> Support:
    """The answer for one use of a feature; what is not known is unsupported."""
    special = _SPECIAL.get(use.feature)
    if special is not None:
        return special(use, capabilities)
    if use.feature in _ENFORCED:
        return ENFORCED
    if use.feature in _SWITCHES:
        return ENFORCED if use.value is False else unsupported(*_SWITCHES[use.feature])
    parts = use.feature.split(".")
    for end in range(len(parts), 0, -1):
        found = _REFUSED.get(".".join(parts[:end]))
        if found is not None:
            return unsupported(*found)
    return unsupported(f"the aws plugin does not know '{use.feature}'", "remove it, or use a newer plugin")


def _always(answer: Support) -> Answer:
    return lambda use, capabilities: answer


def _revoke(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value == "cut":
        return unsupported(
            "EC2 tracks connections: what was let in stays until it ends by itself, also when its rule is gone",
            "leave 'revoke' out, or write 'revoke: keep'; stopping the machine ends its connections",
        )
    return ENFORCED


def _spread(use: FeatureUse, capabilities: Capabilities) -> Support:
    over = getattr(use.value, "over", Topology.HOST)
    if over in (Topology.CORE, Topology.NUMA):
        return unsupported(
            f"EC2 tells nothing of the {over}s that machines share",
            "write 'over: host': then they are on different hosts altogether",
        )
    return _SEEN


def _pack(use: FeatureUse, capabilities: Capabilities) -> Support:
    over = getattr(use.value, "over", Topology.HOST)
    if over in (Topology.RACK, Topology.ZONE):
        return _SEEN
    return unsupported(
        f"EC2 does not place machines on one {over}",
        "write 'over: rack' (a cluster placement group), or 'over: zone'",
    )


def _memory_encryption(use: FeatureUse, capabilities: Capabilities) -> Support:
    asked = getattr(use.value, "technology", "any")
    if asked not in ("any", "sev-snp"):
        return unsupported(
            f"of technologies that encrypt memory EC2 offers AMD SEV-SNP, not {asked.upper()}",
            "write 'technology: sev-snp', or 'any'",
        )
    if not capabilities.facts.get("amd_sev_snp"):
        return unsupported(
            f"the region {capabilities.facts.get('region', '')} has no types with AMD SEV-SNP",
            "use a region that has: us-east-2 or eu-west-1",
        )
    return _SEEN


def _volume_type(use: FeatureUse, capabilities: Capabilities) -> Support:
    known = get_args(VolumeType)
    if use.value in known:
        return ENFORCED
    return unsupported(f"EC2 has no kind of volume '{use.value}'", f"it has {', '.join(known)}")


def _root_type(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value in ("io1", "io2"):
        return unsupported(f"a volume of the kind {use.value} needs 'iops', which root disks have not", "write 'gp3'")
    if use.value in ("st1", "sc1"):
        return unsupported(f"EC2 boots from no volume of the kind {use.value}", "write 'gp3'")
    return _volume_type(use, capabilities)


def _connected(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value is True:
        return ENFORCED
    return unsupported("a network card of EC2 has no cable to unplug", "remove it, or have no policy speak of it")


_OVERRIDES = own_words(MODELS, "fields that can be overridden")

_EXISTING = own_words(EXISTING, "what can be referred to")

_SPECIAL: Mapping[str, Answer] = {
    "isolation.policies.anti_spoofing": _always(_PACKETS),
    "isolation.policies.dedicated_cpus": _always(_SEEN),
    "isolation.policies.disk_encryption": _always(_SEEN),
    "isolation.policies.memory_encryption": _memory_encryption,
    "isolation.policies.metadata": _always(_PACKETS),
    "isolation.policies.no_host_access": _always(Support(True)),
    "isolation.policies.no_internet": _always(_PACKETS),
    "isolation.policies.pack": _pack,
    "isolation.policies.peer_isolation": _always(_PACKETS),
    "isolation.policies.secure_boot": _always(_SEEN),
    "isolation.policies.single_tenancy": _always(_SEEN),
    "isolation.policies.spread": _spread,
    "isolation.policies.traffic": _always(_PACKETS),
    "isolation.policies.traffic.revoke": _revoke,
    "machines.disks.overrides": _OVERRIDES,
    "machines.disks.type": _volume_type,
    "machines.nics.connected": _connected,
    "machines.nics.existing": _EXISTING,
    "machines.overrides": _OVERRIDES,
    "machines.root.type": _root_type,
    "networks.existing": _EXISTING,
    "networks.overrides": _OVERRIDES,
}
