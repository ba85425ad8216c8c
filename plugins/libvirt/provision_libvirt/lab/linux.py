"""The few system calls that Python 3.11 does not offer: namespaces and mounts."""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the shared namespaces named by `flags` (unshare(2)).

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.unshare(ctypes.c_int(flags)):
        _fail("unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount `source` of filesystem type `kind` on `target` (mount(2)).

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()):
        _fail(f"mount {source} on {target}")


def bind(source: str, target: str) -> None:
    """Let `target` show what is at `source`, mounts below it included."""
    mount(source, target, flags=MS_BIND | MS_REC)


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")
