"""Removing what interrupted runs left of a stack."""

import contextlib
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import libvirt

from provision_libvirt.ownership import same_stack
from provision_libvirt.resources.xml_tools import attribute, from_text
from provision_libvirt.session import download

CACHE_SUFFIX = ".cache"
SEED_SUFFIX = ".seed.iso"
CONSOLE_SUFFIX = ".console.log"
_REGENERABLE = (CACHE_SUFFIX, SEED_SUFFIX)
_ROTATED = re.compile(rf"(.+){re.escape(CONSOLE_SUFFIX)}(\.\d+)?")
_QCOW2_MAGIC = b"QFI\xfb"
_SMALL = 1 << 20

UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


def sweep(connection: Any, marker: str, report: Callable[[str], None]) -> None:
    """Remove all domains, networks and packet filters of the stack that `marker` belongs to.

    Only for the time when nothing of the stack is recorded any more.

    Raises:
        libvirt.libvirtError: something of them cannot be removed.
    """
    for domain in connection.listAllDomains():
        if same_stack(domain.UUIDString(), marker):
            report(f"removing the machine '{domain.name()}', left by an interrupted run")
            remove_domain(domain)
    for network in connection.listAllNetworks():
        if same_stack(network.UUIDString(), marker):
            report(f"removing the network '{network.name()}', left by an interrupted run")
            if network.isActive():
                network.destroy()
            network.undefine()
    _sweep_filters(connection, marker)


def remove_domain(domain: Any) -> None:
    """Stop a domain at once and remove it; one that is gone already is fine.

    Raises:
        libvirt.libvirtError: it cannot be removed.
    """
    for step in (domain.destroy, lambda: domain.undefineFlags(UNDEFINE)):
        try:
            step()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
                raise


def remove_volumes(connection: Any, pool: Any, disposable: Sequence[str]) -> list[str]:
    """Remove every volume that can be made again, is named in `disposable` or holds nothing; gives the others."""
    refresh(pool)
    kept: list[str] = []
    for volume in pool.listAllVolumes():
        name = volume.name()
        try:
            if _can_be_made_again(name) or name in disposable or is_blank(connection, volume):
                volume.delete(0)
            else:
                kept.append(name)
        except libvirt.libvirtError:
            kept.append(name)
    return kept


def is_console_log(volume: str, machine: str) -> bool:
    """Whether a volume is the console log of `machine`, or an older part of it (virtlogd numbers them)."""
    match = _ROTATED.fullmatch(volume)
    return match is not None and match[1] == machine


def _can_be_made_again(name: str) -> bool:
    return name.endswith(_REGENERABLE) or _ROTATED.fullmatch(name) is not None


def refresh(pool: Any) -> None:
    """Have libvirt look at the pool's directory; not possible while a volume is being written, and then left out."""
    with contextlib.suppress(libvirt.libvirtError):
        pool.refresh(0)


def is_blank(connection: Any, volume: Any) -> bool:
    """Whether nothing was ever written to a volume: no block of it is allocated."""
    kind = attribute(from_text(volume.XMLDesc(0)), "target/format", "type")
    if kind == "raw":
        return bool(volume.info()[2] == 0)
    if kind != "qcow2":
        return False
    return blank_qcow2(lambda offset, length: download(connection, volume, offset, length))


def blank_qcow2(read: Callable[[int, int], bytes]) -> bool:
    """Whether a qcow2 image has no data of its own and no snapshot (QEMU, docs/interop/qcow2.txt)."""
    header = read(0, 72)
    if len(header) < 72 or header[:4] != _QCOW2_MAGIC:
        return False
    entries, table = struct.unpack(">IQ", header[36:48])
    (snapshots,) = struct.unpack(">I", header[60:64])
    if snapshots or entries * 8 > _SMALL:
        return False
    l1 = read(table, entries * 8)
    return len(l1) == entries * 8 and not any(l1)


def _sweep_filters(connection: Any, marker: str) -> None:
    """Filters may refer to each other, so try as long as any of them can be removed."""
    left = [filter for filter in connection.listAllNWFilters() if same_stack(filter.UUIDString(), marker)]
    while left:
        still = []
        for filter in left:
            try:
                filter.undefine()
            except libvirt.libvirtError:
                still.append(filter)
        if len(still) == len(left):
            return
        left = still
