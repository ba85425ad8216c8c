"""Choices that are made once for a server: its flavor and its image."""

from provision.errors import UserError
from provision_openstack import capabilities
from provision_openstack.session import Session
from provision_openstack.sizes import FlavorRequirements, closest, newest, smallest


def flavor(session: Session, wanted: FlavorRequirements) -> str:
    """Id of the smallest flavor that has what is asked for.

    Raises:
        UserError: none fits; the message says what comes closest.
    """
    flavors = session.once("flavors", lambda: capabilities.flavors(session))
    found = smallest(flavors, wanted)
    if found is not None:
        return str(found["id"])
    if wanted.name is not None:
        raise UserError(f"the cloud shows no flavor '{wanted.name}'", "`openstack flavor list` shows which there are")
    raise UserError(
        f"no flavor has what is asked for: {wanted.cpus} CPUs, {wanted.memory_mib} MiB and the rest; "
        f"{closest(flavors, wanted)}",
        "ask for less, or name a flavor",
    )


def image(session: Session, name: str) -> str:
    """Id of the newest image of that name, or with that id.

    Raises:
        UserError: there is none.
    """
    images = session.once("images", lambda: capabilities.images(session))
    found = newest(images, name)
    if found is None:
        raise UserError(f"the cloud shows no image '{name}'", "`openstack image list` shows which there are")
    return str(found["id"])
