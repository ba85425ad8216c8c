"""Sharing: how machines on one host share its CPUs, memory, disks and network."""

import enum
from typing import Annotated

from pydantic import Field

from provision.models.base import BitRate, Model, Name, Size, Throughput
from provision.models.peers import Selector


class CpuShare(Model):
    """A machine's part of the host's CPUs."""

    weight: Annotated[int | None, Field(ge=1, le=10_000, description="Relative weight under contention.")] = None
    cap: Annotated[float | None, Field(gt=0, description="Most CPUs' worth of time, such as 0.5.")] = None


class MemoryShare(Model):
    """A machine's part of the host's memory."""

    minimum: Annotated[
        Size | None,
        Field(
            description="Memory that is always there: the machine is never given less, and the hosts have it for all "
            "of the machines together. Nothing of it is kept from being swapped out: see the policy `memory`."
        ),
    ] = None
    maximum: Annotated[
        Size | None,
        Field(
            description="Most memory that it may use, with what its emulator needs. With `balloon`, `memory` of the "
            "machine can be raised up to that while it runs."
        ),
    ] = None
    balloon: Annotated[
        bool | None, Field(description="Let the host take idle memory back, and change `memory` while it runs.")
    ] = None
    page_sharing: Annotated[bool | None, Field(description="Let the host merge equal pages.")] = None


class DiskShare(Model):
    """A machine's part of the host's disk bandwidth."""

    iops: Annotated[int | None, Field(gt=0, description="Most I/O operations per second.")] = None
    throughput: Annotated[Throughput | None, Field(description="Most bytes per second.")] = None


class NicShare(Model):
    """A machine's part of the host's network bandwidth."""

    inbound: Annotated[BitRate | None, Field(description="Most bits per second towards the machine.")] = None
    outbound: Annotated[BitRate | None, Field(description="Most bits per second from the machine.")] = None


class Share(Model):
    """Limits for the machines that it selects."""

    machines: Annotated[list[Selector], Field(min_length=1, description="The machines that it applies to.")]
    cpu: Annotated[CpuShare | None, Field(description="CPU time.")] = None
    memory: Annotated[MemoryShare | None, Field(description="Memory.")] = None
    disk: Annotated[DiskShare | None, Field(description="Disk bandwidth.")] = None
    nic: Annotated[NicShare | None, Field(description="Network bandwidth.")] = None


class OvercommitRule(enum.StrEnum):
    """What happens when a pool's limit would be passed."""

    REFUSE = "refuse"
    WARN = "warn"


class HostPool(Model):
    """How far a host may be overcommitted by the machines of the stack."""

    location: Annotated[Name | None, Field(description="Name under `locations`.")] = None
    cpu_overcommit: Annotated[float | None, Field(ge=1, description="Virtual CPUs per host CPU.")] = None
    memory_overcommit: Annotated[float | None, Field(ge=1, description="Guest memory per host memory.")] = None
    rule: Annotated[OvercommitRule, Field(description="refuse or warn.")] = OvercommitRule.REFUSE


class Sharing(Model):
    """All limits of a stack."""

    shares: Annotated[dict[Name, Share], Field(description="Limits by name.")] = {}
    pools: Annotated[dict[Name, HostPool], Field(description="Overcommit limits by name.")] = {}
