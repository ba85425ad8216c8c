"""A deterministic writer of cpio archives in the `newc` format, the one the kernel unpacks as an initramfs.

The format is in the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: `mode` holds type and permissions; a symlink's target is its `data`."""

    mode: int
    data: bytes = b""


def regular(data: bytes, *, executable: bool = False) -> Entry:
    """A regular file, readable by all."""
    return Entry(stat.S_IFREG | (0o755 if executable else 0o644), data)


def symlink(target: str) -> Entry:
    """A symbolic link to `target`."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def directory() -> Entry:
    """An empty directory."""
    return Entry(stat.S_IFDIR | 0o755)


def archive(entries: Mapping[str, Entry]) -> bytes:
    """Pack `entries` (by path without a leading slash); missing parent directories are added.

    The same entries give the same bytes: everything belongs to root, times are zero, order is by path.
    """
    complete = dict(entries)
    for path in entries:
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                complete.setdefault(str(parent), directory())
    parts = [_member(number, path, complete[path]) for number, path in enumerate(sorted(complete), start=1)]
    parts.append(_member(0, "TRAILER!!!", Entry(0)))
    return b"".join(parts)


def _member(inode: int, path: str, entry: Entry) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return _padded(header) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
