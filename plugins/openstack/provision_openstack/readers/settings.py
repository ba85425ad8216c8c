"""Reading the settings of a translated graph back: what its servers, groups and volumes say of policies and shares.

Written from what the inputs mean (Compute API; Nova's guide of flavors and their extra specs; Block Storage API),
without the translation's code.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from provision.models import (
    AntiSpoofingPolicy,
    DiskEncryptionPolicy,
    MetadataPolicy,
    PackPolicy,
    Share,
    SpreadPolicy,
)
from provision.spi import Node, SettingsRequest, Shown
from provision.spi.planned import PlannedMachine, said_by
from provision_openstack.readers.specs import SAID, capped, said

Told = Iterator[tuple[bool, str]]


def read_settings(request: SettingsRequest) -> Sequence[Sequence[Shown]]:
    """What the graph says of each policy and share that is asked about."""
    return said_by(Plan(request), _ANSWERS)


class Plan(PlannedMachine):
    """One machine of a graph."""

    token: ClassVar[str] = "compute:Server"

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The machine's."""
        return {} if self.own is None else self.own.inputs

    @property
    def specs(self) -> Mapping[str, str]:
        """Extra specs that its flavor must have."""
        return (self.inputs.get("requirements") or {}).get("extra_specs") or {}

    @property
    def ports(self) -> Iterator[Mapping[str, Any]]:
        """Its ports."""
        for nic in self.inputs.get("nics") or ():
            node = self.of(nic.get("port_id"))
            if node is not None:
                yield node.inputs

    @property
    def volumes(self) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
        """Its disks with their inputs; None for one that is no volume."""
        yield "the first disk", self.inputs.get("root_volume")
        for node in self.graph.of_type("compute:VolumeAttachment"):
            if self.of(node.inputs.get("server_id")) is self.own:
                volume = self.of(node.inputs.get("volume_id"))
                yield node.name, None if volume is None else volume.inputs

    def group(self, machine: str) -> Node | None:
        """The server group of a machine."""
        node = self.machines.get(machine)
        return None if node is None else self.of(node.inputs.get("server_group_id"))

    def of(self, value: Any) -> Node | None:
        """The node whose id a value is."""
        return self.graph.referred(value)


def _of_flavor(plan: Plan, asked: Any, members: Sequence[str]) -> Told:
    yield from said(asked, plan.specs)


def _held(plan: Plan, policy: AntiSpoofingPolicy, members: Sequence[str]) -> Told:
    off = [str(index) for index, port in enumerate(plan.ports) if port.get("port_security_enabled", True) is not True]
    lent = [str(index) for index, port in enumerate(plan.ports) if port.get("allowed_address_pairs")]
    yield not off, f"no port security on port {', '.join(off)}" if off else "port security on every port"
    if lent:
        yield False, f"further addresses on port {', '.join(lent)}"


def _metadata(plan: Plan, policy: MetadataPolicy, members: Sequence[str]) -> Told:
    drive = plan.inputs.get("config_drive", True) is True
    yield drive, "told by a config drive" if drive else "told by the metadata service alone"


def _encrypted(plan: Plan, policy: DiskEncryptionPolicy, members: Sequence[str]) -> Told:
    types = plan.request.capabilities.facts.get("encrypted_types") or ()
    plain = [name for name, volume in plan.volumes if volume is None or volume.get("volume_type") not in types]
    count = len(list(plan.volumes))
    text = f"{count} volume{'s' * (count != 1)} of types that encrypt"
    yield not plain, f"not of a type that encrypts: {', '.join(plain)}" if plain else text


def _apart(plan: Plan, policy: SpreadPolicy, members: Sequence[str]) -> Told:
    # Soft groups are for policies that are preferred; they know no other limit than one.
    soft = policy.level == "preferred" and policy.max_per == 1
    names = ("anti-affinity", "soft-anti-affinity") if soft else ("anti-affinity",)
    yield _grouped(plan, names, members)
    group = plan.group(plan.request.machine)
    most = None if group is None else group.inputs.get("max_server_per_host")
    if group is not None:
        yield (most or 1) <= policy.max_per, f"at most {most or 1} of the group on a host"


def _together(plan: Plan, policy: PackPolicy, members: Sequence[str]) -> Told:
    soft = policy.level == "preferred"
    yield _grouped(plan, ("affinity", "soft-affinity") if soft else ("affinity",), members)


def _grouped(plan: Plan, policies: tuple[str, ...], members: Sequence[str]) -> tuple[bool, str]:
    group = plan.group(plan.request.machine)
    found = None if group is None else group.inputs.get("policy")
    alike = group is not None and all(plan.group(name) is group for name in members)
    return found in policies and alike, f"a server group with {found}" if group else "no server group"


def _limited(plan: Plan, share: Share, members: Sequence[str]) -> Told:
    cpus = int((plan.inputs.get("requirements") or {}).get("cpus") or 1)
    yield from capped(share, plan.specs, cpus)
    if share.nic is None:
        return
    for index, port in enumerate(plan.ports):
        node = plan.of(port.get("qos_policy_id"))
        limits = [] if node is None else node.inputs.get("bandwidth_limits") or []
        for way, rate in (("ingress", share.nic.inbound), ("egress", share.nic.outbound)):
            found = [int(one["max_kbps"]) for one in limits if one.get("direction") == way]
            if rate is not None:
                wanted = max(1, int(rate) // 1000)
                yield found == [wanted], f"port {index}, {way}: {found[0] if found else 'no'} kbit/s"


_ANSWERS: Mapping[type, Callable[[Plan, Any, Sequence[str]], Told]] = {
    **dict.fromkeys(SAID, _of_flavor),
    AntiSpoofingPolicy: _held,
    DiskEncryptionPolicy: _encrypted,
    MetadataPolicy: _metadata,
    PackPolicy: _together,
    Share: _limited,
    SpreadPolicy: _apart,
}
