"""Machines as instances, each with its network interfaces, disks and addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any

from provision.models import Disk, Machine, PackPolicy, Stack
from provision.spi import GraphBuilder, Node, TranslationRequest
from provision.spi.flows import End
from provision_aws.resources import (
    DedicatedHost,
    ElasticIp,
    ElasticIpAssociation,
    Instance,
    KeyPair,
    NetworkInterface,
    PlacementGroup,
    Volume,
    VolumeAttachment,
)
from provision_aws.translate.groups import Groups
from provision_aws.translate.images import disk_inputs, image_inputs
from provision_aws.translate.layout import host_part
from provision_aws.translate.names import Names
from provision_aws.translate.networks import Networks
from provision_aws.translate.overrides import DiskOverrides, MachineOverrides, joined, of
from provision_aws.translate.parts import PARTITIONS, Parts
from provision_aws.translate.userdata import packed

DEVICES = "fghijklmnop"
"""Last letters of the devices for data disks (EC2 User Guide, "Device names")."""

_MIB = 1 << 20


@dataclass
class Machines:
    """Adds machines to a graph."""

    request: TranslationRequest
    names: Names
    builder: GraphBuilder
    networks: Networks
    groups: Groups
    parts: Parts
    _placement: dict[str, Node] = field(default_factory=dict)
    _hosts: dict[str, Node] = field(default_factory=dict)
    _keys: dict[str, Node] = field(default_factory=dict)

    @property
    def stack(self) -> Stack:
        """What the file says."""
        return self.request.stack

    def add(self, name: str, entry: str, machine: Machine, ends: Sequence[End]) -> None:
        """Add one machine instance, of `entry` in the file, with everything that is its own."""
        parent = f"machines/{name}"
        said = of(MachineOverrides, machine.overrides)
        tags = {**machine.labels, **said.tags}
        nics = [self._nic(parent, end, machine, tags) for end in ends]
        zone = self._zone(ends[0])
        instance = self._instance(parent, name, entry, machine, said, ends, nics, zone, tags)
        letters = _letters(machine.disks)
        for disk_name, disk in machine.disks.items():
            self._disk(parent, name, entry, disk_name, disk, instance, zone, letters[disk_name], machine)
        outputs: dict[str, Any] = {"id": instance.output("id"), "instance_type": instance.output("instance_type")}
        six = next((nic for nic, end in zip(nics, ends, strict=True) if end.address.ipv6), None)
        if six is not None:
            outputs["address6"] = six.output("ipv6_address")
        for end, nic in zip(ends, nics, strict=True):
            if machine.nics[end.index].public:
                address = self._public(parent, end, nic, tags)
                outputs.setdefault("public_address", address.output("public_ip"))
        self.builder.component("Machine", parent, outputs)

    def _zone(self, end: End) -> str:
        return self.networks.subnet(end.network, str(end.address.ipv4)).part.zone

    def _nic(self, parent: str, end: End, machine: Machine, tags: Mapping[str, str]) -> Node:
        self.builder.component("Machine", parent)
        subnet = self.networks.subnet(end.network, str(end.address.ipv4))
        name = self.names.native(end.machine, f"nic-{end.index}")
        inputs: dict[str, Any] = {
            "name": name,
            "tags": dict(tags),
            "subnet_id": subnet.id,
            "private_ip_address": end.address.ipv4,
            "security_group_ids": [*self.groups.of(end), *joined(machine.nics[end.index])],
            "source_dest_check": True,
        }
        if end.address.ipv6 is not None:
            inputs["ipv6_addresses"] = [host_part(end.address.ipv6)]
            inputs["subnet_ipv6_cidr_block"] = subnet.ipv6
        return self.builder.add(NetworkInterface, f"{parent}/nic-{end.index}", inputs, parent=parent)

    def _instance(
        self,
        parent: str,
        name: str,
        entry: str,
        machine: Machine,
        said: MachineOverrides,
        ends: Sequence[End],
        nics: Sequence[Node],
        zone: str,
        tags: Mapping[str, str],
    ) -> Node:
        native = self.names.native(name)
        inputs: dict[str, Any] = {
            "name": native,
            "tags": dict(tags),
            **image_inputs(self.stack, machine.image, said.architecture),
            **self._type(entry, machine, said, ends, zone),
            "nics": [{"network_interface_id": nic.output("id")} for nic in nics],
            "root_disk": self._root(entry, machine, said),
            "metadata_options": self.parts.metadata(entry),
            "placement": self._placed(name, entry, zone),
            "power": machine.power.value,
            "termination_protection": machine.delete_protection,
            "detailed_monitoring": said.detailed_monitoring,
        }
        inputs |= {
            key: value
            for key, value in {
                "cpu_options": self.parts.cpu_options(entry),
                "key_name": self._key(" ".join(machine.ssh_keys[0].split()[:2])).output("key_name")
                if said.key_pair
                else said.key_name,
                "iam_instance_profile": said.iam_instance_profile,
                "spot": said.spot.model_dump(exclude_none=True) if said.spot is not None else None,
            }.items()
            if value is not None
        }
        after: list[str] = []
        data = self.request.user_data.get(name)
        if data is not None:
            inputs["user_data_base64"] = packed(data)
            # What it reads at its first boot may need the network at once.
            for end in ends:
                place = self.networks.subnet(end.network, str(end.address.ipv4))
                after += [*place.ways, *self.groups.rules_of(end.key)]
        return self.builder.add(
            Instance,
            f"{parent}/instance",
            inputs,
            parent=parent,
            protect=machine.delete_protection,
            depends_on=dict.fromkeys(after),
        )

    def _type(
        self, entry: str, machine: Machine, said: MachineOverrides, ends: Sequence[End], zone: str
    ) -> dict[str, Any]:
        explicit = machine.size.get("aws")
        if explicit is not None:
            return {"instance_type": explicit}
        return {
            "requirements": {
                "cpus": machine.cpus,
                "memory_mib": machine.memory.mib,
                "architecture": said.architecture,
                "nics": len(ends),
                "ipv6": any(end.address.ipv6 is not None for end in ends),
                "availability_zone": zone,
                **self.parts.requirements(entry),
            },
            **({"choose_type_anew": True} if said.refresh_type else {}),
        }

    def _root(self, entry: str, machine: Machine, said: MachineOverrides) -> dict[str, Any]:
        made: dict[str, Any] = {"encrypted": True}
        if said.root_disk is not None:
            made |= said.root_disk.model_dump(exclude_none=True)
        if machine.root is not None and machine.root.size is not None:
            made["size_gib"] = machine.root.size.gib
        if machine.root is not None and machine.root.type is not None:
            made["volume_type"] = machine.root.type
        if machine.root is not None and machine.root.disposable:
            made["disposable"] = True
        key = self.parts.key(entry)
        return made if key is None else made | {"kms_key_id": key}

    def _placed(self, name: str, entry: str, zone: str) -> dict[str, Any]:
        made: dict[str, Any] = {"tenancy": self.parts.tenancy(entry)}
        if made["tenancy"] == "host":
            made["host_id"] = self._host(name, entry, zone).output("id")
        found = self.parts.group(entry)
        if found is None:
            return made
        policy_name, policy = found
        made["group_name"] = self._group(policy_name).output("group_name")
        if not isinstance(policy, PackPolicy) and policy.max_per > 1:
            made["partition_number"] = self.parts.members(policy).index(name) // policy.max_per + 1
        return made

    def _host(self, name: str, entry: str, zone: str) -> Node:
        """The dedicated host of a machine: of its entry's in the zone the first with room."""
        machine, said = self.stack.machines[entry], self.parts.host(entry)
        most = said.machines if said is not None else None
        place = 0 if most is None else machine.names(entry).index(name) // most
        key = f"hosts/{entry}-{zone}" + (f"-{place}" if most is not None else "")
        if key not in self._hosts:
            native = self.names.native(key.removeprefix("hosts/"))
            family = machine.size["aws"].partition(".")[0]
            self._hosts[key] = self.builder.add(
                DedicatedHost, key, {"name": native, "availability_zone": zone, "instance_family": family}
            )
        return self._hosts[key]

    def _key(self, key: str) -> Node:
        """The key pair of a key; all machines with the key have the same."""
        digest = blake2s(key.encode()).hexdigest()[:8]
        if digest not in self._keys:
            native = self.names.native(f"key-{digest}")
            self._keys[digest] = self.builder.add(
                KeyPair, f"key-pairs/{digest}", {"name": native, "key_name": native, "public_key": key}
            )
        return self._keys[digest]

    def _group(self, policy_name: str) -> Node:
        if policy_name not in self._placement:
            policy = self.stack.isolation.policies[policy_name]
            inputs: dict[str, Any] = {"strategy": "cluster"}
            if not isinstance(policy, PackPolicy):
                inputs = {"strategy": "spread"}
                if getattr(policy, "max_per", 1) > 1:  # as many as there can be: more machines change nothing then
                    inputs = {"strategy": "partition", "partition_count": PARTITIONS}
            native = self.names.native(policy_name)
            self._placement[policy_name] = self.builder.add(
                PlacementGroup,
                f"isolation/{policy_name}/placement",
                {"name": native, "group_name": native, **inputs},
                parent=f"isolation/{policy_name}",
            )
        return self._placement[policy_name]

    def _disk(
        self,
        parent: str,
        name: str,
        entry: str,
        disk_name: str,
        disk: Disk,
        instance: Node,
        zone: str,
        letter: str,
        machine: Machine,
    ) -> None:
        said = of(DiskOverrides, disk.overrides)
        inputs: dict[str, Any] = {
            "name": self.names.native(name, disk_name),
            "tags": {**machine.labels, **said.tags},
            "availability_zone": zone,
            "size_gib": disk.size.gib,
            "encrypted": True,
        }
        key = said.kms_key_id or self.parts.key(entry)
        given = {
            "volume_type": disk.type,
            "iops": disk.iops,
            "throughput": None if disk.throughput is None else round(disk.throughput / _MIB),
            "kms_key_id": key,
        }
        inputs |= {field: value for field, value in given.items() if value is not None}
        if disk.image is not None:
            inputs |= disk_inputs(self.stack, disk.image, of(MachineOverrides, machine.overrides).architecture)
        volume = self.builder.add(
            Volume,
            f"{parent}/disk-{disk_name}",
            inputs,
            parent=parent,
            keep=disk.keep_on_delete,
            protect=machine.delete_protection,
        )
        self.builder.add(
            VolumeAttachment,
            f"{parent}/disk-{disk_name}/attachment",
            {
                "volume_id": volume.output("id"),
                "instance_id": instance.output("id"),
                "device_name": f"/dev/sd{letter}",
                "stop_before_detaching": True,
            },
            parent=parent,
        )

    def _public(self, parent: str, end: End, nic: Node, tags: Mapping[str, str]) -> Node:
        name = self.names.native(end.machine, f"nic-{end.index}")
        gateway = self.networks.after_gateway()
        address = self.builder.add(
            ElasticIp,
            f"{parent}/nic-{end.index}/address",
            {"name": name, "tags": dict(tags)},
            parent=parent,
            depends_on=gateway,
        )
        self.builder.add(
            ElasticIpAssociation,
            f"{parent}/nic-{end.index}/association",
            {"allocation_id": address.output("id"), "network_interface_id": nic.output("id")},
            parent=parent,
            depends_on=gateway,
        )
        return address


def _letters(disks: Mapping[str, Disk]) -> Mapping[str, str]:
    """The device of each disk: by its name, so that others may come and go."""
    free = list(DEVICES)
    made = {}
    for name in disks:
        start = sum(name.encode()) % len(DEVICES)
        order = DEVICES[start:] + DEVICES[:start]
        made[name] = next(letter for letter in order if letter in free)
        free.remove(made[name])
    return made
