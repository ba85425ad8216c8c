"""What of machines and their images cannot start, or would start without what the file says of it."""

from collections.abc import Iterator

from pydantic import SecretStr

from provision.models import (
    BuiltinImage,
    DiskEncryptionPolicy,
    FileImage,
    Firmware,
    Machine,
    MemoryEncryptionPolicy,
    SecureBootPolicy,
    UrlImage,
    UserData,
)
from provision.spi import Objection
from provision_libvirt.cloud import IMAGES, build_command
from provision_libvirt.translate.hostpart import OfHost
from provision_libvirt.translate.images import LEAST_MEMORY_MIB, has_root, source_of

_UEFI_LINUX_MIB = 320
"""With less, Debian's kernel of version 6.1 finds no room for itself beside the firmware, and jumps nowhere."""


class StartObjections(OfHost):
    """About images, firmware and what a machine reads when it starts first."""

    def found(self) -> Iterator[Objection]:
        """All of them."""
        yield from self._boot_objections()
        yield from self._firmware_objections()
        yield from self._image_objections()
        yield from self._firmware_memory_objections()
        yield from self._built_objections()
        yield from self._first_boot_objections()
        yield from self._seed_objections()

    def _seed_objections(self) -> Iterator[Objection]:
        """Encryption of all disks of machines with secrets on one that cannot be encrypted."""
        for name, _ in self.parts.enforced(DiskEncryptionPolicy):
            for entry in sorted(self.parts.selected[name]):
                if self.stack.machines[entry].user_data is not None:
                    yield Objection(
                        ("isolation", "policies", name),
                        f"machine '{entry}' has 'user_data', which it reads from a disk that is not encrypted",
                        "remove 'user_data', or write 'encrypted: true' at each disk that holds data",
                    )
                    break

    def _boot_objections(self) -> Iterator[Objection]:
        """Machines that no firmware boots, where firmware is what makes the policy hold."""
        for kind, lack, what in (
            (SecureBootPolicy, "whose kernel is not signed", "a signed boot loader"),
            (MemoryEncryptionPolicy, "whose kernel no firmware measures", "a boot loader"),
        ):
            for name, _ in self.parts.enforced(kind):
                for entry in sorted(self.parts.selected[name]):
                    image = self.stack.machines[entry].image
                    if isinstance(source_of(self.stack, image), BuiltinImage):
                        yield Objection(
                            ("isolation", "policies", name),
                            f"machine '{entry}' runs the image '{image}', {lack}",
                            f"use an image with {what}, or select other machines",
                        )
                        break

    def _firmware_objections(self) -> Iterator[Objection]:
        """Firmware that cannot start the image, or cannot do what a policy needs."""
        for entry, machine in self.stack.machines.items():
            path, source = ("machines", entry, "firmware"), source_of(self.stack, machine.image)
            if machine.firmware is Firmware.UEFI and isinstance(source, BuiltinImage):
                yield Objection(
                    path,
                    f"the image '{machine.image}' comes with a bare kernel that UEFI does not start",
                    "remove 'firmware', or use an image with a boot loader for UEFI",
                )
            for name, _ in self.parts.policies(SecureBootPolicy, entry):
                if machine.firmware is Firmware.BIOS:
                    yield Objection(
                        path, f"policy '{name}' needs UEFI, which alone looks at signatures", "write 'firmware: uefi'"
                    )

    def _image_objections(self) -> Iterator[Objection]:
        """Machines with less memory than their image needs to start at all."""
        for entry, machine in self.stack.machines.items():
            source = source_of(self.stack, machine.image)
            least = LEAST_MEMORY_MIB.get(source.name) if isinstance(source, BuiltinImage) else None
            if least is not None and machine.memory.mib < least:
                yield Objection(
                    ("machines", entry, "memory"),
                    f"the image '{machine.image}' does not start with less than {least} MiB",
                    f"write 'memory: {least}MiB' or more",
                )

    def _first_boot_objections(self) -> Iterator[Objection]:
        """What only cloud-init reads, for machines of an image that has none."""
        for entry, machine in self.stack.machines.items():
            if has_root(source_of(self.stack, machine.image)):
                continue
            data = machine.user_data.text if isinstance(machine.user_data, UserData) else machine.user_data
            text = data.get_secret_value() if isinstance(data, SecretStr) else data or ""
            for key, asked in (
                ("cloud_init", machine.cloud_init is not None),
                ("ssh_keys", bool(machine.ssh_keys)),
                ("user_data", text.startswith(("#", "Content-Type:", "MIME-Version:")) and not text.startswith("#!")),
            ):
                if asked:
                    yield Objection(
                        ("machines", entry, key),
                        f"the image '{machine.image}' has no cloud-init, and would ignore it",
                        "use the image 'debian', or write 'user_data' that begins with '#!/bin/sh'",
                    )

    def _built_objections(self) -> Iterator[Objection]:
        """Images that take minutes to build, and so are built when a person says so."""
        built = self.parts.capabilities.facts.get("images") or {}
        for entry, machine in self.stack.machines.items():
            source = source_of(self.stack, machine.image)
            if isinstance(source, BuiltinImage) and source.name in IMAGES and source.name not in built:
                yield Objection(
                    ("machines", entry, "image"),
                    f"the image '{source.name}' has not been built on this machine",
                    f"run: {build_command(source.name)}",
                )

    def _firmware_memory_objections(self) -> Iterator[Objection]:
        """Machines that start by UEFI with so little memory that many a kernel starts over and over, without a word."""
        for entry, machine in self.stack.machines.items():
            source = source_of(self.stack, machine.image)
            if not isinstance(source, FileImage | UrlImage) or machine.memory.mib >= _UEFI_LINUX_MIB:
                continue
            if self._by_uefi(entry, machine) and self.stack.images[machine.image].least_memory is None:
                yield Objection(
                    ("machines", entry, "memory"),
                    f"machine '{entry}' starts by UEFI with {machine.memory.mib} MiB; Linux looks for room beside the "
                    f"firmware, and where there is none, as with Debian's kernel below {_UEFI_LINUX_MIB} MiB, it "
                    "starts over and over, and never says so",
                    f"write 'memory: {_UEFI_LINUX_MIB}MiB' or more, or 'images.{machine.image}.least_memory' when the "
                    "image is known to start with less",
                    warns=True,
                )

    def _by_uefi(self, entry: str, machine: Machine) -> bool:
        return machine.firmware is Firmware.UEFI or any(
            self.parts.policies(kind, entry) for kind in (SecureBootPolicy, MemoryEncryptionPolicy)
        )
