"""`volume:Volume`: a disk of its own."""

from collections.abc import Mapping
from typing import Any, ClassVar

from provision.errors import PlatformError
from provision.spi import Checked, CheckFailure, CheckRequest, Operation, Pending
from provision_openstack.kinds import VOLUME
from provision_openstack.ownership import METADATA_KEY, Owner, plain_metadata, plain_text
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.storage_model import VolumeInputs, VolumeOutputs
from provision_openstack.session import Session

_STUCK = "error_extending"
"""As large as before, with everything that is on it."""

_READY = frozenset({"available", "in-use", "reserved", "attaching", "detaching", "backing-up", "maintenance", _STUCK})
_EXTENDS_IN_USE = "3.42"


class Volume(Native[VolumeInputs, VolumeOutputs]):
    """A volume."""

    token = "volume:Volume"
    Inputs = VolumeInputs
    Outputs = VolumeOutputs
    kind = VOLUME
    changing: ClassVar[Mapping[str, str]] = {"name": "name", "description": "description"}
    waits_until_gone = True

    def check(self, request: CheckRequest) -> Checked:
        """It only ever grows."""
        now, then = request.inputs.get("size_gib"), (request.old_inputs or {}).get("size_gib")
        if isinstance(now, int | float) and isinstance(then, int | float) and now < then:
            reason = f"a volume cannot shrink from {then:g} to {now:g} GiB; write {then:g} or more"
            return Checked(request.inputs, [CheckFailure("size_gib", reason)])
        return Checked(request.inputs)

    def body(self, session: Session, inputs: VolumeInputs) -> dict[str, Any]:
        """As wanted."""
        return {
            "name": inputs.name,
            "description": inputs.description,
            "size": inputs.size_gib,
            "volume_type": inputs.volume_type,
            "availability_zone": inputs.availability_zone,
            "imageRef": inputs.image_id,
        }

    def marked(self, body: dict[str, Any], inputs: VolumeInputs, owner: Owner) -> dict[str, Any]:
        """In its metadata."""
        return {**body, "metadata": {**inputs.metadata, METADATA_KEY: owner.mark}}

    def ready(self, live: Live) -> bool | str:
        """It was made, or failed."""
        state = self.kind.state(live)
        if state.startswith("error") and state != _STUCK:
            return (
                f"Cinder says that it is '{state}': look at it (`openstack volume show {live['id']}`), then remove it"
            )
        return state in _READY

    def broken(self, live: Live) -> bool:
        """It never came to be."""
        return self.kind.state(live) == "error"

    def change(self, operation: Operation, live: Live, inputs: VolumeInputs, *, fresh: bool) -> bool:
        """Its size and metadata."""
        if fresh:
            return False
        service, path = operation.session.volume, f"{self.kind.path}/{live['id']}"
        changed = False
        wanted = dict(inputs.metadata)
        if inputs.stack_id:
            wanted[METADATA_KEY] = Owner(inputs.stack_id, operation.urn).mark
        if _own_metadata(live) != wanted:
            service.put(f"{path}/metadata", {"metadata": wanted})
            changed = True
        if int(live["size"]) < inputs.size_gib:
            self._grow(operation, live, inputs.size_gib)
            changed = True
        return changed

    def _grow(self, operation: Operation, live: Live, size: int) -> None:
        """Have it grow, and wait until it has.

        Raises:
            PlatformError: the cloud or the storage cannot do it.
        """
        session: Session = operation.session
        identity, in_use = str(live["id"]), self.kind.state(live) == "in-use"
        if self.kind.state(live) == _STUCK:
            raise _stays(live)
        if in_use and not session.volume.offers(_EXTENDS_IN_USE):
            raise PlatformError(
                f"the volume {identity} cannot grow while a server has it: that takes Cinder's microversion "
                f"{_EXTENDS_IN_USE}, and this cloud has {session.volume.maximum or 'none'}",
                "ask the operators, or write the size that it has",
            )
        version = _EXTENDS_IN_USE if in_use else ""
        body = {"os-extend": {"new_size": size}}
        session.volume.post(f"{self.kind.path}/{identity}/action", body, version=version)
        session.touched(identity)
        session.reader.forget(self.kind, identity)

        def look() -> "Pending | None":
            now = session.reader.watch(self.kind, identity) or {}
            if self.kind.state(now) == _STUCK:
                raise _stays(now)
            grown = int(now.get("size") or 0) >= size and self.kind.state(now) in _READY
            return None if grown else Pending(f"the volume is {self.kind.state(now) or 'gone'}")

        with session.reader.watching(self.kind, identity):
            operation.wait_until(look)

    def stuck(self, identity: str, live: Live) -> None:
        """Cinder gave up.

        Raises:
            PlatformError: it says so.
        """
        if self.kind.state(live) == "error_deleting":
            raise PlatformError(
                f"removing the volume {identity}: Cinder could not remove it", "ask the operators, with the volume's id"
            )

    def seen(self, session: Session, live: Live, recorded: VolumeInputs | None) -> dict[str, Any]:
        """What the cloud chose is not wanted as such."""

        def said(name: str, value: Any) -> Any:
            return value if recorded is not None and getattr(recorded, name) is not None else None

        image = (live.get("volume_image_metadata") or {}).get("image_id")
        return {
            "name": live.get("name") or "",
            "description": plain_text(live.get("description")),
            "size_gib": live["size"],
            "volume_type": said("volume_type", live.get("volume_type")),
            "availability_zone": said("availability_zone", live.get("availability_zone")),
            "image_id": image,
            "metadata": plain_metadata(_own_metadata(live)),
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {
            "status": live.get("status") or "",
            "volume_type": live.get("volume_type") or "",
            "availability_zone": live.get("availability_zone") or "",
            "encrypted": bool(live.get("encrypted")),
        }


def _stays(live: Live) -> PlatformError:
    return PlatformError(
        f"Cinder could not let the volume {live['id']} grow: it has {live['size']} GiB as before, and all its data",
        "ask the operators for the reason, and to reset its state (`openstack volume set --state`); or write "
        f"{live['size']} GiB again",
    )


def _own_metadata(live: Live) -> dict[str, str]:
    """Metadata that people, and not Nova or Cinder, wrote."""
    return {
        key: value for key, value in (live.get("metadata") or {}).items() if key not in ("readonly", "attached_mode")
    }
