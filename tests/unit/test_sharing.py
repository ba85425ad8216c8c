"""Which probes are sent where machines are alike: what each machine and each pair gets, and what is left out."""

from collections import Counter
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from test_verify_intent import machine, stack_of, traffic
from test_verify_run import agreeing, also, loaded
from verify_network import OUTSIDE_ADDRESSES, FakeProvider, World, deployed_for

from provision.cli.commands.verify import command
from provision.models import Stack
from provision.packets.sets import PacketSpace
from provision.spi import ResourceGraph
from provision.verify import VerifyReport, verify
from provision.verify.endpoints import outside_endpoint
from provision.verify.expectation import Expectation
from provision.verify.intent import Intent
from provision.verify.pairs import ALL_PAIRS, MAX_PAIRS, choose
from provision.verify.plan import ProbePlan, make_plan
from provision.verify.render import as_data, markdown
from provision.verify.selftest.choosing import Break
from provision.verify.selftest.looking import Look, Looker, _packet
from provision.verify.selftest.mutants import Mutant
from provision.verify.words import coverage, differences, gaps

POLICIES = {
    "world-to-web": traffic("outside", "machine.web", "tcp/80", "icmp", "icmpv6"),
    "web-to-app": traffic("machine.web", "machine.app", "tcp/8080-8090"),
    "app-to-db": traffic("machine.app", "machine.db", "tcp/5432"),
    "twins": traffic("machine.app", "machine.app", "tcp/7000", "tcp/7001"),
}
NETWORKS = {
    "front": {"cidr": "10.20.1.0/24", "cidr6": "fd00:20:1::/64", "internet": "routed"},
    "back": {"cidr": "10.20.2.0/24", "cidr6": "fd00:20:2::/64", "internet": "routed"},
}
SIZES = {"web": 4, "app": 3, "db": 2}


@cache
def fleet(**counts: int) -> Stack:
    networks = {"web": "front", "app": "back", "db": "back"}
    sizes = SIZES | counts
    return stack_of(POLICIES, NETWORKS, {name: machine(networks[name], count=sizes[name]) for name in sizes})


@cache
def planned(exhaustive: bool, **counts: int) -> ProbePlan:
    stack = fleet(**counts)
    deployed = deployed_for(stack)
    intent = Intent(stack, deployed.addresses(stack))
    return make_plan(intent, list(deployed.machines), outside_endpoint(OUTSIDE_ADDRESSES), exhaustive=exhaustive)


def sent(exhaustive: bool = False) -> list[Expectation]:
    return [one.expectation for source in planned(exhaustive).probes.values() for one in source]


def at_pair(one: Expectation) -> Hashable:
    """Between whom, and whether it is to pass."""
    return str(one.source), str(one.destination), one.family, one.verdict.allowed


def from_machine(one: Expectation) -> Hashable:
    """What leaves a machine, for which kind of peer, and what decides on it."""
    return str(one.source), entry(str(one.destination)), one.service, one.family, one.verdict


def to_machine(one: Expectation) -> Hashable:
    """What comes to a machine, from which kind of peer, and what decides on it."""
    return entry(str(one.source)), str(one.destination), one.service, one.family, one.verdict


def entry(name: str) -> str:
    return name.partition("-")[0]


@pytest.mark.parametrize("about", [at_pair, from_machine, to_machine])
def test_each_packet_at_each_machine_and_each_pair_with_what_passes_and_what_does_not(about: Any) -> None:
    assert {about(one) for one in sent()} == {about(one) for one in sent(exhaustive=True)}


def test_what_is_sent_is_part_of_all_in_the_same_order_and_the_same_each_time() -> None:
    order = {one: place for place, one in enumerate(sent(exhaustive=True))}
    first = sent()
    places = [order[one] for one in first]
    assert places == sorted(set(places))
    planned.cache_clear()
    assert sent() == first


def test_a_packet_goes_round_the_machines_of_a_kind() -> None:
    taken = Counter(str(one.destination) for one in sent() if (str(one.source), one.family) == ("web-0", 4))
    assert max(taken[f"app-{n}"] for n in range(3)) - min(taken[f"app-{n}"] for n in range(3)) <= 2
    received = Counter((entry(str(one.source)), str(one.destination)) for one in sent())
    for kind in SIZES:
        counts = [received[kind, f"app-{n}"] for n in range(3)]
        assert max(counts) <= 1.5 * min(counts)


def test_many_more_machines_need_far_fewer_more_probes_than_all_between_them() -> None:
    few, many = ([len(planned(exhaustive, **counts)) for exhaustive in (False, True)] for counts in (
        {"web": 4, "app": 3, "db": 2}, {"web": 8, "app": 6, "db": 4},
    ))  # fmt: skip
    assert few[0] < few[1] / 1.4
    assert many[0] < many[1] / 2
    assert many[0] / few[0] < 3 < many[1] / few[1]


def test_where_no_machines_are_alike_nothing_is_left_out() -> None:
    one, all_of_it = (planned(exhaustive, web=2, app=1, db=1) for exhaustive in (False, True))
    assert one.probes == all_of_it.probes
    assert (one.coverage.sent, one.coverage.possible, one.coverage.shared) == (len(one), len(one), False)


def verified(world: World, *, exhaustive: bool = False) -> VerifyReport:
    stack = fleet()
    provider: Any = FakeProvider(world)
    return verify(loaded(stack), deployed_for(stack), provider, None, exhaustive=exhaustive)


def test_the_report_says_how_many_probes_stand_for_how_many_and_how_to_send_all() -> None:
    report, number, possible = verified(agreeing(fleet())), len(planned(False)), len(planned(True))
    assert report.exit_code == 0
    assert report.counts["agreed"] == number
    assert coverage(report) == (
        f"{number:,} probes stand for {possible:,} of 9 machines and 72 ordered pairs of them: each packet at each "
        "machine, to and from each kind of peer, and what passes and what does not in each pair"
    )
    left_out = (
        f"left out: {possible - number} probes (machines that the file treats alike share what goes to and comes "
    )
    assert left_out + "from their peers; --exhaustive sends all)" in gaps(report)
    assert f"Sent: {coverage(report)}." in markdown(report)
    assert as_data(report)["coverage"] == {
        "sent": number, "possible": possible, "machines": 9, "pairs": 72, "text": coverage(report),
    }  # fmt: skip
    every = verified(agreeing(fleet()), exhaustive=True)
    assert coverage(every) == f"all {possible:,} probes of 9 machines and 72 ordered pairs of them"
    assert not any("probes (" in line for line in gaps(every))


def leak() -> Expectation:
    """A packet that is to be stopped, of which others of the same kinds are sent instead."""
    chosen = set(map(str, sent()))
    return next(one for one in sent(exhaustive=True) if str(one) not in chosen and not one.verdict.allowed)


def test_a_leak_between_two_machines_alone_is_found_by_sending_all() -> None:
    one = leak()
    port = 0 if not one.service.has_ports else one.service.first

    def leaking() -> World:
        return also(agreeing(fleet()), str(one.source), one.address, port)

    assert differences(verified(leaking())) == []
    (found,) = differences(verified(leaking(), exhaustive=True))
    assert f"{one.source} " in found
    assert f"{one.destination} " in found


def test_a_leak_at_one_machine_alone_is_found() -> None:
    one = leak()
    world = agreeing(fleet())
    before = world.passes
    port = 0 if not one.service.has_ports else one.service.first
    world.passes = lambda name, probe: (probe.address, probe.port) == (one.address, port) or before(name, probe)
    assert any(f"{one.destination} " in line for line in differences(verified(world)))


def test_forty_machines_are_probed_pair_by_pair_and_more_only_when_all_is_asked_for() -> None:
    networks, pairs = {"n": {"cidr": "10.0.0.0/16", "internet": "routed"}}, {}
    for count, most in ((40, MAX_PAIRS), (41, MAX_PAIRS), (41, ALL_PAIRS)):
        stack = stack_of({"p": traffic("machine.a", "machine.a", "tcp/1")}, networks, {"a": machine("n", count=count)})
        intent = Intent(stack, deployed_for(stack).addresses(stack))
        pairs[count, most] = len(choose(intent, list(intent.machines), most).chosen)
    assert pairs == {(40, MAX_PAIRS): 40 * 39, (41, MAX_PAIRS): 1, (41, ALL_PAIRS): 41 * 40}


def test_sending_all_and_sending_nothing_is_wrong_usage(tmp_path: Path) -> None:
    said = CliRunner().invoke(command, ["--static", "--exhaustive", str(tmp_path)])
    assert (said.exit_code, "leave --exhaustive out" in said.output) == (2, True)


def test_a_self_test_sends_what_was_left_out_where_a_break_shows_in_nothing_else() -> None:
    """First while nothing is broken, to see that it agrees; then when something is."""
    stack, one = fleet(), leak()
    world = agreeing(stack)
    provider: Any = FakeProvider(world)
    looker = Looker(loaded(stack), deployed_for(stack), {"": (provider, None)}, verified(world), lambda *_: None)
    space = PacketSpace(len(deployed_for(stack).assigned))
    bench: Any = SimpleNamespace(packet=space.only)
    mutant = Mutant("filter", ("rules",), "a rule more", ResourceGraph((), ()))
    broken = Break(mutant, None, {}, space.only(_packet(one)), bench, True)  # type: ignore[arg-type]
    try:
        assert Look.PROBED not in looker.look(broken)
        looker.rehearse([broken])
        assert looker.sent == 1
        assert looker.look(broken)[Look.PROBED] is False
        also(world, str(one.source), one.address, 0 if not one.service.has_ports else one.service.first)
        assert looker.look(broken)[Look.PROBED] is True
        looker.rehearse([broken])
        assert looker.sent == 3  # it is among the probes now, and not rehearsed again
    finally:
        looker.close()
