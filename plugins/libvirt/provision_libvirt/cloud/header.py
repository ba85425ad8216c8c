"""What a disk image says of itself in its first bytes (QEMU's `docs/interop/qcow2.txt`)."""

import struct
from pathlib import Path

from provision.errors import UserError

_MAGIC = b"QFI\xfb"
_LENGTH = 104
_DIRTY, _CORRUPT, _EXTERNAL_DATA = 1, 2, 4
_OTHERS = {b"KDMV": "VMDK", b"vhdxfile": "VHDX", b"conectix": "VHD", b"<<< Oracle": "VDI", b"\x1f\x8b": "gzip",
           b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}  # fmt: skip


def virtual_size(path: Path, format: str, name: str) -> int:
    """The size in bytes that a guest sees of the image `name`.

    A qcow2 file may name other files of the hypervisor that belong to it. Such a file would show whoever gets the image
    what is in them, so it is refused.

    Raises:
        UserError: it is not of that format, is damaged or encrypted, or refers to other files.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_LENGTH)
    if format == "raw":
        if head[:4] == _MAGIC:
            raise UserError(f"image '{name}': {path} is qcow2, not raw", "write 'format: qcow2'")
        _refuse_other(head, path, name, format)
        size = path.stat().st_size
        if size == 0 or size % 512:
            raise UserError(f"image '{name}': {path} has {size} bytes, which is no disk", "check that it is whole")
        return size
    if head[:4] != _MAGIC:
        _refuse_other(head, path, name, format)
        raise UserError(f"image '{name}': {path} is not qcow2", "write 'format: raw', or check that it is whole")
    if len(head) < 72:
        raise UserError(f"image '{name}': {path} is cut off", "get it anew")
    version, backing = struct.unpack_from(">IQ", head, 4)
    size, encryption = struct.unpack_from(">QI", head, 24)
    if version not in (2, 3):
        raise UserError(f"image '{name}': {path} is qcow2 of version {version}, which is not known", "convert it anew")
    incompatible = struct.unpack_from(">Q", head, 72)[0] if version == 3 and len(head) >= 80 else 0
    refused = {
        "is laid over another file (a backing file), which it would show to its machines": backing,
        "keeps its data in another file, which it would show to its machines": incompatible & _EXTERNAL_DATA,
        "is encrypted": encryption,
        "is marked as damaged": incompatible & _CORRUPT,
    }
    for what, found in refused.items():
        if found:
            raise UserError(
                f"image '{name}': {path} {what}",
                f"make one file of it: qemu-img convert -O qcow2 {path.name} whole.qcow2",
            )
    return int(size)


def _refuse_other(head: bytes, path: Path, name: str, format: str) -> None:
    for magic, kind in _OTHERS.items():
        if head.startswith(magic):
            raise UserError(
                f"image '{name}': {path} is {kind}, not {format}",
                "unpack it first" if kind in ("gzip", "xz", "zstd", "zip") else
                f"convert it: qemu-img convert -O qcow2 {path.name} disk.qcow2",
            )  # fmt: skip
