# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What key pairs, server groups and flavors are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import IMMUTABLE, STABLE, Computed, Isolates, OwnedInputs
from provision_openstack.labels import Description
from provision_openstack.resources.native_model import NativeOutputs
from provision_openstack.resources.spelling import WITHOUT_COMMENT

NAME_ROOM = 255 - 21
"""Characters of a name to which the mark is added."""


class KeypairInputs(OwnedInputs):
    """Inputs of `compute:Keypair`.

    Its name on the platform ends in digits that say whose it is, since Nova keeps nothing else beside it.
    """

    name: Annotated[
        str,
        Field(description="How its name begins.", min_length=1, max_length=NAME_ROOM, pattern=r"^[A-Za-z0-9 ._@-]+$"),
        IMMUTABLE,
    ]
    public_key: Annotated[
        str,
        Field(description="The key, as OpenSSH writes it.", pattern=r"^(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( .*)?$"),
        WITHOUT_COMMENT, IMMUTABLE,
    ]  # fmt: skip


class KeypairOutputs(NativeOutputs):
    """Outputs of `compute:Keypair`; its id is its whole name."""

    key_name: Annotated[str, Field(description="Its whole name, as servers refer to it."), STABLE]
    fingerprint: Annotated[str, Field(description="Of the key."), STABLE]


class ServerGroupInputs(OwnedInputs):
    """Inputs of `compute:ServerGroup`.

    Its name on the platform ends in digits that say whose it is, since Nova keeps nothing else beside it.
    """

    name: Annotated[str, Field(description="How its name begins.", min_length=1, max_length=NAME_ROOM), IMMUTABLE]
    policy: Annotated[
        Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"],
        Field(description="Together or apart; soft ones only as far as there is room."),
        IMMUTABLE,
        Isolates(setting=True),
    ]
    max_server_per_host: Annotated[
        int | None,
        Field(description="Most members on one host, with anti-affinity; None: one.", ge=1),
        IMMUTABLE,
        Isolates(setting=True),
    ] = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.max_server_per_host is not None and self.policy != "anti-affinity":
            raise ValueError("only anti-affinity has a limit for each host")
        return self


class ServerGroupOutputs(NativeOutputs):
    """Outputs of `compute:ServerGroup`; its id is Nova's."""

    group_name: Annotated[str, Field(description="Its whole name."), STABLE]
    members: Annotated[list[str], Field(description="Ids of the servers in it."), Computed()]


class FlavorInputs(OwnedInputs):
    """Inputs of `compute:Flavor`; for administrators. What servers have been made with does not change with it."""

    name: Annotated[
        str, Field(description="Its name, of which there is one in the cloud.", min_length=1, max_length=255), IMMUTABLE
    ]
    description: Annotated[
        Description, Field(description="What people read of it. The mark of the owner is put behind it.")
    ] = ""
    vcpus: Annotated[int, Field(description="Virtual CPUs.", ge=1), IMMUTABLE]
    ram_mib: Annotated[int, Field(description="Memory in MiB.", ge=1), IMMUTABLE]
    disk_gib: Annotated[
        int, Field(description="Root disk in GiB; 0: that of the image, or of a volume.", ge=0), IMMUTABLE
    ] = 0
    ephemeral_gib: Annotated[
        int, Field(description="A further disk in GiB that goes with the server.", ge=0), IMMUTABLE
    ] = 0
    swap_mib: Annotated[int, Field(description="Swap in MiB.", ge=0), IMMUTABLE] = 0
    is_public: Annotated[bool, Field(description="Whether all projects may use it."), IMMUTABLE] = True
    extra_specs: Annotated[dict[str, str], Field(description="Further properties, such as hw:cpu_policy.")] = {}


class FlavorOutputs(NativeOutputs):
    """Outputs of `compute:Flavor`; its id is Nova's."""

    flavor_name: Annotated[str, Field(description="Its name."), STABLE]
