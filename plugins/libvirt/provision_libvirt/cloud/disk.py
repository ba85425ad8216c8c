"""From the files of a guest to a disk: one ext4 file system on a partition that can grow, and an initramfs for it."""

import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provision.errors import EnvironmentProblem
from provision_libvirt.micro.cpio import archive, directory, regular, symlink
from provision_libvirt.micro.kernel import Modules

GUEST = Path(__file__).parent / "guest"
SIZE = 2 << 30
"""Of the disk, in bytes; a machine may have a larger one."""

_FIRST_SECTOR = 2048
_SECTOR = 512
_LINUX = 0x83
_SECONDS = 900
CMDLINE = "root=/dev/vda1 console=ttyS0 no_timer_check quiet panic=-1"
"""`no_timer_check`: without it a guest under load can panic at boot. `panic=-1`: a dead guest ends."""

MODULES = {"order": ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")}
"""What the initramfs loads; the rest is loaded by the guest's udev."""

_MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "systemd-pstore.service", "getty@tty1.service", "systemd-binfmt.service"),
    *("proc-sys-fs-binfmt_misc.automount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("modprobe@drm.service", "modprobe@fuse.service", "sys-fs-fuse-connections.mount"),
)
"""What no machine needs at its start, and an emulated one waits for; `systemctl unmask` gives it back."""

_ENABLED = {
    "multi-user.target.wants/systemd-networkd.service": "systemd-networkd.service",
    "network-online.target.wants/systemd-networkd-wait-online.service": "systemd-networkd-wait-online.service",
    "sysinit.target.wants/systemd-network-generator.service": "systemd-network-generator.service",
    "sockets.target.wants/systemd-networkd.socket": "systemd-networkd.socket",
    "dbus-org.freedesktop.network1.service": "systemd-networkd.service",
}
_WAIT_ONLINE = "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd-networkd-wait-online --timeout=30\n"


def make_disk(tree: Path, into: Path, scratch: Path) -> None:
    """Write the disk `into` (qcow2) from the tar archive `tree`.

    Raises:
        EnvironmentProblem: a tool failed.
    """
    raw = scratch / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(SIZE)
        file.write(partition_table(SIZE))
    blocks = (SIZE - _FIRST_SECTOR * _SECTOR) // 1024
    settings = scratch / "settings"
    write_settings(settings)
    script = (
        'set -e; mkdir "$1/root"; tar -C "$1/root" --numeric-owner --xattrs --xattrs-include="*" -xf "$2"; '
        'rm -f "$1"/root/etc/ssh/ssh_host_* "$1"/root/etc/resolv.conf "$1"/root/etc/apt/apt.conf.d/99mmdebstrap '
        '"$1"/root/etc/dpkg/dpkg.cfg.d/99mmdebstrap '
        '"$1"/root/etc/kernel-img.conf "$1"/root/var/lib/dbus/machine-id '
        '"$1"/root/boot/vmlinuz-* "$1"/root/boot/initrd*; '
        'chmod -R u=rwX,go=rX "$3"; cp -a --no-preserve=ownership "$3/." "$1/root/"; '
        "mke2fs -q -t ext4 -L root -m 1 -J size=16 "
        '-E "offset=$4,root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1" -d "$1/root" "$5" "$6k"; rm -rf "$1/root"'
    )
    offset = str(_FIRST_SECTOR * _SECTOR)
    _run(["sh", "-c", script, "sh", str(scratch), str(tree), str(settings), offset, str(raw), str(blocks)])
    _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", str(raw), str(into)])
    raw.unlink()


def partition_table(size: int) -> bytes:
    """A master boot record with one Linux partition from 1 MiB to the end."""
    sectors = size // _SECTOR - _FIRST_SECTOR
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", _LINUX, b"\xfe\xff\xff", _FIRST_SECTOR, sectors)
    return b"\0" * 440 + b"prov" + b"\0\0" + entry + b"\0" * 48 + b"\x55\xaa"


def write_settings(into: Path) -> None:
    """What the guest's own files are to be beside those of its packages, as a tree."""
    units = into / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in _MASKED:
        (units / unit).symlink_to("/dev/null")
    for link, unit in _ENABLED.items():
        (units / link).parent.mkdir(exist_ok=True)
        (units / link).symlink_to(f"/lib/systemd/system/{unit}")
    texts = {
        # Not checked at each start: it has a journal, and the check would first wait for udev.
        "etc/fstab": "LABEL=root / ext4 rw,discard,errors=remount-ro 0 0\n",
        # Younger than /usr: what systemd would bring up to date after an upgrade is so already.
        "etc/.updated": "",
        "var/.updated": "",
        "etc/hostname": "debian\n",
        "etc/machine-id": "",  # empty: made at the first boot, without its questions
        "etc/cloud/ds-identify.cfg": "policy: enabled\n",  # there is but one place to look for a seed
        "etc/cloud/cloud.cfg.d/90-provision.cfg": (GUEST / "90-provision.cfg").read_text(),
        "etc/systemd/system/systemd-networkd-wait-online.service.d/timeout.conf": _WAIT_ONLINE,
    }
    for name, text in texts.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_text(text)
    (into / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")


def initramfs(modules: Modules, busybox: bytes, applets: Sequence[str]) -> bytes:
    """The archive that mounts the root disk."""
    files = {name: directory() for name in ("dev", "proc", "root")}
    files["init"] = regular((GUEST / "init").read_bytes(), executable=True)
    files["bin/busybox"] = regular(busybox, executable=True)
    for applet in applets:
        files.setdefault(f"bin/{applet}", symlink("busybox"))
    for name, data in modules.files.items():
        files[f"modules/{name}.ko"] = regular(data)
    for name, order in modules.lists.items():
        files[f"modules/{name}"] = regular("".join(f"{module}\n" for module in order).encode())
    return archive(files)


def _run(command: Sequence[str]) -> None:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False, env=environment
    )
    if done.returncode:
        raise EnvironmentProblem(
            f"{command[0]} failed while the disk of the image was made: {done.stderr.strip()[-400:]}",
            "check that the disk has 3 GB free, and try again",
        )
