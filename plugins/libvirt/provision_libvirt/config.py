"""Configuration of the plugin: `pulumi config set provision-libvirt:FIELD VALUE`."""

import os
from typing import Annotated

from pydantic import Field

from provision.spi import Properties

DEFAULT_URI = "qemu:///system"
SYSTEM_POOL_PATH = "/var/lib/libvirt/images"
"""Where the system's hypervisor keeps volumes; a user may not write there."""


def _default_uri() -> str:
    return os.environ.get("LIBVIRT_DEFAULT_URI") or DEFAULT_URI


class LibvirtConfig(Properties):
    """Which hypervisor, and where on it."""

    uri: Annotated[
        str,
        Field(
            default_factory=_default_uri,
            description="Connection URI of the hypervisor. Default: LIBVIRT_DEFAULT_URI, else qemu:///system.",
        ),
    ]
    pool_path: Annotated[
        str,
        Field(description="Directory on the hypervisor under which each stack gets a directory for its volumes."),
    ] = SYSTEM_POOL_PATH
    outside_socket: Annotated[
        str | None,
        Field(
            default_factory=lambda: os.environ.get("PROVISION_OUTSIDE_SOCKET"),
            description="Unix socket of a probing peer beyond the stack's networks. Default: PROVISION_OUTSIDE_SOCKET.",
        ),
    ]
    sole_use: Annotated[
        bool,
        Field(description="The hypervisor is for the machines of one stack alone, as `single_tenancy` asks for."),
    ] = False
