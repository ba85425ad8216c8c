"""`storage:Pool`: the stack's directory of volumes, and the last object of a stack to go."""

from collections.abc import Iterable
from typing import Any

from provision.errors import PlatformError, UserError
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
)
from provision_libvirt.ownership import Owner, in_stack, same_stack
from provision_libvirt.resources import xml_storage
from provision_libvirt.resources.common import foreign, name_for_life, ours, taken, taken_back
from provision_libvirt.resources.encryption import forget_lost_keys
from provision_libvirt.resources.finding import POOL
from provision_libvirt.resources.importing import imported, is_adopted, not_importable
from provision_libvirt.resources.leftovers import remove_volumes, sweep
from provision_libvirt.resources.native_model import Query
from provision_libvirt.resources.storage_model import PoolInputs, PoolOutputs
from provision_libvirt.resources.xml_tools import from_text
from provision_libvirt.session import Session, best_effort, explained


class Pool(ResourceType[PoolInputs, PoolOutputs, Session]):
    """A directory on the hypervisor that holds the volumes of one stack.

    Every other object of the stack depends on its pool, so it is made first and removed last; what is left of the stack
    by then was left by interrupted runs and goes with it, volumes with data excepted.
    """

    token = "storage:Pool"
    Inputs = PoolInputs
    Outputs = PoolOutputs
    Query = Query

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request)

    def create(self, request: CreateRequest[PoolInputs]) -> Created[PoolOutputs]:
        """Make the directory and start the pool, or take over what an interrupted run left of it."""
        inputs, session = request.inputs, request.operation.session
        connection = session.connection()
        uuid = Owner(inputs.stack_id, request.operation.urn).uuid()
        doing = f"making the storage pool '{inputs.name}'"
        other = POOL.named(connection, inputs.name)
        if other is not None and other.UUIDString() != uuid:
            raise taken("storage pool", inputs.name, other.UUIDString(), inputs)
        left = POOL.marked(connection, uuid)
        with explained(doing):
            if left is not None and left.name() != inputs.name:
                _remove(left)
                left = None
            path = f"{session.pool_path.rstrip('/')}/{inputs.name}"
            text = xml_storage.pool(inputs.name, uuid, path)
            pool = connection.storagePoolDefineXML(text) if left is None else left
            with taken_back(lambda: _remove(pool, delete=True) if left is None else None):
                if not pool.isActive():
                    pool.build(0)
                    pool.create(0)
                pool.setAutostart(1)
                return Created(uuid, PoolOutputs(name=inputs.name, path=_path(pool), uuid=uuid))

    def read(self, request: ReadRequest[PoolInputs, PoolOutputs]) -> Read[PoolInputs, PoolOutputs] | None:
        """What the pool is now; one that was stopped counts as gone, and making it starts it again."""
        pool = POOL.read(request)
        if pool is None:
            return None
        with explained(f"reading the storage pool {request.id}"):
            if request.inputs is None:
                inputs = _importable(pool)
            elif not pool.isActive():
                return None
            else:
                inputs = request.inputs.model_copy(update={"name": pool.name()})
            uuid = pool.UUIDString()
            outputs = PoolOutputs(name=inputs.name, path=_path(pool), uuid=uuid, adopted=is_adopted(request))
        return Read(uuid, inputs, outputs)

    def list(self, request: ListRequest) -> Iterable[Listed]:
        """Pools that are directories, by name."""
        return POOL.list(request, _importable)

    def update(self, request: UpdateRequest[PoolInputs, PoolOutputs]) -> Updated[PoolOutputs]:
        """Remember which volumes are disposable, of which the hypervisor knows nothing; start a stopped pool."""
        inputs = request.inputs
        with explained(f"changing the storage pool '{inputs.name}'"):
            pool = request.operation.session.connection().storagePoolLookupByUUIDString(request.id)
            if not ours(request.id, inputs, request.outputs):
                raise foreign("storage pool", pool.name())
            if not pool.isActive():
                pool.create(0)
            return Updated(request.outputs.model_copy(update={"path": _path(pool)}))

    def delete(self, request: DeleteRequest[PoolInputs, PoolOutputs]) -> None:
        """Remove what interrupted runs left of the stack, and the pool; volumes with data stay in their directory.

        In a pool that was imported every volume is left that is not named in `disposable`.
        """
        operation, inputs = request.operation, request.inputs
        connection = operation.session.connection()
        doing = f"removing the storage pool '{request.outputs.name}'"
        pool = POOL.marked(connection, request.id)
        if pool is None:
            return
        if not ours(request.id, inputs, request.outputs):
            raise foreign("storage pool", pool.name())
        adopted = request.outputs.adopted
        with explained(doing):
            _sweep(connection, request)
            if not pool.isActive():
                with best_effort():
                    pool.create(0)
            path = _path(pool)
            disposable = inputs.disposable if inputs else []
            kept = remove_volumes(connection, pool, disposable, only=adopted) if pool.isActive() else []
            if pool.isActive():
                forget_lost_keys(connection, lambda uuid: same_stack(uuid, request.id))
            _remove(pool, delete=pool.isActive() and not kept)
        if kept:
            operation.note(f"volumes with data stay in {path} on the hypervisor: {', '.join(sorted(kept))}")


def _sweep(connection: Any, request: DeleteRequest[PoolInputs, PoolOutputs]) -> None:
    """Remove what is left of the stack besides volumes, unless another pool of it stays."""
    stack_id = request.inputs.stack_id if request.inputs else ""

    def of_stack(uuid: str) -> bool:
        return in_stack(uuid, stack_id) if stack_id else same_stack(uuid, request.id)

    if request.outputs.adopted and not stack_id:  # imported and given up before the stack said who it is
        return
    pools = [pool.UUIDString() for pool in connection.listAllStoragePools()]
    if not any(of_stack(uuid) for uuid in pools if uuid != request.id):
        sweep(connection, of_stack, request.operation.report)


def _importable(pool: Any) -> PoolInputs:
    """The inputs that describe a pool whoever made it.

    Raises:
        UserError: it does not run or is no directory.
    """
    what = f"the storage pool '{pool.name()}'"
    if not pool.isActive():
        raise UserError(f"{what} cannot be imported: it is not running", f"virsh pool-start {pool.name()}")
    if (kind := from_text(pool.XMLDesc(0)).get("type")) != "dir":
        raise not_importable(what, f"it is of the type '{kind}', and only a directory can be described")
    return imported(PoolInputs, what, {"name": pool.name()})


def _remove(pool: Any, *, delete: bool = False) -> None:
    if pool.isActive():
        pool.destroy()
    if delete:
        with best_effort():  # files that are no volumes: the directory stays
            pool.delete(0)
    pool.undefine()


def _path(pool: Any) -> str:
    path = from_text(pool.XMLDesc(0)).findtext("target/path")
    if not path:
        raise PlatformError(f"the storage pool '{pool.name()}' has no directory")
    return path
