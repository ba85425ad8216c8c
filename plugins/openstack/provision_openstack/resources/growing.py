"""Volumes that grow in place, also while a server has them or starts from them; and those that are not encrypted."""

from provision.errors import PlatformError
from provision.spi import CheckFailure, CheckRequest, Operation, Pending
from provision_openstack.kinds import VOLUME
from provision_openstack.reading import Live
from provision_openstack.session import Session

STUCK = "error_extending"
"""As large as before, with everything that is on it."""

READY = frozenset({"available", "in-use", "reserved", "attaching", "detaching", "backing-up", "maintenance", STUCK})
_EXTENDS_IN_USE = "3.42"


def shrunk(request: CheckRequest, field: str) -> list[CheckFailure]:
    """The refusal of a size, the input `field`, that is smaller than the recorded one."""
    now, then = request.inputs.get(field), (request.old_inputs or {}).get(field)
    if isinstance(now, int | float) and isinstance(then, int | float) and now < then:
        reason = f"a volume cannot shrink from {then:g} to {now:g} GiB; write {then:g} or more"
        return [CheckFailure(field, reason)]
    return []


def grow(operation: Operation, live: Live, size: int) -> bool:
    """Have a volume grow where it is smaller, and wait until it has; whether it was.

    Raises:
        ApiError: Cinder refuses.
        PlatformError: the cloud or the storage cannot do it.
    """
    session: Session = operation.session
    if int(live["size"]) >= size:
        return False
    identity, in_use = str(live["id"]), VOLUME.state(live) == "in-use"
    if VOLUME.state(live) == STUCK:
        raise _stays(live)
    if in_use and not session.volume.offers(_EXTENDS_IN_USE):
        raise PlatformError(
            f"the volume {identity} cannot grow while a server has it: that takes Cinder's microversion "
            f"{_EXTENDS_IN_USE}, and this cloud has {session.volume.maximum or 'none'}",
            "ask the operators, or write the size that it has",
        )
    version = _EXTENDS_IN_USE if in_use else ""
    session.volume.post(f"{VOLUME.path}/{identity}/action", {"os-extend": {"new_size": size}}, version=version)
    session.touched(identity)
    session.reader.forget(VOLUME, identity)

    def look() -> "Pending | None":
        now = session.reader.watch(VOLUME, identity) or {}
        if VOLUME.state(now) == STUCK:
            raise _stays(now)
        grown = int(now.get("size") or 0) >= size and VOLUME.state(now) in READY
        return None if grown else Pending(f"the volume is {VOLUME.state(now) or 'gone'}")

    with session.reader.watching(VOLUME, identity):
        operation.wait_until(look)
    return True


def refuse_plain(live: Live, called: str) -> None:
    """Go on only with a volume that is encrypted.

    Raises:
        PlatformError: Cinder made it without.
    """
    if live.get("encrypted") is not True:
        raise PlatformError(
            f"{called} {live['id']} is to be encrypted, and Cinder made it without: volumes of the type "
            f"'{live.get('volume_type') or 'that it has'}' are not encrypted",
            "take the type out of `provision-openstack:encryptedVolumeTypes`, or have the operators make it encrypt; "
            "then `--replace` makes it anew",
        )


def _stays(live: Live) -> PlatformError:
    return PlatformError(
        f"Cinder could not let the volume {live['id']} grow: it has {live['size']} GiB as before, and all its data",
        "ask the operators for the reason, and to reset its state (`openstack volume set --state`); or write "
        f"{live['size']} GiB again",
    )
