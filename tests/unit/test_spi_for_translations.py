"""What plugins share for translations: peers of a stack, machines of a graph, answers by what is asked."""

from ipaddress import ip_network

import pytest
from dock_sample import dock

from provision.models import PackPolicy, Peer, Selector, Share, SpreadPolicy, Stack
from provision.spi import (
    Capabilities,
    DeployedMachine,
    Evidence,
    EvidenceRequest,
    GraphBuilder,
    NicAddress,
    Output,
    SettingsRequest,
    Shown,
)
from provision.spi.evidence import shown_by
from provision.spi.flows import ends
from provision.spi.peers import instances, peer_set, selected, selects
from provision.spi.planned import PlannedMachine, said_by

STACK = Stack.model_validate(
    {
        "version": 1,
        "networks": {"front": {"cidr": "10.0.1.0/24", "labels": {"zone": "a"}}, "back": {"cidr": "10.0.2.0/24"}},
        "machines": {
            "web": {
                "image": "debian-12",
                "memory": "1GiB",
                "count": 2,
                "labels": {"tier": "web"},
                "nics": [{"network": "front"}],
            },
            "db": {"image": "debian-12", "memory": "1GiB", "labels": {"zone": "a"}, "nics": [{"network": "back"}]},
        },
    }
)
ADDRESSES = {
    "web-0": (NicAddress("front", "02:00:00:00:00:01", "10.0.1.10"),),
    "web-1": (NicAddress("front", "02:00:00:00:00:02", "10.0.1.11"),),
    "db": (NicAddress("back", "02:00:00:00:00:03", "10.0.2.10", "fd00::10"),),
}


def peers(*texts):
    return peer_set(STACK, [Peer.parse(text) for text in texts])


@pytest.mark.parametrize(
    ("peer", "entries", "networks"),
    [
        ("machine.web", {"web"}, set()),
        ("machine.*", {"web", "db"}, set()),
        ("network.front", set(), {"front"}),
        ("network.*", set(), {"front", "back"}),
        ("label.zone=a", {"db"}, {"front"}),
        ("label.zone=b", set(), set()),
        ("10.0.0.0/8", set(), set()),
    ],
)
def test_peers_stand_for_entries_and_networks(peer, entries, networks):
    found = peers(peer)

    assert (found.entries, found.networks) == (entries, networks)


def test_peers_beyond_the_stack_are_told_apart():
    found = peers("host", "10.0.0.0/8", "fd00::/64")

    assert (found.host, found.outside, found.internet) == (True, False, False)
    assert found.prefixes == (ip_network("10.0.0.0/8"), ip_network("fd00::/64"))
    assert (found.cidrs(4), found.cidrs(6)) == (["10.0.0.0/8"], ["fd00::/64"])


@pytest.mark.parametrize(
    ("peer", "named", "held"),
    [
        ("machine.web", ["web-0", "web-1"], ["web-0", "web-1"]),
        ("machine.web-1", ["web-1"], ["web-1"]),
        ("network.back", ["db"], ["db"]),
        ("10.0.1.11/32", [], ["web-1"]),
        ("fd00::/64", [], []),
    ],
)
def test_an_interface_is_meant_by_name_or_by_address(peer, named, held):
    found, everyone = peers(peer), ends(STACK, ADDRESSES)

    assert [end.machine for end in everyone if found.named(end)] == named
    assert [end.machine for end in everyone if found.holds(end, 4)] == held


def test_an_address_of_the_other_version_counts_for_itself():
    (db,) = [end for end in ends(STACK, ADDRESSES) if end.machine == "db"]

    assert peers("fd00::/64").holds(db, 6)
    assert not peers("fd00::/64").holds(db, 4)


def test_selectors_select_entries_in_the_order_of_the_file():
    texts = [Selector.parse("label.zone=a"), Selector.parse("machine.web")]

    assert selected(STACK, texts) == ["web", "db"]
    assert selected(STACK, texts[:1]) == ["db"]
    assert selected(STACK, []) == []
    assert not selects(STACK, texts[:1], "web")


def test_every_machine_that_is_to_exist_is_told_with_its_entry():
    assert [(name, entry) for name, entry, _ in instances(STACK)] == [("web-0", "web"), ("web-1", "web"), ("db", "db")]


# Answers by what is asked


class Planned(PlannedMachine):
    token = dock.Crate.token


PACK = PackPolicy.model_validate({"kind": "pack", "machines": ["machine.*"]})
SPREAD = SpreadPolicy.model_validate({"kind": "spread", "machines": ["machine.*"]})
SHARE = Share.model_validate({"machines": ["machine.*"], "cpu": {"cap": 1}})


def planned(machine):
    builder = GraphBuilder()
    builder.add(dock.Crate, "machines/web-0/domain", {"name": "a"})
    builder.add(dock.Crate, "machines/web-1/domain", {"name": "b"})
    builder.add(dock.Strap, "machines/web-0/strap", {"colour": "red"})
    members = (("web-0", "web-1"), ("web-0",), ())
    return Planned(SettingsRequest(builder.build(), Capabilities("x"), machine, (SPREAD, PACK, SHARE), members))


def test_machines_of_a_graph_are_known_by_the_name_of_their_instance():
    plan = planned("web-1")

    assert {name: node.inputs for name, node in plan.machines.items()} == {
        "web-0": {"name": "a"},
        "web-1": {"name": "b"},
    }
    assert plan.own is plan.machines["web-1"]
    assert [node.name for node in plan.graph.of_type("dock:Strap")] == ["machines/web-0/strap"]
    assert planned("db").own is None


def test_a_graph_tells_which_node_a_value_comes_from():
    graph = planned("web-0").graph
    strap, output = graph.node("machines/web-0/strap"), Output("machines/web-0/strap", "id")

    assert graph.referred(output) is strap
    assert graph.referred(output, "dock:Strap") is strap
    assert graph.referred(Output(strap.name, "colour"), property="colour") is strap
    assert graph.referred(output, "dock:Crate") is None
    assert graph.referred(Output(strap.name, "colour")) is None
    assert graph.referred(Output("elsewhere", "id")) is None
    assert graph.referred("an-id") is None


ANSWERS = {
    SpreadPolicy: lambda plan, asked, members: [(True, f"{plan.own.inputs['name']} beside {', '.join(members)}")],
    Share: lambda plan, asked, members: iter([(False, "one"), (True, "two")]),
}


def test_settings_are_told_in_the_order_in_which_they_are_asked_for():
    assert said_by(planned("web-0"), ANSWERS) == [
        [Shown(Evidence.TRANSLATED, True, "a beside web-0, web-1")],
        [],
        [Shown(Evidence.TRANSLATED, False, "one"), Shown(Evidence.TRANSLATED, True, "two")],
    ]


def test_of_a_machine_that_is_not_in_the_graph_nothing_is_told():
    assert said_by(planned("db"), ANSWERS) == [[], [], []]


def test_evidence_is_shown_of_one_machine_or_of_all_that_a_policy_selects():
    web, db = DeployedMachine("web-0", ()), DeployedMachine("db", ())
    seen = Shown(Evidence.ACCEPTED, True, "seen")
    request = EvidenceRequest(web, (SPREAD, PACK, SHARE), members=((web, db), (web,), (web,)))

    found = shown_by(
        "look",
        request,
        {Share: lambda look, asked: iter([seen] if (look, asked) == ("look", SHARE) else [])},
        {SpreadPolicy: lambda look, asked, members: [seen] * len(members)},
    )

    assert found == [[seen, seen], [], [seen]]
