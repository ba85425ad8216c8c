"""Removing what interrupted runs left of a stack."""

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import libvirt

from provision_libvirt.resources.filter_list import all_filters
from provision_libvirt.resources.xml_tools import attribute, from_text
from provision_libvirt.session import best_effort, download, is_passing

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


def sweep(connection: Any, of_stack: Callable[[str], bool], report: Callable[[str], None]) -> None:
    """Remove all domains, networks and packet filters of a stack; `of_stack` tells them by their UUID.

    Only for the time when nothing of the stack is recorded any more.

    Raises:
        libvirt.libvirtError: something of them cannot be removed.
    """
    for domain in connection.listAllDomains():
        if of_stack(domain.UUIDString()):
            report(f"removing the machine '{domain.name()}', left by an interrupted run")
            remove_domain(domain)
    for network in connection.listAllNetworks():
        if of_stack(network.UUIDString()):
            report(f"removing the network '{network.name()}', left by an interrupted run")
            if network.isActive():
                network.destroy()
            network.undefine()
    _sweep_filters(connection, of_stack)


def remove_domain(domain: Any) -> None:
    """Stop a domain at once and remove it; one that is gone already is fine.

    Raises:
        libvirt.libvirtError: it cannot be removed.
    """
    stop_at_once(domain)
    _unless_gone(lambda: _undefine(domain))


def _undefine(domain: Any) -> None:
    try:
        domain.undefineFlags(UNDEFINE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
            raise
        domain.undefine()  # the test driver knows none of these flags, and keeps nothing that they are about


def stop_at_once(domain: Any) -> None:
    """Switch a domain off; one that is off or gone already is fine.

    Raises:
        libvirt.libvirtError: it cannot be switched off.
    """
    _unless_gone(domain.destroy)


def _unless_gone(step: Callable[[], object]) -> None:
    try:
        step()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
            raise


def remove_volumes(connection: Any, pool: Any, disposable: Sequence[str], *, only: bool = False) -> list[str]:
    """Remove every volume that can be made again, is named in `disposable` or holds nothing; gives the others.

    Args:
        connection: to the hypervisor.
        pool: that holds them.
        disposable: names of volumes.
        only: remove no others than those.

    Raises:
        libvirt.libvirtError: a failure that is expected to pass.
    """
    refresh(pool)
    kept: list[str] = []
    for volume in pool.listAllVolumes():
        name = volume.name()
        try:
            if name in disposable or (not only and (_can_be_made_again(name) or is_blank(connection, volume))):
                volume.delete(0)
            else:
                kept.append(name)
        except libvirt.libvirtError as error:
            if is_passing(error):
                raise
            kept.append(name)
    return kept


def is_console_log(volume: str, machine: str) -> bool:
    """Whether a volume is the console log of `machine`, or an older part of it (virtlogd numbers them)."""
    match = _ROTATED.fullmatch(volume)
    return match is not None and match[1] == machine


def is_any_console_log(volume: str) -> bool:
    """Whether a volume is the console log of some machine."""
    return _ROTATED.fullmatch(volume) is not None


def _can_be_made_again(name: str) -> bool:
    return name.endswith(_REGENERABLE) or is_any_console_log(name)


def refresh(pool: Any) -> None:
    """Have libvirt look at the pool's directory; not possible while a volume is being written, and then left out."""
    with best_effort():
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


def _sweep_filters(connection: Any, of_stack: Callable[[str], bool]) -> None:
    """Filters may refer to each other, so try as long as any of them can be removed."""
    try:
        left = [filter for filter in all_filters(connection) if of_stack(filter.UUIDString())]
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return  # a libvirt without packet filters
    while left:
        still = []
        for filter in left:
            try:
                filter.undefine()
            except libvirt.libvirtError as error:
                if is_passing(error):
                    raise
                still.append(filter)
        if len(still) == len(left):
            return
        left = still
