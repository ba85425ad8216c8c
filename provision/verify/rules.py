"""What the isolation of a stack says, as one ordered list of rules over endpoints; knows no platform."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from math import inf

from provision.models import (
    Isolation,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    Peer,
    PeerKind,
    Posture,
    Selector,
    Stack,
    TrafficPolicy,
)
from provision.packets import ANY_SERVICE, Protocol, Service
from provision.verify.endpoints import Endpoint, EndpointKind, Family

METADATA_ADDRESS = IPv4Address("169.254.169.254")
_EVERYTHING = (ANY_SERVICE,)
_SERVICES: Mapping[str, tuple[Service, ...]] = {
    "dhcp": (Service(Protocol.UDP, 67, 67), Service(Protocol.UDP, 547, 547)),
    "dns": (Service(Protocol.UDP, 53, 53), Service(Protocol.TCP, 53, 53)),
    "ntp": (Service(Protocol.UDP, 123, 123),),
}
_LEASES = (Service(Protocol.UDP, 68, 68), Service(Protocol.UDP, 546, 546))


@dataclass(frozen=True, slots=True)
class Side:
    """A set of endpoints, as the peers of one side of a policy name them."""

    entries: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    prefixes: tuple[IPv4Network | IPv6Network, ...] = ()
    host: bool = False
    outside: bool = False
    internet: bool = False

    @property
    def beyond(self) -> bool:
        """Whether it may hold something that is no machine of the stack."""
        return bool(self.prefixes) or self.host or self.outside or self.internet

    def holds(self, endpoint: Endpoint, entry: str, family: Family) -> bool:
        """Whether `endpoint` is in the set; `entry` is the machine entry of a NIC, empty for other endpoints."""
        return self.names(endpoint, entry) or self.contains(endpoint, family)

    def names(self, endpoint: Endpoint, entry: str) -> bool:
        """Whether it is in the set whatever its addresses are."""
        match endpoint.kind:
            case EndpointKind.MACHINE:
                return entry in self.entries or endpoint.name in self.entries or endpoint.network in self.networks
            case EndpointKind.HOST:
                return self.host
            case EndpointKind.OUTSIDE:
                return self.outside

    def contains(self, endpoint: Endpoint, family: Family) -> bool:
        """Whether it is in the set for its address of `family`."""
        address = endpoint.address(family)
        if address is None:
            return False
        if self.internet and endpoint.kind is EndpointKind.OUTSIDE and address.is_global:
            return True
        return any(address in prefix for prefix in self.prefixes if prefix.version == family)


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets from `sources` to `destinations` of one of `services` pass, or do not; `why` is the policy's name."""

    why: str
    allow: bool
    services: Sequence[Service]
    sources: Side
    destinations: Side
    same_network: bool = field(default=False)


_METADATA = (Service(Protocol.TCP, 80, 80),)
_METADATA_SIDE = Side(prefixes=(IPv4Network(METADATA_ADDRESS),))
_ALL = Side(host=True, outside=True, internet=True)


def rules(stack: Stack, without: Collection[str] = ()) -> tuple[Rule, ...]:
    """The rules in the order in which they decide: the first that speaks of a packet has the word.

    Policies that close something for good come first, then what the platform itself needs, then traffic policies by
    `order` (a deny before an allow of the same order; those without order last). What none speaks of is left to the
    default posture. `without` names policies that were downgraded: nothing enforces them.
    """
    policies = {name: policy for name, policy in stack.isolation.policies.items() if name not in without}
    closing: list[Rule] = []
    traffic: list[tuple[float, bool, int, Rule]] = []
    for position, (name, policy) in enumerate(policies.items()):
        match policy:
            case TrafficPolicy():
                sources, destinations = _side(stack, policy.sources), _side(stack, policy.destinations)
                order = inf if policy.order is None else policy.order
                if policy.deny:
                    rule = Rule(name, False, policy.deny, sources, destinations)
                    traffic.append((order, False, position, rule))
                if policy.allow:
                    rule = Rule(name, True, policy.allow, sources, destinations)
                    traffic.append((order, True, position, rule))
            case NoInternetPolicy():
                closing.extend(_both_ways(name, _chosen(stack, policy.machines), Side(internet=True)))
            case NoHostAccessPolicy():
                closing.extend(_both_ways(name, _chosen(stack, policy.machines), Side(host=True)))
            case MetadataPolicy(access="closed"):
                closing.append(Rule(name, False, _EVERYTHING, _chosen(stack, policy.machines), _METADATA_SIDE))
            case _:
                pass
    traffic.sort(key=lambda item: item[:3])
    return (*closing, *_infrastructure(stack), *(item[3] for item in traffic), *_closed_services(stack))


def _both_ways(name: str, machines: Side, others: Side) -> Iterator[Rule]:
    yield Rule(name, False, _EVERYTHING, machines, others)
    yield Rule(name, False, _EVERYTHING, others, machines)


def _infrastructure(stack: Stack) -> Iterator[Rule]:
    """What passes because `isolation.services` says so: to the server of the machine's own network only."""
    machines = Side(entries=frozenset(stack.machines))
    for name, services in _SERVICES.items():
        if getattr(stack.isolation.services, name):
            yield Rule(f"services.{name}", True, services, machines, Side(host=True), same_network=True)
    if stack.isolation.services.dhcp:  # a server may speak first (RFC 3203), and its answers may be broadcast
        yield Rule("services.dhcp", True, _LEASES, Side(host=True), machines, same_network=True)
    if stack.isolation.services.metadata:
        yield Rule("services.metadata", True, _METADATA, machines, _METADATA_SIDE)


def _closed_services(stack: Stack) -> Iterator[Rule]:
    """With `default: allow`, the infrastructure services that are not switched on stay closed all the same."""
    isolation: Isolation = stack.isolation
    if isolation.default is Posture.DENY:
        return
    machines = Side(entries=frozenset(stack.machines))
    for name, services in _SERVICES.items():
        if not getattr(isolation.services, name):
            yield Rule(f"services.{name}", False, services, machines, Side(host=True), same_network=True)
    if not isolation.services.metadata:
        yield Rule("services.metadata", False, _METADATA, machines, _METADATA_SIDE)


def _side(stack: Stack, peers: Sequence[Peer]) -> Side:
    return Side(
        frozenset(name for peer in peers for name in _entries(stack, peer)),
        frozenset(name for peer in peers for name in _networks(stack, peer)),
        tuple(peer.cidr for peer in peers if peer.cidr is not None),
        any(peer.kind is PeerKind.HOST for peer in peers),
        any(peer.kind is PeerKind.OUTSIDE for peer in peers),
        any(peer.kind is PeerKind.INTERNET for peer in peers),
    )


def _chosen(stack: Stack, selectors: Sequence[Selector]) -> Side:
    return Side(frozenset(name for selector in selectors for name in _entries(stack, selector)))


def _entries(stack: Stack, peer: Peer) -> set[str]:
    """Keys under `machines` that a peer names; an instance (`web-0`) stands for itself."""
    if peer.kind is PeerKind.MACHINE:
        return set(stack.machines) if peer.name == "*" else {peer.name}
    if peer.kind is PeerKind.LABEL:
        return {name for name, machine in stack.machines.items() if machine.labels.get(peer.name) == peer.value}
    return set()


def _networks(stack: Stack, peer: Peer) -> set[str]:
    """Networks that a peer names, by their own name or by a label."""
    if peer.kind is PeerKind.NETWORK:
        return set(stack.networks) if peer.name == "*" else {peer.name}
    if peer.kind is PeerKind.LABEL:
        return {name for name, network in stack.networks.items() if network.labels.get(peer.name) == peer.value}
    return set()
