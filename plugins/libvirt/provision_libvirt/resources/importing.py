"""Importing objects: explicitly, and only such as their type can describe in full."""

from typing import Any, TypeVar

from pydantic import ValidationError

from provision.errors import UserError
from provision.spi import Properties, ReadRequest
from provision_libvirt.ownership import same_stack
from provision_libvirt.session import explained

P = TypeVar("P", bound=Properties)


def imported(model: type[P], what: str, values: dict[str, Any]) -> P:
    """Inputs of an object that is being imported, from what was read of it.

    Raises:
        UserError: the type cannot describe the object.
    """
    try:
        return model.model_validate(model.model_construct(**{"stack_id": "", **values}).model_dump(warnings=False))
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False)
        )
        raise not_importable(what, reasons) from None


def not_importable(what: str, reason: str) -> UserError:
    """The refusal to import something that could then not be changed without harm."""
    return UserError(f"{what} cannot be imported: {reason}", "leave it to whoever manages it now")


def stack_pool(connection: Any, uuid: str) -> str:
    """Name of the pool of the stack that this UUID marks an object of; empty when there is none.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    with explained("looking for storage pools"):
        pools = connection.listAllStoragePools()
        return next((str(pool.name()) for pool in pools if same_stack(pool.UUIDString(), uuid)), "")


def is_adopted(request: ReadRequest[Any, Any]) -> bool:
    """Whether what is read is, or just becomes, known to the stack by an import alone."""
    return request.inputs is None or bool(getattr(request.outputs, "adopted", False))
