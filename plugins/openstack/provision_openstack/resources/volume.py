"""`volume:Volume`: a disk of its own."""

from collections.abc import Mapping
from typing import Any, ClassVar

from provision.errors import PlatformError
from provision.spi import Checked, CheckRequest, Operation
from provision_openstack.kinds import VOLUME
from provision_openstack.ownership import METADATA_KEY, Owner, plain_metadata, plain_text
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.growing import READY, STUCK, grow, refuse_plain, shrunk
from provision_openstack.resources.storage_model import VolumeInputs, VolumeOutputs
from provision_openstack.session import Session


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
        return Checked(request.inputs, shrunk(request, "size_gib"))

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
        if state.startswith("error") and state != STUCK:
            return (
                f"Cinder says that it is '{state}': look at it (`openstack volume show {live['id']}`), then remove it"
            )
        return state in READY

    def broken(self, live: Live) -> bool:
        """It never came to be."""
        return self.kind.state(live) == "error"

    def change(self, operation: Operation, live: Live, inputs: VolumeInputs, *, fresh: bool) -> bool:
        """Its size and metadata; one that is to be encrypted and is not is of no use."""
        if inputs.encrypted:
            refuse_plain(live, "the volume")
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
        return grow(operation, live, inputs.size_gib) or changed

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
            "encrypted": recorded is not None and recorded.encrypted and live.get("encrypted") is True,
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


def _own_metadata(live: Live) -> dict[str, str]:
    """Metadata that people, and not Nova or Cinder, wrote."""
    return {
        key: value for key, value in (live.get("metadata") or {}).items() if key not in ("readonly", "attached_mode")
    }
