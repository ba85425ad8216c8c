"""The server of a deployed machine, which must be this stack's."""

from provision.errors import NotFound, PlatformError
from provision.spi import DeployedMachine, NativeState
from provision.spi.cloud import foreign
from provision_openstack.errors import ApiError, explained
from provision_openstack.kinds import SERVER
from provision_openstack.ownership import made_by, stack_of
from provision_openstack.reading import Live
from provision_openstack.resources.server import Server
from provision_openstack.session import Session

MAKE_ANEW = "run `provision refresh`, then `provision up`: that makes anew what is gone"


def native_of(machine: DeployedMachine) -> NativeState:
    """What the state holds of the machine's server.

    Raises:
        PlatformError: nothing.
    """
    native = machine.native(Server.token)
    if native is None:
        raise PlatformError(f"the machine '{machine.name}' has no server in the cloud", "run `provision up`")
    return native


def server_of(session: Session, machine: DeployedMachine) -> Live:
    """The server of a machine as it is now.

    Raises:
        NotFound: it is gone.
        ForeignObject: it does not belong to the stack.
        PlatformError: Nova does not answer.
    """
    native = native_of(machine)
    with explained(f"looking at the server of '{machine.name}'"):
        try:
            live: Live = session.compute.get(f"/servers/{native.id}", version=SERVER.version)["server"]
        except ApiError as error:
            if not error.absent:
                raise
            raise NotFound(f"the machine '{machine.name}' is gone from the cloud", MAKE_ANEW) from None
    if not is_own(native, live):
        raise foreign("server", native.id)
    return live


def is_own(native: NativeState, live: Live) -> bool:
    """Whether a live server is what the state says that it is."""
    if native.outputs.get("adopted"):
        return True
    stack_id = native.inputs.get("stack_id")
    return made_by(SERVER.place, live, str(stack_id)) if stack_id else bool(stack_of(SERVER.place, live))
