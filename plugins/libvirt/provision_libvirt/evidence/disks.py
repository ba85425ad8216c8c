"""Disks of a machine: encrypted by libvirt's word, and by what lies on the host."""

from collections.abc import Iterator
from pathlib import Path

from provision.models import DiskEncryptionPolicy
from provision.spi import Evidence, Shown
from provision.spi.evidence import accepted, number
from provision_libvirt.evidence.look import UNSEEN, Look
from provision_libvirt.resources import encryption
from provision_libvirt.session import explained

_QCOW2, _LUKS = b"QFI\xfb", b"LUKS\xba\xbe"
_QCOW2_LUKS = 2  # crypt_method in a qcow2 header, bytes 32 to 35 (docs/interop/qcow2.txt of QEMU)


def disk_encryption(look: Look, policy: DiskEncryptionPolicy) -> Iterator[Shown]:
    """Whether every disk has a key, and says in its header on the host that it is encrypted."""
    paths = {disk.path: disk.secret for disk in look.live["disks"]}
    if not paths:
        yield accepted(True, "it has no disk")
        return
    plain = []
    with explained(f"reading the disks of '{look.machine.name}'"):
        for path, secret in paths.items():
            volume = look.connection.storageVolLookupByPath(path)
            if secret is None or not encryption.is_encrypted(volume):
                plain.append(_short(path))
    count = number(len(paths), "disk")
    yield accepted(not plain, f"{', '.join(plain)} not encrypted" if plain else f"{count} with a key of its own")
    if look.view is None:
        yield Shown(Evidence.EFFECTIVE, None, UNSEEN)
        return
    try:
        open_ = [_short(path) for path in paths if not _sealed(look.view.root / path.lstrip("/"))]
    except OSError:
        yield Shown(Evidence.EFFECTIVE, None, "the files of its disks cannot be read from here")
        return
    seen = f"the header of {', '.join(open_)} says no encryption" if open_ else f"LUKS in the header of {count}"
    yield Shown(Evidence.EFFECTIVE, not open_, seen)


def _sealed(file: Path) -> bool:
    """Whether a disk's file says that its content is encrypted by LUKS."""
    with file.open("rb") as opened:
        header = opened.read(36)
    return header.startswith(_LUKS) or (header[:4] == _QCOW2 and int.from_bytes(header[32:36]) == _QCOW2_LUKS)


def _short(path: str) -> str:
    return path.rpartition("/")[2]
