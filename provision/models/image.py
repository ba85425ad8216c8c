"""Images: where the first disk of a machine comes from, per platform."""

from typing import Annotated, Literal

from pydantic import Field

from provision.models.base import Model, Size


class BuiltinImage(Model):
    """An image that the platform's plugin makes by itself."""

    kind: Literal["builtin"]
    name: Annotated[str, Field(description="Name of the built-in image, such as micro.")]
    refresh: Annotated[
        bool, Field(description="Use it as it is built now, instead of keeping what the stack began with.")
    ] = False


class FileImage(Model):
    """A local image file."""

    kind: Literal["file"]
    path: Annotated[str, Field(description="Path, relative to the stack file.")]
    format: Annotated[Literal["qcow2", "raw"], Field(description="Format of the file.")] = "qcow2"


class UrlImage(Model):
    """An image that is downloaded once and checked."""

    kind: Literal["url"]
    url: Annotated[str, Field(description="Where to download from (https).", pattern=r"^https?://")]
    sha256: Annotated[str, Field(description="Checksum of the download.", pattern=r"^[0-9a-f]{64}$")]
    format: Annotated[Literal["qcow2", "raw"], Field(description="Format of the download.")] = "qcow2"


class NamedImage(Model):
    """An image that the cloud already has, by name or id."""

    kind: Literal["named"]
    name: Annotated[str, Field(description="Name or id on the platform (Glance name, AMI id).")]


class SsmImage(Model):
    """An AMI whose id is read from an SSM parameter."""

    kind: Literal["ssm"]
    parameter: Annotated[str, Field(description="Name of the SSM parameter.")]
    refresh: Annotated[bool, Field(description="Look again on every run instead of keeping the first find.")] = False


class SearchImage(Model):
    """An image that is found by owner and name pattern; the newest wins, once."""

    kind: Literal["search"]
    owner: Annotated[str, Field(description="Account or project that owns the image.")]
    name: Annotated[str, Field(description="Name pattern with * and ?.")]
    refresh: Annotated[bool, Field(description="Look again on every run instead of keeping the first find.")] = False


ImageSource = Annotated[
    BuiltinImage | FileImage | UrlImage | NamedImage | SsmImage | SearchImage, Field(discriminator="kind")
]


class Image(Model):
    """One image name, and where each platform gets it."""

    sources: Annotated[
        dict[str, ImageSource],
        Field(min_length=1, description="Source per platform name; `any` for all others."),
    ]
    user: Annotated[str | None, Field(description="Login name of the image's default user.")] = None
    least_memory: Annotated[Size | None, Field(description="Machines with less memory are refused.")] = None
    agent: Annotated[
        bool,
        Field(
            description="It starts a guest agent by itself, so that `up` waits until its first boot is done and "
            "commands can be run in it. Images that are built in know it by themselves."
        ),
    ] = False
