# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What machines are made from."""

import base64
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from provision.spi import (
    AS_CIDR,
    DESTROYS_DATA,
    IGNORE_ORDER,
    RESTARTS,
    STABLE,
    Computed,
    Drift,
    Isolates,
    Properties,
    StackField,
    Sticky,
)
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs
from provision_aws.resources.spelling import Ipv4, Ipv6
from provision_aws.resources.volume_model import VolumeType, check_performance
from provision_aws.wanted import ImageSearch, InstanceRequirements

MOST_USER_DATA = 16384
"""Bytes of user data that EC2 takes, before they are encoded (EC2 User Guide, "Run commands at launch")."""

Switch = Literal["enabled", "disabled"]


class InstanceNic(Properties):
    """One network interface of a machine: an existing one, or one that is made and goes with the machine."""

    network_interface_id: Annotated[
        str | None, Field(description="Id of an interface; without one an interface is made."), DESTROYS_DATA
    ] = None
    subnet_id: Annotated[str | None, Field(description="Id of the new interface's subnet."), DESTROYS_DATA] = None
    private_ip_address: Annotated[
        Ipv4 | None, Field(description="Its IPv4 address; without one EC2 takes a free one."), DESTROYS_DATA
    ] = None
    ipv6_addresses: Annotated[
        list[Ipv6],
        Field(description="Its IPv6 addresses; such as `::10` are put into `subnet_ipv6_cidr_block`."),
        DESTROYS_DATA,
    ] = []
    subnet_ipv6_cidr_block: Annotated[
        str | None,
        Field(description="The subnet's /64, for `ipv6_addresses` without a prefix."),
        AS_CIDR,
        DESTROYS_DATA,
    ] = None
    security_group_ids: Annotated[
        list[str], Field(description="Ids of its security groups."), IGNORE_ORDER, Isolates()
    ] = []
    source_dest_check: Annotated[
        bool, Field(description="Whether packets that are not from or to its own addresses are dropped."), Isolates()
    ] = True
    associate_public_ip_address: Annotated[
        bool | None,
        Field(description="Whether it gets a public IPv4 address; None: as the subnet says."),
        DESTROYS_DATA,
    ] = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.network_interface_id is None) == (self.subnet_id is None):
            raise ValueError("give either `network_interface_id` or `subnet_id`")
        own = (self.private_ip_address, *self.ipv6_addresses, *self.security_group_ids)
        if self.network_interface_id is not None and (any(own) or not self.source_dest_check):
            raise ValueError("addresses, groups and checks are set on the interface itself")
        if self.subnet_id is not None and not self.security_group_ids:
            raise ValueError("a new interface needs `security_group_ids`: else EC2 gives it the VPC's default group")
        return self


class RootDisk(Properties):
    """The first disk of a machine: made from the image."""

    device_name: Annotated[
        str | None,
        Field(description="The image's root device, such as /dev/xvda; default: as the image says."),
        DESTROYS_DATA,
    ] = None
    size_gib: Annotated[
        int | None, Field(description="Its size in GiB; default: the image's. It only ever grows.", ge=1, le=65536)
    ] = None
    volume_type: Annotated[VolumeType, Field(description="Kind of storage.")] = "gp3"
    iops: Annotated[int | None, Field(description="Operations a second, for gp3, io1 and io2.", ge=100, le=256000)] = (
        None
    )
    throughput: Annotated[int | None, Field(description="MiB a second, for gp3.", ge=125, le=2000)] = None
    encrypted: Annotated[
        bool, Field(description="Whether it is encrypted."), DESTROYS_DATA, Isolates(setting=True, choice=True)
    ] = True
    kms_key_id: Annotated[
        str | None,
        Field(description="Key for that: id, ARN or alias; default: the account's."),
        DESTROYS_DATA,
        Isolates(setting=True, choice=True),
    ] = None
    delete_on_termination: Annotated[bool, Field(description="Whether it goes with the machine.")] = True
    disposable: Annotated[
        bool, Field(description="Whether what is on it may be destroyed without being asked about.")
    ] = False

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        check_performance(self.volume_type, self.iops, self.throughput)
        if self.kms_key_id is not None and not self.encrypted:
            raise ValueError("`kms_key_id` is for an encrypted disk")
        return self


class MetadataOptions(Properties):
    """The instance metadata service, as the machine sees it."""

    http_endpoint: Annotated[Switch, Field(description="Whether there is any."), Isolates(setting=True)] = "enabled"
    http_tokens: Annotated[
        Literal["required", "optional"],
        Field(description="`required`: IMDSv2 alone, with a session token."),
        Isolates(setting=True, choice=True),
    ] = "required"
    http_put_response_hop_limit: Annotated[
        int,
        Field(description="How many hops a token may go: 1 keeps it from containers.", ge=1, le=64),
        Isolates(setting=True, choice=True),
    ] = 1
    http_protocol_ipv6: Annotated[Switch, Field(description="Whether it answers over IPv6 too.")] = "disabled"
    instance_metadata_tags: Annotated[Switch, Field(description="Whether it tells the machine's tags.")] = "disabled"


class CpuOptions(Properties):
    """How a type's CPUs are used. EC2 takes a number of threads only together with the number of cores."""

    core_count: Annotated[
        int | None, Field(description="Cores; with `threads_per_core` alone all that the type has.", ge=1)
    ] = None
    threads_per_core: Annotated[
        Literal[1, 2] | None, Field(description="1: no core is shared by threads."), Isolates(setting=True)
    ] = None
    amd_sev_snp: Annotated[
        Switch | None, Field(description="Memory encryption by AMD SEV-SNP."), Isolates(setting=True)
    ] = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.core_count is not None and self.threads_per_core is None:
            raise ValueError("`core_count` needs `threads_per_core`: EC2 ignores one alone")
        return self


class Placement(Properties):
    """Where a machine lies."""

    tenancy: Annotated[
        Literal["default", "dedicated", "host"],
        Field(description="Who else is on its host."),
        Isolates(setting=True, choice=True),
    ] = "default"
    host_id: Annotated[str | None, Field(description="Id of a dedicated host, for the tenancy `host`.")] = None
    group_name: Annotated[
        str | None, Field(description="Name of a placement group."), Isolates(setting=True, choice=True)
    ] = None
    partition_number: Annotated[
        int | None,
        Field(description="Which of the group's partitions.", ge=1, le=7),
        Isolates(setting=True, choice=True),
    ] = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.host_id is not None and self.tenancy != "host":
            raise ValueError("`host_id` is for the tenancy `host`")
        if self.partition_number is not None and self.group_name is None:
            raise ValueError("`partition_number` needs `group_name`")
        return self


class Spot(Properties):
    """Spare capacity at a price that moves; EC2 may take it back."""

    max_price: Annotated[str | None, Field(description="Most US dollars an hour; default: the on-demand price.")] = None
    interruption: Annotated[
        Literal["terminate"], Field(description="What becomes of the machine when EC2 takes it back.")
    ] = "terminate"


class InstanceInputs(TaggedInputs):
    """Inputs of `ec2:Instance`. With a changed image, address or placement it is another machine."""

    image_id: Annotated[
        str | None,
        Field(description="Id of its image (AMI); without one that which `image` finds, once."),
        Sticky(("image",), "choose_image_anew"),
        DESTROYS_DATA,
    ] = None
    image: Annotated[ImageSearch | None, Field(description="How its image is found, when no id is given.")] = None
    choose_image_anew: Annotated[bool, Field(description="Whether the image is looked for again.")] = False
    instance_type: Annotated[
        str | None,
        Field(description="Its type; without one the smallest that has what `requirements` asks for."),
        Sticky(("requirements",), "choose_type_anew"),
        RESTARTS,
        StackField(("machines.size.aws",)),
    ] = None
    requirements: Annotated[
        InstanceRequirements | None, Field(description="What its type must have, when none is given.")
    ] = None
    choose_type_anew: Annotated[bool, Field(description="Whether the type is looked for again.")] = False
    type_reason: Annotated[
        str | None,
        Field(description="Why it has its type: told when the choice is made, and kept with it."),
        Sticky(("requirements", "instance_type"), "choose_type_anew"),
    ] = None
    nics: Annotated[
        list[InstanceNic],
        Field(
            description="Its network interfaces, in order. Those behind the first can come and go when they are "
            "resources of their own (`network_interface_id`).",
            min_length=1,
            max_length=15,
        ),
    ]
    root_disk: Annotated[RootDisk | None, Field(description="Its first disk; without it as the image says.")] = None
    key_name: Annotated[str | None, Field(description="Name of the key pair that it gets."), DESTROYS_DATA] = None
    user_data_base64: Annotated[
        SecretStr | None,
        Field(description="What cloud-init reads, in base64; at most 16 KiB before that."),
        RESTARTS,
    ] = None
    metadata_options: Annotated[MetadataOptions, Field(description="The instance metadata service.")] = (
        MetadataOptions()
    )
    cpu_options: Annotated[CpuOptions | None, Field(description="How its CPUs are used."), DESTROYS_DATA] = None
    placement: Annotated[Placement, Field(description="Where it lies."), DESTROYS_DATA] = Placement()
    spot: Annotated[Spot | None, Field(description="Take spare capacity."), DESTROYS_DATA] = None
    iam_instance_profile: Annotated[
        str | None, Field(description="Name of the profile with its role."), DESTROYS_DATA
    ] = None
    power: Annotated[
        Literal["running", "stopped"], Field(description="How it is to be."), StackField(("machines.power",))
    ] = "running"  # fmt: skip
    termination_protection: Annotated[
        bool, Field(description="Whether EC2 refuses to terminate it. A refresh does not look at it."), Drift.IGNORE
    ] = False
    detailed_monitoring: Annotated[bool, Field(description="Whether CloudWatch gets values every minute.")] = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.instance_type is None and self.requirements is None:
            raise ValueError("give either `instance_type` or `requirements`")
        if self.image_id is None and self.image is None:
            raise ValueError("give either `image_id` or `image`")
        if self.spot is not None and self.power == "stopped":
            raise ValueError("a spot machine cannot be stopped")
        data = self.user_data_base64
        if data is not None:
            try:
                size = len(base64.b64decode(data.get_secret_value(), validate=True))
            except ValueError:
                raise ValueError("`user_data_base64` is not base64") from None
            if size > MOST_USER_DATA:
                raise ValueError(f"user data of {size} bytes is more than EC2 takes, {MOST_USER_DATA}")
        return self


class InstanceOutputs(NativeOutputs):
    """Outputs of `ec2:Instance`; its id is the machine's (`i-…`)."""

    instance_type: Annotated[str, Field(description="Its type.")]
    private_ip_address: Annotated[str, Field(description="IPv4 address of its first interface."), STABLE]
    ipv6_addresses: Annotated[list[str], Field(description="IPv6 addresses of its first interface."), STABLE]
    public_ip_address: Annotated[
        str | None,
        Field(description="Public IPv4 address of its first interface; changes when it was stopped."),
        Computed(depends_on=("power",)),
    ]
    network_interface_ids: Annotated[list[str], Field(description="Ids of its interfaces, in order."), Computed()]
    mac_addresses: Annotated[list[str], Field(description="MAC addresses of its interfaces, in order."), Computed()]
    availability_zone: Annotated[str, Field(description="Name of its zone."), STABLE]
    vpc_id: Annotated[str, Field(description="Id of its VPC."), STABLE]
    root_volume_id: Annotated[str | None, Field(description="Id of the volume with its root disk."), STABLE]
