# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What servers are made from."""

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from provision.spi import (
    DESTROYS_DATA,
    RESTARTS,
    STABLE,
    Computed,
    Isolates,
    Keyed,
    OwnedInputs,
    Properties,
    StackField,
    Sticky,
    spell_size,
)
from provision_openstack.labels import Metadata
from provision_openstack.resources.native_model import NativeOutputs
from provision_openstack.sizes import FlavorRequirements

MOST_USER_DATA = 65535
"""Characters of user data that Nova takes, encoded (API reference of Nova, "Create server")."""


class ServerNic(Properties):
    """One interface of a server."""

    port_id: Annotated[str, Field(description="Id of its port.")]


class RootVolume(Properties):
    """A volume that a server boots from, and that is made with it from its image."""

    volume_type: Annotated[str | None, Field(description="Name of its type; None: the cloud's own."), DESTROYS_DATA] = (
        None
    )
    delete_on_termination: Annotated[bool, Field(description="Whether it goes with the server."), DESTROYS_DATA] = True


class ServerInputs(OwnedInputs):
    """Inputs of `compute:Server`.

    A new flavor resizes it, which Nova does by a restart; power, interfaces and the size of a root volume change in
    place. Anything that would need a rebuild replaces it, since both lose what is on its own disk.
    """

    name: Annotated[str, Field(description="Its name.", min_length=1, max_length=255)]
    requirements: Annotated[
        FlavorRequirements | None, Field(description="What its flavor must have; the smallest is taken, once.")
    ] = None
    flavor_id: Annotated[
        str | None,
        Field(description="Id of its flavor; another one resizes it. None: the smallest with the `requirements`."),
        Sticky(("requirements",)),
        RESTARTS,
        StackField(("machines.size.openstack",), spell=None),
    ] = None
    image: Annotated[
        str | None, Field(description="Name or id of its image in Glance; of several the newest is taken, once.")
    ] = None
    image_id: Annotated[
        str | None,
        Field(description="Id of the image that it, or its `rootVolume`, is made from. None: that of `image`."),
        Sticky(("image",)),
        DESTROYS_DATA,
    ] = None
    boot_volume_id: Annotated[
        str | None, Field(description="Id of an existing volume to boot from."), DESTROYS_DATA
    ] = None
    root_volume: Annotated[
        RootVolume | None,
        Field(description="Boot from a volume that is made with it; None: from the flavor's disk."),
        DESTROYS_DATA,
    ] = None
    root_size_gib: Annotated[
        int | None,
        Field(description="Size of the `rootVolume` in GiB. It grows in place, and never shrinks.", ge=1),
        StackField(("machines.root.size",), spell_size("GiB")),
    ] = None
    root_encrypted: Annotated[
        bool,
        Field(description="Whether the `rootVolume` must be encrypted, which its type decides: one is else not used."),
    ] = False
    nics: Annotated[list[ServerNic], Field(description="Its interfaces, in order."), Keyed("port_id")] = []
    key_name: Annotated[str | None, Field(description="Whole name of its key pair."), DESTROYS_DATA] = None
    user_data: Annotated[
        SecretStr | None, Field(description="What it is told at its first boot, in base64."), DESTROYS_DATA
    ] = None
    config_drive: Annotated[
        bool, Field(description="Whether it is told by a disk; else by the metadata service alone."), DESTROYS_DATA
    ] = True
    availability_zone: Annotated[
        str | None, Field(description="Where it runs; None: as Nova chooses."), DESTROYS_DATA
    ] = None
    server_group_id: Annotated[
        str | None, Field(description="Id of its server group."), DESTROYS_DATA, Isolates(setting=True)
    ] = None
    scheduler_hints: Annotated[
        dict[str, str], Field(description="Further hints for Nova's scheduler."), DESTROYS_DATA
    ] = {}
    metadata: Annotated[Metadata, Field(description="Further metadata.")] = {}
    power: Annotated[
        Literal["running", "stopped"], Field(description="Whether it is to run."), StackField(("machines.power",))
    ] = "running"  # fmt: skip
    disposable: Annotated[
        bool, Field(description="Whether what it writes to its own disk may be lost: then nothing refuses its removal.")
    ] = False
    locked: Annotated[bool, Field(description="Whether Nova refuses to change or remove it.")] = False

    @model_validator(mode="after")
    def _boots(self) -> Self:
        imaged = self.image_id is not None or self.image is not None
        if imaged == (self.boot_volume_id is not None):
            raise ValueError("a server boots either from an image (`imageId` or `image`) or from `bootVolumeId`")
        if self.root_volume is not None and not imaged:
            raise ValueError("`rootVolume` is made from an image: `imageId` or `image`")
        if (self.root_volume is None) != (self.root_size_gib is None):
            raise ValueError("`rootVolume` has a size, `rootSizeGib`, and nothing else has")
        if self.root_encrypted and self.root_volume is None:
            raise ValueError("`rootEncrypted` is said of a `rootVolume`")
        if self.flavor_id is None and self.requirements is None:
            raise ValueError("a server has a flavor: give `flavorId`, or `requirements` of one")
        if self.user_data is not None:
            text = self.user_data.get_secret_value()
            try:
                base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("`userData` is not base64") from None
            if len(text) > MOST_USER_DATA:
                raise ValueError(f"`userData` has {len(text)} characters; Nova takes {MOST_USER_DATA}")
        ports = [nic.port_id for nic in self.nics]
        if len(set(ports)) != len(ports):
            raise ValueError("a port can be given once only")
        return self


class ServerOutputs(NativeOutputs):
    """Outputs of `compute:Server`; its id is Nova's."""

    status: Annotated[str, Field(description="As Nova says."), Computed(depends_on=("power", "flavor_id"))]
    addresses: Annotated[
        list[str], Field(description="Its addresses, in the order of its interfaces."), Computed(depends_on=("nics",))
    ]
    host_id: Annotated[
        str,
        Field(description="Nova's digest of the host that it runs on; the same for neighbours."),
        Computed(depends_on=("flavor_id",)),
    ]
    availability_zone: Annotated[str, Field(description="Where it runs."), Computed(depends_on=("flavor_id",))]
    created: Annotated[str, Field(description="When it was made."), STABLE]
