"""Where the stack's networks lie: ranges of a VPC, zones, and which part of a network a machine is in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2s
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from provision.models import Internet, Network, Stack
from provision.spi import Objection
from provision_aws.translate.overrides import NetworkOverrides, of, referred

NAT_RANGE = IPv4Network("100.64.0.0/24")
"""Where NAT gateways stand, beside the stack's networks: their addresses can be nobody else's."""

ENDPOINT_RANGE = IPv4Network("100.64.1.0/24")
"""Where endpoints of Amazon's services stand, for the same reason."""

_BLOCK = 16  # the largest range of a VPC (VPC User Guide, "VPC CIDR blocks")
_LEAST, _HOST_BITS6 = 28, 64
_MOST_BLOCKS = 5
_FIRST, _LAST = 4, 1
"""Addresses of each subnet that EC2 keeps for itself (VPC User Guide, "Subnet CIDR blocks")."""

_FAMILIES_OF_RANGES = tuple(
    IPv4Network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.19.0.0/16")
)
_UNIQUE_LOCAL = IPv6Network("fc00::/7")


@dataclass(frozen=True, slots=True)
class Part:
    """One subnet of a network.

    Attributes:
        zone: where it is.
        cidr: its range.
        suffix: tells it from others of the network.
        existing: id of the subnet that is there already; empty when it is made.
        cidr6: of such a one, its range of IPv6; empty for none.
    """

    zone: str
    cidr: IPv4Network
    suffix: str
    existing: str = ""
    cidr6: str = ""


def parts(network: Network, zones: Sequence[str], facts: Mapping[str, Any]) -> tuple[Part, ...]:
    """The subnets of a network: those that it refers to, else one, or one for each zone that it names.

    Args:
        network: which.
        zones: of the region.
        facts: what is known of subnets that are there; of one that is not among them nothing is, as when nobody asked.
    """
    assert network.cidr is not None
    said = referred(network)
    if said is not None and said.subnets:
        ranges = _divided(network, said.subnets)
        found = []
        for index, (identity, cidr) in enumerate(zip(said.subnets, ranges, strict=False)):
            told = facts.get("subnets", {}).get(identity, {})
            zone = str(told.get("zone") or zones[index % len(zones)])
            suffix = f"-{index}" if len(said.subnets) > 1 else ""
            found.append(Part(zone, cidr, suffix, identity, str(told.get("cidr6") or "")))
        return tuple(found)
    chosen = of(NetworkOverrides, network.overrides).availability_zones or list(zones[:1])
    if len(chosen) == 1:
        return (Part(chosen[0], network.cidr, ""),)
    return tuple(Part(zone, one, f"-{zone}") for zone, one in zip(chosen, _divided(network, chosen), strict=False))


def reserved(network: Network) -> Iterator[str]:
    """Addresses of a network that EC2 lets no machine have."""
    said = referred(network)
    count = len(said.subnets if said is not None else ())
    count = count or len(of(NetworkOverrides, network.overrides).availability_zones) or 1
    if network.cidr is not None:
        placeholder = [f"zone-{index}" for index in range(count)]
        for part in _divided(network, placeholder):
            yield from _edges(part)
    if network.cidr6 is not None:
        yield from (str(network.cidr6[index]) for index in range(min(_FIRST, network.cidr6.num_addresses)))


def _divided(network: Network, zones: Sequence[str]) -> Iterator[IPv4Network]:
    assert network.cidr is not None
    deeper = (len(zones) - 1).bit_length()
    ranges = network.cidr.subnets(prefixlen_diff=min(deeper, 32 - network.cidr.prefixlen))
    yield from (one for _, one in zip(zones, ranges, strict=False))


def _edges(cidr: IPv4Network) -> Iterator[str]:
    if cidr.num_addresses > _FIRST + _LAST:
        yield from (str(cidr[index]) for index in range(_FIRST))
        yield str(cidr[-1])


@dataclass(frozen=True)
class Layout:
    """The ranges of a stack."""

    stack: Stack
    zones: Sequence[str]
    existing: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def vpc(self) -> str:
        """Id of the VPC that networks refer to; empty when the stack makes its own, or nobody looked."""
        for network in self.stack.networks.values():
            said = referred(network)
            if said is None:
                continue
            subnets = self.existing.get("subnets", {})
            found = said.vpc or next((subnets[one]["vpc"] for one in said.subnets if one in subnets), "")
            if found:
                return str(found)
        return ""

    @property
    def vpc_facts(self) -> Mapping[str, Any]:
        """What is known of that VPC."""
        found: Mapping[str, Any] = self.existing.get("vpcs", {}).get(self.vpc, {})
        return found

    @cached_property
    def refers(self) -> bool:
        """Whether any network refers to something that is there."""
        return any(referred(network) is not None for network in self.stack.networks.values())

    @cached_property
    def blocks(self) -> tuple[IPv4Network, ...]:
        """Ranges of the VPC: the /16 that each network is in, so that another network seldom needs another VPC."""
        found = [net.cidr.supernet(new_prefix=_BLOCK) for net in self.stack.networks.values() if net.cidr is not None]
        return tuple(dict.fromkeys(found))

    @cached_property
    def parts(self) -> Mapping[str, tuple[Part, ...]]:
        """The subnets of each network."""
        return {name: parts(network, self.zones, self.existing) for name, network in self.stack.networks.items()}

    def part(self, network: str, address: str) -> Part:
        """The subnet that an address of the network is in."""
        found = IPv4Address(address)
        return next(part for part in self.parts[network] if found in part.cidr)

    @cached_property
    def nat_zones(self) -> tuple[str, ...]:
        """Zones with networks whose machines go out by NAT."""
        found = [
            part.zone
            for name, network in self.stack.networks.items()
            if network.internet is Internet.NAT and referred(network) is None
            for part in self.parts[name]
        ]
        return tuple(dict.fromkeys(found))

    def zones_of(self, networks: Sequence[str]) -> list[str]:
        """The zones that networks are in."""
        return list(dict.fromkeys(part.zone for name in networks for part in self.parts[name]))

    @cached_property
    def has_endpoints(self) -> bool:
        """Whether there are endpoints with interfaces."""
        said = (of(NetworkOverrides, network.overrides).endpoints for network in self.stack.networks.values())
        return any(set(one) - {"s3", "dynamodb"} for one in said)

    @property
    def further(self) -> tuple[IPv4Network, ...]:
        """Ranges of the VPC beside those of the networks."""
        return (NAT_RANGE,) * bool(self.nat_zones) + (ENDPOINT_RANGE,) * self.has_endpoints

    def nat_range(self, zone: str) -> IPv4Network:
        """Where the NAT gateway of a zone stands."""
        return self._within(NAT_RANGE, zone)

    def endpoint_range(self, zone: str) -> IPv4Network:
        """Where the endpoints' interfaces in a zone stand."""
        return self._within(ENDPOINT_RANGE, zone)

    def _within(self, range_: IPv4Network, zone: str) -> IPv4Network:
        place = self.zones.index(zone) if zone in self.zones else 15
        return list(range_.subnets(new_prefix=_LEAST))[place % 16]

    @cached_property
    def ipv6(self) -> bool:
        """Whether any network that is made has IPv6."""
        made = (network for network in self.stack.networks.values() if referred(network) is None)
        return any(network.cidr6 is not None for network in made)

    @cached_property
    def indexes(self) -> Mapping[tuple[str, str], int]:
        """Which /64 of the VPC's range each subnet has: by hash of its name, so that others may come and go."""
        taken: set[int] = set()
        found: dict[tuple[str, str], int] = {}
        for name, network in self.stack.networks.items():
            for part in self.parts[name] if network.cidr6 is not None else ():
                index = blake2s(f"{name}{part.suffix}".encode()).digest()[0]
                while index in taken and len(taken) < 256:
                    index = (index + 1) % 256
                taken.add(index)
                found[name, part.suffix] = index
        return found

    def objections(self) -> Iterator[Objection]:
        """What EC2 cannot make."""
        for name, network in self.stack.networks.items():
            yield from _of_network(name, network, self.zones)
        if any(True for name, net in self.stack.networks.items() for _ in _of_network(name, net, self.zones)):
            return
        if self.refers:
            return  # `referring` says what is wrong with those
        kinds: dict[IPv4Network, str] = {}
        for name, network in self.stack.networks.items():
            assert network.cidr is not None
            for family in _FAMILIES_OF_RANGES:
                if network.cidr.subnet_of(family):
                    kinds.setdefault(family, name)
            if network.cidr.overlaps(NAT_RANGE) and self.nat_zones:
                yield Objection(
                    ("networks", name, "cidr"),
                    f"{network.cidr} overlaps with {NAT_RANGE}, where the stack's NAT gateways stand",
                    "give the network another range",
                )
        if len(kinds) > 1:
            (first, one), (second, other), *_ = kinds.items()
            yield Objection(
                ("networks", other, "cidr"),
                f"one VPC has no ranges of both {first} (network '{one}') and {second}",
                f"take a range of {first}, or make the network in another stack",
            )
        count = len(self.blocks) + len(self.further)
        if count > _MOST_BLOCKS:
            yield Objection(
                ("networks",),
                f"the networks lie in {count} ranges of /16, and a VPC has at most {_MOST_BLOCKS}",
                "take networks of fewer such ranges",
            )


def host_part(address: str) -> str:
    """An IPv6 address without its prefix: EC2 gives the prefix."""
    return str(IPv6Address(int(IPv6Address(address)) & ((1 << _HOST_BITS6) - 1)))


def _of_network(name: str, network: Network, zones: Sequence[str]) -> Iterator[Objection]:
    path, cidr = ("networks", name), network.cidr
    chosen = of(NetworkOverrides, network.overrides).availability_zones
    if unknown := [zone for zone in chosen if zone not in zones]:
        yield Objection(
            (*path, "overrides"), f"there is no zone '{unknown[0]}' in the region", f"it has {', '.join(zones)}"
        )
    if cidr is None:
        yield Objection(path, "every subnet of EC2 has a range of IPv4 here", "add 'cidr:'")
        return
    deeper = (max(1, len(chosen)) - 1).bit_length()
    if not _BLOCK <= cidr.prefixlen <= _LEAST - deeper:
        yield Objection(
            (*path, "cidr"),
            f"{cidr} is no range that a subnet can have: /{_BLOCK} to /{_LEAST}"
            + (f", divided over {len(chosen)} zones" if deeper else ""),
            f"write a range from /{_BLOCK} to /{_LEAST - deeper}",
        )
    if network.gateway is not None and network.gateway != cidr[1]:
        yield Objection((*path, "gateway"), f"a VPC's router is at the first address, {cidr[1]}", "remove 'gateway'")
    six = network.cidr6
    said = referred(network)
    if six is not None and not six.subnet_of(_UNIQUE_LOCAL) and not (said is not None and said.subnets):
        yield Objection(
            (*path, "cidr6"),
            f"Amazon gives the prefixes of IPv6, and {six} is not for you to choose",
            "write a unique local prefix such as fd00:1::/64: it stands for the /64 that Amazon gives",
        )
    if six is not None and six.prefixlen < _HOST_BITS6:
        yield Objection((*path, "cidr6"), f"a subnet of EC2 has a /64, and {six} is larger", "write a /64")
    if six is not None and network.gateway6 is not None:
        yield Objection((*path, "gateway6"), "a VPC's router has an address of its own choice", "remove 'gateway6'")
