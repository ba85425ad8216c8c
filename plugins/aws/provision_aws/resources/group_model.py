# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What security groups, their rules and prefix lists are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import AS_CIDR, IGNORE_ORDER, IMMUTABLE, STABLE, Computed, Isolates, Properties
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs
from provision_aws.resources.spelling import Cidr, Ipv4Cidr, Ipv6Cidr

_TEXT = r"^[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*$"
"""What EC2 takes in names and descriptions of groups and rules."""

SOURCES = ("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id")
"""Inputs of a rule of which exactly one is given."""


class SecurityGroupInputs(TaggedInputs):
    """Inputs of `ec2:SecurityGroup`. It is made without any rule: nothing passes until rules are made.

    The name of the group is `group_name` and a random suffix, since a new one is made before the old one goes.
    """

    vpc_id: Annotated[str, Field(description="Id of its VPC."), IMMUTABLE]
    group_name: Annotated[
        str, Field(description="How its name begins.", min_length=1, max_length=240, pattern=_TEXT), IMMUTABLE
    ]
    description: Annotated[
        str, Field(description="What people read of it.", min_length=1, max_length=255, pattern=_TEXT), IMMUTABLE
    ] = "made by provision"
    exclusive: Annotated[
        bool, Field(description="Whether rules that the stack did not make are removed; else they are only reported.")
    ] = False
    foreign_rules: Annotated[
        list[str],
        Field(description="Ids of rules that the stack did not make: refresh finds them, when they are not wanted."),
        IGNORE_ORDER,
    ] = []


class SecurityGroupOutputs(NativeOutputs):
    """Outputs of `ec2:SecurityGroup`; its id is the group's."""

    group_name: Annotated[str, Field(description="Its name: `group_name` and a random suffix."), Computed()]
    owner_id: Annotated[str, Field(description="Account that owns it."), STABLE]
    found_rules: Annotated[list[str], Field(description="Ids of rules in it that the stack did not make."), Computed()]


class SecurityGroupRuleInputs(TaggedInputs):
    """Inputs of `ec2:SecurityGroupRule`: one rule of one group; a connection's answers pass by themselves."""

    security_group_id: Annotated[str, Field(description="Id of the group."), IMMUTABLE, Isolates()]
    direction: Annotated[
        Literal["ingress", "egress"],
        Field(description="Connections to, or from, the group's machines."),
        IMMUTABLE,
        Isolates(),
    ]
    ip_protocol: Annotated[
        str,
        Field(
            description="tcp, udp, icmp, icmpv6, a protocol number, or -1 for all.",
            pattern=r"^(tcp|udp|icmp|icmpv6|-1|\d{1,3})$",
        ),
        Isolates(),
    ]
    from_port: Annotated[
        int | None, Field(description="First port, or the ICMP type (-1: all).", ge=-1, le=65535), Isolates()
    ] = None
    to_port: Annotated[
        int | None, Field(description="Last port, or the ICMP code (-1: all).", ge=-1, le=65535), Isolates()
    ] = None
    cidr_ipv4: Annotated[Ipv4Cidr | None, Field(description="Peer: an IPv4 range."), AS_CIDR, IMMUTABLE, Isolates()] = (
        None
    )
    cidr_ipv6: Annotated[Ipv6Cidr | None, Field(description="Peer: an IPv6 range."), AS_CIDR, IMMUTABLE, Isolates()] = (
        None
    )
    prefix_list_id: Annotated[str | None, Field(description="Peer: a prefix list."), IMMUTABLE, Isolates()] = None
    referenced_security_group_id: Annotated[
        str | None,
        Field(description="Peer: the machines of a group, by their private addresses."),
        IMMUTABLE,
        Isolates(),
    ] = None
    description: Annotated[str, Field(description="What people read of it.", max_length=255, pattern=_TEXT)] = ""

    @model_validator(mode="after")
    def _one_peer(self) -> Self:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a rule has exactly one peer; given: {', '.join(given) or 'none'}")
        ports = self.from_port is not None and self.to_port is not None
        if self.ip_protocol in ("tcp", "udp", "icmp", "icmpv6") and not ports:
            raise ValueError(f"{self.ip_protocol} needs `from_port` and `to_port`")
        if self.ip_protocol not in ("tcp", "udp", "icmp", "icmpv6") and (
            self.from_port is not None or self.to_port is not None
        ):
            raise ValueError(f"protocol {self.ip_protocol} has no ports")
        return self


class SecurityGroupRuleOutputs(NativeOutputs):
    """Outputs of `ec2:SecurityGroupRule`; its id is the rule's."""

    owner_id: Annotated[str, Field(description="Account that owns its group."), STABLE]


class PrefixListEntry(Properties):
    """One range of a prefix list."""

    cidr: Annotated[Cidr, Field(description="The range."), AS_CIDR]
    description: Annotated[str, Field(description="What people read of it.", max_length=255)] = ""


class PrefixListInputs(TaggedInputs):
    """Inputs of `ec2:PrefixList`: a named set of ranges that rules and routes refer to.

    Where it is used it counts as `max_entries` rules.
    """

    prefix_list_name: Annotated[str, Field(description="Its name.", min_length=1, max_length=255)]
    address_family: Annotated[Literal["IPv4", "IPv6"], Field(description="Of its ranges."), IMMUTABLE]
    max_entries: Annotated[int, Field(description="How many ranges it may hold.", ge=1, le=1000)]
    entries: Annotated[list[PrefixListEntry], Field(description="The ranges."), IGNORE_ORDER, Isolates()] = []
    left_out: Annotated[
        list[Cidr],
        Field(description="Ranges that are taken out of `entries`, such as one that is known only when it is made."),
        AS_CIDR,
        IGNORE_ORDER,
        Isolates(),
    ] = []

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if len(self.entries) > self.max_entries:
            raise ValueError(f"{len(self.entries)} entries are more than `max_entries`, {self.max_entries}")
        version = 6 if self.address_family == "IPv6" else 4
        for entry in self.entries:
            if (":" in entry.cidr) != (version == 6):
                raise ValueError(f"{entry.cidr} is not of {self.address_family}")
        return self


class PrefixListOutputs(NativeOutputs):
    """Outputs of `ec2:PrefixList`; its id is the list's."""

    version: Annotated[
        int, Field(description="Grows with every change of the entries."), Computed(depends_on=("entries",))
    ]
    arn: Annotated[str, Field(description="Amazon's name of it."), STABLE]
