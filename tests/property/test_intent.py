"""Laws of the reachability relation."""

import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from verify_network import OUTSIDE_ADDRESSES, deployed_for

from provision.models import Stack
from provision.packets import PROTOCOL_NUMBERS, Protocol, Service
from provision.packets.sets import Packet, PacketSpace
from provision.spi import NicAddress
from provision.verify import Intent
from provision.verify.endpoints import Endpoint, EndpointKind, Family, outside_endpoint
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet
from provision.verify.routes import Way

NETWORKS = {
    "front": {"cidr": "10.1.0.0/24", "cidr6": "fd00:1::/64", "internet": "routed"},
    "back": {"cidr": "10.2.0.0/24", "internet": "routed"},
    "shut": {"cidr": "10.3.0.0/24", "cidr6": "fd00:3::/64"},
    "home": {"cidr": "10.4.0.0/24", "internet": "nat"},
}
MACHINES = {
    "web": {"count": 2, "nics": [{"network": "front"}], "labels": {"tier": "one"}},
    "app": {"nics": [{"network": "back"}, {"network": "shut"}], "labels": {"tier": "two"}},
    "db": {"nics": [{"network": "shut"}], "labels": {"tier": "two"}},
    "desk": {"nics": [{"network": "home"}]},
}
PEERS = [
    "host", "outside", "internet", "machine.*", "machine.web", "machine.app", "machine.db", "machine.desk",
    "label.tier=one", "label.tier=two", "network.front", "network.shut", "10.1.0.0/24", "10.2.0.10/32", "fd00:1::/64",
    "0.0.0.0/0", "::/0",
]  # fmt: skip
SERVICES = ["tcp", "tcp/22", "tcp/20-30", "udp/53", "udp", "icmp", "icmp/8.0", "icmpv6", "protocol/47", "any"]
POINTS = [Service.parse(t) for t in ("tcp/22", "tcp/25", "tcp/31", "udp/53", "icmp/8.0", "icmpv6/128.0", "protocol/47")]

peers = st.lists(st.sampled_from(PEERS), min_size=1, max_size=3, unique=True)
services = st.lists(st.sampled_from(SERVICES), min_size=1, max_size=3, unique=True)
orders = st.integers(0, 3)
NO_ORDER = st.none()


@st.composite
def allows(draw: st.DrawFn, order: st.SearchStrategy[Any] = NO_ORDER) -> dict[str, Any]:
    return {"kind": "traffic", "from": draw(peers), "to": draw(peers), "allow": draw(services), "order": draw(order)}


@st.composite
def denies(draw: st.DrawFn) -> dict[str, Any]:
    return {"kind": "traffic", "from": draw(peers), "to": draw(peers), "deny": draw(services), "order": draw(orders)}


mixed = st.lists(st.one_of(allows(), allows(st.one_of(st.none(), orders)), denies()), max_size=5)


def nic_addresses(intent: Intent, name: str) -> list[NicAddress]:
    return [
        NicAddress(nic.network, "", str(nic.ipv4) if nic.ipv4 else None, str(nic.ipv6) if nic.ipv6 else None)
        for nic in intent.machines[name]
    ]


def stack_of(policies: list[dict[str, Any]], **isolation: Any) -> Stack:
    return Stack.model_validate(
        {
            "version": 1,
            "networks": NETWORKS,
            "machines": {name: {"image": "micro", "memory": "96MiB"} | more for name, more in MACHINES.items()},
            "isolation": {"policies": {f"p{index}": policy for index, policy in enumerate(policies)}, **isolation},
        }
    )


def intent_of(policies: list[dict[str, Any]], **isolation: Any) -> Intent:
    stack = stack_of(policies, **isolation)
    return Intent(stack, deployed_for(stack).addresses(stack))


def ends(intent: Intent) -> list[Endpoint]:
    machines = [nic for nics in intent.machines.values() for nic in nics]
    return [*machines, *intent.hosts.values(), outside_endpoint(OUTSIDE_ADDRESSES), outside_endpoint(["9.9.9.9"])]


def relation(intent: Intent) -> set[tuple[Endpoint, Endpoint, Service, Family]]:
    """Everything that passes."""
    every = ends(intent)
    return {
        (a, b, service, family)
        for a in every
        for b in every
        if a != b and EndpointKind.MACHINE in (a.kind, b.kind)
        for service in POINTS
        for family in Family
        if intent.allowed(a, b, service, family).allowed
    }


@settings(max_examples=30, deadline=None)
@given(mixed, allows())
def test_one_more_allow_takes_nothing_away(policies: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert relation(intent_of(policies)) <= relation(intent_of([*policies, more]))


@settings(max_examples=30, deadline=None)
@given(mixed, denies())
def test_one_more_deny_opens_nothing(policies: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert relation(intent_of([*policies, more])) <= relation(intent_of(policies))


@settings(max_examples=20, deadline=None)
@given(st.lists(denies(), max_size=4))
def test_without_an_allow_everything_is_closed(policies: list[dict[str, Any]]) -> None:
    assert relation(intent_of(policies)) == set()


@settings(max_examples=30, deadline=None)
@given(mixed)
def test_default_allow_opens_at_least_as_much(policies: list[dict[str, Any]]) -> None:
    quiet = {"services": {"dhcp": True, "dns": True, "ntp": True}}
    assert relation(intent_of(policies, **quiet)) <= relation(intent_of(policies, default="allow", **quiet))


@settings(max_examples=30, deadline=None)
@given(st.lists(allows(), max_size=4))
def test_allows_without_order_commute(policies: list[dict[str, Any]]) -> None:
    assert relation(intent_of(policies)) == relation(intent_of(policies[::-1]))


@settings(max_examples=30, deadline=None)
@given(mixed)
def test_every_answer_names_what_decided_it(policies: list[dict[str, Any]]) -> None:
    intent = intent_of(policies)
    for a in ends(intent):
        for b in ends(intent):
            for service in POINTS:
                verdict = intent.allowed(a, b, service, Family.V4)
                policy = intent.stack.isolation.policies.get(verdict.why)
                if verdict.allowed:
                    assert policy is not None
                    assert any(one.covers(service) for one in policy.allow)  # type: ignore[union-attr]
                else:
                    assert policy is None or policy.deny  # type: ignore[union-attr]


@settings(max_examples=30, deadline=None)
@given(mixed)
def test_an_isolated_network_has_no_way_out_whatever_is_allowed(policies: list[dict[str, Any]]) -> None:
    for a, b, _, _ in relation(intent_of(policies)):
        shut = [end for end in (a, b) if end.network == "shut" and end.kind is EndpointKind.MACHINE]
        assert not shut or a.network == b.network


@settings(max_examples=30, deadline=None)
@given(mixed, st.sampled_from([s for s in POINTS if s.has_ports]), st.integers(1, 9))
def test_a_range_passes_only_if_both_its_ends_do(policies: list[dict[str, Any]], point: Service, width: int) -> None:
    intent = intent_of(policies)
    wide = Service(point.protocol, point.first, point.last + width)
    last = Service(point.protocol, wide.last, wide.last)
    for a in ends(intent):
        for b in ends(intent):
            if intent.allowed(a, b, wide, Family.V4).allowed:
                assert intent.allowed(a, b, point, Family.V4).allowed
                assert intent.allowed(a, b, last, Family.V4).allowed


@settings(max_examples=20, deadline=None)
@given(mixed, st.sampled_from(["allow", "deny"]), st.booleans())
def test_the_intent_as_one_set_says_the_same(policies: list[dict[str, Any]], default: str, discovery: bool) -> None:
    intent = intent_of(policies, default=default, services={"dhcp": True, "nd": discovery})
    addresses = {name: nic_addresses(intent, name) for name in intent.machines}
    space = PacketSpace()
    found = IntentSet(space, Ends(intent.stack, addresses)).allowed
    for a in ends(intent):
        for b in ends(intent):
            for family in Family:
                source, target = a.address(family), b.address(family)
                if source is None or target is None or intent.routes.way(a, b, family) is not Way.DIRECT:
                    continue
                for service in [point for point in POINTS if point.protocol is not family.other_echo]:
                    number = service.number or PROTOCOL_NUMBERS[service.protocol]
                    port = service.first if service.has_ports else (service.kind or 0) << 8 | (service.code or 0)
                    packet = Packet(int(family), number, source, target, 40000, port)
                    said = intent.allowed(a, b, service, family).allowed
                    assert (space.only(packet) <= found) == said, (packet, said)


def test_an_answer_is_not_symmetric() -> None:
    intent = intent_of([{"kind": "traffic", "from": ["machine.web"], "to": ["machine.app"], "allow": ["tcp/22"]}])
    web, app = intent.machines["web-0"][0], intent.machines["app"][0]
    ssh = Service(Protocol.TCP, 22, 22)
    assert intent.allowed(web, app, ssh, Family.V4).allowed
    assert not intent.allowed(app, web, ssh, Family.V4).allowed


def test_ten_thousand_machines_are_answered_in_a_moment() -> None:
    import time

    policies = [
        {"kind": "traffic", "from": [f"machine.m{n}"], "to": [f"machine.m{n + 1}"], "allow": [f"tcp/{n + 1}"]}
        for n in range(99)
    ] + [
        {"kind": "traffic", "from": [f"10.0.{n}.0/24"], "to": ["machine.*"], "allow": ["tcp/9000"]} for n in range(100)
    ]
    stack = Stack.model_validate(
        {
            "version": 1,
            "networks": {"n": {"cidr": "10.0.0.0/16", "internet": "routed"}},
            "machines": {
                f"m{n}": {"image": "micro", "memory": "96MiB", "count": 100, "nics": [{"network": "n"}]}
                for n in range(100)
            },
            "isolation": {"policies": {f"p{index}": policy for index, policy in enumerate(policies)}},
        }
    )
    addresses = deployed_for(stack).addresses(stack)
    started = time.process_time()
    intent = Intent(stack, addresses)
    nics = [nics[0] for nics in intent.machines.values()]
    found = sum(
        intent.allowed(a, b, Service(Protocol.TCP, n % 99 + 1, n % 99 + 1), Family.V4).allowed
        for n, (a, b) in enumerate(zip(nics, nics[100:], strict=False))
    )
    assert found > 0
    assert time.process_time() - started < 10
