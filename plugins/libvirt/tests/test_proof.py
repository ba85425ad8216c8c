"""The proof that packet filters say what the file says: no false alarm, nothing missed, each example real."""

import re
from dataclasses import replace

import pytest
from filter_semantics import Packet
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from provision_libvirt import readers
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.translate import translate
from stack_requests import addresses, request
from test_translate_packets import OUTSIDE, PROBES, World, document, ordered_policies, policies

from provision.errors import PolicyRefused
from provision.models import Stack
from provision.spi import CanReadRules, ResourceGraph
from provision.verify.proof import Proof, Way, prove

SERVICES = st.fixed_dictionaries({name: st.booleans() for name in ("dhcp", "dns", "nd")})
UPKEEP = re.compile("ARP|discovery|errors")
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


def proven(stack_document, graph=None) -> Proof:
    asked = request(stack_document)
    graph = translate(asked) if graph is None else graph
    return prove(asked.stack, addresses(asked.stack), graph, asked.capabilities, readers)


def traffic(sources, targets, *services):
    return {"kind": "traffic", "from": [sources], "to": [targets], "allow": list(services)}


def changed(graph: ResourceGraph, node: str, rules) -> ResourceGraph:
    nodes = tuple(
        replace(one, inputs={**one.inputs, "rules": rules}) if one.name == node else one for one in graph.nodes
    )
    return ResourceGraph(graph.components, nodes)


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(st.one_of(policies(), ordered_policies()), SERVICES)
def test_every_translation_is_proven(drawn, services):
    asked = document(drawn)
    asked["isolation"]["services"] = services
    proof = proven(asked)
    assert proof.holds, "\n".join(map(str, proof.differences)) + str(proof.unmodelled)


@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
@given(ordered_policies(), SERVICES)
def test_what_is_denied_where_everything_is_open_is_proven_or_refused(drawn, services):
    asked = document(drawn)
    asked["isolation"] |= {"services": services, "default": "allow"}
    try:
        proof = proven(asked)
    except PolicyRefused as refused:
        said = [found.summary for found in refused.diagnostics]
    else:
        said = [*map(str, proof.differences), *proof.unmodelled]
    assert [one for one in said if "cannot be told from answers" not in one] == []


@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
@given(st.one_of(policies(), ordered_policies()), st.data())
def test_what_is_broken_is_found_and_each_example_is_a_packet_that_fares_so(drawn, data):
    """Against an evaluator of one packet at a time, which shares nothing with the reader."""
    graph = translate(request(document(drawn)))
    node = data.draw(st.sampled_from([one for one in graph.nodes if one.inputs.get("rules")]))
    rules = list(node.inputs["rules"])
    index = data.draw(st.integers(0, len(rules) - 1))
    how = data.draw(st.sampled_from(["deleted", "turned", "wider"]))
    rule = rules[index]
    if how == "deleted":
        del rules[index]
    elif how == "turned":
        rules[index] = rule | {"action": "drop" if rule["action"] == "accept" else "accept"}
    else:
        narrow = [key for key in rule.get("attributes", {}) if key not in ("srcmacaddr", "state")]
        assume(narrow)
        gone = data.draw(st.sampled_from(narrow))
        kept = {
            key: value for key, value in rule["attributes"].items() if not key.startswith(gone.removesuffix("start"))
        }
        rules[index] = rule | {"attributes": kept}
    broken = changed(graph, node.name, rules)
    proof = proven(document(drawn), broken)
    if any("that accept and drop the same packets" in told for told in proof.unmodelled):
        return  # which of them comes first is not known, and said so: nothing is proven
    world = World(drawn)
    world.graph = broken
    for difference in proof.differences:
        if difference.way not in (Way.LEAK, Way.GAP) or UPKEEP.search(difference.rules):
            continue  # the evaluator follows packets from end to end, and knows no address resolution
        packet = evaluated(difference.packet)
        passes = world.connects(packet) or (difference.way is Way.LEAK and world.delivered(packet))
        assert passes is (difference.way is Way.LEAK), difference
        assert world.allowed(packet) is (difference.way is Way.GAP), difference
    if proof.holds:
        assert not leaks(world), (node.name, how, rule)


AWAY = {"kind": "no_internet", "machines": ["machine.web"]}
NEVER = {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "deny": ["tcp/81"], "order": 1}


@pytest.mark.parametrize(
    ("peer", "others", "policy", "address"),
    [
        ("outside", {"never": NEVER}, "open", "198.51.100.1"),  # the hypervisor
        ("internet", {"never": NEVER}, "open", "192.168.0.0"),  # not public
        ("outside", {"never": NEVER, "away": AWAY}, "away", "8.0.0.0"),
        ("outside", {"away": AWAY}, "away", "8.0.0.0"),
    ],
)
def test_a_lone_answer_of_nobody_that_is_meant_is_found(peer, others, policy, address):
    asked = document({"open": traffic(peer, "machine.web", "tcp/80"), **others})
    graph = translate(request(asked))
    assert proven(asked).holds
    nodes = [one for one in graph.nodes if one.name.startswith(f"isolation/{policy}/") and one.inputs.get("rules")]
    found = [
        (node, rule) for node in nodes for rule in node.inputs["rules"]
        if (rule["action"], rule["direction"], rule["protocol"]) == ("drop", "in", "ip")
        and rule.get("attributes", {}).get("srcipaddr") == address
    ]  # fmt: skip
    assert found
    for node, rule in found:
        graph = changed(graph, node.name, [one for one in node.inputs["rules"] if one is not rule])
    assert {one.way for one in proven(asked, graph).differences} == {Way.STRAY}


def evaluated(packet) -> Packet:
    number = packet.protocol
    kind = packet.destination_port >> 8 if number in (1, 58) else 0
    ports = {"sport": packet.source_port, "dport": packet.destination_port} if number in (6, 17) else {}
    return Packet(packet.family, str(packet.source), str(packet.destination), number, kind=kind, **ports)


def leaks(world: World):
    """A connection that the policies do not allow and the filters do, among some packets of machines."""
    for family in (4, 6):
        inside = [address for address, end in world.ends.items() if end[0] == family]
        for source in inside:
            for target in [*inside, *OUTSIDE[family]]:
                if target in world.ends and world.ends[source][2] == world.ends[target][2]:
                    continue
                for fields in PROBES[family]:
                    packet = Packet(family, source, target, **fields)
                    if not world.allowed(packet) and world.connects(packet):
                        return packet
    return None


def test_a_difference_names_packet_ends_and_rule():
    asked = document(
        {"p": traffic("machine.web", "machine.app", "tcp/80")} | {"q": traffic("machine.web", "machine.bare", "tcp/22")}
    )
    graph = translate(request(asked))
    rules = next(node.inputs["rules"] for node in graph.nodes if node.name == "isolation/q/in")
    wide = [
        rule | {"attributes": {k: v for k, v in rule.get("attributes", {}).items() if k != "dstportstart"}}
        for rule in rules
    ]
    sender = next(node.inputs["rules"] for node in graph.nodes if node.name == "isolation/q/out")
    wide_out = [
        rule | {"attributes": {k: v for k, v in rule["attributes"].items() if "port" not in k}} for rule in sender
    ]
    found = proven(asked, changed(changed(graph, "isolation/q/in", wide), "isolation/q/out", wide_out))
    assert not found.holds
    assert {(d.source, d.destination) for d in found.differences} == {("web-0", "bare"), ("web-1", "bare")}
    said = str(found.differences[0])
    assert said.startswith("tcp/0 from 10.1.0.10 (web-0) to 10.1.0.12 (bare) passes, and no policy allows it: ")
    assert "isolation/q/out: accept out tcp dstipaddr=10.1.0.12" in said


def test_a_machine_that_may_send_as_another_is_found():
    asked = document({})
    graph = translate(request(asked))
    node = next(node for node in graph.nodes if node.name == "machines/db/nic-0/filter")
    loose = [
        rule | {"attributes": {"srcmacaddr": "$MAC"}}
        if rule["protocol"] == "ip" and rule["direction"] == "out"
        else rule
        for rule in node.inputs["rules"]
    ]
    found = proven(asked, changed(graph, node.name, loose))
    assert {d.way for d in found.differences} == {Way.FORGERY}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": "stp"}, "the element 'stp' is not understood"),
        ({"action": "return"}, "the action 'return' is not understood"),
        ({"protocol": "tcp", "attributes": {"flags": "SYN/ALL"}}, "the attribute 'flags' is not understood"),
        (
            {"protocol": "ip", "attributes": {"srcmacaddr": "02:00:00:00:00:01"}},
            "another NIC's address is not understood",
        ),
    ],
)
def test_nothing_is_assumed_of_a_rule_that_is_not_understood(change, said):
    asked = document({})
    graph = translate(request(asked))
    node = next(node for node in graph.nodes if node.name == "filter-base")
    odd = {"action": "accept", "direction": "in", "priority": 100, "protocol": "all"} | change
    proof = proven(asked, changed(graph, "filter-base", [*node.inputs["rules"], odd]))
    assert not proof.holds
    assert proof.unmodelled == (f"filter-base: {said}",)


def test_a_nic_without_a_filter_is_no_proof():
    asked = document({})
    graph = translate(request(asked))
    nodes = tuple(
        replace(node, inputs={**node.inputs, "nics": [nic | {"filter": None} for nic in node.inputs["nics"]]})
        if node.name == "machines/db/domain"
        else node
        for node in graph.nodes
    )
    proof = proven(asked, ResourceGraph(graph.components, nodes))
    assert proof.unmodelled == ("a NIC of db has no filter",)
    assert not proof.holds


def test_with_everything_open_the_proof_holds_too():
    asked = document({})
    asked["isolation"]["default"] = "allow"
    proof = proven(asked)
    assert proof.holds, "\n".join(map(str, proof.differences))


def test_the_platform_offers_its_reader():
    assert isinstance(LibvirtProvider(), CanReadRules)
    assert isinstance(Stack.model_validate({"version": 1, **document({})}), Stack)


def test_a_machine_that_is_not_kept_apart_is_found():
    asked = document({
        "near": traffic("machine.*", "machine.*", "tcp/80"),
        "apart": {"kind": "peer_isolation", "machines": ["machine.*"]},
    })  # fmt: skip
    graph = translate(request(asked))
    assert proven(asked, graph).holds
    nodes = tuple(
        replace(node, inputs={**node.inputs, "nics": [nic | {"isolated": None} for nic in node.inputs["nics"]]})
        if node.name == "machines/bare/domain"
        else node
        for node in graph.nodes
    )
    found = proven(asked, ResourceGraph(graph.components, nodes)).differences
    assert {difference.way for difference in found} == {Way.LEAK}
    assert {"bare"} == {end for one in found for end in (one.source, one.destination) if not end.startswith("web-")}


def test_answers_to_datagrams_from_behind_the_hypervisor_s_address_are_no_leak():
    """Libvirt lets nothing else in there, whatever the filters say; on a routed network the same is refused."""
    assert proven(document({"time": traffic("machine.pc", "outside", "udp/123")})).holds
    with pytest.raises(PolicyRefused) as caught:
        proven(document({"time": traffic("machine.bare", "outside", "udp/123")}))
    assert "does not follow connections" in caught.value.diagnostics[0].summary


def test_the_second_packet_of_a_connection_is_looked_at_too():
    asked = document({"late": traffic("machine.web", "machine.bare", "tcp/80")})
    graph = translate(request(asked))
    rules = next(node.inputs["rules"] for node in graph.nodes if node.name == "isolation/late/out")
    stopped = {
        "action": "drop", "direction": "out", "priority": 301, "protocol": "tcp",
        "attributes": {"dstipaddr": "10.1.0.12", "dstportstart": "80", "state": "ESTABLISHED"},
    }  # fmt: skip
    found = proven(asked, changed(graph, "isolation/late/out", [*rules, stopped])).differences
    assert {difference.way for difference in found} == {Way.GAP}
