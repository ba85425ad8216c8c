"""Which fields of a stack file this plugin enforces, and why it refuses the others."""

from collections.abc import Callable, Mapping
from typing import Any

from provision.models import MetadataPolicy, Revoke, Topology
from provision.spi import ENFORCED, Capabilities, Evidence, FeatureUse, Support, unsupported
from provision.spi.own_words import own_words
from provision_openstack.translate.encryption import refutation
from provision_openstack.translate.overrides import MODELS as OVERRIDES
from provision_openstack.translate.referring import MODELS

_SHOWN = Support(True, evidence=frozenset({Evidence.TRANSLATED, Evidence.ACCEPTED}))

BEST: Mapping[str, Any] = {
    "roles": ["admin"],
    "services": ["compute", "network", "image", "block-storage"],
    "extensions": [
        "port-security",
        "qos",
        "security-group",
        "security-groups-remote-address-group",
        "stateful-security-group",
    ],
    "microversions": {"compute": "2.100", "block-storage": "3.71"},
    "external_networks": [{"id": "00000000-0000-0000-0000-000000000000", "name": "public"}],
    "quotas": {},
    "flavors": [],
    "images": [],
    "zones": ["nova"],
    "volume_zones": ["nova"],
    "volume_types": ["__DEFAULT__", "LUKS"],
    "encrypted_types": ["LUKS"],
    "host_prefixes": [],
}
"""Facts of a cloud that lacks nothing."""

_LATER = "this release of the OpenStack plugin does not do it yet"
_OPERATORS = "it is the operators' own matter, which users of the cloud neither see nor change"

_ENFORCED = frozenset({
    "images.sources.builtin",
    "images.sources.builtin.name",
    "images.sources.file",
    "images.sources.file.format",
    "images.sources.file.path",
    "images.sources.named",
    "images.sources.named.name",
    "images.user",
    "isolation.policies.anti_spoofing.arp",
    "isolation.policies.anti_spoofing.ip",
    "isolation.policies.anti_spoofing.mac",
    "isolation.policies.anti_spoofing.machines",
    "isolation.policies.metadata.machines",
    "isolation.policies.no_host_access.machines",
    "isolation.policies.no_internet.machines",
    "isolation.policies.pack.machines",
    "isolation.policies.spread.machines",
    "isolation.policies.traffic.allow",
    "isolation.policies.traffic.deny",
    "isolation.policies.traffic.destinations",
    "isolation.policies.traffic.order",
    "isolation.policies.traffic.sources",
    "isolation.policies.dedicated_cpus.emulator",
    "isolation.policies.dedicated_cpus.machines",
    "isolation.policies.dedicated_cpus.numa",
    "isolation.policies.dedicated_cpus.smt",
    "isolation.policies.memory_encryption.machines",
    "isolation.policies.secure_boot.machines",
    "isolation.policies.secure_boot.vtpm",
    "isolation.default",
    "isolation.policies.disk_encryption.machines",
    "isolation.policies.hide_hypervisor.machines",
    "isolation.policies.hide_hypervisor.nested",
    "isolation.policies.memory.huge_pages",
    "isolation.policies.memory.locked",
    "isolation.policies.memory.machines",
    "isolation.policies.memory.shared_pages",
    "isolation.services.dhcp",
    "machines.cloud_init",
    "machines.cpus",
    "machines.delete_protection",
    "machines.disks.keep_on_delete",
    "machines.image",
    "machines.memory",
    "machines.nics.address",
    "machines.nics.address6",
    "machines.nics.connected",
    "machines.nics.mac",
    "machines.nics.network",
    "machines.nics.public",
    "machines.power",
    "machines.root.disposable",
    "machines.size",
    "machines.ssh_keys",
    "machines.user_data",
    "networks.cidr",
    "networks.cidr6",
    "networks.dhcp.enabled",
    "networks.dhcp.range",
    "networks.gateway",
    "networks.gateway6",
    "networks.internet",
    "networks.mtu",
    "sharing.shares.cpu.cap",
    "sharing.shares.disk.iops",
    "sharing.shares.disk.throughput",
    "sharing.shares.machines",
})  # fmt: skip

_EXACTLY: Mapping[str, tuple[Any, str, str]] = {
    "images.agent": (False, "Nova does not tell what an agent in the guest says", "remove it"),
    "images.sources.builtin.refresh": (
        False,
        "an image is looked up by name once, and kept",
        "remove it; another name or an id takes another image",
    ),
    "isolation.services.dns": (False, _LATER, "allow udp/53 to the name server's address by a traffic policy"),
    "isolation.services.metadata": (
        False,
        "machines get their data from a config drive, and the way to the metadata service is closed",
        "remove it: the config drive is always there",
    ),
    "isolation.services.nd": (True, "Neutron lets neighbour discovery pass whatever its rules say", "write 'nd: true'"),
    "isolation.services.ntp": (False, "a cloud tells of no time service", "allow udp/123 to one by a traffic policy"),
    "machines.autostart": (
        False,
        f"whether servers start with their host is set for all of them: {_OPERATORS}",
        "remove it",
    ),
}
"""Fields that are refused unless they have a value: which, and else reason and fix."""

_REFUSED: Mapping[str, tuple[str, str]] = {
    "images.sources.search": (_LATER, "write 'kind: named' with the image's name"),
    "images.sources.ssm": ("SSM parameters are Amazon's", "write 'kind: named' with the image's name"),
    "images.sources.url": (_LATER, "download it and write 'kind: file', or upload it and write 'kind: named'"),
    "isolation.policies.confinement": (f"how a host confines its emulators: {_OPERATORS}", "remove it"),
    "isolation.policies.disk_encryption.key": ("Cinder makes a key for each volume by itself", "remove 'key'"),
    "isolation.policies.peer_isolation": (
        "security groups do not stop address resolution, which machines of one network hear from each other, and "
        "Neutron has no isolated ports",
        "put the machines on networks of their own, or deny 'any' between them by a traffic policy",
    ),
    "isolation.policies.single_tenancy": (f"which hosts a project's servers share: {_OPERATORS}", "remove it"),
    "machines.disks.image": (_LATER, "remove 'image'"),
    "machines.disks.iops": ("Cinder sets performance by types of volumes", "write a 'type' that has it"),
    "machines.disks.throughput": ("Cinder sets performance by types of volumes", "write a 'type' that has it"),
    "machines.firmware": ("Nova takes the firmware from the image", "set 'hw_firmware_type' at the image"),
    "machines.ready_timeout": ("Nova tells when a server is active, not when its guest is ready", "remove it"),
    "machines.shutdown_timeout": ("Nova takes it from the image", "set 'os_shutdown_timeout' at the image"),
    "networks.dns": (_LATER, "remove it"),
    "networks.domain": (_LATER, "remove it"),
    "sharing.pools": (f"how far hosts are overcommitted: {_OPERATORS}", "remove it"),
    "sharing.shares.cpu.weight": ("what a weight comes to depends on the hosts' own control groups", "write 'cap'"),
    "sharing.shares.memory": ("Nova gives servers the memory of their flavor, no more and no less", "remove it"),
}
"""Refused whatever the value, with all that lies below: reason and fix."""


def supports(use: FeatureUse, capabilities: Capabilities) -> Support:
    """The answer for one use of a feature; what is not known is unsupported."""
    special = _SPECIAL.get(use.feature)
    if special is not None:
        return special(use, capabilities)
    if use.feature in _ENFORCED:
        return ENFORCED
    if use.feature in _EXACTLY:
        value, reason, fix = _EXACTLY[use.feature]
        return ENFORCED if use.value == value else unsupported(reason, fix)
    parts = use.feature.split(".")
    for end in range(len(parts), 0, -1):
        found = _REFUSED.get(".".join(parts[:end]))
        if found is not None:
            return unsupported(*found)
    return unsupported(f"the OpenStack plugin does not know '{use.feature}'", "remove it, or use a newer plugin")


def _needs(extension: str, what: str) -> Callable[[FeatureUse, Capabilities], Support]:
    def answer(use: FeatureUse, capabilities: Capabilities) -> Support:
        if extension in capabilities.facts.get("extensions", ()):
            return _SHOWN
        return unsupported(f"the cloud's Neutron has no {what} (extension '{extension}')", "ask the cloud's operators")

    return answer


def _metadata_access(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value == "closed":
        return ENFORCED
    return unsupported("Nova's metadata service asks for no token", "write 'access: closed'")


def _metadata_hops(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value == MetadataPolicy.model_fields["hop_limit"].default:
        return ENFORCED
    return unsupported("answers of Nova's metadata service are not counted by hops", "remove 'hop_limit'")


def _shown(use: FeatureUse, capabilities: Capabilities) -> Support:
    return _SHOWN


def _encrypted_disks(use: FeatureUse, capabilities: Capabilities) -> Support:
    types = capabilities.facts.get("encrypted_types")
    if types:
        return _SHOWN
    if refuted := capabilities.facts.get("refuted_types"):
        return unsupported(*refutation(refuted))
    if types is None:
        return unsupported(
            "the cloud tells only administrators which types of volumes encrypt",
            "ask its operators, and set 'provision-openstack:encryptedVolumeTypes'",
        )
    return unsupported("the cloud has no type of volumes that encrypts", "ask its operators for one")


def _encrypted_disk(use: FeatureUse, capabilities: Capabilities) -> Support:
    types = capabilities.facts.get("encrypted_types") or ()
    written = getattr(use.owner, "type", None)
    if use.value is not True:
        return ENFORCED
    if types and written is not None and written not in types:
        return unsupported(f"volumes of the type '{written}' are not encrypted", f"write one of: {', '.join(types)}")
    return _encrypted_disks(use, capabilities)


def _encryption(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value == "any" or use.value in ("sev", "sev-es"):
        return ENFORCED
    return unsupported(f"Nova does not know {use.value}", "write 'technology: any', sev or sev-es")


def _over_hosts(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value is Topology.HOST:
        return ENFORCED
    return unsupported(f"server groups know hosts, not a {use.value}", "write 'over: host'")


def _most_per_host(use: FeatureUse, capabilities: Capabilities) -> Support:
    offered = str(capabilities.facts.get("microversions", {}).get("compute", "") or "2.1")
    if use.value == 1 or tuple(int(part) for part in offered.split(".")) >= (2, 64):
        return ENFORCED
    return unsupported(f"Nova {offered} knows one server of a group for each host only", "write 'max_per: 1'")


def _revoke(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value is Revoke.CUT:
        reason = (
            "whether Neutron cuts established connections with their rule depends on a driver that it does not tell"
        )
        return unsupported(reason, "write 'revoke: keep', or restart the machines")
    return unsupported("most drivers of Neutron cut established connections with their rule", "remove 'revoke'")


def _volumes(use: FeatureUse, capabilities: Capabilities) -> Support:
    if "block-storage" in capabilities.facts.get("services", ()):
        return ENFORCED
    return unsupported("the cloud has no block storage (Cinder)", "remove it")


def _volume_type(use: FeatureUse, capabilities: Capabilities) -> Support:
    types = capabilities.facts.get("volume_types") or []
    if use.value in types:
        return _volumes(use, capabilities)
    return unsupported(f"the cloud has no type of volumes '{use.value}'", f"write one of: {', '.join(types) or 'none'}")


_EXISTING = own_words(MODELS, "what can be referred to")
_OVERRIDES = own_words(OVERRIDES, "fields that can be overridden")


def _network_overrides(use: FeatureUse, capabilities: Capabilities) -> Support:
    found = _OVERRIDES(use, capabilities)
    if found.enforced and use.value.get("stateless_groups"):
        return _needs("stateful-security-group", "stateless security groups")(use, capabilities)
    return found


_SPECIAL: Mapping[str, Callable[[FeatureUse, Capabilities], Support]] = {
    "isolation.policies.anti_spoofing": _needs("port-security", "port security"),
    "isolation.policies.dedicated_cpus": _shown,
    "isolation.policies.disk_encryption": _encrypted_disks,
    "isolation.policies.hide_hypervisor": _shown,
    "isolation.policies.memory": _shown,
    "isolation.policies.memory_encryption": _shown,
    "isolation.policies.metadata": _shown,
    "isolation.policies.no_host_access": _shown,
    "isolation.policies.no_internet": _shown,
    "isolation.policies.pack": _shown,
    "isolation.policies.secure_boot": _shown,
    "isolation.policies.spread": _shown,
    "isolation.policies.memory_encryption.technology": _encryption,
    "isolation.policies.metadata.access": _metadata_access,
    "isolation.policies.metadata.hop_limit": _metadata_hops,
    "isolation.policies.pack.over": _over_hosts,
    "isolation.policies.spread.max_per": _most_per_host,
    "isolation.policies.spread.over": _over_hosts,
    "isolation.policies.traffic": _needs("security-group", "security groups"),
    "isolation.policies.traffic.revoke": _revoke,
    "machines.disks.encrypted": _encrypted_disk,
    "machines.disks.overrides": _OVERRIDES,
    "machines.disks.size": _volumes,
    "machines.disks.type": _volume_type,
    "machines.root.encrypted": _encrypted_disk,
    "machines.root.size": _volumes,
    "machines.root.type": _volume_type,
    "machines.nics.existing": _EXISTING,
    "machines.overrides": _OVERRIDES,
    "networks.existing": _EXISTING,
    "networks.overrides": _network_overrides,
    "sharing.shares.nic.inbound": _needs("qos", "limits of bandwidth"),
    "sharing.shares.nic.outbound": _needs("qos", "limits of bandwidth"),
}
