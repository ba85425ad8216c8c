"""Bridges of networks in the kernel: what a libvirt that was killed while it made one leaves behind.

It is killed between making the bridge and recording that the network runs; then it knows nothing of the bridge, and can
never make the network again.
"""

import contextlib
import json
import os
import re
from typing import Any

import libvirt

from provision.errors import PlatformError
from provision_libvirt.hostview import host_view
from provision_libvirt.ownership import is_marked

_OURS = re.compile(r"pv[0-9a-f]{10}")


def made_by_stacks(connection: Any) -> frozenset[str]:
    """Bridges of networks that stacks made, which come and go with them.

    Raises:
        libvirt.libvirtError: networks cannot be listed.
    """
    found = set()
    for network in connection.listAllNetworks(0):
        with contextlib.suppress(libvirt.libvirtError):  # one that went meanwhile; one without a bridge
            if is_marked(network.UUIDString()):
                found.add(network.bridgeName())
    return frozenset(found)


def start(network: Any, bridge: str, uri: str) -> None:
    """Start a network; a bridge of ours that stands in the way and that nobody uses is removed first.

    Raises:
        PlatformError: such a bridge is there, and cannot be removed from here.
        libvirt.libvirtError: the network does not start for another reason.
    """
    try:
        network.create()
    except libvirt.libvirtError as error:
        if "creating bridge interface" not in str(error) or "File exists" not in str(error):
            raise
        if not _removed(bridge, uri):
            raise PlatformError(
                f"the network '{network.name()}' cannot start: the bridge '{bridge}' is there already, and is of no "
                "network that libvirt knows",
                f"if nothing uses it, remove it on the hypervisor: ip link delete {bridge}; then run again",
            ) from None
        network.create()


def _removed(bridge: str, uri: str) -> bool:
    """Whether the bridge was one of ours without a port, on a host that may be changed from here, and is gone now."""
    view = host_view(uri)
    if view is None or os.geteuid() != 0 or not _OURS.fullmatch(bridge):
        return False
    ports = view.run("ip", "-json", "link", "show", "master", bridge)
    if ports is None or json.loads(ports or "[]"):
        return False
    return view.run("ip", "link", "delete", bridge, "type", "bridge") is not None
