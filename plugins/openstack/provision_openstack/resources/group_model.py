# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What security groups, their rules, address groups and QoS policies are made from."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import AS_CIDR, IGNORE_ORDER, IMMUTABLE, STABLE, Computed, Isolates, Keyed, OwnedInputs, Properties
from provision_openstack.labels import Description
from provision_openstack.resources.native_model import NamedInputs, NativeOutputs
from provision_openstack.resources.spelling import Cidr

Direction = Literal["ingress", "egress"]

REMOTES = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
"""Inputs of a rule of which at most one is given."""

_WITH_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite", "6", "17", "132", "33", "136")
_ICMP = ("icmp", "ipv6-icmp", "icmpv6", "1", "58")


class SecurityGroupInputs(NamedInputs):
    """Inputs of `network:SecurityGroup`. It is made without any rule: nothing passes until rules are made."""

    stateful: Annotated[
        bool, Field(description="Whether answers to what is let through pass by themselves."), IMMUTABLE, Isolates()
    ] = True
    exclusive: Annotated[
        bool, Field(description="Whether rules that the stack did not make are removed; else they are only reported.")
    ] = False
    foreign_rules: Annotated[
        list[str],
        Field(description="Ids of rules that the stack did not make: refresh finds them, when they are not wanted."),
        IGNORE_ORDER,
    ] = []


class SecurityGroupOutputs(NativeOutputs):
    """Outputs of `network:SecurityGroup`; its id is the group's."""

    found_rules: Annotated[
        list[str],
        Field(description="Ids of rules in it that the stack did not make."),
        Computed(depends_on=("exclusive",)),
    ]


class SecurityGroupRuleInputs(OwnedInputs):
    """Inputs of `network:SecurityGroupRule`: one rule of one group. Neutron lets no rule be changed."""

    description: Annotated[
        Description, Field(description="What people read of it. The mark of the owner is put behind it."), IMMUTABLE
    ] = ""
    security_group_id: Annotated[str, Field(description="Id of the group."), IMMUTABLE, Isolates()]
    direction: Annotated[Direction, Field(description="Packets to, or from, the group's ports."), IMMUTABLE, Isolates()]
    ethertype: Annotated[Literal["IPv4", "IPv6"], Field(description="Version of IP."), IMMUTABLE, Isolates()]
    protocol: Annotated[
        str | None,
        Field(description="tcp, udp, icmp, ipv6-icmp, sctp, or a protocol number; None: all.", pattern=r"^[a-z0-9-]+$"),
        IMMUTABLE,
        Isolates(),
    ] = None
    port_range_min: Annotated[
        int | None, Field(description="First port, or the ICMP type; None: all.", ge=0, le=65535), IMMUTABLE, Isolates()
    ] = None
    port_range_max: Annotated[
        int | None, Field(description="Last port, or the ICMP code; None: all.", ge=0, le=65535), IMMUTABLE, Isolates()
    ] = None
    remote_ip_prefix: Annotated[
        Cidr | None, Field(description="Peer: an address range."), AS_CIDR, IMMUTABLE, Isolates()
    ] = None
    remote_group_id: Annotated[
        str | None, Field(description="Peer: the ports of a security group, by their addresses."), IMMUTABLE, Isolates()
    ] = None
    remote_address_group_id: Annotated[
        str | None, Field(description="Peer: the ranges of an address group."), IMMUTABLE, Isolates()
    ] = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        given = [name for name in REMOTES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"a rule has at most one peer; given: {', '.join(given)}")
        if self.remote_ip_prefix is not None:
            version = ipaddress.ip_network(self.remote_ip_prefix).version
            if self.ethertype != f"IPv{version}":
                raise ValueError(f"{self.remote_ip_prefix} is not of {self.ethertype}")
        ranged = self.port_range_min is not None or self.port_range_max is not None
        if ranged and self.protocol not in _WITH_PORTS + _ICMP:
            raise ValueError(f"the protocol {self.protocol or 'any'} has no ports")
        if self.protocol in _WITH_PORTS and (self.port_range_min is None) != (self.port_range_max is None):
            raise ValueError("ports need both ends: `portRangeMin` and `portRangeMax`")
        if self.protocol in _ICMP and ranged and self.port_range_min is None:
            raise ValueError("an ICMP code needs its type: `portRangeMin`")
        return self


class SecurityGroupRuleOutputs(NativeOutputs):
    """Outputs of `network:SecurityGroupRule`; its id is the rule's."""

    project_id: Annotated[str, Field(description="Project that owns it."), STABLE]


class AddressGroupInputs(NamedInputs):
    """Inputs of `network:AddressGroup`: a set of ranges that rules refer to."""

    addresses: Annotated[
        list[Cidr], Field(description="The ranges, IPv4 and IPv6."), AS_CIDR, IGNORE_ORDER, Isolates()
    ] = []


class AddressGroupOutputs(NativeOutputs):
    """Outputs of `network:AddressGroup`; its id is the group's."""

    project_id: Annotated[str, Field(description="Project that owns it."), STABLE]


class BandwidthLimit(Properties):
    """The most that may pass in one direction."""

    direction: Annotated[Direction, Field(description="To, or from, the port.")]
    max_kbps: Annotated[int, Field(description="In kbit/s.", ge=1)]
    max_burst_kbps: Annotated[int, Field(description="Size of a burst in kbit; 0: as the cloud has it.", ge=0)] = 0


class QosPolicyInputs(NamedInputs):
    """Inputs of `network:QosPolicy`: limits that ports and networks refer to."""

    bandwidth_limits: Annotated[
        list[BandwidthLimit],
        Field(description="At most one for each direction."),
        Keyed("direction"),
        Isolates(setting=True),
    ] = []
    dscp_mark: Annotated[
        int | None, Field(description="Mark of packets that leave the port (RFC 2474); None: as they are.", ge=0, le=56)
    ] = None

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        directions = [limit.direction for limit in self.bandwidth_limits]
        if len(set(directions)) != len(directions):
            raise ValueError("a policy has at most one limit for each direction")
        return self


class QosPolicyOutputs(NativeOutputs):
    """Outputs of `network:QosPolicy`; its id is the policy's."""

    project_id: Annotated[str, Field(description="Project that owns it."), STABLE]
