"""Networks: the segments that machines are attached to."""

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Any

from pydantic import Field

from provision.models.base import Model, Name


class Internet(enum.StrEnum):
    """How a network reaches what lies beyond it."""

    NONE = "none"
    NAT = "nat"
    ROUTED = "routed"


class Dhcp(Model):
    """Address assignment by DHCP; machines keep the address that the file or the first run gave them."""

    enabled: Annotated[bool, Field(description="Serve DHCP on this network.")] = False
    range: Annotated[
        tuple[IPv4Address, IPv4Address] | None,
        Field(description="First and last address for guests that the file does not name."),
    ] = None


class Network(Model):
    """One segment: its addresses, name service and way out."""

    cidr: Annotated[IPv4Network | None, Field(description="IPv4 prefix, such as 10.20.1.0/24.")] = None
    cidr6: Annotated[IPv6Network | None, Field(description="IPv6 prefix, such as fd00:20:1::/64.")] = None
    internet: Annotated[
        Internet, Field(description="Way out: none (isolated), nat (outbound only) or routed (both ways).")
    ] = Internet.NONE
    gateway: Annotated[IPv4Address | None, Field(description="Default: the first address of `cidr`.")] = None
    gateway6: Annotated[IPv6Address | None, Field(description="Default: the first address of `cidr6`.")] = None
    dhcp: Annotated[Dhcp, Field(description="Address assignment by DHCP.")] = Dhcp()
    dns: Annotated[
        dict[str, IPv4Address | IPv6Address] | None,
        Field(description="Extra names that the network's DNS answers."),
    ] = None
    domain: Annotated[str | None, Field(description="DNS domain of the machines on this network.")] = None
    mtu: Annotated[int | None, Field(ge=576, le=65535, description="Largest packet in bytes.")] = None
    location: Annotated[Name | None, Field(description="Name under `locations` where this network is made.")] = None
    labels: Annotated[dict[str, str], Field(description="Free labels, usable as peers of policies.")] = {}
    renamed_from: Annotated[Name | None, Field(description="Former name: the network is kept.")] = None
    existing: Annotated[
        dict[str, dict[str, Any]],
        Field(
            description="Per platform: what is there already, and is used instead of being made. It is looked at "
            "before anything is made, and never changed or removed."
        ),
    ] = {}
    overrides: Annotated[
        dict[str, dict[str, Any]], Field(description="Per platform: native fields, checked by the plugin.")
    ] = {}
