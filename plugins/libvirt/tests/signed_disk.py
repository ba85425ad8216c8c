"""A disk with a signed system on it: Debian's shim, GRUB and kernel, which print what they are allowed to do."""

import hashlib
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

from provision_libvirt.micro import cpio
from provision_libvirt.micro.kernel import META_PACKAGE
from provision_libvirt.micro.packages import dependency, unpacked

_INIT = r"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mount -t securityfs security /sys/kernel/security
$b insmod /efivarfs.ko
$b mount -t efivarfs variables /sys/firmware/efi/efivars
exec >/dev/ttyS0 2>&1
echo "GUEST SecureBoot" $($b od -An -tx1 /sys/firmware/efi/efivars/SecureBoot-*)
echo "GUEST SetupMode" $($b od -An -tx1 /sys/firmware/efi/efivars/SetupMode-*)
echo "GUEST lockdown" $($b cat /sys/kernel/security/lockdown)
echo GUEST is up
while :; do $b sleep 1000; done
"""
# A kernel that differs in one byte from what was signed is tried first.
_MENU = """serial --unit=0
terminal_output serial
terminal_input serial
echo "GRUB tries the changed kernel"
linux /changed
echo "GRUB tries the signed kernel"
linux /signed console=ttyS0 no_timer_check quiet
initrd /initrd
boot
"""


def signed_disk(directory):
    """Make it; gives the source of a volume."""
    with ExitStack() as stack:
        names = ("shim-signed", "grub-efi-amd64-signed", dependency(META_PACKAGE, r"linux-image-\S+"), "mtools")
        shim, grub, linux, tools = (stack.enter_context(unpacked(name, lambda text: None))[0] for name in names)
        kernel = next(linux.glob("boot/vmlinuz-*")).read_bytes()
        middle = len(kernel) // 2
        files = {
            "EFI/BOOT/BOOTX64.EFI": (shim / "usr/lib/shim/shimx64.efi.signed").read_bytes(),
            "EFI/BOOT/grubx64.efi": (grub / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed").read_bytes(),
            "EFI/debian/grub.cfg": _MENU.encode(),
            "signed": kernel,
            "changed": kernel[:middle] + bytes([kernel[middle] ^ 1]) + kernel[middle + 1 :],
            "initrd": _initramfs(next(linux.rglob("efivarfs.ko")).read_bytes()),
        }
        path = directory / "signed.img"
        path.touch()
        os.truncate(path, 64 << 20)
        _mtools(tools, "mformat", "-F", "-i", path, "::")
        for name in ("EFI", "EFI/BOOT", "EFI/debian"):
            _mtools(tools, "mmd", "-i", path, f"::{name}")
        for name, content in files.items():
            (directory / "part").write_bytes(content)
            _mtools(tools, "mcopy", "-i", path, directory / "part", f"::{name}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"kind": "file", "path": str(path), "digest": digest}


def _initramfs(module):
    busybox = Path(shutil.which("busybox")).read_bytes()
    return cpio.archive(
        {name: cpio.directory() for name in ("proc", "sys", "dev")}
        | {"bin/busybox": cpio.regular(busybox, executable=True), "efivarfs.ko": cpio.regular(module)}
        | {"init": cpio.regular(_INIT.encode(), executable=True)}
    )


def _mtools(root, *command):
    program = str(root / "usr/bin" / command[0])
    environment = {"PATH": str(root / "usr/bin"), "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null"}
    subprocess.run([program, *map(str, command[1:])], check=True, env=environment, capture_output=True)
