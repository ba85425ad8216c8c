"""Machines as domains, each with its seed, disks and NIC filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from provision.models import BuiltinImage, FileImage, Machine, Stack, UrlImage
from provision.spi import GraphBuilder, NicAddress, Node, Output, TranslationRequest
from provision.spi.flows import End
from provision_libvirt import cloud, usermode
from provision_libvirt.micro.image import CMDLINE
from provision_libvirt.resources import Domain, Seed, Volume
from provision_libvirt.testdriver import has_guests
from provision_libvirt.translate.filters import Filters
from provision_libvirt.translate.hardware import hardware, nic_settings
from provision_libvirt.translate.hostpart import HostParts
from provision_libvirt.translate.images import Images, has_agent, has_root, in_pool, source_of
from provision_libvirt.translate.names import Names
from provision_libvirt.translate.seed import meta_data, network_config


@dataclass(frozen=True)
class Machines:
    """Adds machines to a graph."""

    request: TranslationRequest
    names: Names
    builder: GraphBuilder
    pool: Node
    networks: Mapping[str, Node]
    filters: Filters
    images: Images
    parts: HostParts

    @property
    def stack(self) -> Stack:
        """What the file says."""
        return self.request.stack

    def add(self, name: str, entry: str, machine: Machine, places: Sequence[End]) -> None:
        """Add one machine instance, of `entry` in the file, with everything that is its own."""
        parent = f"machines/{name}"
        self.builder.component("Machine", parent)
        seed = self._seed(name, [place.address for place in places]) if self._runs else None
        settings = nic_settings(str(seed.inputs["network_config"])) if seed else {}
        nics = [self._nic(place, machine) | {"settings": settings.get(place.index)} for place in places]
        boot, disks, generations = self._boot(name, entry, machine)
        for disk_name, node in self._disks(name, entry, machine).items():
            disks.append(_disk(node, self.names.serial(disk_name)) | {"generation": node.output("generation")})
        if seed is not None:
            generations.append(seed.output("generation"))
        self.builder.add(
            Domain,
            f"{parent}/domain",
            {
                **in_pool(self.pool),
                "name": self.names.native(name),
                **hardware(entry, machine, self.parts),
                "accelerator": self.request.capabilities.facts.get("accelerator", "qemu"),
                "disks": disks,
                "seed": seed.output("path") if seed else None,
                "nics": nics,
                "generations": generations,
                "power": machine.power.value,
                "console_log": True,
                "ready_timeout_s": max(1, ceil(machine.ready_timeout)),
                **boot,
                **self.parts.domain(name, entry, machine),
            },
            parent=parent,
            protect=machine.delete_protection,
        )

    @property
    def _runs(self) -> bool:
        return has_guests(self.request.capabilities)

    def _nic(self, place: End, machine: Machine) -> dict[str, Any]:
        if usermode.is_user(self.request.capabilities):
            made = usermode.card(place.machine, self.stack.networks[place.network], place.address)
            return made if machine.nics[place.index].connected else made | {"connected": False}
        network = self.networks[place.network]
        nic: dict[str, Any] = {
            "network": network.output("name"),
            "mac": place.address.mac,
            "filter": self.filters.nic(place).output("name") if self._runs else None,
            "generation": network.output("generation"),
            **self.parts.nic(place.entry),
        }
        if not machine.nics[place.index].connected:
            nic["connected"] = False
        mtu = self.stack.networks[place.network].mtu
        return nic if mtu is None else nic | {"mtu": mtu}

    def _seed(self, name: str, nics: Sequence[NicAddress]) -> Node:
        inputs: dict[str, Any] = {
            **in_pool(self.pool),
            "name": self.names.native(name),
            "meta_data": meta_data(self.names.native(name), name),
            "network_config": network_config(self.stack, nics, user=usermode.is_user(self.request.capabilities)),
        }
        user_data = self.request.user_data.get(name)
        if user_data is not None:
            inputs["user_data"] = user_data
        return self.builder.add(Seed, f"machines/{name}/seed", inputs, parent=f"machines/{name}")

    def _boot(
        self, name: str, entry: str, machine: Machine
    ) -> tuple[dict[str, Any], list[dict[str, Any]], list[Output]]:
        """How the domain boots, its root disk if it has one, and the generations of what is used for it."""
        if not self._runs:
            return {}, [], []
        source = source_of(self.stack, machine.image)
        if not isinstance(source, FileImage | UrlImage | BuiltinImage) or not has_root(source):
            kernel, initrd = self.images.micro()
            boot = {"kernel": kernel.output("path"), "initrd": initrd.output("path"), "cmdline": CMDLINE}
            generations = [kernel.output("generation"), initrd.output("generation")]
            return boot | {"probe_channel": True, "ready": "channel"}, [], generations
        base, format_ = self.images.base(machine.image, source)
        inputs: dict[str, Any] = {
            **in_pool(self.pool),
            "name": f"{self.names.native(name)}.root",
            "source": {"kind": "backing", "path": base.output("path"), "format": format_},
        }
        if machine.root is not None and machine.root.disposable:
            inputs["disposable"] = True
        if machine.root is not None and machine.root.size is not None:
            inputs["capacity_bytes"] = int(machine.root.size)
        if self.parts.encrypted(entry, None):
            inputs["encrypted"] = True
        root = self.builder.add(
            Volume, f"machines/{name}/root", inputs, parent=f"machines/{name}", protect=machine.delete_protection
        )
        generations = [base.output("generation"), root.output("generation")]
        how: dict[str, Any] = {"ready": "agent"} if has_agent(self.stack, machine.image) else {}
        if isinstance(source, BuiltinImage):
            kernel, initrd = self.images.kernel(source)
            how |= {"kernel": kernel.output("path"), "initrd": initrd.output("path"), "cmdline": cloud.CMDLINE}
            generations += [kernel.output("generation"), initrd.output("generation")]
        return how, [_disk(root, "root")], generations

    def _disks(self, name: str, entry: str, machine: Machine) -> dict[str, Node]:
        made = {}
        for disk_name, disk in machine.disks.items():
            made[disk_name] = self.builder.add(
                Volume,
                f"machines/{name}/disk-{disk_name}",
                {
                    **in_pool(self.pool),
                    "name": f"{self.names.native(name)}.{disk_name}",
                    "capacity_bytes": int(disk.size),
                    **({"encrypted": True} if self.parts.encrypted(entry, disk_name) else {}),
                },
                parent=f"machines/{name}",
                keep=disk.keep_on_delete,
                protect=machine.delete_protection,
            )
        return made


def _disk(volume: Node, serial: str) -> dict[str, Any]:
    made: dict[str, Any] = {"path": volume.output("path"), "format": "qcow2", "serial": serial}
    return made | {"secret": volume.output("secret")} if volume.inputs.get("encrypted") else made


def disposable(stack: Stack, names: Names, machines: Mapping[str, Machine]) -> list[str]:
    """Names of the volumes with data that need not outlive the stack."""
    found = []
    for name, machine in machines.items():
        if has_root(source_of(stack, machine.image)):
            found.append(f"{names.native(name)}.root")
        found += [f"{names.native(name)}.{disk}" for disk, it in machine.disks.items() if not it.keep_on_delete]
    return sorted(found)
