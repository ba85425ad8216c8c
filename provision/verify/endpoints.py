"""Who talks to whom: the ends of a connection as verification sees them."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from provision.models import Network
from provision.packets import Protocol, Service
from provision.spi import NicAddress

Address = IPv4Address | IPv6Address
OUTSIDE = "outside"
HOST = "host"


class Family(enum.IntEnum):
    """Version of IP."""

    V4 = 4
    V6 = 6

    @property
    def echo(self) -> Service:
        """An echo request ("ping") of this family, as in RFC 792 and RFC 4443."""
        if self is Family.V4:
            return Service(Protocol.ICMP, kind=8, code=0)
        return Service(Protocol.ICMPV6, kind=128, code=0)

    @property
    def other_echo(self) -> Protocol:
        """The ICMP that does not exist in this family."""
        return Protocol.ICMPV6 if self is Family.V4 else Protocol.ICMP


class EndpointKind(enum.StrEnum):
    """What an endpoint is."""

    MACHINE = "machine"
    HOST = "host"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection: a NIC of a machine, the host's address on a network, or an address outside.

    Attributes:
        kind: what it is.
        name: the machine instance (`web-0`), `host` or `outside`.
        network: the network that the NIC, or the host's address, is on; empty outside.
        nic: position of the NIC on its machine.
        ipv4: its IPv4 address, None when it has none.
        ipv6: its IPv6 address, None when it has none.
    """

    kind: EndpointKind
    name: str
    network: str = ""
    nic: int = 0
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None

    def address(self, family: Family) -> Address | None:
        """Its address of one family."""
        return self.ipv4 if family is Family.V4 else self.ipv6

    def __str__(self) -> str:
        """The name; with the network for the host, which has an address on each."""
        return f"{HOST} ({self.network})" if self.kind is EndpointKind.HOST and self.network else self.name


def nic_endpoints(name: str, nics: Sequence[NicAddress]) -> tuple[Endpoint, ...]:
    """The NICs of a machine as endpoints, in order."""
    return tuple(
        Endpoint(
            EndpointKind.MACHINE,
            name,
            nic.network,
            index,
            IPv4Address(nic.ipv4) if nic.ipv4 else None,
            IPv6Address(nic.ipv6) if nic.ipv6 else None,
        )
        for index, nic in enumerate(nics)
    )


def host_endpoint(name: str, network: Network) -> Endpoint:
    """The hypervisor's own address on a network: its gateway, by default the first address of the prefix."""
    return Endpoint(
        EndpointKind.HOST,
        HOST,
        name,
        ipv4=network.gateway or (network.cidr[1] if network.cidr and network.cidr.num_addresses > 1 else None),
        ipv6=network.gateway6 or (network.cidr6[1] if network.cidr6 and network.cidr6.num_addresses > 1 else None),
    )


def outside_endpoint(addresses: Sequence[str], name: str = OUTSIDE) -> Endpoint:
    """A peer beyond the stack's networks: its first address of each family; a prefix length is ignored."""
    found = [ip_address(text.partition("/")[0]) for text in addresses]
    return Endpoint(
        EndpointKind.OUTSIDE,
        name,
        ipv4=next((a for a in found if isinstance(a, IPv4Address)), None),
        ipv6=next((a for a in found if isinstance(a, IPv6Address) and not a.is_link_local), None),
    )
