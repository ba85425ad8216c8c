"""Laws of what rules are checked on: the same relation as probes are judged by, for all services and ends at once."""

from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from test_intent import PEERS, allows, denies, intent_of, mixed, nic_addresses, orders

from provision.models import Peer, PeerKind
from provision.packets import Protocol, Service
from provision.verify import Intent
from provision.verify.endpoints import Endpoint, EndpointKind, Family, outside_endpoint
from provision.verify.guardrails import StackView
from provision.verify.reach import Reach, ServiceSet, all_ends, classes

POINTS = [
    *(Service(Protocol.TCP, port, port) for port in (0, 1, 19, 20, 21, 22, 23, 25, 30, 31, 65535)),
    *(Service(Protocol.UDP, port, port) for port in (52, 53, 54, 67, 68, 123, 546, 547)),
    *(Service(Protocol.ICMP, kind=kind, code=code) for kind, code in ((0, 0), (8, 0), (8, 1), (255, 255))),
    Service(Protocol.ICMPV6, kind=128, code=0),
    *(Service(Protocol.OTHER, number=number) for number in (0, 46, 47, 48, 255)),
]
"""Ends, and neighbours of ends, of every range that the policies of these tests can name."""

WORLD = [["198.51.100.10"], ["9.9.9.9"], ["10.9.0.1"], ["169.254.169.254"], ["192.0.2.1"], ["2001:db8:ffff::10"],
         ["2a00::1"], ["fd00:9::1"], ["fe80::1"]]  # fmt: skip

sets = st.lists(
    st.builds(Service.parse, st.sampled_from(["tcp", "tcp/22", "tcp/20-30", "tcp/31", "udp", "icmp/8", "icmp", "any"])),
    max_size=4,
)
DEFAULTS = st.sampled_from(["deny", "allow"])
FEW = st.lists(st.sampled_from([*PEERS, "label.tier=*", "network.*"]), min_size=1, max_size=2, unique=True)


def holds(services: ServiceSet, point: Service) -> bool:
    return bool(services & ServiceSet.of([point]))


@settings(max_examples=60, deadline=None)
@given(sets, sets)
def test_sets_of_services_obey_the_laws_of_sets(some: list[Service], others: list[Service]) -> None:
    one, two = ServiceSet.of(some), ServiceSet.of(others)
    for point in POINTS:
        here = any(service.covers(point) for service in some)
        there = any(service.covers(point) for service in others)
        assert holds(one, point) is here
        assert holds(one | two, point) is (here or there)
        assert holds(one & two, point) is (here and there)
        assert holds(one - two, point) is (here and not there)
    assert (one - two) | (one & two) == one
    assert not one or holds(one, one.example())


def brute(intent: Intent) -> list[Endpoint]:
    machines = [nic for nics in intent.machines.values() for nic in nics]
    return [*machines, *intent.hosts.values(), *map(outside_endpoint, WORLD)]


@settings(max_examples=15, deadline=None)
@given(mixed, DEFAULTS, st.booleans(), st.booleans())
def test_an_answer_for_all_services_is_the_answer_for_each(
    policies: list[dict[str, Any]], default: str, served: bool, nd: bool
) -> None:
    policies = [*policies, {"kind": "peer_isolation", "machines": ["machine.web"]}]
    intent = intent_of(policies, default=default, services={"dhcp": served, "dns": served, "nd": nd})
    reach = Reach(intent)
    for a in brute(intent):
        for b in brute(intent):
            if a == b or EndpointKind.MACHINE not in (a.kind, b.kind):
                continue
            for family in Family:
                answer = reach.between(a, b, family)
                for point in POINTS:
                    verdict = intent.allowed(a, b, point, family)
                    by = [why for why, services in answer.parts if holds(services, point)]
                    assert len(by) < 2
                    assert (bool(by) and answer.routed) is verdict.allowed
                    assert not verdict.allowed or by == [verdict.why]


@settings(max_examples=25, deadline=None)
@given(mixed, DEFAULTS)
def test_ends_of_one_class_are_answered_alike_and_the_world_has_every_class(
    policies: list[dict[str, Any]], default: str
) -> None:
    intent = intent_of(policies, default=default)
    reach = Reach(intent)
    found = all_ends(intent)
    known = {reach.alike(end) for end in found}
    unicast = [end for end in brute(intent) if end.kind is not EndpointKind.OUTSIDE or end.ipv4 or end.ipv6]
    assert {reach.alike(end) for end in unicast} <= known
    machines = [nic for nics in intent.machines.values() for nic in nics]
    for group in classes(brute(intent), reach.alike):
        first, *others = group.members
        for end in others:
            for machine in machines:
                if machine.name in (first.name, end.name):
                    continue
                for family in Family:
                    assert reach.between(first, machine, family) == reach.between(end, machine, family)
                    assert reach.between(machine, first, family) == reach.between(machine, end, family)


def is_of(intent: Intent, peer: Peer, end: Endpoint, family: Family) -> bool:
    """Whether a peer stands for an end, said once more and without the code under test."""
    address = end.address(family)
    if address is None:
        return False
    instance = intent.instances.get(end.name) if end.kind is EndpointKind.MACHINE else None
    network = intent.stack.networks.get(end.network) if end.kind is EndpointKind.MACHINE else None
    match peer.kind:
        case PeerKind.HOST:
            return end.kind is EndpointKind.HOST
        case PeerKind.OUTSIDE:
            return end.kind is EndpointKind.OUTSIDE
        case PeerKind.INTERNET:
            return end.kind is EndpointKind.OUTSIDE and ip_address(str(address)).is_global
        case PeerKind.CIDR:
            return address in ip_network(str(peer.cidr))
        case PeerKind.NETWORK:
            return network is not None and peer.name in ("*", end.network)
        case PeerKind.MACHINE:
            return instance is not None and peer.name in ("*", instance.entry, instance.name)
        case _:
            labels = [network.labels if network else {}, instance.machine.labels if instance else {}]
            return any(peer.name in one and peer.value in ("*", one[peer.name]) for one in labels)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(allows(), allows(orders), denies()), max_size=4), DEFAULTS, FEW, FEW, sets, FEW)
def test_whatever_brute_force_finds_open_is_found_and_nothing_else(
    policies: list[dict[str, Any]], default: str, come: list[str], go: list[str], asked: list[Service], but: list[str]
) -> None:
    intent = intent_of(policies, default=default)
    sources, destinations, others = ([Peer.parse(text) for text in side] for side in (come, go, but))
    services = asked or [Service.parse("any")]
    view = StackView(
        intent.stack,
        {name: nic_addresses(intent, name) for name in intent.machines},
        [*sources, *destinations, *others],
    )

    found = list(view.passing(sources, destinations, services, but=others))

    for item in found:
        assert any(is_of(intent, peer, item.source, item.family) for peer in sources)
        assert not any(is_of(intent, peer, item.source, item.family) for peer in others)
        assert any(is_of(intent, peer, item.destination, item.family) for peer in destinations)
        assert any(one.covers(item.service) for one in services)
        verdict = intent.allowed(item.source, item.destination, item.service, item.family)
        assert verdict.allowed is item.routed
        assert not item.routed or verdict.why == item.why
    expected = {
        verdict.why
        for a in brute(intent)
        for b in brute(intent)
        if a.name != b.name and EndpointKind.MACHINE in (a.kind, b.kind)
        for family in Family
        if any(is_of(intent, peer, a, family) for peer in sources)
        and not any(is_of(intent, peer, a, family) for peer in others)
        and any(is_of(intent, peer, b, family) for peer in destinations)
        for point in POINTS
        if any(one.covers(point) for one in services)
        if (verdict := intent.allowed(a, b, point, family)).allowed
    }
    assert expected <= {item.why for item in found if item.routed}
