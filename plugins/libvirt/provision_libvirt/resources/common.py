"""What several resource types need: looking objects up, and refusing those of others."""

import secrets
from collections.abc import Callable
from typing import Any

import libvirt

from provision.errors import ForeignObject, NotFound
from provision.spi import Checked, CheckRequest, Properties
from provision_libvirt.ownership import in_stack, is_marked
from provision_libvirt.session import explained, is_absent


def found(lookup: Callable[[str], Any], key: str, doing: str) -> Any | None:
    """The object that `lookup` finds under `key`, None when there is none.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    with explained(doing):
        try:
            return lookup(key)
        except libvirt.libvirtError as error:
            if is_absent(error):
                return None
            raise


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


def ours(uuid: str, inputs: Properties | None) -> bool:
    """Whether the object with this UUID belongs to the stack; without recorded inputs: to any stack of ours."""
    stack_id = getattr(inputs, "stack_id", None)
    return is_marked(uuid) if stack_id is None else in_stack(uuid, stack_id)


def own_pool(connection: Any, name: str, inputs: Properties | None) -> Any:
    """The stack's pool `name`.

    Raises:
        NotFound: there is none.
        ForeignObject: it belongs to somebody else.
    """
    pool = found(connection.storagePoolLookupByName, name, f"looking for the pool '{name}'")
    if pool is None:
        raise NotFound(f"the pool '{name}' does not exist on the hypervisor")
    if not ours(pool.UUIDString(), inputs):
        raise foreign("storage pool", name)
    return pool


def volume_in(pool: Any, name: str) -> Any | None:
    """The volume `name` of `pool`, None when there is none."""
    return found(pool.storageVolLookupByName, name, f"looking for the volume '{name}'")
