"""A machine whose UEFI firmware starts a boot loader from its disk, and that a system of Debian's signed kernel."""

import subprocess
from contextlib import ExitStack

import pytest
from lab_bench import until
from provision_libvirt import micro
from provision_libvirt.micro.kernel import META_PACKAGE
from provision_libvirt.micro.packages import dependency, unpacked

pytestmark = [pytest.mark.lab, pytest.mark.engine]

STACK = """\
version: 1
platform: libvirt
images:
  booting: {sources: {libvirt: {kind: file, path: booting.img, format: raw}}}
machines:
  box: {image: booting, memory: 320MiB, firmware: uefi}
"""
GRUB = """\
set timeout=0
linux /vmlinuz console=ttyS0 no_timer_check panic=-1
initrd /initrd
boot
"""


def boot_disk(disk):
    """A disk with a FAT file system, as UEFI starts from: GRUB, a kernel, and the memory file system of `micro`."""
    with ExitStack() as stack:
        packages = ("mtools", "grub-efi-amd64-signed", dependency(META_PACKAGE, r"linux-image-\S+"))
        tools, grub, kernel = (stack.enter_context(unpacked(name, print))[0] for name in packages)

        def write(command, *words):
            subprocess.run([tools / "usr/bin/mtools", "-c", command, "-i", disk, *words], check=True)

        with disk.open("wb") as file:
            file.truncate(64 << 20)
        settings = disk.with_name("grub.cfg")
        settings.write_text(GRUB)
        (image,) = (kernel / "boot").glob("vmlinuz-*")
        write("mformat", "-F", "::")
        for folder in ("EFI", "EFI/BOOT", "EFI/debian"):
            write("mmd", f"::/{folder}")
        write("mcopy", next(grub.rglob("grubx64.efi.signed")), "::/EFI/BOOT/BOOTX64.EFI")
        write("mcopy", settings, "::/EFI/debian/grub.cfg")
        write("mcopy", image, "::/vmlinuz")
        write("mcopy", micro.build().initrd, "::/initrd")


@pytest.mark.timeout(900)
def test_uefi_starts_a_boot_loader_from_the_disk_and_the_system_comes_up(deploy):
    stack = deploy("uefi", STACK)
    boot_disk(stack.folder / "booting.img")
    stack.fine("provision", "up")

    def said():
        return stack.fine("provision", "console", "box", "--log").out

    until(lambda: f"{micro.READY_MARK} box" in said(), "the system is up", seconds=600, pause=2)
    shown = said()
    assert "UEFI" in shown
    assert "efi: EFI v2" in shown  # in the kernel's words
    assert stack.changes() == {}
    stack.fine("provision", "down")
    assert stack.objects == {}
