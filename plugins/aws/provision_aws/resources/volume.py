"""`ec2:Volume`: a disk that outlives machines."""

from typing import Any

from provision.spi import Checked, CheckFailure, CheckRequest, ChoiceRequest, DataLoss, Operation, Pending
from provision_aws.kinds import VOLUME
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.resources.volume_model import VolumeInputs, VolumeOutputs
from provision_aws.session import Session
from provision_aws.wanted import ImageSearch

_USUAL = {"gp3": (3000, 125)}
"""What a type has when nothing is said: operations and MiB a second (EBS User Guide, "General Purpose SSD")."""


class Volume(Native[VolumeInputs, VolumeOutputs]):
    """A volume."""

    token = "ec2:Volume"
    Inputs = VolumeInputs
    Outputs = VolumeOutputs
    Query = TaggedQuery
    kind = VOLUME
    waits_until_gone = True
    disposable = False

    def check(self, request: CheckRequest) -> Checked:
        """It only ever grows."""
        return Checked(request.inputs, shrunk("size_gib", request.inputs, request.old_inputs))

    def choose(self, request: ChoiceRequest) -> str | None:
        """The snapshot of the image that it begins with; None when it begins with nothing.

        Raises:
            UserError: there is none that fits.
        """
        from provision_aws.images import snapshot

        image = request.inputs.get("image")
        if image is None:
            return None
        search = ImageSearch.model_validate(image)
        return snapshot(request.operation.session, search, int(request.inputs["size_gib"]))

    def make(self, session: Session, inputs: VolumeInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        wanted = {
            "AvailabilityZone": inputs.availability_zone,
            "Size": inputs.size_gib,
            "VolumeType": inputs.volume_type,
            "Iops": inputs.iops,
            "Throughput": inputs.throughput,
            "Encrypted": inputs.encrypted,
            "KmsKeyId": inputs.kms_key_id,
            "SnapshotId": inputs.snapshot_id,
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        made: Live = session.client().create_volume(**given, TagSpecifications=tags, ClientToken=token)
        return made

    def ready(self, live: Live) -> bool | str:
        """Also while a machine has it."""
        state = self.kind.state(live)
        if state == "error":
            return "it failed: EC2 may lack the right to use its key"
        return state in ("available", "in-use")

    def change(self, operation: Operation, live: Live, inputs: VolumeInputs, *, fresh: bool) -> bool:
        """One call; EC2 then goes on working on it, which hinders nothing."""
        return False if fresh else modify(operation, live, inputs)

    def loses_data(self, inputs: VolumeInputs) -> DataLoss:
        """What is in it: a replacement loses that, and its removal is what the file asks for."""
        return DataLoss.REPLACED

    def seen(self, session: Session, live: Live, recorded: VolumeInputs | None) -> dict[str, Any]:
        """As described; what follows from the type is not wanted as such."""
        return {
            "availability_zone": live["AvailabilityZone"],
            "encrypted": bool(live.get("Encrypted")),
            "kms_key_id": key_of(live, recorded),
            "snapshot_id": live.get("SnapshotId") or None,
            "image": recorded.image if recorded is not None else None,
            "choose_image_anew": recorded.choose_image_anew if recorded is not None else False,
            **performance(live, recorded),
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """What it has."""
        return {
            "kms_key_arn": live.get("KmsKeyId") or None,
            "live_iops": live.get("Iops") or None,
            "live_throughput": live.get("Throughput") or None,
        }

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_volume(VolumeId=identity)


def shrunk(name: str, inputs: Any, old_inputs: Any) -> list[CheckFailure]:
    """The refusal of a size that is smaller than the recorded one."""
    before, after = (old_inputs or {}).get(name), inputs.get(name)
    if isinstance(before, int | float) and isinstance(after, int | float) and after < before:
        return [CheckFailure(name, f"a volume cannot shrink from {before:g} to {after:g} GiB; make another one")]
    return []


def performance(live: Live, recorded: Any) -> dict[str, Any]:
    """Size, type and speed of a live volume, by the names of inputs."""
    kind = str(live["VolumeType"])
    iops, throughput = live.get("Iops") or None, live.get("Throughput") or None
    usual = _USUAL.get(kind, (None, None))
    wanted = (recorded.iops, recorded.throughput) if recorded is not None else (None, None)
    if kind not in ("gp3", "io1", "io2") or (wanted[0] is None and iops == usual[0]):
        iops = None
    if kind != "gp3" or (wanted[1] is None and throughput == usual[1]):
        throughput = None
    return {"size_gib": live["Size"], "volume_type": kind, "iops": iops, "throughput": throughput}


def modify(operation: Operation, live: Live, wanted: Any) -> bool:
    """Bring size, type and speed of a volume in line; whether anything was changed.

    Raises:
        botocore.exceptions.ClientError: EC2 refuses.
    """
    session: Session = operation.session
    now = performance(live, wanted)
    usual = _USUAL.get(wanted.volume_type, (None, None))
    names = {
        "Size": ("size_gib", wanted.size_gib),
        "VolumeType": ("volume_type", wanted.volume_type),
        "Iops": ("iops", wanted.iops),
        "Throughput": ("throughput", wanted.throughput),
    }
    change = {field: value for field, (name, value) in names.items() if value is not None and now[name] != value}
    if wanted.iops is None and now["iops"] is not None and usual[0]:
        change["Iops"] = usual[0]
    if wanted.throughput is None and now["throughput"] is not None and usual[1]:
        change["Throughput"] = usual[1]
    if not change:
        return False
    identity = str(live["VolumeId"])
    session.touched(identity)
    session.client().modify_volume(VolumeId=identity, **change)

    def look() -> "Pending | None":
        seen = session.reader.watch(VOLUME, identity)
        if seen is not None and all(seen.get(field) == value for field, value in change.items()):
            return None
        return Pending("EC2 is changing the volume")

    with session.reader.watching(VOLUME, identity):
        operation.wait_until(look)
    return True


def key_of(live: Live, recorded: Any) -> str | None:
    """The key as it was recorded when it is the one; which key an account's default is nobody tells."""
    arn = live.get("KmsKeyId") or None
    if recorded is None or arn is None or recorded.kms_key_id is None:
        return None
    wanted = str(recorded.kms_key_id)
    alias = wanted.startswith("alias/") or ":alias/" in wanted
    return wanted if alias or str(arn).rpartition("/")[2] == wanted.rpartition("/")[2] else str(arn)
