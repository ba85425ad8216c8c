"""Snapshots that go with their machine."""

from typing import Any

import libvirt

from provision_libvirt.session import best_effort


def forget(domain: Any) -> list[str]:
    """Remove all snapshots of a stopped domain, so that a disk which is kept holds nothing of them; gives their names.

    Raises:
        libvirt.libvirtError: a failure that is expected to pass.
    """
    names: list[str] = []
    with best_effort():  # it may be gone
        for snapshot in domain.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL):
            names.append(str(snapshot.getName()))
            with best_effort():
                snapshot.delete(0)
    return names
