"""Which fields of a stack file this plugin enforces, and why it refuses the others."""

from collections.abc import Callable, Mapping
from typing import Any

from provision.models import MetadataPolicy, Revoke
from provision.packets import Protocol, Service
from provision.spi import ENFORCED, Capabilities, Evidence, FeatureUse, Support, unsupported
from provision_libvirt import support_hardware, support_host, testdriver, usermode
from provision_libvirt.filtering import filter_problem
from provision_libvirt.translate.services import NAMED_PROTOCOLS

BEST: Mapping[str, Any] = {
    "nwfilter": True,
    "host_addresses": ["192.0.2.1"],
    "closes_host": True,
    "time_service": True,
    **support_host.BEST,
}
"""Facts of a hypervisor that lacks nothing."""
_PACKETS = Support(True, evidence=frozenset(Evidence))
_ISOLATED_PORTS = (6, 1)
"""The first release of libvirt that has them."""
_LATER = "this release of the libvirt plugin does not do it yet"

_PROVISIONED = (
    "a hypervisor has no performance of disks to reserve",
    "remove it, or limit what machines may use by a share ('sharing.shares.NAME.disk')",
)

_ENFORCED = frozenset({
    "images.sources.builtin",
    "images.sources.builtin.name",
    "images.sources.builtin.refresh",
    "images.sources.file",
    "images.sources.file.path",
    "images.sources.file.format",
    "images.agent",
    "images.sources.url",
    "images.sources.url.format",
    "images.sources.url.sha256",
    "images.sources.url.url",
    "images.user",
    "isolation.default",
    "isolation.policies.anti_spoofing.arp",
    "isolation.policies.anti_spoofing.ip",
    "isolation.policies.anti_spoofing.mac",
    "isolation.policies.anti_spoofing.machines",
    "isolation.policies.metadata.machines",
    "isolation.policies.no_host_access.machines",
    "isolation.policies.no_internet.machines",
    "isolation.policies.peer_isolation.machines",
    "isolation.policies.traffic.destinations",
    "isolation.policies.traffic.order",
    "isolation.policies.traffic.sources",
    "isolation.services.dhcp",
    "isolation.services.dns",
    "isolation.services.nd",
    "machines.autostart",
    "machines.cloud_init",
    "machines.cpus",
    "machines.delete_protection",
    "machines.disks.keep_on_delete",
    "machines.disks.size",
    "machines.image",
    "machines.memory",
    "machines.nics.address",
    "machines.nics.address6",
    "machines.nics.connected",
    "machines.nics.mac",
    "machines.nics.network",
    "machines.power",
    "machines.ready_timeout",
    "machines.root.disposable",
    "machines.root.size",
    "machines.shutdown_timeout",
    "machines.ssh_keys",
    "machines.user_data",
    "networks.cidr",
    "networks.cidr6",
    "networks.dhcp.enabled",
    "networks.dhcp.range",
    "networks.dns",
    "networks.domain",
    "networks.gateway",
    "networks.gateway6",
    "networks.internet",
    "networks.mtu",
}) | support_host.ENFORCED_FIELDS  # fmt: skip

_SWITCHES: Mapping[str, tuple[str, str]] = {
    "isolation.services.metadata": (
        "libvirt has no metadata service; machines get their data from a seed disk",
        "remove it: the seed is always there",
    ),
    "machines.nics.public": (
        "a hypervisor has no public addresses to give",
        "use a network with 'internet: routed' and an address that is routed to the hypervisor",
    ),
}
"""Fields that are refused only when they are switched on: reason and fix."""

_REFUSED: Mapping[str, tuple[str, str]] = {
    "machines.nics.existing": ("nothing of a hypervisor's own can be joined by a network card", "remove it"),
    "networks.existing": (
        "a stack makes its own networks on a hypervisor, since their filters and addresses belong together",
        "remove it, or take the network over: write it as it is, and `pulumi import` it",
    ),
    "images.sources.named": ("libvirt has no catalogue of images", "write 'kind: file' with a path"),
    "images.sources.ssm": ("SSM parameters are Amazon's", "write 'kind: file' with a path"),
    "images.sources.search": ("libvirt has no catalogue of images", "write 'kind: file' with a path"),
    "machines.disks.image": (f"data disks that start from an image: {_LATER}", "remove 'image'"),
    "machines.disks.iops": _PROVISIONED,
    "machines.disks.overrides": (f"native fields: {_LATER}", "remove the overrides for libvirt"),
    "machines.disks.throughput": _PROVISIONED,
    "machines.disks.type": ("a hypervisor has one kind of storage, its pool's", "remove 'type'"),
    "machines.root.type": ("a hypervisor has one kind of storage, its pool's", "remove 'type'"),
    "machines.size": ("libvirt has no instance types", "remove the size for libvirt: 'cpus' and 'memory' say it"),
    "networks.overrides": (f"native fields: {_LATER}", "remove the overrides for libvirt"),
}
"""Refused whatever the value, with all that lies below: reason and fix."""


def supports(use: FeatureUse, capabilities: Capabilities) -> Support:
    """The answer for one use of a feature; what is not known is unsupported."""
    refused = testdriver.refusal(use.feature, capabilities)
    if refused is not None:
        return refused
    if usermode.is_user(capabilities) and (answer := usermode.answer(use)) is not None:
        return answer
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
    return unsupported(f"the libvirt plugin does not know '{use.feature}'", "remove it, or use a newer plugin")


def _filtered(use: FeatureUse, capabilities: Capabilities) -> Support:
    return filter_problem(capabilities) or _PACKETS


def _metadata_access(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value == "closed":
        return _PACKETS
    return unsupported("libvirt has no metadata service that could ask for a token", "write 'access: closed'")


def _metadata_hops(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value == MetadataPolicy.model_fields["hop_limit"].default:
        return ENFORCED
    return unsupported("libvirt has no metadata service whose answers could travel", "remove 'hop_limit'")


def _ports(use: FeatureUse, capabilities: Capabilities) -> Support:
    version = str(capabilities.facts.get("libvirt_version", ""))
    if version and tuple(int(part) for part in version.split(".")[:2]) < _ISOLATED_PORTS:
        return unsupported(
            f"libvirt {version} has no isolated ports of bridges", "upgrade libvirt on the hypervisor to 6.1 or later"
        )
    return _PACKETS


def _services(use: FeatureUse, capabilities: Capabilities) -> Support:
    services: list[Service] = list(use.value)
    for service in services:
        if service.protocol is Protocol.OTHER and service.number not in NAMED_PROTOCOLS:
            known = ", ".join(f"protocol/{number} ({name})" for number, name in NAMED_PROTOCOLS.items())
            return unsupported(
                f"libvirt's packet filter cannot follow {service}", f"it knows tcp, udp, icmp, icmpv6, {known} and any"
            )
    return ENFORCED


def _revoke(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value is Revoke.CUT:
        return ENFORCED
    return unsupported(
        "libvirt's packet filters end established flows as soon as their rule is gone", "write 'revoke: cut'"
    )


def _time(use: FeatureUse, capabilities: Capabilities) -> Support:
    there = capabilities.facts.get("time_service")
    if use.value and not there:
        what = "nothing on the hypervisor answers at udp/123"
        return unsupported(
            what if there is False else "whether the hypervisor answers at udp/123 cannot be seen from here",
            "run a time service on the hypervisor, such as chrony with 'allow', or allow udp/123 to a machine or "
            "prefix that offers one by a traffic policy",
        )
    return ENFORCED


_SPECIAL: Mapping[str, Callable[[FeatureUse, Capabilities], Support]] = {
    **support_host.ANSWERS,
    **support_hardware.ANSWERS,
    "isolation.policies.anti_spoofing": _filtered,
    "isolation.policies.metadata": _filtered,
    "isolation.policies.metadata.access": _metadata_access,
    "isolation.policies.metadata.hop_limit": _metadata_hops,
    "isolation.policies.no_host_access": _filtered,
    "isolation.policies.no_internet": _filtered,
    "isolation.policies.peer_isolation": _ports,
    "isolation.policies.traffic": _filtered,
    "isolation.policies.traffic.allow": _services,
    "isolation.policies.traffic.deny": _services,
    "isolation.policies.traffic.revoke": _revoke,
    "isolation.services.ntp": _time,
}
