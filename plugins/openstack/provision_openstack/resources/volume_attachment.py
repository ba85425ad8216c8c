"""`compute:VolumeAttachment`: a server has a volume."""

from collections.abc import Iterator
from typing import Any

from provision_openstack.errors import ApiError, taken
from provision_openstack.kinds import SERVER, VOLUME
from provision_openstack.reading import Live
from provision_openstack.resources.joint import Joint
from provision_openstack.resources.storage_model import VolumeAttachmentInputs, VolumeAttachmentOutputs
from provision_openstack.session import Session


class VolumeAttachment(Joint[VolumeAttachmentInputs, VolumeAttachmentOutputs]):
    """An attachment. It goes before the server does, so that nothing is written to the volume any more."""

    token = "compute:VolumeAttachment"
    Inputs = VolumeAttachmentInputs
    Outputs = VolumeAttachmentOutputs
    noun = "attachment of a volume"
    whole = SERVER
    ends = ("server_id", "volume_id")

    def join(self, session: Session, first: str, second: str) -> None:
        """One call.

        Raises:
            ForeignObject: another server has the volume.
        """
        body = {"volumeAttachment": {"volumeId": second}}
        try:
            session.compute.post(f"/servers/{first}/os-volume_attachments", body, version=SERVER.version)
        except ApiError as error:
            if error.status in (400, 409):
                live = session.reader.remembered(VOLUME, second) or {}
                others = [str(one["server_id"]) for one in live.get("attachments") or () if one["server_id"] != first]
                if others and not live.get("multiattach"):
                    raise taken(f"attachment of the volume {second} to the server {others[0]}", error.text) from None
            raise

    def part(self, session: Session, first: str, second: str) -> None:
        """One call."""
        session.compute.delete(f"/servers/{first}/os-volume_attachments/{second}", version=SERVER.version)

    def find(self, session: Session, first: str, second: str, *, fresh: bool) -> Live | None:
        """What the volume says of its attachments, with its status."""
        live = session.reader.remembered(VOLUME, second) if fresh else session.reader.survey(VOLUME).get(second)
        for one in (live or {}).get("attachments") or ():
            if one.get("server_id") == first:
                return {**one, "status": (live or {}).get("status")}
        return None

    def ready(self, live: Live) -> bool:
        """The volume is in use."""
        return bool(live.get("status") == "in-use")

    def told(self, live: Live) -> dict[str, Any]:
        """Where it is."""
        return {"device": live.get("device") or ""}

    def pairs(self, session: Session) -> Iterator[tuple[str, str]]:
        """By volumes."""
        for volume in session.reader.left(VOLUME, lambda live: bool(live.get("attachments"))):
            for one in volume["attachments"]:
                yield str(one["server_id"]), str(volume["id"])
