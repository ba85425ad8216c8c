# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What images, volumes and their attachments are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import DESTROYS_DATA, IMMUTABLE, STABLE, Computed, Normalized, OwnedInputs, StackField, spell_size
from provision_openstack.labels import Description, Metadata
from provision_openstack.resources.native_model import NativeOutputs

BY_CONTENT = Normalized(lambda value: None, "the same content from another place is the same")


class ImageInputs(OwnedInputs):
    """Inputs of `image:Image`: a file that is uploaded once, and checked."""

    name: Annotated[str, Field(description="Its name.", min_length=1, max_length=255)]
    path: Annotated[str, Field(description="The file, on the machine that runs `provision`."), BY_CONTENT]
    sha256: Annotated[
        str, Field(description="Checksum of the file; another file is refused.", pattern=r"^[0-9a-f]{64}$"),
        IMMUTABLE,
    ]  # fmt: skip
    disk_format: Annotated[
        Literal["raw", "qcow2", "iso", "ami", "ari", "aki", "vmdk", "vdi"],
        Field(description="Format of the file."),
        IMMUTABLE,
    ] = "qcow2"
    container_format: Annotated[
        Literal["bare", "ami", "ari", "aki", "ova"], Field(description="What is around it."), IMMUTABLE
    ] = "bare"
    visibility: Annotated[Literal["private", "shared", "community", "public"], Field(description="Who may use it.")] = (
        "private"
    )
    min_disk_gib: Annotated[int, Field(description="Least root disk in GiB.", ge=0)] = 0
    min_ram_mib: Annotated[int, Field(description="Least memory in MiB.", ge=0)] = 0
    protected: Annotated[bool, Field(description="Whether Glance refuses to remove it.")] = False
    properties: Annotated[Metadata, Field(description="Further properties, such as hw_firmware_type.")] = {}


class ImageOutputs(NativeOutputs):
    """Outputs of `image:Image`; its id is Glance's."""

    status: Annotated[str, Field(description="As Glance says."), Computed()]
    size_bytes: Annotated[int, Field(description="Of the file."), STABLE]
    checksum: Annotated[str, Field(description="As Glance computed it: algorithm and digest."), STABLE]


class VolumeInputs(OwnedInputs):
    """Inputs of `volume:Volume`."""

    name: Annotated[str, Field(description="Its name.", max_length=255)] = ""
    description: Annotated[Description, Field(description="What people read of it.")] = ""
    size_gib: Annotated[
        int,
        Field(description="Its size in GiB. It grows in place, and never shrinks.", ge=1),
        StackField(("machines.disks.size",), spell_size("GiB")),
    ]
    volume_type: Annotated[
        str | None,
        Field(description="Name of its type, such as one that encrypts; None: the cloud's own."),
        DESTROYS_DATA,
    ] = None
    availability_zone: Annotated[
        str | None, Field(description="Where it is; None: as the cloud chooses."), DESTROYS_DATA
    ] = None
    image_id: Annotated[str | None, Field(description="Image with its first content; None: empty."), DESTROYS_DATA] = (
        None
    )
    encrypted: Annotated[
        bool, Field(description="Whether it must be encrypted, which its type decides: one that is not is not used.")
    ] = False
    metadata: Annotated[Metadata, Field(description="Further metadata.")] = {}


class VolumeOutputs(NativeOutputs):
    """Outputs of `volume:Volume`; its id is Cinder's."""

    status: Annotated[str, Field(description="As Cinder says."), Computed()]
    volume_type: Annotated[str, Field(description="Name of its type."), STABLE]
    availability_zone: Annotated[str, Field(description="Where it is."), STABLE]
    encrypted: Annotated[bool, Field(description="Whether it is encrypted."), STABLE]


class VolumeAttachmentInputs(OwnedInputs):
    """Inputs of `compute:VolumeAttachment`."""

    server_id: Annotated[str, Field(description="Id of the server."), IMMUTABLE]
    volume_id: Annotated[str, Field(description="Id of the volume."), IMMUTABLE]

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.server_id or not self.volume_id:
            raise ValueError("an attachment has a server and a volume")
        return self


class VolumeAttachmentOutputs(NativeOutputs):
    """Outputs of `compute:VolumeAttachment`; its id is `SERVER|VOLUME`."""

    device: Annotated[str, Field(description="What the hypervisor calls it; guests may call it otherwise."), STABLE]
