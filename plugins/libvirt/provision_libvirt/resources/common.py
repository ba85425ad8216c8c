"""What several resource types need: names for life, and refusing what belongs to others."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import libvirt

from provision.errors import (
    CreatedButUnhealthy,
    ForeignObject,
    NotFound,
    PlatformError,
)
from provision.spi import Cancelled, Checked, CheckRequest, Properties
from provision_libvirt.ownership import in_stack, is_marked
from provision_libvirt.resources.finding import POOL, found


def new_generation() -> str:
    """A name for one making of an object, never used before."""
    return secrets.token_hex(6)


def foreign(kind: str, name: str, detail: str = "") -> ForeignObject:
    """The refusal to touch `name`, which somebody else made."""
    return ForeignObject(
        f"the {kind} '{name}' exists on the hypervisor and does not belong to this stack{detail}; it was not touched",
        f"remove or rename that {kind} by hand, or give this stack, machine or network another name",
    )


def taken(kind: str, name: str, uuid: str, inputs: Properties) -> ForeignObject:
    """The refusal to make `name`, which an object with this UUID has."""
    if not ours(uuid, inputs):
        return foreign(kind, name, f" (UUID {uuid})")
    return ForeignObject(
        f"the {kind} '{name}' (UUID {uuid}) belongs to something of this stack that was renamed and kept its name on "
        "the hypervisor; it was not touched",
        "choose another name in the stack file",
    )


def name_for_life(request: CheckRequest, *more: str) -> Checked:
    """Inputs with the recorded name, as with an id that a cloud gives: what is renamed in the file is not made anew.

    Args:
        request: of a type with an input `name`.
        more: further inputs that are derived from the name.
    """
    before = request.old_inputs or {}
    kept = {field: before[field] for field in ("name", *more) if isinstance(before.get(field), str)}
    return Checked({**request.inputs, **kept})


def ours(uuid: str, inputs: Properties | None, outputs: Properties | None = None) -> bool:
    """Whether the object with this UUID belongs to the stack; without recorded inputs: to any stack of ours.

    Args:
        uuid: the object's.
        inputs: of the resource, recorded or wanted.
        outputs: recorded ones: an import put this very object into the stack's state, whatever its marker.
    """
    if getattr(outputs, "adopted", False):
        return True
    stack_id = getattr(inputs, "stack_id", None)
    return is_marked(uuid) if stack_id is None else in_stack(uuid, stack_id)


def own_pool(connection: Any, name: str, inputs: Properties | None, outputs: Properties | None = None) -> Any:
    """The stack's pool `name`; that of an imported volume may be anybody's, and one that was imported is named by UUID.

    Raises:
        NotFound: there is none.
        ForeignObject: it belongs to somebody else.
    """
    pool = POOL.named(connection, name)
    if pool is None:
        raise NotFound(f"the pool '{name}' does not exist on the hypervisor")
    uuid = pool.UUIDString()
    if not ours(uuid, inputs, outputs) and getattr(inputs, "pool_uuid", None) != uuid:
        raise foreign("storage pool", name)
    return pool


def volume_in(pool: Any, name: str) -> Any | None:
    """The volume `name` of `pool`, None when there is none."""
    return found(pool.storageVolLookupByName, name, f"looking for the volume '{name}'")


@contextlib.contextmanager
def taken_back(undo: Callable[[], object]) -> Iterator[None]:
    """When what is done inside fails, take back what was made before it: nobody would know of it otherwise."""
    try:
        yield
    except CreatedButUnhealthy:
        raise
    except (libvirt.libvirtError, PlatformError, Cancelled):
        with contextlib.suppress(libvirt.libvirtError, PlatformError):
            undo()
        raise
