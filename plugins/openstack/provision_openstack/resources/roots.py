"""The volume that a server starts from, and that Nova made with it from an image."""

from collections.abc import Mapping
from typing import Any

from provision.spi import Operation, Stored
from provision_openstack.kinds import VOLUME
from provision_openstack.reading import Live
from provision_openstack.resources.growing import grow, refuse_plain
from provision_openstack.resources.server_model import ServerInputs
from provision_openstack.session import Session


def boots_from(inputs: ServerInputs) -> list[dict[str, Any]] | None:
    """What Nova is told of the volume that a server starts from; None for the disk of its flavor."""
    if inputs.boot_volume_id is not None:
        source = {"source_type": "volume", "uuid": inputs.boot_volume_id, "delete_on_termination": False}
    elif inputs.root_volume is not None:
        root = inputs.root_volume
        source = {
            "source_type": "image",
            "uuid": inputs.image_id,
            "volume_size": inputs.root_size_gib,
            "delete_on_termination": root.delete_on_termination,
            **({"volume_type": root.volume_type} if root.volume_type is not None else {}),
        }
    else:
        return None
    return [{"boot_index": 0, "destination_type": "volume", **source}]


def root_of(session: Session, live: Live) -> Live | None:
    """The volume that a server starts from; None when it cannot be seen.

    Others that it has may have been made from images too: Nova tells them in the order in which it got them.
    """
    for one in live.get("os-extended-volumes:volumes_attached") or ():
        volume = session.reader.look(VOLUME, str(one["id"]))
        if volume is not None and volume.get("bootable") == "true":
            return volume
    return None


def root_as_it_is(session: Session, live: Live, recorded: ServerInputs) -> dict[str, Any]:
    """Inputs about the root volume: the size that it has, and whether it is encrypted where that is wanted."""
    volume = root_of(session, live) if recorded.root_volume is not None else None
    size, encrypted = recorded.root_size_gib, recorded.root_encrypted
    if volume is not None:
        size, encrypted = int(volume["size"]), encrypted and volume.get("encrypted") is True
    return {"root_volume": recorded.root_volume, "root_size_gib": size, "root_encrypted": encrypted}


def size_apart(stored: Stored) -> Stored:
    """The size was a property of `rootVolume`, and a change of it another server."""

    def moved(values: Mapping[str, Any]) -> dict[str, Any]:
        root = values.get("rootVolume")
        if not isinstance(root, Mapping) or "sizeGib" not in root:
            return dict(values)
        rest = {name: value for name, value in root.items() if name != "sizeGib"}
        return {**values, "rootVolume": rest, "rootSizeGib": root["sizeGib"]}

    return Stored(moved(stored.inputs), moved(stored.outputs))


def settle_root(operation: Operation, live: Live, inputs: ServerInputs, *, fresh: bool) -> bool:
    """Bring the root volume in line; whether anything was changed.

    Raises:
        ApiError: Cinder refuses.
        PlatformError: it cannot grow, or is not encrypted and must be.
    """
    if inputs.root_size_gib is None or (fresh and not inputs.root_encrypted):
        return False
    volume = root_of(operation.session, live)
    if inputs.root_encrypted:
        refuse_plain(volume or {"id": f"of the server {live['id']}"}, "the first disk")
    return volume is not None and grow(operation, volume, inputs.root_size_gib)
