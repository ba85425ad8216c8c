"""Pools and volumes in libvirt's XML."""

from provision_libvirt.resources.xml_tools import add, element, to_text


def pool(name: str, uuid: str, path: str) -> str:
    """The definition of a pool that is a directory."""
    root = element("pool", type="dir")
    add(root, "name", name)
    add(root, "uuid", uuid)
    target = add(root, "target")
    add(target, "path", path)
    # QEMU runs as a user of its own and must reach the volumes; nobody else needs to list them.
    add(add(target, "permissions"), "mode", "0711")
    return to_text(root)


def volume(
    name: str, format: str, capacity: int, backing: tuple[str, str] | None = None, secret: str | None = None
) -> str:
    """The definition of a volume of `capacity` bytes.

    Args:
        name: in the pool.
        format: on the disk.
        capacity: in bytes.
        backing: path and format of the volume below it.
        secret: UUID of the secret with its key; none: not encrypted.
    """
    root = element("volume")
    add(root, "name", name)
    add(root, "capacity", str(capacity), unit="bytes")
    if format == "raw":
        add(root, "allocation", "0", unit="bytes")
    target = add(root, "target")
    add(target, "format", type=format)
    if secret:
        add(add(target, "encryption", format="luks"), "secret", type="passphrase", uuid=secret)
    if backing:
        store = add(root, "backingStore")
        add(store, "path", backing[0])
        add(store, "format", type=backing[1])
    return to_text(root)


def empty_file(name: str, mode: str) -> str:
    """The definition of a volume with no bytes yet, for an upload; `mode` in octal."""
    root = element("volume")
    add(root, "name", name)
    add(root, "capacity", "0", unit="bytes")
    add(root, "allocation", "0", unit="bytes")
    target = add(root, "target")
    add(target, "format", type="raw")
    add(add(target, "permissions"), "mode", mode)
    return to_text(root)
