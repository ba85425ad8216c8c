"""Keys of encrypted volumes: made on the way to the hypervisor's libvirt, kept there as its secrets, and nowhere else.

A secret belongs to the volume that its usage names: it is made before it, and goes with it.
"""

import secrets
from collections.abc import Callable
from typing import Any

import libvirt

from provision.errors import PlatformError
from provision.spi import Properties
from provision_libvirt.ownership import Owner
from provision_libvirt.resources.common import foreign, ours
from provision_libvirt.resources.xml_tools import add, element, from_text, to_text

_KEY_BYTES = 32


def new_key(connection: Any, path: str, stack_id: str, urn: str) -> str:
    """Make a key for a volume that does not exist yet at `path`; gives the UUID of its secret.

    Raises:
        ForeignObject: somebody else has a key for that path.
        libvirt.libvirtError: the hypervisor keeps no secrets.
    """
    left = _find(connection, path)
    if left is not None and not Owner(stack_id, urn).owns_in_stack(left.UUIDString()):
        raise foreign("secret", left.UUIDString(), f" (for {path})")
    uuid = Owner(stack_id, urn).incarnation()[0] if left is None else left.UUIDString()
    made = connection.secretDefineXML(_secret(uuid, path), 0)
    made.setValue(secrets.token_hex(_KEY_BYTES).encode(), 0)  # libvirt's tools take text only
    return str(uuid)


def key_of(connection: Any, path: str) -> str | None:
    """UUID of the secret with the key of the volume at `path`, None when there is none."""
    secret = _find(connection, path)
    return None if secret is None else str(secret.UUIDString())


def forget_key(connection: Any, path: str, inputs: Properties | None, outputs: Properties | None) -> None:
    """Remove the key of a volume that is gone; one that is not the stack's stays.

    Raises:
        libvirt.libvirtError: it cannot be removed.
    """
    secret = _find(connection, path)
    if secret is not None and ours(secret.UUIDString(), inputs, outputs):
        secret.undefine()


def forget_lost_keys(connection: Any, of_stack: Callable[[str], bool]) -> None:
    """Remove the stack's keys of volumes that are not there.

    Raises:
        libvirt.libvirtError: one cannot be removed.
    """
    try:
        everything = connection.listAllSecrets(0)
    except libvirt.libvirtError:  # without a driver for secrets there are none
        return
    for secret in everything:
        if of_stack(secret.UUIDString()) and secret.usageType() == libvirt.VIR_SECRET_USAGE_TYPE_VOLUME:
            try:
                connection.storageVolLookupByPath(secret.usageID())
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                    raise
                secret.undefine()


def is_encrypted(volume: Any) -> bool:
    """Whether the volume is.

    Raises:
        libvirt.libvirtError: it cannot be read.
    """
    return from_text(volume.XMLDesc(0)).find("target/encryption") is not None


def check_encryption(connection: Any, volume: Any, *, wanted: bool) -> str | None:
    """The secret of a volume that is there already, None of one without.

    Raises:
        PlatformError: it is not encrypted as wanted, or its key is lost.
    """
    found = is_encrypted(volume)
    if found is not wanted:
        raise PlatformError(
            f"the volume '{volume.name()}' exists and is {'' if found else 'not '}encrypted; it was not touched",
            "remove it by hand if its data is not needed, or give the disk another name",
        )
    if not found:
        return None
    key = key_of(connection, volume.path())
    if key is None:
        raise PlatformError(
            f"the key of the encrypted volume '{volume.name()}' is gone from the hypervisor; it was not touched",
            "its data cannot be read without: restore the secret by hand, or remove the volume",
        )
    return key


def _find(connection: Any, path: str) -> Any | None:
    try:
        return connection.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_VOLUME, path)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_SECRET, libvirt.VIR_ERR_NO_SUPPORT):
            return None
        raise


def _secret(uuid: str, path: str) -> str:
    root = element("secret", ephemeral="no", private="yes")  # private: libvirt itself may use it, and tells nobody
    add(root, "uuid", uuid)
    add(root, "description", "key of a disk")
    usage = add(root, "usage", type="volume")
    add(usage, "volume", path)
    return to_text(root)
