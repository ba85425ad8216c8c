"""`storage:Pool`: the stack's directory of volumes, and the last object of a stack to go."""

import contextlib
from typing import Any

import libvirt

from provision.errors import PlatformError
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
from provision_libvirt.ownership import Owner
from provision_libvirt.resources import xml_storage
from provision_libvirt.resources.common import foreign, found, name_for_life, ours, taken
from provision_libvirt.resources.leftovers import remove_volumes, sweep
from provision_libvirt.resources.storage_model import PoolInputs, PoolOutputs
from provision_libvirt.resources.xml_tools import from_text
from provision_libvirt.session import Session, explained


class Pool(ResourceType[PoolInputs, PoolOutputs, Session]):
    """A directory on the hypervisor that holds the volumes of one stack.

    Every other object of the stack depends on its pool, so it is made first and removed last; what is left of the stack
    by then was left by interrupted runs and goes with it, volumes with data excepted.
    """

    token = "storage:Pool"
    Inputs = PoolInputs
    Outputs = PoolOutputs

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request)

    def create(self, request: CreateRequest[PoolInputs]) -> Created[PoolOutputs]:
        """Make the directory and start the pool, or take over what an interrupted run left of it."""
        inputs, session = request.inputs, request.operation.session
        connection = session.connection()
        uuid = Owner(inputs.stack_id, request.operation.urn).uuid()
        doing = f"making the storage pool '{inputs.name}'"
        other = found(connection.storagePoolLookupByName, inputs.name, doing)
        if other is not None and other.UUIDString() != uuid:
            raise taken("storage pool", inputs.name, other.UUIDString(), inputs)
        left = found(connection.storagePoolLookupByUUIDString, uuid, doing)
        with explained(doing):
            if left is not None and left.name() != inputs.name:
                _stop(left)
                left.undefine()
                left = None
            path = f"{session.config.pool_path.rstrip('/')}/{inputs.name}"
            pool = left
            if pool is None:
                pool = connection.storagePoolDefineXML(xml_storage.pool(inputs.name, uuid, path))
            try:
                if not pool.isActive():
                    pool.build(0)
                    pool.create(0)
                pool.setAutostart(1)
            except libvirt.libvirtError:
                if left is None:
                    with contextlib.suppress(libvirt.libvirtError):
                        pool.undefine()
                raise
            return Created(uuid, PoolOutputs(name=inputs.name, path=_path(pool), uuid=uuid))

    def read(self, request: ReadRequest[PoolInputs, PoolOutputs]) -> Read[PoolInputs, PoolOutputs] | None:
        """What the pool is now; one that was stopped counts as gone, and making it starts it again."""
        connection = request.operation.session.connection()
        doing = f"reading the storage pool {request.id}"
        pool = found(connection.storagePoolLookupByUUIDString, request.id, doing)
        if pool is None:
            return None
        with explained(doing):
            if not pool.isActive():
                return None
            name, path = pool.name(), _path(pool)
        inputs = request.inputs or PoolInputs(stack_id="", name=name)
        return Read(
            request.id, inputs.model_copy(update={"name": name}), PoolOutputs(name=name, path=path, uuid=request.id)
        )

    def update(self, request: UpdateRequest[PoolInputs, PoolOutputs]) -> Updated[PoolOutputs]:
        """Only remember which volumes are disposable: the hypervisor knows nothing of that."""
        return Updated(request.outputs)

    def delete(self, request: DeleteRequest[PoolInputs, PoolOutputs]) -> None:
        """Remove what interrupted runs left of the stack, and the pool; volumes with data stay in their directory."""
        operation = request.operation
        connection = operation.session.connection()
        doing = f"removing the storage pool '{request.outputs.name}'"
        pool = found(connection.storagePoolLookupByUUIDString, request.id, doing)
        if pool is None:
            return
        if not ours(request.id, request.inputs):
            raise foreign("storage pool", pool.name())
        with explained(doing):
            sweep(connection, request.id, operation.report)
            if not pool.isActive():
                with contextlib.suppress(libvirt.libvirtError):
                    pool.create(0)
            path = _path(pool)
            disposable = request.inputs.disposable if request.inputs else []
            kept = remove_volumes(connection, pool, disposable) if pool.isActive() else []
            empty = pool.isActive() and not kept
            _stop(pool)
            if empty:
                with contextlib.suppress(libvirt.libvirtError):  # files that are no volumes: the directory stays
                    pool.delete(0)
            pool.undefine()
        if kept:
            operation.report(f"volumes with data stay in {path} on the hypervisor: {', '.join(sorted(kept))}")


def _stop(pool: Any) -> None:
    if pool.isActive():
        pool.destroy()


def _path(pool: Any) -> str:
    path = from_text(pool.XMLDesc(0)).findtext("target/path")
    if not path:
        raise PlatformError(f"the storage pool '{pool.name()}' has no directory")
    return path
