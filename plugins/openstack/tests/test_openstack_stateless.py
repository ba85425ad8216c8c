"""Stateless groups, where a stack file asks for them: nothing passes that no policy says, and what is lost is told."""

import random

import pytest
from cloud_requests import FACTS, request
from openstack_stacks import CLOUD, random_stack
from provision_openstack.support import supports
from provision_openstack.translate import translate
from provision_openstack.translate.answers import Answers, answer_to
from provision_openstack.translate.objections import objections
from test_openstack_translate_laws import proof_of

from provision.models import Stack
from provision.packets import Service
from provision.spi import Capabilities, FeatureUse, Output

LOOSE = {"overrides": {"openstack": {"stateless_groups": True}}}


def policy(source, target, *allow, **more):
    return {"kind": "traffic", "from": [source], "to": [target], "allow": [*allow], **more}


def document(data=LOOSE, front=None, isolation=None, **policies):
    """Two kinds of machines, each with a card on two networks."""
    machine = {"image": "micro", "memory": "512MiB", "nics": [{"network": "front"}, {"network": "data"}]}
    return {
        "networks": {
            "front": {"cidr": "10.0.1.0/24", "internet": "nat", **(front or {})},
            "data": {"cidr": "10.0.2.0/24", **data},
        },
        "machines": {"web": {**machine, "count": 2}, "db": machine},
        "isolation": {"policies": policies, **(isolation or {})},
    }


def said(stack):
    found = objections(Stack.model_validate({"version": 1, **stack}), Capabilities("openstack", FACTS))
    return {".".join(map(str, one.path)): (one.reason, one.fix) for one in found if not one.warns}


def whole(stack):
    return {"version": 1, "platform": "openstack", **stack}


def groups(stack):
    graph = translate(request(stack))
    return {
        node.name.removeprefix("groups/"): node.inputs.get("stateful", True)
        for node in graph.of_type("network:SecurityGroup")
    }


def passing(stack):
    """What rules speak of, whichever their groups."""
    rules = translate(request(stack)).of_type("network:SecurityGroupRule")
    return {tuple(one.inputs.get(field) for field in ("direction", "protocol", "port_range_min")) for one in rules}


def of_port(graph, name):
    return [one.node for one in graph.node(name).inputs["security_group_ids"] if isinstance(one, Output)]


def test_a_connection_that_nothing_answers_is_refused_with_what_would():
    found = said(document(reads=policy("machine.web", "machine.db", "tcp/5432")))

    assert found == {
        "isolation.policies.reads": (
            "the groups of 'data' are stateless, and nothing lets the answers to 'tcp/5432' back: 'tcp' from "
            "network card 1 of 'db' to network card 1 of 'web-0'",
            "allow 'tcp' both ways, as all of it then passes; or remove 'stateless_groups' of 'data'",
        )
    }


def test_it_passes_when_policies_let_the_answers_back_and_no_rule_is_added_for_them():
    policies = {
        "reads": policy("machine.web", "machine.db", "tcp", "icmp/8", "icmp/0"),
        "answers": policy("machine.db", "machine.web", "tcp", "icmp/0"),
    }
    stateless, stateful = document(**policies), document({}, **policies)

    assert said(stateless) == {}
    assert proof_of(whole(stateless)).holds
    assert passing(stateless) == passing(stateful)


def test_a_network_that_a_policy_names_has_groups_of_its_kind_alone():
    reads = policy("network.data", "network.data", "tcp", "icmp")
    world = policy("outside", "network.front", "tcp/80")

    assert groups(document(reads=reads, world=world)) == {"network.data": False, "network.front": True}


def test_a_port_has_stateless_groups_or_stateful_ones_and_never_both():
    graph = translate(request(document(all=policy("machine.*", "machine.*", "any"))))
    kinds = {
        node.name: {graph.node(one).inputs.get("stateful", True) for one in of_port(graph, node.name)}
        for node in graph.of_type("network:Port")
    }

    assert {name: kinds[name] for name in sorted(kinds)} == {
        f"machines/{machine}/nic-{card}/port": {card == 0} for machine in ("db", "web-0", "web-1") for card in (0, 1)
    }


def test_peers_of_both_kinds_stand_in_the_rules_of_each_other():
    stack = document(all=policy("machine.*", "machine.*", "any"))
    graph = translate(request(stack))
    peers = {
        (one.name.split("/")[1], one.inputs["remote_group_id"].node.removeprefix("groups/"))
        for one in graph.of_type("network:SecurityGroupRule")
    }

    assert peers == {(a, b) for a in groups(stack) for b in groups(stack)}
    assert len(groups(stack)) == 2
    assert proof_of(whole(stack)).holds


@pytest.mark.parametrize(
    ("data", "expected"), [(LOOSE, []), (LOOSE | {"internet": "nat"}, ["isolation.policies.world"])]
)
def test_what_no_way_leads_to_needs_no_answer(data, expected):
    assert [*said(document(data, world=policy("machine.web", "internet", "tcp/443")))] == expected


def test_all_that_passes_by_default_answers_itself():
    assert said(document(isolation={"default": "allow"})) == {}


def test_answers_that_a_policy_denies_are_missed():
    policies = {
        "all": policy("machine.*", "machine.*", "tcp", order=2),
        "quiet": {"kind": "traffic", "from": ["machine.db"], "to": ["machine.*"], "deny": ["tcp/1-1000"], "order": 1},
    }

    assert "back: 'tcp' from network card 1 of 'db'" in said(document(**policies))["isolation.policies.all"][0]


def test_dhcp_is_not_served_there():
    found = said(document(LOOSE | {"dhcp": {"enabled": True}}, isolation={"services": {"dhcp": True}}))

    assert [*found] == ["networks.data.dhcp"]


def test_a_cloud_without_stateless_groups_says_so():
    network = Stack.model_validate(whole(document())).networks["data"]
    use = FeatureUse("networks.overrides", ("networks", "data", "overrides"), LOOSE["overrides"]["openstack"], network)

    assert supports(use, CLOUD).enforced
    assert "stateful-security-group" in supports(use, Capabilities("openstack", FACTS)).reason


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("tcp/443", "tcp"),
        ("udp/1-9", "udp"),
        ("icmp", "icmp"),
        ("icmp/8.0", "icmp/0"),
        ("icmp/3", "icmp/3"),
        ("icmpv6/128", "icmpv6/129"),
        ("protocol/47", "protocol/47"),
        ("any", "any"),
    ],
)
def test_what_may_answer_is_all_that_rules_can_tell_of_it(asked, answer):
    assert answer_to(Service.parse(asked)) == Service.parse(answer)


def loosened(seed):
    stack, draw = random_stack(seed), random.Random(seed)
    for network in stack["networks"].values():
        if draw.random() < 0.6:
            network.pop("dhcp", None)
            network.update(LOOSE)
    return stack


def test_a_stack_with_stateless_groups_is_refused_or_they_say_what_it_says():
    proofs = {seed: proof_of(loosened(seed)) for seed in range(20)}

    assert {seed: [*map(str, one.differences)] for seed, one in proofs.items() if one and not one.holds} == {}
    assert sum(one is not None for one in proofs.values()) > 6


@pytest.mark.parametrize(
    "policies",
    [
        {"out": policy("machine.web", "machine.db", "tcp/5432")},
        {"ping": policy("machine.web", "network.data", "icmp/8")},
        {"some": policy("machine.web", "machine.db", "udp/53"), "back": policy("machine.db", "machine.web", "udp/53")},
        {"in": policy("10.0.0.0/16", "machine.db", "protocol/132")},
    ],
    ids=["tcp", "icmp", "some-ports", "prefix"],
)
def test_what_is_refused_would_fall_short(policies, monkeypatch):
    stack = document(**policies)
    assert said(stack)
    monkeypatch.setattr(Answers, "objections", lambda self, flows: ())

    proof = proof_of(whole(stack))

    assert proof.differences
    assert not proof.holds
