"""What volumes and their attachments are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import (
    DESTROYS_DATA,
    IMMUTABLE,
    STABLE,
    Computed,
    Isolates,
    OwnedInputs,
    StackField,
    Sticky,
    spell_size,
)
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs
from provision_aws.wanted import ImageSearch

VolumeType = Literal["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"]


def check_performance(kind: str, iops: int | None, throughput: int | None) -> None:
    """Whether a type of volume can be told how fast it is to be.

    Raises:
        ValueError: it cannot.
    """
    if iops is not None and kind not in ("gp3", "io1", "io2"):
        raise ValueError(f"`iops` cannot be set for {kind}; use gp3, io1 or io2")
    if iops is None and kind in ("io1", "io2"):
        raise ValueError(f"{kind} needs `iops`")
    if throughput is not None and kind != "gp3":
        raise ValueError(f"`throughput` cannot be set for {kind}; use gp3")


class VolumeInputs(TaggedInputs):
    """Inputs of `ec2:Volume`."""

    availability_zone: Annotated[str, Field(description="Name of its zone."), DESTROYS_DATA]
    size_gib: Annotated[
        int,
        Field(description="Its size in GiB; it only ever grows.", ge=1, le=65536),
        StackField(("machines.disks.size",), spell_size("GiB")),
    ]
    volume_type: Annotated[VolumeType, Field(description="Kind of storage."), StackField(("machines.disks.type",))] = (
        "gp3"
    )
    iops: Annotated[
        int | None,
        Field(description="Operations a second, for gp3, io1 and io2.", ge=100, le=256000),
        StackField(("machines.disks.iops",)),
    ] = None
    throughput: Annotated[
        int | None,
        Field(description="MiB a second, for gp3.", ge=125, le=2000),
        StackField(("machines.disks.throughput",), lambda value: f"{value:g}MiB/s"),
    ] = None
    encrypted: Annotated[
        bool, Field(description="Whether it is encrypted."), DESTROYS_DATA, Isolates(setting=True, choice=True)
    ] = True
    kms_key_id: Annotated[
        str | None,
        Field(description="Key for that: id, ARN or alias; default: the account's."),
        DESTROYS_DATA,
        Isolates(setting=True, choice=True),
    ] = None
    snapshot_id: Annotated[
        str | None,
        Field(description="Snapshot that it begins with; without one that of the root disk of `image`."),
        Sticky(("image",), "choose_image_anew"),
        DESTROYS_DATA,
    ] = None
    image: Annotated[
        ImageSearch | None, Field(description="Image that it begins with, found once, when no snapshot is given.")
    ] = None
    choose_image_anew: Annotated[bool, Field(description="Whether the image is looked for again.")] = False

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        check_performance(self.volume_type, self.iops, self.throughput)
        if self.kms_key_id is not None and not self.encrypted:
            raise ValueError("`kms_key_id` is for an encrypted volume")
        return self


class VolumeOutputs(NativeOutputs):
    """Outputs of `ec2:Volume`; its id is the volume's."""

    kms_key_arn: Annotated[str | None, Field(description="ARN of the key that encrypts it."), STABLE]
    live_iops: Annotated[
        int | None,
        Field(description="Operations a second that it has."),
        Computed(depends_on=("iops", "volume_type", "size_gib")),
    ]
    live_throughput: Annotated[
        int | None,
        Field(description="MiB a second that it has."),
        Computed(depends_on=("throughput", "volume_type")),
    ]


class VolumeAttachmentInputs(OwnedInputs):
    """Inputs of `ec2:VolumeAttachment`. It belongs to whom the volume belongs to: attachments have no tags."""

    volume_id: Annotated[str, Field(description="Id of the volume."), IMMUTABLE]
    instance_id: Annotated[str, Field(description="Id of the machine."), IMMUTABLE]
    device_name: Annotated[
        str, Field(description="Name of the device, such as /dev/sdf.", pattern=r"^(/dev/)?(sd|xvd)[a-z]{1,2}$"),
        IMMUTABLE,
    ]  # fmt: skip
    stop_before_detaching: Annotated[
        bool, Field(description="Whether the machine is stopped first, so that nothing of its writing is lost.")
    ] = False


class VolumeAttachmentOutputs(NativeOutputs):
    """Outputs of `ec2:VolumeAttachment`; its id is `VOLUME|INSTANCE`."""

    state: Annotated[str, Field(description="`attached`."), Computed()]
