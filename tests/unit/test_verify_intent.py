"""What the stack file says, asked pair by pair."""

from typing import Any

import pytest
from verify_network import OUTSIDE_ADDRESSES, deployed_for

from provision.models import Stack
from provision.packets import Service
from provision.verify import Intent, Verdict
from provision.verify.endpoints import Endpoint, Family, outside_endpoint

V4, V6 = Family.V4, Family.V6


def stack_of(
    policies: dict[str, Any] | None = None,
    networks: dict[str, Any] | None = None,
    machines: dict[str, Any] | None = None,
    **isolation: Any,
) -> Stack:
    return Stack.model_validate(
        {
            "version": 1,
            "networks": networks
            or {
                "front": {"cidr": "10.20.1.0/24", "cidr6": "fd00:20:1::/64", "internet": "routed"},
                "back": {"cidr": "10.20.2.0/24", "internet": "routed", "labels": {"zone": "inner"}},
            },
            "machines": machines
            or {
                "web": machine("front", count=2, labels={"tier": "front"}),
                "app": machine("back", labels={"tier": "back"}),
                "db": machine("back", labels={"tier": "back"}),
            },
            "isolation": {"policies": policies or {}, **isolation},
        }
    )


def machine(*networks: str, **more: Any) -> dict[str, Any]:
    return {"image": "micro", "memory": "96MiB", "nics": [{"network": name} for name in networks], **more}


def traffic(sources: str, destinations: str, *allow: str, **more: Any) -> dict[str, Any]:
    return {"kind": "traffic", "from": sources.split(), "to": destinations.split(), "allow": list(allow), **more}


def ask(stack: Stack, source: str, destination: str, service: str, family: Family = V4) -> tuple[bool, str]:
    intent = Intent(stack, deployed_for(stack).addresses(stack))
    verdict = intent.allowed(end(intent, source), end(intent, destination), Service.parse(service), family)
    return verdict.allowed, verdict.why


def end(intent: Intent, name: str) -> Endpoint:
    if name.startswith("outside"):
        return outside_endpoint([name.partition("=")[2]] if "=" in name else OUTSIDE_ADDRESSES)
    if name.startswith("host:"):
        return intent.hosts[name.removeprefix("host:")]
    name, _, nic = name.partition("#")
    return intent.machines[name][int(nic or 0)]


def test_nothing_passes_where_nothing_is_written() -> None:
    for service in ("tcp/22", "udp/53", "icmp/8.0"):
        assert ask(stack_of(), "web-0", "db", service) == (False, "default deny")
        assert ask(stack_of(), "outside", "web-0", service) == (False, "default deny")
        assert ask(stack_of(), "web-0", "host:front", service) == (False, "default deny")


def test_an_allowed_service_passes_one_way_and_only_it() -> None:
    stack = stack_of({"app-db": traffic("machine.app", "machine.db", "tcp/5432")})
    assert ask(stack, "app", "db", "tcp/5432") == (True, "app-db")
    assert ask(stack, "db", "app", "tcp/5432") == (False, "default deny")
    assert ask(stack, "app", "db", "udp/5432") == (False, "default deny")
    assert ask(stack, "app", "db", "tcp/5431-5432") == (False, "default deny")


@pytest.mark.parametrize(
    ("peer", "holding", "lacking"),
    [
        ("machine.web", ["web-0", "web-1"], ["app", "outside", "host:front"]),
        ("machine.*", ["web-0", "app"], ["outside", "host:front"]),
        ("label.tier=back", ["app"], ["web-0", "outside"]),
        ("label.zone=inner", ["app"], ["web-0"]),
        ("network.front", ["web-0", "web-1"], ["app", "outside"]),
        ("outside", ["outside"], ["web-0", "app", "host:back"]),
        ("internet", ["outside=9.9.9.9"], ["outside=192.168.7.7", "web-0"]),
        ("host", ["host:back"], ["outside", "app"]),
        ("10.20.1.10/32", ["web-0"], ["web-1", "app"]),
        ("198.51.100.0/24", ["outside"], ["outside=9.9.9.9", "web-0"]),
    ],
)
def test_peers_stand_for_what_the_grammar_says(peer: str, holding: list[str], lacking: list[str]) -> None:
    stack = stack_of({"p": traffic(peer, "machine.db", "tcp/1")})
    assert [ask(stack, name, "db", "tcp/1")[0] for name in holding] == [True] * len(holding)
    assert [ask(stack, name, "db", "tcp/1")[0] for name in lacking] == [False] * len(lacking)


def test_a_deny_of_a_lower_order_wins_and_a_later_one_does_not() -> None:
    wide = traffic("machine.app", "machine.db", "tcp")
    no_ssh = {"kind": "traffic", "from": ["machine.app"], "to": ["machine.db"], "deny": ["tcp/22"]}

    def decides(service: str, order: int | None, denied: int) -> tuple[bool, str]:
        stack = stack_of({"a": wide if order is None else wide | {"order": order}, "z": no_ssh | {"order": denied}})
        return ask(stack, "app", "db", service)

    assert decides("tcp/22", None, 10) == (False, "z")
    assert decides("tcp/23", None, 10) == (True, "a")
    assert decides("tcp/20-30", None, 10) == (False, "z")
    assert decides("tcp/22", 5, 10) == (True, "a")
    assert decides("tcp/22", 10, 10) == (False, "z")


def test_default_allow_opens_what_no_policy_denies() -> None:
    stack = stack_of({"z": {"kind": "traffic", "from": ["machine.app"], "to": ["machine.db"], "deny": ["tcp/22"],
                            "order": 1}}, default="allow")  # fmt: skip
    assert ask(stack, "app", "db", "tcp/80") == (True, "default allow")
    assert ask(stack, "app", "db", "tcp/22") == (False, "z")
    assert ask(stack, "app", "host:back", "udp/53") == (False, "services.dns")


def test_infrastructure_services_reach_the_server_of_the_own_network_only() -> None:
    stack = stack_of(services={"dns": True})
    assert ask(stack, "web-0", "host:front", "udp/53") == (True, "services.dns")
    assert ask(stack, "web-0", "host:front", "tcp/53") == (True, "services.dns")
    assert ask(stack, "web-0", "host:front", "udp/67") == (False, "default deny")
    assert ask(stack, "web-0", "host:back", "udp/53") == (False, "default deny")
    assert ask(stack, "web-0", "app", "udp/53") == (False, "default deny")


def test_without_neighbour_discovery_ipv6_is_closed() -> None:
    policies = {"p": traffic("machine.web", "machine.web", "tcp/1")}
    assert ask(stack_of(policies), "web-0", "web-1", "tcp/1", V6) == (True, "p")
    closed = stack_of(policies, services={"nd": False})
    assert ask(closed, "web-0", "web-1", "tcp/1", V6) == (False, "services.nd")
    assert ask(closed, "web-0", "web-1", "tcp/1", V4) == (True, "p")


def test_a_family_without_addresses_has_no_way() -> None:
    stack = stack_of({"p": traffic("machine.*", "machine.*", "any")})
    assert ask(stack, "app", "db", "tcp/1", V6) == (False, "no address")
    assert ask(stack, "web-0", "web-1", "icmp/8.0", V6) == (False, "no route")


@pytest.mark.parametrize(
    ("one", "other", "forth", "back"),
    [
        ("routed", "routed", True, True),
        ("none", "routed", False, False),
        ("nat", "nat", False, False),
        ("nat", "routed", False, False),
    ],
)
def test_machines_on_two_networks_meet_only_where_both_are_routed(
    one: str, other: str, forth: bool, back: bool
) -> None:
    stack = stack_of(
        {"p": traffic("machine.*", "machine.*", "tcp/1")},
        {"n1": {"cidr": "10.1.0.0/24", "internet": one}, "n2": {"cidr": "10.2.0.0/24", "internet": other}},
        {"a": machine("n1"), "b": machine("n2")},
    )
    assert ask(stack, "a", "b", "tcp/1")[0] is forth
    assert ask(stack, "b", "a", "tcp/1")[0] is back


def test_a_machine_behind_nat_is_taken_for_the_host_by_routed_machines() -> None:
    networks = {"n1": {"cidr": "10.1.0.0/24", "internet": "nat"}, "n2": {"cidr": "10.2.0.0/24", "internet": "routed"}}
    machines = {"a": machine("n1"), "b": machine("n2")}
    both = {"p": traffic("machine.a", "machine.b", "tcp/1"), "h": traffic("host", "machine.b", "tcp/1")}
    assert ask(stack_of(both, networks, machines), "a", "b", "tcp/1") == (True, "h")
    assert ask(stack_of({"h": both["h"]}, networks, machines), "a", "b", "tcp/1") == (False, "default deny")


@pytest.mark.parametrize(
    ("internet", "out", "into"), [("none", False, False), ("nat", True, False), ("routed", True, True)]
)
def test_the_way_out_and_in_follows_the_network(internet: str, out: bool, into: bool) -> None:
    stack = stack_of(
        {"out": traffic("machine.a", "outside", "tcp/1"), "in": traffic("outside", "machine.a", "tcp/1")},
        {"n": {"cidr": "10.1.0.0/24", "internet": internet}},
        {"a": machine("n")},
    )
    assert ask(stack, "a", "outside", "tcp/1") == (out, "out" if out else "no route")
    assert ask(stack, "outside", "a", "tcp/1") == (into, "in" if into else "no route")


def test_a_second_nic_is_reached_from_its_own_network_only() -> None:
    networks = {
        "front": {"cidr": "10.1.0.0/24", "internet": "routed"},
        "back": {"cidr": "10.2.0.0/24", "internet": "routed"},
    }
    stack = stack_of(
        {"p": traffic("machine.*", "machine.*", "tcp/1")},
        networks,
        {"gate": machine("front", "back"), "a": machine("front"), "b": machine("back")},
    )
    assert ask(stack, "b", "gate#1", "tcp/1") == (True, "p")
    assert ask(stack, "a", "gate#0", "tcp/1") == (True, "p")
    assert ask(stack, "a", "gate#1", "tcp/1") == (False, "no route")
    assert ask(stack, "b", "gate#0", "tcp/1") == (False, "no route")


def test_closing_policies_win_over_traffic_policies() -> None:
    stack = stack_of(
        {
            "open": traffic("machine.web", "host outside machine.web", "tcp"),
            "no-net": {"kind": "no_internet", "machines": ["machine.web"]},
            "no-host": {"kind": "no_host_access", "machines": ["label.tier=front"]},
            "apart": {"kind": "peer_isolation", "machines": ["machine.web"]},
        }
    )
    assert ask(stack, "web-0", "outside=9.9.9.9", "tcp/1") == (False, "no-net")
    assert ask(stack, "web-0", "outside=192.168.9.9", "tcp/1") == (True, "open")
    assert ask(stack, "web-0", "host:front", "tcp/1") == (False, "no-host")
    assert ask(stack, "web-0", "web-1", "tcp/1") == (False, "apart")


def test_a_downgraded_policy_says_nothing() -> None:
    stack = stack_of({"p": traffic("machine.app", "machine.db", "tcp/1", level="preferred")})
    intent = Intent(stack, deployed_for(stack).addresses(stack), without={"p"})
    verdict = intent.allowed(end(intent, "app"), end(intent, "db"), Service.parse("tcp/1"), V4)
    assert verdict == Verdict(False, "default deny")


def test_the_host_is_not_on_a_network_without_way_out_unless_something_needs_it_there() -> None:
    policies, machines = {"p": traffic("machine.a", "host", "tcp/22")}, {"a": machine("n")}
    shut = {"n": {"cidr": "10.1.0.0/24"}}
    assert ask(stack_of(policies, shut, machines), "a", "host:n", "tcp/22") == (False, "no route")
    served = stack_of(policies, shut, machines, services={"dns": True})
    assert ask(served, "a", "host:n", "tcp/22") == (True, "p")
    named = stack_of(policies, {"n": {"cidr": "10.1.0.0/24", "gateway": "10.1.0.1"}}, machines)
    assert ask(named, "a", "host:n", "tcp/22") == (True, "p")
