"""Where a hypervisor is: on this machine, in namespaces of its own on it, or elsewhere."""

import os
import urllib.parse
from pathlib import Path

from provision.errors import UserError
from provision_libvirt.lab.settings import MARKER

_SESSION = "/session"
_LOCAL = ("", "localhost")


def lab_directory(uri: str) -> Path | None:
    """The directory of the private hypervisor that `uri` leads to, None when it leads elsewhere."""
    parts = urllib.parse.urlsplit(uri)
    found = urllib.parse.parse_qs(parts.query).get("socket")
    if not found or parts.hostname:  # the socket of another host, though a file here may have its name
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


def is_session(uri: str) -> bool:
    """Whether a connection URI leads to a user's own hypervisor."""
    return urllib.parse.urlsplit(uri).path == _SESSION


def pool_path(uri: str, configured: str | None) -> str:
    """Where volumes are kept on the hypervisor.

    Args:
        uri: of the connection.
        configured: what was set; None for the default.

    Raises:
        UserError: a user's own hypervisor is reached by its socket, and nothing says where that user may write.
    """
    if configured is not None or not is_session(uri):
        return configured or ""
    parts = urllib.parse.urlsplit(uri)
    if parts.hostname or "socket" in urllib.parse.parse_qs(parts.query):
        raise UserError(
            f"the hypervisor at {uri} is a user's own, and where that user keeps volumes cannot be seen from here",
            "pulumi config set provision-libvirt:poolPath DIRECTORY, such as /home/NAME/.local/share/libvirt/images",
        )
    data = os.environ.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    return f"{data}/libvirt/images"
