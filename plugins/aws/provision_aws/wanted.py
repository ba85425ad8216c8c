"""What the type and the image of a machine are chosen by."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import Properties

Architecture = Literal["x86_64", "arm64"]


class InstanceRequirements(Properties):
    """What a type of machine must have; the smallest is taken."""

    cpus: Annotated[int, Field(description="Virtual CPUs.", ge=1)]
    memory_mib: Annotated[int, Field(description="Memory in MiB.", ge=1)]
    architecture: Annotated[Architecture, Field(description="Of the image.")] = "x86_64"
    threads_per_core: Annotated[Literal[1, 2] | None, Field(description="Threads of a core that must be possible.")] = (
        None
    )
    burstable: Annotated[bool, Field(description="Whether types that share cores by credits will do.")] = True
    amd_sev_snp: Annotated[bool, Field(description="Whether its memory must be encrypted by AMD SEV-SNP.")] = False
    nitro_tpm: Annotated[bool, Field(description="Whether it must have NitroTPM.")] = False
    dedicated_host: Annotated[bool, Field(description="Whether it must fit onto dedicated hosts.")] = False
    nitro: Annotated[bool, Field(description="Whether it must run on the Nitro system.")] = False
    nics: Annotated[int, Field(description="Network interfaces that it must have room for.", ge=1)] = 1
    ipv6: Annotated[bool, Field(description="Whether it must have IPv6.")] = False
    availability_zone: Annotated[str | None, Field(description="Zone that must offer it.")] = None


class ImageSearch(Properties):
    """Where the id of an image is looked up, once: an SSM parameter, or the newest of an owner by name; or the id."""

    image_id: Annotated[str | None, Field(description="The id itself, where it is known.", pattern="^ami-")] = None
    ssm_parameter: Annotated[str | None, Field(description="Public or own parameter that holds the id.")] = None
    owner: Annotated[str | None, Field(description="Account, or `self`, `amazon`, that owns the image.")] = None
    image_name: Annotated[str | None, Field(description="Its name; `*` and `?` stand for any text.")] = None
    architecture: Annotated[Architecture, Field(description="Of the image.")] = "x86_64"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(one is not None for one in (self.image_id, self.ssm_parameter, self.image_name)) != 1:
            raise ValueError("give one of `ssm_parameter`, `image_name` and `image_id`")
        if (self.image_name is None) != (self.owner is None):
            raise ValueError("give `owner` and `image_name` together: anybody may give an image any name")
        return self
