"""Where a hypervisor is: on this machine, in namespaces of its own on it, or elsewhere."""

import urllib.parse
from pathlib import Path

from provision_libvirt.lab.settings import MARKER

_LOCAL = ("", "localhost")


def lab_directory(uri: str) -> Path | None:
    """The directory of the private hypervisor that `uri` leads to, None when it leads elsewhere."""
    found = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query).get("socket")
    if not found:
        return None
    for parent in Path(found[0]).parents:
        if (parent / MARKER).exists():
            return parent
    return None


def is_own_host(uri: str) -> bool:
    """Whether `uri` leads to the libvirt of this machine itself, not to one elsewhere or in namespaces of its own."""
    parts = urllib.parse.urlsplit(uri)
    return (
        parts.scheme.partition("+")[0] == "qemu"
        and (parts.hostname or "") in _LOCAL
        and "socket" not in urllib.parse.parse_qs(parts.query)
    )
