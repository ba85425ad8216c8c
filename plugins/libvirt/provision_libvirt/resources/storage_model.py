# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What storage pools, volumes and cloud-init seeds are made from."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from provision.spi import (
    DESTROYS_DATA,
    IMMUTABLE,
    Computed,
    Isolates,
    Normalized,
    OwnedInputs,
    Properties,
    StackField,
    Sticky,
    spell_size,
)
from provision_libvirt.resources.native_model import POOL_ONLY_ORDERS, NativeOutputs

Format = Literal["qcow2", "raw"]
PoolUuid = Annotated[
    str | None,
    Field(description="UUID of the pool; needed only when the pool was not made by the stack but imported."),
    POOL_ONLY_ORDERS,
]
VolumeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=200)]


BY_CONTENT = Normalized(lambda value: None, "the same content from another place is the same")


class PoolInputs(OwnedInputs):
    """Inputs of `storage:Pool`."""

    name: Annotated[
        str, Field(description="Name on the hypervisor.", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"), IMMUTABLE
    ]
    disposable: Annotated[
        list[str],
        Field(
            description="Volumes with data that need not outlive the pool. Any other volume with data that is still "
            "there when the pool is removed stays on the hypervisor's disk."
        ),
    ] = []  # fmt: skip


class PoolOutputs(NativeOutputs):
    """Outputs of `storage:Pool`; its id is the UUID."""

    name: str
    path: Annotated[str, Field(description="Directory on the hypervisor."), Computed()]
    uuid: Annotated[str, Field(description="Derived from the stack's identity and the URN."), Computed()]


class MicroSource(Properties):
    """A part of the built-in micro image."""

    kind: Annotated[Literal["micro-kernel", "micro-initrd"], Field(description="Which part.")]
    digest: Annotated[str, Field(description="Digest of the image (sha256 of kernel and initramfs together).")]


class BuiltSource(Properties):
    """A part of a full image that was built on the machine that runs `provision`."""

    kind: Annotated[Literal["built"], Field(description="A built image.")] = "built"
    image: Annotated[str, Field(description="Its name.")]
    part: Annotated[Literal["disk", "kernel", "initrd"], Field(description="Which part.")]


class UrlSource(Properties):
    """A download, checked and kept by the machine that runs `provision`."""

    kind: Annotated[Literal["url"], Field(description="A download.")] = "url"
    url: Annotated[str, Field(description="Where it is."), BY_CONTENT]
    digest: Annotated[str, Field(description="SHA-256 of its content.", pattern=r"^[0-9a-f]{64}$")]


class FileSource(Properties):
    """A file on the machine that runs `provision`."""

    kind: Annotated[Literal["file"], Field(description="A file.")] = "file"
    path: Annotated[str, Field(description="Path of the file."), BY_CONTENT]
    digest: Annotated[str, Field(description="SHA-256 of its content.", pattern=r"^[0-9a-f]{64}$")]


class BackingSource(Properties):
    """Another volume, of which this one keeps only the differences."""

    kind: Annotated[Literal["backing"], Field(description="A volume below this one.")] = "backing"
    path: Annotated[str, Field(description="Path of the other volume.")]
    format: Annotated[Format, Field(description="Format of the other volume.")]


Source = Annotated[MicroSource | BuiltSource | UrlSource | FileSource | BackingSource, Field(discriminator="kind")]


class VolumeInputs(OwnedInputs):
    """Inputs of `storage:Volume`."""

    pool: Annotated[str, Field(description="Name of the stack's pool."), DESTROYS_DATA]
    pool_uuid: PoolUuid = None
    name: Annotated[VolumeName, Field(description="Name in the pool."), DESTROYS_DATA]
    format: Annotated[Format, Field(description="Format on the hypervisor's disk."), DESTROYS_DATA] = "qcow2"
    capacity_bytes: Annotated[
        int | None,
        Field(description="Size that a guest sees; none: that of the source. Grows in place.", gt=0),
        StackField(("machines.disks.size", "machines.root.size"), spell_size("B")),
    ] = None
    source: Annotated[Source | None, Field(description="First content; none: empty."), DESTROYS_DATA] = None
    built: Annotated[
        str | None,
        Field(description="Of a built image, the digest (SHA-256 over its parts) of the one that was there first."),
        Sticky(("source",), "refresh"),
        IMMUTABLE,
    ] = None
    refresh: Annotated[bool, Field(description="Use the built image that is there now.")] = False
    cache: Annotated[
        bool,
        Field(description="The content can be made again from the source, and guests do not write to it."),
        IMMUTABLE,
    ] = False
    encrypted: Annotated[
        bool | None,
        Field(description="By LUKS, with a key that is made for it and lies only in the hypervisor's libvirt."),
        DESTROYS_DATA,
        Isolates(setting=True),
    ] = None
    disposable: Annotated[
        bool | None, Field(description="What is written to it may be lost: destroying it needs no permission.")
    ] = None


class VolumeOutputs(NativeOutputs):
    """Outputs of `storage:Volume`; its id is `POOL/VOLUME`."""

    pool: str
    name: str
    format: Format
    volume_name: Annotated[str, Field(description="Name in the pool (of a cache: with digest)."), Computed()]
    path: Annotated[str, Field(description="Path on the hypervisor."), Computed()]
    key: Annotated[str, Field(description="Libvirt's key of the volume."), Computed()]
    generation: Annotated[
        str, Field(description="New each time the volume is made: whatever uses it must open it anew."), Computed()
    ]
    secret: Annotated[
        str | None, Field(description="UUID of libvirt's secret with the key, for a machine's disk."), Computed()
    ] = None


class SeedInputs(OwnedInputs):
    """Inputs of `storage:Seed`: a NoCloud seed for cloud-init."""

    pool: Annotated[str, Field(description="Name of the stack's pool."), IMMUTABLE]
    pool_uuid: PoolUuid = None
    name: Annotated[VolumeName, Field(description="Name in the pool, to which `.seed.iso` is added."), IMMUTABLE]
    meta_data: Annotated[str, Field(description="Content of `meta-data`.")]
    network_config: Annotated[str | None, Field(description="Content of `network-config` (version 2).")] = None
    user_data: Annotated[SecretStr | None, Field(description="Content of `user-data`.")] = None


class SeedOutputs(NativeOutputs):
    """Outputs of `storage:Seed`; its id is `POOL/VOLUME`."""

    pool: str
    name: str
    volume_name: Annotated[str, Field(description="Name in the pool."), Computed()]
    path: Annotated[str, Field(description="Path on the hypervisor."), Computed()]
    size: Annotated[
        int, Field(description="Size in bytes."), Computed(depends_on=("meta_data", "network_config", "user_data"))
    ]
    generation: Annotated[
        str, Field(description="New each time something other than the network's configuration is written."),
        Computed(depends_on=("meta_data", "user_data")),
    ]  # fmt: skip
