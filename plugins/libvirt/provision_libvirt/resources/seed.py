"""`storage:Seed`: a NoCloud seed, the small read-only disk from which a machine learns its name and addresses."""

from collections.abc import Iterable
from typing import Any

from pydantic import SecretStr

from provision.errors import UserError
from provision.spi import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
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
from provision_libvirt.resources.common import (
    foreign,
    name_for_life,
    new_generation,
    own_pool,
    taken_back,
    volume_in,
)
from provision_libvirt.resources.importing import imported, is_adopted, not_importable
from provision_libvirt.resources.leftovers import SEED_SUFFIX
from provision_libvirt.resources.native_model import VolumeQuery
from provision_libvirt.resources.storage_model import SeedInputs, SeedOutputs
from provision_libvirt.resources.upload import write
from provision_libvirt.resources.volume import delete_volume
from provision_libvirt.resources.volume_finding import find_volume, list_volumes
from provision_libvirt.session import Session, download, explained, file_length, upload

_LARGEST_BYTES = 64 << 20
_SYSTEM_BYTES = 32 << 10
_HEAD_BYTES = _SYSTEM_BYTES + 2048


class Seed(ResourceType[SeedInputs, SeedOutputs, Session]):
    """An ISO 9660 volume labelled `cidata` (cloud-init, datasource NoCloud)."""

    token = "storage:Seed"
    Inputs = SeedInputs
    Outputs = SeedOutputs
    Query = VolumeQuery

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request)

    def create(self, request: CreateRequest[SeedInputs]) -> Created[SeedOutputs]:
        """Write the seed, over whatever an interrupted run left of it.

        Raises:
            ForeignObject: something else has its name.
        """
        return Created(f"{request.inputs.pool}/{_volume_name(request.inputs)}", _write(request, None))

    def read(self, request: ReadRequest[SeedInputs, SeedOutputs]) -> Read[SeedInputs, SeedOutputs] | None:
        """What the seed holds; one that was cut off counts as gone."""
        volume, identity = find_volume(request)
        if volume is None:
            return None
        with request.operation.session.own() as connection, explained(f"reading the seed '{request.id}'"):
            mine = connection.storageVolLookupByKey(volume.key())
            length = file_length(mine)
            if request.outputs is not None and request.inputs is not None:
                if length != request.outputs.size:
                    return None
                return Read(identity, _with_content(connection, mine, request.inputs), request.outputs)
            inputs = _importable(connection, mine, identity)
            pool, _, name = identity.partition("/")
            outputs = SeedOutputs(
                pool=pool,
                name=inputs.name,
                volume_name=name,
                path=mine.path(),
                size=length,
                generation=new_generation(),
                adopted=is_adopted(request),
            )
        return Read(identity, inputs, outputs)

    def list(self, request: ListRequest) -> Iterable[Listed]:
        """Seeds in all running pools, by pool and name."""
        return list_volumes(request, lambda volume, identity: _refuse_other(identity))

    def update(self, request: UpdateRequest[SeedInputs, SeedOutputs]) -> Updated[SeedOutputs]:
        """Write the seed anew, in its place; a running machine reads it at its next start."""
        with admitted(self, request):
            return Updated(_write(request, request.outputs))

    def delete(self, request: DeleteRequest[SeedInputs, SeedOutputs]) -> None:
        """Remove the seed."""
        delete_volume(request, f"removing the seed '{request.id}'")


def seed_files(inputs: SeedInputs) -> dict[str, str]:
    """The files of the seed; cloud-init wants `user-data` even when there is none."""
    files = {
        "meta-data": inputs.meta_data,
        "user-data": inputs.user_data.get_secret_value() if inputs.user_data else "",
    }
    if inputs.network_config is not None:
        files["network-config"] = inputs.network_config
    return files


def _volume_name(inputs: SeedInputs) -> str:
    return f"{inputs.name}{SEED_SUFFIX}"


def _may_be_seed(head: bytes) -> bool:
    """Whether this is the beginning of a seed, or of as much of it as was written (ISO 9660, 6.2.1 and 8.4)."""
    return not any(head[:_SYSTEM_BYTES]) and head[_SYSTEM_BYTES:][:6] in (
        b"",
        b"\x01CD001"[: len(head[_SYSTEM_BYTES:])],
    )


def _refuse_other(identity: str) -> None:
    """Raise UserError for a volume whose name is not that of a seed."""
    if not identity.endswith(SEED_SUFFIX):
        raise not_importable(f"the volume '{identity}'", f"the name of a seed ends with '{SEED_SUFFIX}'")


def _content(connection: Any, volume: Any) -> dict[str, Any]:
    """The inputs that a seed's files say; ValueError when it is none."""
    from provision_libvirt.resources.iso import iso_files  # its library is slow to load, and seldom needed

    files = iso_files(download(connection, volume, 0, _LARGEST_BYTES))
    if "meta-data" not in files:
        raise ValueError("it has no meta-data")
    user_data = files.get("user-data", "")
    return {
        "meta_data": files["meta-data"],
        "network_config": files.get("network-config"),
        "user_data": SecretStr(user_data) if user_data else None,
    }


def _with_content(connection: Any, volume: Any, recorded: SeedInputs) -> SeedInputs:
    """The recorded inputs with the content that the seed has now; one that cannot be read any more is empty."""
    try:
        seen = _content(connection, volume)
    except ValueError:
        seen = {"meta_data": "", "network_config": None, "user_data": None}
    if recorded.user_data is not None and not recorded.user_data.get_secret_value() and seen["user_data"] is None:
        seen["user_data"] = recorded.user_data
    return recorded.model_copy(update=seen)


def _importable(connection: Any, volume: Any, identity: str) -> SeedInputs:
    """The inputs that describe a seed whoever made it.

    Raises:
        UserError: it is none.
    """
    _refuse_other(identity)
    pool, _, name = identity.partition("/")
    what = f"the seed '{identity}'"
    try:
        content = _content(connection, volume)
    except ValueError as error:
        raise UserError(f"{what} cannot be imported: {error}", "let Pulumi make a new one") from None
    return imported(SeedInputs, what, {"pool": pool, "name": name.removesuffix(SEED_SUFFIX), **content})


def _starts_alike(request: CreateRequest[SeedInputs] | UpdateRequest[SeedInputs, Any]) -> bool:
    """Whether nothing changed but the network: cards say themselves when theirs needs a restart."""
    if not isinstance(request, UpdateRequest):
        return False
    now, then = request.inputs, request.old_inputs
    return (now.meta_data, now.user_data) == (then.meta_data, then.user_data)


def _write(
    request: CreateRequest[SeedInputs] | UpdateRequest[SeedInputs, Any], before: SeedOutputs | None
) -> SeedOutputs:
    inputs = request.inputs
    name = _volume_name(inputs)
    from provision_libvirt.resources.iso import iso_image

    image = iso_image(seed_files(inputs))
    doing = f"writing the seed '{name}' to the pool '{inputs.pool}'"
    with request.operation.session.own() as connection, explained(doing):
        pool = own_pool(connection, inputs.pool, inputs, before)
        volume = volume_in(pool, name)
        if volume is not None and before is None:
            if not _may_be_seed(download(connection, volume, 0, _HEAD_BYTES)):
                raise foreign("volume", f"{inputs.pool}/{name}", " (it is no seed for cloud-init)")
            volume.delete(0)
            volume = None
        if volume is None:
            volume = write(connection, pool, name, iter([image]), mode="0600", operation=request.operation)
        else:  # in its place, so that there is one whatever fails
            image = image.ljust(file_length(volume), b"\0")
            upload(connection, volume, [image])
        with taken_back(lambda: volume.delete(0) if before is None else None):
            path = volume.path()
        return SeedOutputs(
            pool=inputs.pool,
            name=inputs.name,
            volume_name=name,
            path=path,
            size=len(image),
            generation=before.generation if before is not None and _starts_alike(request) else new_generation(),
            adopted=before is not None and before.adopted,
        )
