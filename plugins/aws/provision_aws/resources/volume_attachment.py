"""`ec2:VolumeAttachment`: which machine has a volume."""

from collections.abc import Iterator
from typing import Any

from provision.spi import Operation
from provision_aws.kinds import VOLUME
from provision_aws.reading import Live
from provision_aws.resources.belonging import Belonging
from provision_aws.resources.power import stop
from provision_aws.resources.volume_model import VolumeAttachmentInputs, VolumeAttachmentOutputs
from provision_aws.session import Session


class VolumeAttachment(Belonging[VolumeAttachmentInputs, VolumeAttachmentOutputs]):
    """The attachment of a volume to a machine."""

    token = "ec2:VolumeAttachment"
    Inputs = VolumeAttachmentInputs
    Outputs = VolumeAttachmentOutputs
    noun = "attachment of a volume"
    whole = VOLUME
    taken = ("VolumeInUse",)

    def whole_id(self, inputs: VolumeAttachmentInputs) -> str:
        """The volume."""
        return inputs.volume_id

    def key(self, live: Live, part: Live) -> str:
        """The machine."""
        return str(part["InstanceId"])

    def parts(self, live: Live) -> Iterator[Live]:
        """One for each machine that has it."""
        for part in live.get("Attachments") or ():
            if part.get("State") != "detached":
                yield part

    def clashes(self, live: Live, part: Live, inputs: VolumeAttachmentInputs) -> bool:
        """A volume is with one machine."""
        return True

    def ready(self, part: Live) -> bool:
        """The machine sees it."""
        return part.get("State") == "attached"

    def leaving(self, part: Live) -> bool:
        """It is being detached, or is to be as soon as the machine lets go of it."""
        return part.get("State") in ("detaching", "busy")

    def refused(self, error: Exception) -> Exception:
        """The machine that has it is letting go of it, or is not shown yet: what EC2 refuses now passes by itself."""
        return error

    def make(self, session: Session, inputs: VolumeAttachmentInputs) -> None:
        """One call."""
        session.client().attach_volume(
            VolumeId=inputs.volume_id, InstanceId=inputs.instance_id, Device=inputs.device_name
        )

    def remove(self, operation: Operation, live: Live, part: Live, inputs: VolumeAttachmentInputs | None) -> None:
        """One call; the machine may have to be stopped first."""
        if inputs is not None and inputs.stop_before_detaching:
            stop(operation, str(part["InstanceId"]))
        operation.session.client().detach_volume(VolumeId=live["VolumeId"], InstanceId=part["InstanceId"])

    def seen(self, live: Live, part: Live, recorded: VolumeAttachmentInputs | None) -> dict[str, Any]:
        """As described."""
        return {
            "volume_id": live["VolumeId"],
            "instance_id": part["InstanceId"],
            "device_name": part["Device"],
            "stop_before_detaching": recorded.stop_before_detaching if recorded is not None else False,
        }

    def told(self, live: Live, part: Live) -> dict[str, Any]:
        """Its state."""
        return {"state": part.get("State", "")}
