"""`storage:Seed`: a NoCloud seed, the small read-only disk from which a machine learns its name and addresses."""

import io
from collections.abc import Mapping
from typing import Any

import libvirt
import pycdlib

from provision.spi import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
)
from provision_libvirt.resources.common import found, name_for_life, new_generation, own_pool, volume_in
from provision_libvirt.resources.leftovers import SEED_SUFFIX
from provision_libvirt.resources.storage_model import SeedInputs, SeedOutputs
from provision_libvirt.resources.upload import write
from provision_libvirt.resources.volume import delete_volume
from provision_libvirt.session import Session, explained


class Seed(ResourceType[SeedInputs, SeedOutputs, Session]):
    """An ISO 9660 volume labelled `cidata` (cloud-init, datasource NoCloud)."""

    token = "storage:Seed"
    Inputs = SeedInputs
    Outputs = SeedOutputs

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request)

    def create(self, request: CreateRequest[SeedInputs]) -> Created[SeedOutputs]:
        """Write the seed, over whatever an interrupted run left of it."""
        return Created(f"{request.inputs.pool}/{_volume_name(request.inputs)}", _write(request))

    def read(self, request: ReadRequest[SeedInputs, SeedOutputs]) -> Read[SeedInputs, SeedOutputs] | None:
        """Whether the seed is there in its whole length; its content is taken as recorded."""
        connection = request.operation.session.connection()
        pool_name, _, name = request.id.partition("/")
        doing = f"reading the seed '{request.id}'"
        pool = found(connection.storagePoolLookupByName, pool_name, doing)
        volume = None if pool is None else volume_in(pool, name)
        if volume is None or request.inputs is None or request.outputs is None:
            return None
        try:
            length = int(volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2])
        except libvirt.libvirtError:
            return None
        return Read(request.id, request.inputs, request.outputs) if length == request.outputs.size else None

    def update(self, request: UpdateRequest[SeedInputs, SeedOutputs]) -> Updated[SeedOutputs]:
        """Write the seed anew; a running machine reads it at its next start."""
        return Updated(_write(request))

    def delete(self, request: DeleteRequest[SeedInputs, SeedOutputs]) -> None:
        """Remove the seed."""
        delete_volume(request, f"removing the seed '{request.id}'")


def iso_image(files: Mapping[str, str]) -> bytes:
    """An ISO 9660 image with Rock Ridge and Joliet names, labelled `cidata`."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for name, text in files.items():
        data = text.encode()
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"/{name.upper().replace('-', '_')[:8]}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    image = io.BytesIO()
    iso.write_fp(image)
    iso.close()
    return image.getvalue()


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


def _write(request: CreateRequest[SeedInputs] | UpdateRequest[SeedInputs, Any]) -> SeedOutputs:
    inputs = request.inputs
    name = _volume_name(inputs)
    image = iso_image(seed_files(inputs))
    doing = f"writing the seed '{name}' to the pool '{inputs.pool}'"
    with request.operation.session.own() as connection, explained(doing):
        pool = own_pool(connection, inputs.pool, inputs)
        if (left := volume_in(pool, name)) is not None:
            left.delete(0)
        volume = write(connection, pool, name, iter([image]), mode="0600")
        return SeedOutputs(
            pool=inputs.pool,
            name=inputs.name,
            volume_name=name,
            path=volume.path(),
            size=len(image),
            generation=new_generation(),
        )
