"""Policies that close something for good: their rules decide before every rule that lets something pass."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from provision.models import (
    Internet,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    PeerKind,
    Policy,
    Posture,
    Stack,
    TrafficPolicy,
)
from provision.packets.prefixes import Prefix
from provision.spi.flows import End
from provision_libvirt.translate import priorities as at
from provision_libvirt.translate.hostside import host_address
from provision_libvirt.translate.prefixes import public, ranges
from provision_libvirt.translate.services import Rule, prefix_attributes, rule

METADATA = "169.254.169.254"
"""Where machines look for a metadata service. No libvirt offers one, but a network beyond may."""
CLOSING = (MetadataPolicy, NoHostAccessPolicy, NoInternetPolicy)
_ALL = {4: "all", 6: "all-ipv6"}
_IP = {4: "ip", 6: "ipv6"}


def own_addresses(stack: Stack, family: int, further: Sequence[str]) -> tuple[str, ...]:
    """The hypervisor's addresses: on the stack's networks, and `further` ones."""
    near = [host_address(stack, name, family) for name in stack.networks]
    found = [address for address in near if address is not None]
    return tuple(dict.fromkeys([*found, *(one for one in further if (":" in one) == (family == 6))]))


def inside(stack: Stack, family: int, further: Sequence[str], elsewhere: Sequence[str] = ()) -> tuple[str, ...]:
    """All that is not outside: the stack's networks, also those on other hypervisors, and the hypervisor."""
    prefixes = [network.cidr if family == 4 else network.cidr6 for network in stack.networks.values()]
    known = [str(prefix) for prefix in prefixes if prefix is not None]
    known += [prefix for prefix in elsewhere if (":" in prefix) == (family == 6)]
    return (*known, *own_addresses(stack, family, further))


def has_anything_to_close(stack: Stack, policy: Policy, place: End) -> bool:
    """Whether what the policy closes is within reach at all: beyond a network without a way out there is nothing."""
    if stack.networks[place.network].internet is not Internet.NONE:
        return True
    own = [host_address(stack, place.network, family) for family in (4, 6)]
    return isinstance(policy, NoHostAccessPolicy) and any(own)


def closing_rules(
    stack: Stack, policy: Policy, families: Sequence[int], further: Sequence[str], elsewhere: Sequence[str] = ()
) -> Iterator[Rule]:
    """Rules of the filter that closes what the policy says, both ways.

    Args:
        stack: what the file says.
        policy: what closes.
        families: IP versions that the stack has.
        further: addresses of the hypervisor.
        elsewhere: prefixes of the stack's networks on other hypervisors.
    """
    match policy:
        case MetadataPolicy() if 4 in families:
            yield rule("drop", "out", at.CLOSED, "all", dstipaddr=METADATA, state="NEW")
        case NoInternetPolicy():
            for family in families:
                prefixes = public(family, inside(stack, family, further, elsewhere))
                for text in ranges(prefixes):
                    yield rule("drop", "out", at.CLOSED, _ALL[family], **prefix_attributes("dst", text))
                if _frames_pass(stack):
                    for prefix in prefixes:
                        yield rule("drop", "in", at.CLOSED, _IP[family], **prefix_attributes("src", prefix))
        case NoHostAccessPolicy():
            if 4 in families:
                # A machine asks for a lease before it has an address, and asks everyone.
                ask = {"dstipaddr": "255.255.255.255", "protocol": "udp", "srcportstart": "68", "dstportstart": "67"}
                yield rule("drop", "out", at.CLOSED, "ip", **ask)
            for family in families:
                for address in own_addresses(stack, family, further):
                    if family == 4:
                        # Errors about what is routed ("fragmentation needed"); nothing gets an answer, see below.
                        yield rule("accept", "in", at.ERRORS, "ip", protocol="icmp", srcipaddr=address)
                    yield from close(address, family)


def _frames_pass(stack: Stack) -> bool:
    """Whether some policy lets in frames from beyond; all else is closed by closing the answers."""
    networks = [one for network in stack.networks.values() for one in (network.cidr, network.cidr6) if one is not None]
    return stack.isolation.default is Posture.ALLOW or any(
        peer.kind in (PeerKind.OUTSIDE, PeerKind.INTERNET)
        or (peer.cidr is not None and not any(_within(peer.cidr, network) for network in networks))
        for policy in stack.isolation.policies.values()
        if isinstance(policy, TrafficPolicy) and policy.allow
        for peer in (*policy.sources, *policy.destinations)
    )


def _within(prefix: Prefix, other: Prefix) -> bool:
    if isinstance(prefix, IPv4Network):
        return isinstance(other, IPv4Network) and prefix.subnet_of(other)
    return isinstance(other, IPv6Network) and prefix.subnet_of(other)


def close(prefix: str, family: int) -> Iterator[Rule]:
    """Drop everything to and from a prefix. In the stateful layer libvirt mirrors a drop to the other direction."""
    yield rule("drop", "out", at.CLOSED, _ALL[family], **prefix_attributes("dst", prefix))
    yield rule("drop", "in", at.CLOSED, _IP[family], **prefix_attributes("src", prefix))
