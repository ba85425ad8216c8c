"""Machines as servers over ports that are made before, with their volumes."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from provision.models import Machine, NicShare, RootDisk, Stack
from provision.models import Nic as WrittenNic
from provision.spi import GraphBuilder, Node, TranslationRequest
from provision.spi.flows import End
from provision.spi.peers import selected
from provision_openstack import resources
from provision_openstack.translate.encryption import is_sealed, type_of
from provision_openstack.translate.groups import Groups
from provision_openstack.translate.hardware import specs_of
from provision_openstack.translate.images import Images
from provision_openstack.translate.names import Names
from provision_openstack.translate.networks import Networks, external
from provision_openstack.translate.overrides import DiskOverrides, MachineOverrides, native, of
from provision_openstack.translate.placing import Placing
from provision_openstack.translate.referring import group_of, joined
from provision_openstack.translate.wanted import least_disk, on_volume, wanted_flavor


@dataclass(frozen=True)
class Machines:
    """Adds machines to a graph."""

    request: TranslationRequest
    names: Names
    builder: GraphBuilder
    networks: Networks
    groups: Groups
    images: Images
    placing: Placing
    limits: Mapping[str, Node]

    @property
    def stack(self) -> Stack:
        """What the file says."""
        return self.request.stack

    def add(self, name: str, entry: str, machine: Machine, nics: Sequence[End]) -> None:
        """Add one machine instance, of `entry` in the file, with everything that is its own."""
        parent = f"machines/{name}"
        self.builder.component("Machine", parent)
        ports = [self._port(name, machine, nic) for nic in nics]
        extra_specs = specs_of(self.stack, self.request.decisions, entry)
        capabilities, whole = self.request.capabilities, is_sealed(self.stack, self.request.decisions, entry)
        flavor = wanted_flavor(self.stack, capabilities, machine, extra_specs, sealed=whole)
        inputs: dict[str, Any] = {
            "name": self.names.native(name),
            "requirements": flavor.model_dump(exclude_defaults=True),
            **self.images.inputs(machine.image),
            **self._root(machine, sealed=whole),
            "nics": [{"port_id": port.output("id")} for port in ports],
            "power": machine.power.value,
            **self.placing.inputs(entry),
            **native(of(MachineOverrides, machine.overrides)),
        }
        if (user_data := self.request.user_data.get(name)) is not None:
            inputs["user_data"] = _encoded(user_data)
        if machine.delete_protection:
            inputs["locked"] = True
        server = self.builder.add(
            resources.Server, f"{parent}/server", inputs, parent=parent, protect=machine.delete_protection
        )
        for disk_name, disk in machine.disks.items():
            settings: dict[str, Any] = {
                "name": self.names.native(name, disk_name),
                "size_gib": disk.size.gib,
                **native(of(DiskOverrides, disk.overrides)),
            }
            encrypted = whole or disk.encrypted
            kind = type_of(disk.type, capabilities, encrypted=encrypted)
            if kind is not None:
                settings["volume_type"] = kind
            if encrypted:
                settings["encrypted"] = True
            path = f"{parent}/disk-{disk_name}"
            volume = self.builder.add(resources.Volume, path, settings, parent=parent, keep=disk.keep_on_delete)
            ends = {"server_id": server.output("id"), "volume_id": volume.output("id")}
            self.builder.add(resources.VolumeAttachment, f"{parent}/attachment-{disk_name}", ends, parent=parent)

    def _root(self, machine: Machine, *, sealed: bool) -> dict[str, Any]:
        root = machine.root or RootDisk()
        found: dict[str, Any] = {"disposable": True} if root.disposable else {}
        capabilities = self.request.capabilities
        encrypted = sealed or root.encrypted
        kind = type_of(root.type, capabilities, encrypted=encrypted)
        if not on_volume(machine, sealed=sealed):
            return found
        found["root_size_gib"] = (
            root.size.gib if root.size is not None else least_disk(self.stack, capabilities, machine)
        )
        found["root_volume"] = {"volume_type": kind} if kind is not None else {}
        if encrypted:  # disks of flavors are encrypted by nobody that users could ask
            found["root_encrypted"] = True
        return found

    def _port(self, name: str, machine: Machine, nic: End) -> Node:
        network = nic.address.network
        path = f"machines/{name}/nic-{nic.index}"
        inputs: dict[str, Any] = {
            "name": self.names.native(name, f"nic-{nic.index}"),
            "network_id": self.networks.networks[network],
            "fixed_ips": [
                {"subnet_id": self.networks.subnets[network, family], "ip_address": address}
                for family in (4, 6)
                if (address := nic.ip(family)) is not None
            ],
            "mac_address": nic.address.mac,
            "security_group_ids": [*self.groups.ids(nic.key), *self._joined(machine.nics[nic.index])],
        }
        if nic.entry in self.limits:
            inputs["qos_policy_id"] = self.limits[nic.entry].output("id")
        if not machine.nics[nic.index].connected:
            inputs["admin_state_up"] = False
        port = self.builder.add(resources.Port, f"{path}/port", inputs, parent=f"machines/{name}")
        way = external(self.request.capabilities)
        if machine.nics[nic.index].public and way is not None:
            self.builder.add(
                resources.FloatingIp,
                f"{path}/public",
                {
                    "floating_network_id": way["id"],
                    "port_id": port.output("id"),
                    "description": self.names.native(name),
                },
                parent=f"machines/{name}",
                depends_on=[one.name for one in self.networks.ways[network]],
            )
        return port

    def _joined(self, nic: WrittenNic) -> list[str]:
        """Groups that are there already; without a look at the cloud by what the file calls them."""
        there = {reference: group_of(self.request.capabilities, reference) for reference in joined(nic)}
        return [reference if found is None else str(found["id"]) for reference, found in there.items()]


def add_limits(request: TranslationRequest, names: Names, builder: GraphBuilder) -> dict[str, Node]:
    """QoS policies for limits of NICs, by entry of the machines that have them."""
    made: dict[str, Node] = {}
    for name, share in request.stack.sharing.shares.items():
        if share.nic is None:
            continue
        inputs = {"name": names.native("share", name), "bandwidth_limits": _limits(share.nic)}
        policy = builder.add(resources.QosPolicy, f"sharing/{name}", inputs)
        made |= dict.fromkeys(selected(request.stack, share.machines), policy)
    return made


def _limits(nic: NicShare) -> list[dict[str, Any]]:
    pairs = (("ingress", nic.inbound), ("egress", nic.outbound))
    return [{"direction": way, "max_kbps": max(1, int(rate) // 1000)} for way, rate in pairs if rate is not None]


def _encoded(text: str | SecretStr) -> SecretStr:
    plain = text.get_secret_value() if isinstance(text, SecretStr) else text
    return SecretStr(base64.b64encode(plain.encode()).decode())
