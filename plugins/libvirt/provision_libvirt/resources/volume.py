"""`storage:Volume`: disks, and the images and kernels that they come from."""

import errno
from collections.abc import Iterable, Mapping
from typing import Any

import libvirt

from provision.errors import ForeignObject, PlatformError
from provision.spi import (
    Checked,
    CheckFailure,
    CheckRequest,
    ChoiceRequest,
    Created,
    CreateRequest,
    DataLoss,
    DeleteRequest,
    Listed,
    ListRequest,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
    admitted,
)
from provision_libvirt.ownership import Owner, stack_mark
from provision_libvirt.resources import xml_storage
from provision_libvirt.resources.common import name_for_life, new_generation, own_pool, taken_back, volume_in
from provision_libvirt.resources.encryption import check_encryption, forget_key, is_encrypted, key_of, new_key
from provision_libvirt.resources.finding import POOL
from provision_libvirt.resources.importing import is_adopted
from provision_libvirt.resources.leftovers import CACHE_SUFFIX
from provision_libvirt.resources.native_model import VolumeQuery
from provision_libvirt.resources.storage_model import BackingSource, VolumeInputs, VolumeOutputs
from provision_libvirt.resources.upload import LocalSource, built_image, local_source, upload
from provision_libvirt.resources.volume_finding import DIGEST_SHOWN, find_volume, importable_volume, list_volumes
from provision_libvirt.resources.xml_tools import attribute, from_text, owner_of
from provision_libvirt.session import Session, best_effort, explained, file_length


class Volume(ResourceType[VolumeInputs, VolumeOutputs, Session]):
    """A volume of the stack's pool.

    A volume carries no marker: what is in the stack's own pool is the stack's. One that is found under the wanted name
    is never written over unless it is provably an upload that was cut off; data that an earlier life of the disk left
    is taken over.
    """

    token = "storage:Volume"
    Inputs = VolumeInputs
    Outputs = VolumeOutputs
    Query = VolumeQuery

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name in the pool; refuse to shrink, and a disk without a size."""
        inputs, before = name_for_life(request).inputs, request.old_inputs or {}
        size, old_size = inputs.get("capacity_bytes"), before.get("capacity_bytes")
        if isinstance(size, int) and isinstance(old_size, int) and size < old_size:
            reason = (
                f"a disk cannot shrink (from {old_size} to {size} bytes): it would lose data; "
                "keep its size, or give a smaller disk another name"
            )
            return Checked(inputs, (CheckFailure("capacity_bytes", reason),))
        if size is None and inputs.get("source") is None:
            return Checked(inputs, (CheckFailure("capacity_bytes", "an empty volume needs a size"),))
        if inputs.get("encrypted") is True and _not_to_encrypt(inputs):
            reason = "only an empty disk, or one over another volume, in the format qcow2 can be encrypted"
            return Checked(inputs, (CheckFailure("encrypted", reason),))
        return Checked(inputs)

    def choose(self, request: ChoiceRequest) -> str | None:
        """The image that is built here now; a volume of anything else has nothing to choose."""
        source = request.inputs.get("source")
        kind = source.get("kind") if isinstance(source, Mapping) else getattr(source, "kind", None)
        if kind != "built":
            return None
        name = source["image"] if isinstance(source, Mapping) else getattr(source, "image", "")
        return built_image(str(name)).digest

    def loses_data(self, inputs: VolumeInputs) -> DataLoss:
        """A cache holds nothing of its own; a machine's boot disk lies over one and has no other life than its own."""
        if inputs.cache or inputs.disposable:
            return DataLoss.NEVER
        return DataLoss.REMOVED if isinstance(inputs.source, BackingSource) else DataLoss.REPLACED

    def create(self, request: CreateRequest[VolumeInputs]) -> Created[VolumeOutputs]:
        """Make the volume with its first content, or take over the one that is there."""
        inputs = request.inputs
        name = volume_name(inputs)
        source = local_source(inputs.source, request.operation, inputs.format, inputs.name, inputs.built)
        doing = f"making the volume '{name}' in the pool '{inputs.pool}'"
        with request.operation.session.own() as connection, explained(doing):
            pool = own_pool(connection, inputs.pool, inputs)
            volume = volume_in(pool, name)
            if volume is not None and source and _cut_off(volume, source, inputs.cache):
                volume.delete(0)
                volume = None
            new = volume is None
            if volume is None:
                volume = _make(connection, pool, name, inputs, source, request)
            elif not inputs.cache:
                _refuse_live(connection, volume, Owner(inputs.stack_id, request.operation.urn))
                check_encryption(connection, volume, wanted=bool(inputs.encrypted))
                request.operation.report("found with its data, and taken over")
            with taken_back(lambda: volume.delete(0) if new else None):
                _fit(connection, volume, inputs)
                key = key_of(connection, volume.path()) if inputs.encrypted else None
                return Created(f"{inputs.pool}/{name}", _outputs(inputs, volume, new_generation(), secret=key))

    def read(self, request: ReadRequest[VolumeInputs, VolumeOutputs]) -> Read[VolumeInputs, VolumeOutputs] | None:
        """What the volume is now: its size and format; its content is the guests' own."""
        volume, identity = find_volume(request)
        if volume is None:
            return None
        recorded = request.inputs
        with explained(f"reading the volume '{request.id}'"):
            try:
                capacity = int(volume.info()[1])
            except libvirt.libvirtError as error:
                if error.get_int1() == errno.ENOENT:  # its file was removed behind libvirt's back
                    return None
                raise
            if recorded is None:
                inputs = importable_volume(volume, identity)
            else:
                size = None if recorded.capacity_bytes is None else capacity
                encrypted = is_encrypted(volume) or (None if recorded.encrypted is None else False)
                inputs = recorded.model_copy(
                    update={"capacity_bytes": size, "format": _format(volume), "encrypted": encrypted}
                )
            before = request.outputs.generation if request.outputs else new_generation()
            key = request.outputs.secret if request.outputs else None
            if key is not None and key_of(request.operation.session.connection(), volume.path()) is None:
                request.operation.note(
                    f"the key of the volume '{request.id}' is gone from the hypervisor: once its machine stops, its "
                    "data cannot be read any more"
                )
            return Read(identity, inputs, _outputs(inputs, volume, before, adopted=is_adopted(request), secret=key))

    def list(self, request: ListRequest) -> Iterable[Listed]:
        """Disks and images in all running pools, by pool and name; seeds and console logs are none."""
        return list_volumes(request, importable_volume)

    def update(self, request: UpdateRequest[VolumeInputs, VolumeOutputs]) -> Updated[VolumeOutputs]:
        """Grow the volume; running machines see the new size at once."""
        inputs = request.inputs
        connection = request.operation.session.connection()
        before = request.outputs
        pool = own_pool(connection, inputs.pool, inputs, before)
        with admitted(self, request), explained(f"changing the volume '{request.id}'"):
            volume = pool.storageVolLookupByName(before.volume_name)
            _fit(connection, volume, inputs)
            outputs = _outputs(inputs, volume, before.generation, adopted=before.adopted, secret=before.secret)
            return Updated(outputs)

    def delete(self, request: DeleteRequest[VolumeInputs, VolumeOutputs]) -> None:
        """Remove the volume and what is on it, and then its key."""
        doing = f"removing the volume '{request.id}'"
        delete_volume(request, doing)
        if request.outputs.secret is not None:
            with explained(doing):
                connection = request.operation.session.connection()
                forget_key(connection, request.outputs.path, request.inputs, request.outputs)


def delete_volume(request: DeleteRequest[Any, Any], doing: str) -> None:
    """Remove the volume whose id is `POOL/VOLUME`; one that is gone is fine.

    Raises:
        provision.errors.ForeignObject: the pool is not ours.
    """
    connection = request.operation.session.connection()
    pool_name, _, name = request.id.partition("/")
    if POOL.named(connection, pool_name) is None:
        return
    volume = volume_in(own_pool(connection, pool_name, request.inputs, request.outputs), name)
    if volume is None:
        return
    with explained(doing):
        try:
            volume.delete(0)
        except libvirt.libvirtError as error:
            if error.get_int1() != errno.ENOENT:
                raise


def volume_name(inputs: VolumeInputs) -> str:
    """The name in the pool: that of a cache names its content too, so that it can be trusted when it is found."""
    if not inputs.cache:
        return inputs.name
    digest = inputs.built or getattr(inputs.source, "digest", "")
    return f"{inputs.name}-{digest[:DIGEST_SHOWN]}{CACHE_SUFFIX}" if digest else f"{inputs.name}{CACHE_SUFFIX}"


def _make(
    connection: Any,
    pool: Any,
    name: str,
    inputs: VolumeInputs,
    source: LocalSource | None,
    request: CreateRequest[VolumeInputs],
) -> Any:
    if source:
        return upload(connection, pool, name, source, readable=inputs.cache, operation=request.operation)
    backing = (inputs.source.path, inputs.source.format) if isinstance(inputs.source, BackingSource) else None
    capacity = inputs.capacity_bytes
    if backing is not None:
        least = int(connection.storageVolLookupByPath(backing[0]).info()[1])
        if capacity is not None and capacity < least:
            raise PlatformError(
                f"the disk '{name}' would have {capacity} bytes, and its image has {least}",
                f"ask for at least {-(-least // (1 << 20))}MiB, or leave the size out",
            )
        capacity = capacity or least
    if capacity is None:
        raise PlatformError(f"the empty volume '{name}' needs a size")
    if not inputs.encrypted:
        return pool.createXML(xml_storage.volume(name, inputs.format, capacity, backing), 0)
    directory = from_text(pool.XMLDesc(0)).findtext("target/path", "")
    key = new_key(connection, f"{directory}/{name}", inputs.stack_id, request.operation.urn)
    return pool.createXML(xml_storage.volume(name, inputs.format, capacity, backing, key), 0)


def _not_to_encrypt(inputs: Mapping[str, Any]) -> bool:
    source = inputs.get("source")
    uploaded = isinstance(source, Mapping) and source.get("kind", "file") != "backing"
    return uploaded or inputs.get("format") == "raw" or inputs.get("cache") is True


def _cut_off(volume: Any, source: LocalSource, cache: bool) -> bool:
    """Whether what is there is not the whole upload. A disk in use never gets shorter than what it was made from."""
    length = file_length(volume)
    return length != source.size if cache else length < source.size


def _refuse_live(connection: Any, volume: Any, wanted: Owner) -> None:
    """A machine that was renamed keeps the names of its disks: they are not for the next one of its old name.

    Raises:
        ForeignObject: the volume is a disk of another machine than the one whose resource `wanted` is.
    """
    path, mine = volume.path(), (stack_mark(wanted.stack_id), _machine(wanted.urn))
    for domain in connection.listAllDomains():
        root = from_text(domain.XMLDesc(0))
        if any(attribute(disk, "source", "file") == path for disk in root.iterfind("devices/disk")):
            mark = owner_of(root)
            owner = None if mark is None else (mark.get("stack", ""), _machine(mark.get("urn", "")))
            if owner != mine:
                raise ForeignObject(
                    f"the volume '{volume.name()}' is a disk of the machine '{domain.name()}' "
                    f"({'not ours' if owner is None else owner[1] or 'ours'}); it was not touched",
                    "choose another name for the new machine or disk in the stack file",
                )


def _machine(urn: str) -> str:
    """The path of the machine that a resource of a stack file is part of: `machines/web-0`."""
    return urn.rpartition("::")[2].rpartition("/")[0]


def _fit(connection: Any, volume: Any, inputs: VolumeInputs) -> None:
    """Bring a volume to the wanted size.

    Raises:
        PlatformError: it is larger, or has another format.
    """
    kind, capacity, wanted = _format(volume), int(volume.info()[1]), inputs.capacity_bytes
    if kind != inputs.format:
        raise PlatformError(
            f"the volume '{volume.name()}' exists in the format {kind}, not {inputs.format}; it was not touched",
            "remove it by hand if its data is not needed, or give the disk another name",
        )
    if wanted is None or wanted == capacity:
        return
    if wanted < capacity:
        raise PlatformError(
            f"the volume '{volume.name()}' exists with {capacity} bytes, more than {wanted}; it was not touched",
            "remove it by hand if its data is not needed, or ask for at least its size",
        )
    path = volume.path()
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        disks = from_text(domain.XMLDesc(0)).iterfind("devices/disk")
        if any(attribute(disk, "source", "file") == path for disk in disks):
            domain.blockResize(path, wanted, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            with best_effort():
                volume.info()
            return
    volume.resize(wanted, 0)


def _format(volume: Any) -> Any:
    return "raw" if attribute(from_text(volume.XMLDesc(0)), "target/format", "type") == "raw" else "qcow2"


def _outputs(
    inputs: VolumeInputs, volume: Any, generation: str, *, adopted: bool = False, secret: str | None = None
) -> VolumeOutputs:
    return VolumeOutputs(
        pool=inputs.pool,
        name=inputs.name,
        format=inputs.format,
        volume_name=volume.name(),
        path=volume.path(),
        key=volume.key(),
        generation=generation,
        adopted=adopted,
        secret=secret,
    )
