"""Finding volumes: by id or path, and all that fit a search; and what a volume whoever made it looks like."""

import contextlib
import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import libvirt

from provision.errors import UserError
from provision.spi import Listed, ListRequest, ReadRequest
from provision_libvirt.ownership import is_marked
from provision_libvirt.resources.common import volume_in
from provision_libvirt.resources.finding import POOL, fits, found, only_importable
from provision_libvirt.resources.importing import imported, not_importable
from provision_libvirt.resources.leftovers import CACHE_SUFFIX, SEED_SUFFIX, is_any_console_log
from provision_libvirt.resources.storage_model import VolumeInputs
from provision_libvirt.resources.xml_tools import attribute, from_text
from provision_libvirt.session import explained

DIGEST_SHOWN = 16
"""Digits of the digest in the name of a cache."""
_CACHE = re.compile(rf"(.+?)(-[0-9a-f]{{{DIGEST_SHOWN}}})?{re.escape(CACHE_SUFFIX)}")


def find_volume(request: ReadRequest[Any, Any]) -> tuple[Any | None, str]:
    """The volume that a `read` is about, None when it is gone, and its id; an import may give its path instead."""
    connection = request.operation.session.connection()
    doing = f"looking for the volume '{request.id}'"
    if request.inputs is None and request.id.startswith("/"):
        volume = found(connection.storageVolLookupByPath, request.id, doing)
        if volume is None:
            return None, request.id
        with explained(doing):
            return volume, f"{volume.storagePoolLookupByVolume().name()}/{volume.name()}"
    pool_name, _, name = request.id.partition("/")
    pool = POOL.named(connection, pool_name)
    return (None if pool is None else volume_in(pool, name)), request.id


@dataclass(frozen=True, slots=True)
class Image:
    """A volume in a running pool: `format` is raw or qcow2, or what else libvirt calls it."""

    pool: str
    name: str
    format: Any
    volume: Any
    ours: bool


def images(connection: Any, pattern: str, pool: str | None = None) -> Iterator[Image]:
    """Disks and images in the running pools whose names fit, in no order; seeds and console logs are none.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    for image in volumes(connection, pool):
        if not fnmatch.fnmatchcase(image.name, pattern):
            continue
        identity = f"{image.pool}/{image.name}"
        with explained(f"reading the volume '{identity}'"), contextlib.suppress(UserError):
            yield replace(image, format=importable_volume(image.volume, identity).format)


def volumes(connection: Any, pool: str | None = None) -> list[Image]:
    """All volumes in the running pools, or in one of them, by pool and name.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    with explained("listing every volume"):
        found = [
            Image(running.name(), volume.name(), None, volume, is_marked(running.UUIDString()))
            for running in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
            if pool in (None, running.name())
            for volume in running.listAllVolumes()
        ]
    return sorted(found, key=lambda image: (image.pool, image.name))


def list_volumes(request: ListRequest, importable: Callable[[Any, str], object]) -> Iterator[Listed]:
    """Volumes that fit the query, by pool and name; `importable` raises for one that cannot be imported.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    query = request.query
    those = volumes(request.operation.session.connection(), None if query is None else query.pool)
    fitting = (
        (f"{image.pool}/{image.name}", image.name, image.volume)
        for image in those
        if fits(query, image.name, image.ours)
    )
    return only_importable(fitting, importable, request.limit, "volume")


def importable_volume(volume: Any, identity: str) -> VolumeInputs:
    """The inputs that describe a volume whoever made it, its first content as far as it can be seen.

    Raises:
        UserError: it is no disk or image.
    """
    pool, _, name = identity.partition("/")
    what, root = f"the volume '{identity}'", from_text(volume.XMLDesc(0))
    kind = attribute(root, "target/format", "type")
    if name.endswith(SEED_SUFFIX) or is_any_console_log(name) or kind not in ("raw", "qcow2"):
        raise not_importable(what, f"it is no disk or image in the format raw or qcow2 (but {kind or 'unknown'})")
    if root.find("target/encryption") is not None:
        raise not_importable(what, "it is encrypted by a key that is not the stack's")
    below = root.findtext("backingStore/path")
    source = {"kind": "backing", "path": below, "format": attribute(root, "backingStore/format", "type") or "raw"}
    cache = _CACHE.fullmatch(name)
    return imported(
        VolumeInputs,
        what,
        {
            "pool": pool,
            "name": cache[1] if cache else name,
            "format": kind,
            "capacity_bytes": None if cache else int(volume.info()[1]),
            "source": source if below else None,
            "cache": cache is not None,
        },
    )
