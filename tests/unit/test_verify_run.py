"""Verification as a whole, over an in-memory network that agrees with the file, or does not."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_verify_intent import machine, stack_of, traffic
from verify_network import FakeChannel, FakeProvider, World, deployed_for, following

from provision.diagnostics import SourceMap
from provision.errors import UserError
from provision.loader import Loaded
from provision.models import Stack
from provision.packets import Protocol
from provision.spi import Evidence, Seen
from provision.verify import PolicyRecord, Standing, VerifyReport, verify
from provision.verify.judge import Outcome
from provision.verify.state import DeployedLocation
from provision.verify.words import counter_example, differences, gaps, summary

POLICIES = {
    "world-to-web": traffic("outside", "machine.web", "tcp/80", "icmp", "icmpv6"),
    "web-to-app": traffic("machine.web", "machine.app", "tcp/8000-8010"),
    "app-to-db": traffic("machine.app", "machine.db", "tcp/5432", "udp/5353"),
    "web-to-host": traffic("machine.web", "host", "tcp/22"),
}


def three_tiers(**changes: Any) -> Stack:
    return stack_of(POLICIES | changes)


def loaded(stack: Stack) -> Loaded:
    chosen = stack.model_copy(update={"platform": "pretend"})
    return Loaded(chosen, SourceMap(sources={"shop/stack.yaml": ""}), (), Path("shop"))


def verified(stack: Stack, world: World, deployed: Any = None, **provider: Any) -> VerifyReport:
    return verify(loaded(stack), deployed or deployed_for(stack), FakeProvider(world, **provider), None)  # type: ignore[arg-type]


def agreeing(stack: Stack, **changes: Any) -> World:
    return following(stack, deployed_for(stack), **changes)


def also(world: World, source: str, address: str, port: int) -> World:
    """The same world with one way more."""
    before = world.passes
    world.passes = lambda name, probe: (
        (name, probe.address, probe.port) == (source, address, port) or before(name, probe)
    )
    return world


def without(world: World, source: str, address: str, port: int) -> World:
    """The same world with one way less."""
    before = world.passes
    world.passes = lambda name, probe: (
        (name, probe.address, probe.port) != (source, address, port) and before(name, probe)
    )
    return world


def test_a_world_that_follows_the_file_agrees_everywhere() -> None:
    report = verified(three_tiers(), agreeing(three_tiers()))
    assert report.exit_code == 0
    assert report.counts["agreed"] == report.counts["probed"] > 150
    assert {policy.standing for policy in report.policies} == {Standing.PROVEN}
    assert differences(report) == []


def test_every_ordered_pair_and_both_families_and_the_boundaries_are_probed() -> None:
    report = verified(three_tiers(), agreeing(three_tiers()))
    names = ["web-0", "web-1", "app", "db"]
    pairs = {(row.source, row.destination) for row in report.rows}
    assert {(a, b) for a in names for b in names if a != b} <= pairs
    assert {("outside", name) for name in names} | {(name, "outside") for name in names} <= pairs
    assert {("web-0", "host (front)"), ("db", "host (back)")} <= pairs
    ports = {row.service for row in report.rows if (row.source, row.destination) == ("web-0", "app")}
    assert {"tcp/7999", "tcp/8000", "tcp/8010", "tcp/8011", "tcp/5432", "udp/5353", "icmp"} <= ports
    assert {f"tcp/{47111}", f"udp/{47111}"} <= ports
    assert {row.family for row in report.rows if (row.source, row.destination) == ("web-0", "web-1")} == {4, 6}


def test_channels_are_all_closed_and_listeners_with_them() -> None:
    world = agreeing(three_tiers())
    verified(three_tiers(), world)
    assert sorted(world.opened) == sorted(world.closed) == ["app", "db", "outside", "web-0", "web-1"]
    assert world.listening == {}


def test_a_leak_is_found_and_worded() -> None:
    stack = three_tiers()
    report = verified(stack, also(agreeing(stack), "web-0", "10.20.2.11", 5432))
    assert differences(report) == [
        "tcp web-0 (10.20.1.10) -> db (10.20.2.11):5432 is open, but no policy in stack.yaml allows it"
    ]
    assert report.exit_code == 3


def test_a_leak_is_believed_at_once_and_never_sent_again() -> None:
    stack = three_tiers()
    world = also(agreeing(stack), "web-0", "10.20.2.11", 5432)
    verified(stack, world)
    assert sum((name, p.address, p.port) == ("web-0", "10.20.2.11", 5432) for name, p in world.sent) == 1


def test_a_leak_on_the_control_port_is_found_in_ipv6_too() -> None:
    stack = three_tiers()
    report = verified(stack, also(agreeing(stack), "outside", "fd00:20:1::b", 47111))
    way = "outside (2001:db8:ffff::10) -> web-1 ([fd00:20:1::b]):47111"
    assert differences(report) == [
        f"{protocol} {way} is open, but no policy in stack.yaml allows it" for protocol in ("tcp", "udp")
    ]


def test_a_way_that_is_closed_against_the_file_is_found_and_worded() -> None:
    stack = three_tiers()
    world = without(agreeing(stack), "app", "10.20.2.11", 5432)
    report = verified(stack, world)
    assert differences(report) == [
        "tcp app (10.20.2.10) -> db (10.20.2.11):5432 is closed (timeout), "
        "but policy 'app-to-db' in stack.yaml allows it"
    ]
    (row,) = report.having(Outcome.DIFFERS)
    assert row.attempts == 3
    standing = {policy.name: policy.standing for policy in report.policies}
    assert (standing["app-to-db"], standing["web-to-app"]) == (Standing.DIFFERS, Standing.PROVEN)


def test_an_echo_that_answers_against_the_file_is_worded_without_a_port() -> None:
    stack = three_tiers()
    report = verified(stack, also(agreeing(stack), "db", "10.20.2.10", 0))
    assert differences(report) == [
        "icmp db (10.20.2.11) -> app (10.20.2.10) answers, but no policy in stack.yaml allows it"
    ]


def test_a_deny_that_does_not_hold_names_its_policy() -> None:
    deny = {"kind": "traffic", "from": ["machine.app"], "to": ["machine.db"], "deny": ["tcp/9"], "order": 1}
    stack = three_tiers(**{"no-discard": deny})
    report = verified(stack, also(agreeing(stack), "app", "10.20.2.11", 9))
    assert differences(report) == [
        "tcp app (10.20.2.10) -> db (10.20.2.11):9 is open, but policy 'no-discard' in stack.yaml denies it"
    ]


def test_networks_that_leak_into_each_other_are_found() -> None:
    stack = stack_of(
        {"p": traffic("machine.a", "machine.a", "tcp/80")},
        {"n1": {"cidr": "10.1.0.0/24"}, "n2": {"cidr": "10.2.0.0/24"}},
        {"a": machine("n1"), "b": machine("n2")},
    )
    report = verified(stack, also(agreeing(stack), "b", "10.1.0.10", 80))
    assert differences(report) == [
        "tcp b (10.2.0.10) -> a (10.1.0.10):80 is open, but the networks in stack.yaml give it no route"
    ]


def test_a_host_port_that_answers_against_the_file_is_found_by_its_refusal() -> None:
    stack = three_tiers()
    report = verified(stack, also(agreeing(stack), "db", "10.20.2.1", 22))
    assert differences(report) == [
        "tcp db (10.20.2.11) -> host (back) (10.20.2.1):22 is not closed (refused by its target), "
        "but no policy in stack.yaml allows it"
    ]


def test_a_rejection_on_the_way_counts_as_closed_where_a_listener_is_proven() -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, blocked=Seen.REFUSED))
    assert {row.destination.split()[0] for row in report.having(Outcome.DIFFERS)} == {"host"}
    assert any(row.note == "rejected on the way" for row in report.having(Outcome.AGREES))


def test_a_slow_guest_is_asked_again_before_it_is_called_closed() -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, lost_first={("app", "10.20.2.11", 5432), ("web-0", "10.20.2.10", 8000)}))
    assert report.exit_code == 0
    again = {(row.source, row.service) for row in report.rows if row.attempts == 2}
    assert again == {("app", "tcp/5432"), ("web-0", "tcp/8000")}


def test_a_probe_that_could_not_be_sent_is_sent_again_whatever_is_expected() -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, failed_first={("db", "10.20.2.10", 8000)}))
    assert report.exit_code == 0
    assert [(row.source, row.service, row.expected) for row in report.rows if row.attempts == 2] == [
        ("db", "tcp/8000", False)
    ]


def test_the_control_port_is_one_that_no_policy_names() -> None:
    stack = stack_of({"p": traffic("machine.app", "machine.db", "tcp/47100-47200", "udp/47099")})
    report = verified(stack, agreeing(stack))
    assert report.exit_code == 0
    control = {row.service for row in report.rows if row.source == "db" and row.service.startswith("udp")}
    assert control == {"udp/47097", "udp/47099"}


def test_a_dead_channel_is_counted_with_its_reason_and_its_policies_are_unproven() -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, dead={"db": "the guest has no channel"}))
    assert report.not_probed == {"db": "the guest has no channel"}
    assert report.counts["differ"] == 0
    assert {row.outcome for row in report.rows if row.destination == "db"} == {Outcome.UNPROVEN}
    assert {p.name: p.standing for p in report.policies}["app-to-db"] is Standing.UNPROVEN
    assert "db was not probed: the guest has no channel" in gaps(report)
    assert report.exit_code == 3


def test_a_leak_towards_a_machine_without_channel_is_still_found() -> None:
    stack = three_tiers()
    world = also(agreeing(stack, dead={"db": "gone"}), "web-0", "10.20.2.11", 0)
    assert differences(verified(stack, world)) == [
        "icmp web-0 (10.20.1.10) -> db (10.20.2.11) answers, but no policy in stack.yaml allows it"
    ]


def test_a_location_that_cannot_be_reached_is_named_and_nothing_that_concerns_it_counts_as_proven() -> None:
    stack, why = three_tiers(), "location 'west': the hypervisor is off"
    deployed = deployed_for(stack)
    here = frozenset(name for name in deployed.machines if name != "db")
    locations = {
        "default": DeployedLocation("fake", machines=here),
        "west": DeployedLocation("fake", {}, frozenset({"db"})),
    }
    provider = FakeProvider(agreeing(stack))
    report = verify(
        loaded(stack),
        replace(deployed, locations=locations),
        provider,  # type: ignore[arg-type]
        None,
        sites={"default": (provider, None)},  # type: ignore[dict-item]
        away={"west": why},
    )
    assert report.not_probed == {"db": why, "outside (west)": why}
    assert report.broken == {"db", "outside (west)"}
    standings = {policy.name: policy.standing for policy in report.policies}
    assert standings == {
        "world-to-web": Standing.PROVEN,
        "web-to-app": Standing.PROVEN,
        "app-to-db": Standing.UNPROVEN,
        "web-to-host": Standing.PROVEN,
    }
    (app_to_db,) = (policy for policy in report.policies if policy.name == "app-to-db")
    assert app_to_db.evidence[Evidence.ACCEPTED] == f"db: {why}"
    assert {row.outcome for row in report.rows if row.destination == "db"} == {Outcome.UNPROVEN}
    assert report.exit_code == 3


def test_where_no_channel_opens_verification_itself_has_failed() -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, dead=dict.fromkeys(["web-0", "web-1", "app", "db", "outside"], "no")))
    assert (report.exit_code, summary(report)) == (1, "nothing was probed")


@pytest.mark.parametrize(
    ("always", "reason"),
    [
        (Seen.OPEN, "web-0: its own tcp probe says that port 47110 is open, where nothing listens"),
        (Seen.TIMEOUT, "web-0: its own tcp probe does not reach itself"),
        (Seen.REFUSED, "web-0: its own tcp probe does not reach itself"),
    ],
)
def test_a_probe_that_lies_proves_nothing(always: Seen, reason: str) -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, always={"web-0": always}))
    lied = [row for row in report.rows if row.source == "web-0"]
    assert {row.outcome for row in lied} == {Outcome.UNPROVEN}
    assert reason in {row.note for row in lied if row.service.startswith("tcp")}
    assert report.exit_code == 3


def test_silence_towards_a_machine_that_does_not_listen_proves_nothing() -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, deaf=frozenset({"db"})))
    towards = [row for row in report.rows if row.destination == "db" and row.service.startswith("tcp")]
    assert {row.outcome for row in towards} == {Outcome.UNPROVEN}
    assert {row.note for row in towards} == {"db: it does not answer itself at 10.20.2.11"}


def test_a_machine_that_dies_during_the_run_proves_nothing() -> None:
    stack = three_tiers()
    report = verified(stack, agreeing(stack, dies_after={"db": 2}))
    towards = [row for row in report.rows if row.destination == "db"]
    assert {row.outcome for row in towards} == {Outcome.UNPROVEN}
    assert report.exit_code == 3


def test_what_is_stopped_or_not_deployed_is_named_and_is_no_failure() -> None:
    stack = stack_of(
        {"p": traffic("machine.a", "machine.b", "tcp/1")},
        {"n": {"cidr": "10.1.0.0/24"}},
        {"a": machine("n"), "b": machine("n"), "off": machine("n", power="stopped"), "new": machine("n")},
    )
    deployed = deployed_for(stack)
    deployed = deployed_for(stack, machines={k: v for k, v in deployed.machines.items() if k != "new"})
    report = verified(stack, following(stack, deployed), deployed)
    assert report.not_probed == {
        "off": "the file says that it is stopped",
        "new": "it is not deployed yet: run 'provision up'",
    }
    assert report.exit_code == 0


def test_without_an_outside_peer_the_report_says_so() -> None:
    report = verified(three_tiers(), agreeing(three_tiers()), has_outside=False)
    assert report.not_probed == {"outside": "the platform has no probing peer beyond the stack's networks"}
    assert {p.name: p.standing for p in report.policies}["world-to-web"] is Standing.NOT_PROBED
    assert report.exit_code == 0


def test_an_outside_peer_that_fails_is_a_failure() -> None:
    report = verified(three_tiers(), agreeing(three_tiers(), dead={"outside": "the outside peer does not answer"}))
    assert report.not_probed == {"outside": "the outside peer does not answer"}
    assert {p.name: p.standing for p in report.policies}["world-to-web"] is Standing.UNPROVEN
    assert report.exit_code == 3


def test_an_outside_peer_that_does_not_know_its_addresses_is_a_failure() -> None:
    class Nameless:
        """A channel without `addresses`."""

        def __init__(self, channel: FakeChannel) -> None:
            self.listen, self.run, self.close = channel.listen, channel.run, channel.close

    class Provider(FakeProvider):
        def outside_channel(self, session: Any) -> Any:
            return Nameless(self.world.channel("outside"))

    stack = three_tiers()
    world = agreeing(stack)
    report = verify(loaded(stack), deployed_for(stack), Provider(world), None)  # type: ignore[arg-type]
    assert report.not_probed == {"outside": "the probing peer does not say which addresses it has"}
    assert report.exit_code == 3
    assert "outside" in world.closed


def test_a_silent_agent_is_not_waited_for_again_and_again() -> None:
    stack = three_tiers()
    world = agreeing(stack, always={"db": Seen.FAILED})
    report = verified(stack, world)
    assert {row.outcome for row in report.rows if row.source == "db"} == {Outcome.UNPROVEN}
    assert sum(name == "db" for name, _ in world.sent) <= 64


def test_a_downgrade_is_repeated_and_is_no_difference() -> None:
    stack = three_tiers(quiet=traffic("machine.db", "machine.app", "tcp/99", level="preferred"))
    record = PolicyRecord("quiet", "traffic", "preferred", "downgrade", "no can do")
    deployed = deployed_for(stack, policies={"quiet": record})
    bare = three_tiers()
    report = verified(stack, following(bare, deployed_for(bare)), deployed)
    assert report.downgraded == (record,)
    assert {p.name: p.standing for p in report.policies}["quiet"] is Standing.DOWNGRADED
    assert report.exit_code == 0


def test_an_unproven_default_deny_is_a_failure_whatever_the_policies_are() -> None:
    policies = {"p": traffic("machine.a", "machine.b", "tcp/1", level="preferred")}
    stack = stack_of(policies, {"n": {"cidr": "10.1.0.0/24"}}, {"a": machine("n"), "b": machine("n")})
    report = verified(stack, agreeing(stack, deaf=frozenset({"b"})))
    assert {"p", "default deny"} <= {row.why for row in report.having(Outcome.UNPROVEN)}
    assert report.exit_code == 3


def test_nothing_deployed_and_no_probes_are_said_with_the_fix() -> None:
    stack = three_tiers()
    with pytest.raises(UserError, match="run 'provision up' first"):
        verified(stack, agreeing(stack), deployed_for(stack, machines={}))

    class Bare:
        name = "bare"

    with pytest.raises(UserError, match="no way to send packets"):
        verify(loaded(stack), deployed_for(stack), Bare(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["in the thread", "by signal"])
def test_an_interruption_closes_every_channel(how: str) -> None:
    stack = three_tiers()
    world = agreeing(stack, interrupt="app", by_signal=how == "by signal")
    with pytest.raises(KeyboardInterrupt):
        verified(stack, world)
    assert sorted(world.opened) == sorted(world.closed)
    assert len(world.closed) == 5
    # A thread whose start the signal cut short ends by itself, or never runs and stays listed: only a live one counts.
    live = [thread for thread in threading.enumerate() if thread.name.startswith("verify") and thread.is_alive()]
    for thread in live:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in live)


def test_many_machines_are_probed_by_kind_and_the_rest_is_counted() -> None:
    networks = {"n": {"cidr": "10.0.0.0/16", "internet": "routed"}}
    machines = {"web": machine("n", count=300), "db": machine("n", count=20)}
    stack = stack_of({"p": traffic("machine.web", "machine.db", "tcp/5432")}, networks, machines)
    report = verified(stack, agreeing(stack))
    pairs = {(row.source, row.destination) for row in report.rows}
    assert {("web-0", "web-1"), ("web-0", "db-0"), ("db-0", "web-0"), ("db-0", "db-1")} <= pairs
    assert report.exit_code == 0
    assert any(line.startswith(f"left out: {320 * 319 - 4} ordered pairs of machines") for line in gaps(report))


def test_a_cidr_that_splits_an_entry_splits_the_kind() -> None:
    networks = {"n": {"cidr": "10.0.0.0/16", "internet": "routed"}}
    stack = stack_of({"p": traffic("10.0.0.10/32", "machine.web", "tcp/1")}, networks, {"web": machine("n", count=300)})
    pairs = {(row.source, row.destination) for row in verified(stack, agreeing(stack)).rows}
    assert {("web-0", "web-1"), ("web-1", "web-0"), ("web-1", "web-2")} <= pairs


def test_progress_is_told_in_order_and_reaches_the_end() -> None:
    told: list[tuple[str, int, int]] = []
    stack = three_tiers()
    provider = FakeProvider(agreeing(stack))
    verify(loaded(stack), deployed_for(stack), provider, None, lambda *step: told.append(step))  # type: ignore[arg-type]
    assert list(dict.fromkeys(phase for phase, _, _ in told)) == [
        "opening channels",
        "checking the probes themselves",
        "probing",
        "checking the probes once more",
    ]
    assert all((phase, total, total) in told for phase, _, total in told)


def test_a_probe_of_the_host_over_udp_is_not_believed_and_not_sent() -> None:
    report = verified(three_tiers(), agreeing(three_tiers()))
    towards = {row.service for row in report.rows if row.destination.startswith("host")}
    assert "udp/5353" not in towards
    assert "tcp/5432" in towards


def test_services_that_cannot_be_sent_are_named() -> None:
    stack = stack_of({"p": traffic("machine.app", "machine.db", "protocol/47", "icmp/3", "tcp/1")})
    report = verified(stack, agreeing(stack))
    assert "left out: 2 services (no probe can send protocol/47, icmp/3)" in gaps(report)


def test_counter_examples_are_whole_sentences_for_every_row_kind() -> None:
    stack = three_tiers()
    world = World(lambda name, probe: probe.protocol is not Protocol.TCP, agreeing(stack).owner)
    report = verified(stack, world)
    sentences = [counter_example(row, "stack.yaml") for row in report.having(Outcome.DIFFERS)]
    assert sentences
    assert all(" -> " in line and ", but " in line and "stack.yaml" in line for line in sentences)
