"""The domain of a deployed machine, which must be this stack's."""

from typing import Any

from provision.errors import NotFound, PlatformError
from provision.spi import DeployedMachine, NativeState
from provision_libvirt.ownership import in_stack, is_marked
from provision_libvirt.resources.common import foreign
from provision_libvirt.resources.domain import Domain
from provision_libvirt.resources.finding import DOMAIN

MAKE_ANEW = "run `provision refresh`, then `provision up`: that makes anew what is gone"


def native_of(machine: DeployedMachine) -> NativeState:
    """What the state holds of the machine's domain.

    Raises:
        PlatformError: nothing.
    """
    native = machine.native(Domain.token)
    if native is None:
        raise PlatformError(f"the machine '{machine.name}' has no domain on the hypervisor", "run `provision up`")
    return native


def domain_of(connection: Any, machine: DeployedMachine) -> Any:
    """The domain of a machine.

    Raises:
        NotFound: it is gone.
        ForeignObject: it does not belong to the stack.
    """
    native = native_of(machine)
    domain = DOMAIN.marked(connection, native.id)
    if domain is None:
        raise NotFound(f"the machine '{machine.name}' is gone from the hypervisor", MAKE_ANEW)
    if not is_own(native):
        raise foreign("machine", domain.name())
    return domain


def is_own(native: NativeState) -> bool:
    """Whether the identity in the state is one that this stack gave, or took over by an import."""
    if native.outputs.get("adopted"):
        return True
    stack_id = native.inputs.get("stack_id")
    return in_stack(native.id, str(stack_id)) if stack_id else is_marked(native.id)
