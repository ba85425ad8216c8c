"""`compute:VolumeAttachment`: a server has a volume.

Cinder shows an attachment from when the server has the volume until the server has let go of it. Nova counts it from
the call that asks for it until all of that is done, and refuses any other meanwhile: so it is Nova that knows of one
that is coming, and a refusal may mean one that is going.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

from provision.errors import PlatformError, RetriableError
from provision.spi import Operation, Pending
from provision_openstack.errors import ApiError, explained, is_absent, taken
from provision_openstack.kinds import SERVER, VOLUME
from provision_openstack.reading import Live
from provision_openstack.resources.joint import Found, Joint
from provision_openstack.resources.storage_model import VolumeAttachmentInputs, VolumeAttachmentOutputs
from provision_openstack.session import Session

_UNDER_WAY = frozenset({"reserved", "attaching", "detaching"})
"""States of a volume in which an attachment may be there that Cinder does not show."""

_GIVEN_UP_S = 3.0
"""When Cinder and Nova have both shown no attachment for so long after one was asked for, there will be none.

Databases that answer from several places may be behind for less than that.
"""

_COUNTED = re.compile(r"already attached")
"""Nova counts the volume to a server."""

_AGAIN = "run again; when it stays so, ask the cloud's operators, with the ids of the volume and the server"


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
            RetriableError: a server still has the volume, and is letting go of it.
        """
        body = {"volumeAttachment": {"volumeId": second}}
        try:
            session.compute.post(f"/servers/{first}/os-volume_attachments", body, version=SERVER.version)
        except ApiError as error:
            if self.may_be_there(error):
                live = session.reader.remembered(VOLUME, second) or {}
                having = [str(one["server_id"]) for one in live.get("attachments") or ()]
                if having and _is_going(live):
                    raise RetriableError(
                        f"the volume {second} is still being detached from the server {having[0]}", _AGAIN
                    ) from None
                if having and first not in having and not live.get("multiattach"):
                    raise taken(f"attachment of the volume {second} to the server {having[0]}", error.text) from None
            raise

    def refused(self, error: Exception) -> Exception:
        """Neither service shows one that Nova counts: it is going, or is another server's and only coming."""
        if isinstance(error, ApiError) and _COUNTED.search(error.text):
            return RetriableError(f"the volume cannot be attached yet: {error.text}", _AGAIN)
        return error

    def part(self, session: Session, first: str, second: str) -> None:
        """One call."""
        session.compute.delete(f"/servers/{first}/os-volume_attachments/{second}", version=SERVER.version)

    def find(self, session: Session, first: str, second: str, *, fresh: bool) -> Live | None:
        """What the volume says of its attachments, with its status; what Nova says of one that it does not show."""
        live = session.reader.remembered(VOLUME, second) if fresh else session.reader.survey(VOLUME).get(second)
        if live is None:
            return None
        shown = _shown(live, first)
        hides = live.get("status") in _UNDER_WAY or (live.get("multiattach") and live.get("status") == "in-use")
        return shown if shown is not None or not hides else _counted(session, first, second, live)

    def standing(self, session: Session, inputs: VolumeAttachmentInputs) -> Found | None:
        """One that is going does not count: Nova refuses another until it is gone."""
        found = super().standing(session, inputs)
        return found if found is not None and not _is_going(found[2]) else None

    def settled(self, operation: Operation, inputs: VolumeAttachmentInputs) -> Found:
        """It when Cinder shows it.

        Raises:
            PlatformError: the server's host could not attach it.
        """
        session: Session = operation.session
        first, second = inputs.server_id, inputs.volume_id
        missing_since: float | None = None

        def look() -> "Found | Pending":
            nonlocal missing_since
            live = session.reader.remembered(VOLUME, second) or {}
            shown = _shown(live, first)
            if shown is not None and self.ready(shown):
                return first, second, shown
            if live.get("status") != "available" or _counted(session, first, second, live) is not None:
                missing_since = None
                return Pending(f"the {self.noun} is not there yet: the volume is {live.get('status') or 'gone'}")
            now = time.monotonic()
            missing_since = now if missing_since is None else missing_since
            if now - missing_since >= _GIVEN_UP_S:
                raise PlatformError(
                    f"the volume {second} could not be attached to the server {first}: its host gave it up",
                    f"`openstack server event list {first}` tells what went wrong; mend it, then run again",
                )
            return Pending(f"the {self.noun} is shown by nobody")

        return operation.wait_until(look)

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


def _shown(live: Live, server: str) -> Live | None:
    """What Cinder shows of a server's attachment, with the status of the volume."""
    for one in live.get("attachments") or ():
        if one.get("server_id") == server:
            return {**one, "status": live.get("status")}
    return None


def _counted(session: Session, server: str, volume: str, live: Live) -> Live | None:
    """What Nova says of an attachment, with the status of the volume."""
    with explained(f"looking at the attachment of the volume {volume}"):
        try:
            path = f"/servers/{server}/os-volume_attachments/{volume}"
            found = session.compute.get(path, version=SERVER.version)["volumeAttachment"]
        except ApiError as error:
            if is_absent(error):
                return None
            raise
    return {"server_id": server, "device": found.get("device"), "status": live.get("status")}


def _is_going(live: Live) -> bool:
    return live.get("status") == "detaching"
