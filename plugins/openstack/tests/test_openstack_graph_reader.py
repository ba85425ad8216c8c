"""What a reader does not understand it names, and what it finds other than the file says is never passed over."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from openstack_worlds import OPEN, Cloud, World, addresses, as_graph
from provision_openstack.readers import read_live_rules, read_rules
from provision_openstack.readers.model import NotUnderstood, Traffic

from provision.errors import PlatformError
from provision.packets.sets import Field, PacketSpace
from provision.spi import DeployedMachine, LiveRulesRequest, NativeState, NicAddress, Output, ResourceGraph

SPACE = PacketSpace()
PORT, SERVER, RULE = "machines/one/nic-0/port", "machines/one/server", "rule-0"


def world(**more):
    return World(OPEN, {"one": {"red"}, "two": {"red"}, "three": {"green"}}, **more)


def read(name, **inputs):
    """What is not understood of a graph with other inputs of one node."""
    request = as_graph(world(), SPACE)
    nodes = [replace(one, inputs={**one.inputs, **inputs}) if one.name == name else one for one in request.graph.nodes]
    return read_rules(replace(request, graph=ResourceGraph(request.graph.components, tuple(nodes))))


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        (RULE, {"protocol": "0"}, "rule-0: the protocol '0' is not understood"),
        (RULE, {"protocol": "quic"}, "rule-0: the protocol 'quic' is not understood"),
        (RULE, {"port_range_min": 80, "port_range_max": 80}, "rule-0: the ports 80 to 80 of every protocol is not"),
        (RULE, {"ethertype": "ARP"}, "rule-0: the ethertype 'ARP' is not understood"),
        (RULE, {"direction": "both"}, "rule-0: the direction 'both' is not understood"),
        (RULE, {"remote_group_id": "abc"}, "the security group abc is not the stack's"),
        (RULE, {"remote_address_group_id": "abc"}, "rule-0: the address group abc, which is not the stack's, is not"),
        (PORT, {"security_group_ids": ["abc"]}, "the security group abc is not the stack's"),
        (PORT, {"network_id": "abc"}, "the network abc is not the stack's"),
        (PORT, {"fixed_ips": []}, "has addresses that Neutron chooses"),
        (PORT, {"fixed_ips": [{"ip_address": "10.0.1.77"}]}, "has the address 10.0.1.77, of which the file knows"),
        (SERVER, {"nics": [{"port_id": "abc"}]}, "port 0 of machines/one/server is abc, which is not the stack's"),
        (SERVER, {"nics": []}, "machines/one/server has 0 ports, and the file gives it 1"),
        ("networks/front/router-v4", {"router_id": "abc"}, "the router abc is not the stack's"),
        (
            "networks/front/router-v4",
            {"subnet_id": Output("router", "id")},
            "networks/front/router-v4 joins the subnet",
        ),
    ],
)
def test_what_a_graph_says_without_a_meaning_is_named(name, inputs, words):
    assert any(words in one for one in read(name, **inputs).unmodelled)


def test_an_address_that_a_machine_has_not_reaches_nobody():
    request = as_graph(world(), SPACE)
    given = {**request.addresses, "one": (NicAddress("front", "02:00:00:00:00:00", "10.0.1.11"),)}
    found = read_rules(replace(request, addresses=given))

    assert not found.delivered & SPACE.prefixes(Field.DESTINATION, [ip_network("10.0.1.11")])
    assert any("10.0.1.10" in one for one in found.unmodelled)


def test_the_cloud_s_hosts_are_known_when_somebody_told():
    request = as_graph(world(), SPACE)
    facts = replace(request.capabilities, facts={"host_prefixes": ["192.0.2.0/24"]})

    assert read_rules(replace(request, capabilities=facts)).host_addresses == ("192.0.2.0/24",)


@pytest.mark.parametrize(
    ("written", "family", "protocol"),
    [
        (("IPv6", "icmp", None, None), 6, 58),
        (("IPv6", "ipv6-icmp", 128, None), 6, 58),
        (("IPv4", "1", 8, 0), 4, 1),
        (("IPv4", "sctp", 1, 5), 4, 132),
        (("IPv4", "any", None, None), 4, None),
    ],
)
def test_protocols_are_read_by_name_and_number(written, family, protocol):
    found = Traffic.of(*written)
    assert (found.family, found.protocol) == (family, protocol)


@pytest.mark.parametrize(
    "written",
    [
        ("IPv4", "tcp", 80, None),
        ("IPv4", "tcp", 90, 80),
        ("IPv4", "icmp", None, 0),
        ("IPv4", "icmp", 300, None),
        ("IPv4", "47", 1, 2),
        ("IPv4", "256", None, None),
    ],
)
def test_numbers_without_a_meaning_together_are_not_understood(written):
    with pytest.raises(NotUnderstood):
        Traffic.of(*written)


EXISTING = {
    "networks": {"lan": [{"id": "abc", "subnets": [{"cidr": "10.0.1.0/24"}], "way": "routed"}]},
    "groups": {"bare": [{"id": "def", "rules": 0, "stateful": True}]},
}


@pytest.mark.parametrize(
    ("inputs", "facts", "words"),
    [
        ({"network_id": "abc"}, EXISTING, ""),
        ({"security_group_ids": ["def"]}, EXISTING, ""),
        ({"network_id": "abc"}, {}, "the network abc is not the stack's"),
        ({"security_group_ids": ["def"]}, {"groups": {"bare": [EXISTING["groups"]["bare"][0] | {"rules": 1}]}},
         "the security group def is not the stack's"),
    ],
)  # fmt: skip
def test_what_the_file_refers_to_is_read_as_it_was_seen(inputs, facts, words):
    request = as_graph(world(), SPACE)
    nodes = [replace(one, inputs={**one.inputs, **inputs}) if one.name == PORT else one for one in request.graph.nodes]
    capabilities = replace(request.capabilities, facts={"existing": facts})
    graph = ResourceGraph(request.graph.components, tuple(nodes))
    found = read_rules(replace(request, graph=graph, capabilities=capabilities))

    assert [one for one in found.unmodelled if words not in one] == []
    assert bool(found.unmodelled) is bool(words)
    if "network_id" in inputs and not words:  # it leads out by a router of its own
        beyond = SPACE.prefixes(Field.DESTINATION, [ip_network("198.51.100.7")])
        assert found.connected & beyond & SPACE.prefixes(Field.SOURCE, [ip_network("10.0.1.10")])


# --- the live cloud


def live(cloud, machines=None, given=None):
    return read_live_rules(cloud, LiveRulesRequest(SPACE, machines or cloud.machines(), given or addresses()))


def told(change, **more):
    """What is not understood of a cloud that somebody changed."""
    cloud = Cloud(world(**more))
    change(cloud.found)
    return live(cloud).unmodelled


def stranger(**more):
    return {"id": "other", "device_id": "", "fixed_ips": [{"ip_address": "10.0.1.200"}], "network_id": "front"} | more


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["ports"].append(stranger(security_groups=["red"])), "no machine's of the stack"),
        (lambda found: found["ports"].append(stranger(device_id="id-one")), "'one' has a further port, other"),
        (
            lambda found: found["ports"][0].update(mac_address="02:00:00:00:00:99"),
            "the hardware address 02:00:00:00:00:99",
        ),
        (lambda found: found["ports"][0].update(trunk_details={"trunk_id": "t"}), "is a trunk"),
        (lambda found: found["ports"][0]["fixed_ips"].append({"ip_address": "10.0.1.77"}), "has the address 10.0.1.77"),
        (lambda found: found["routers"].clear(), "where the router router leads is not shown"),
        (lambda found: found["security_group_rules"][0].update(protocol="0"), "rule-0 of red: the protocol '0'"),
        (
            lambda found: found["security_group_rules"][0].update(remote_address_group_id="gone"),
            "the address group gone, which is not shown",
        ),
    ],
)
def test_what_somebody_did_by_hand_is_named(change, words):
    found = told(change)
    assert any(words in one for one in found), found


def test_an_untouched_cloud_is_understood_in_calls_that_do_not_grow_with_machines():
    cloud = Cloud(world())

    assert live(cloud).unmodelled == ()
    assert len(cloud.asked) <= 10


def test_a_foreign_rule_is_said_to_be_one():
    cloud = Cloud(world())
    for rule in cloud.found["security_group_rules"]:
        rule["description"] = f" [provision:{'s' if rule['id'] != 'rule-0' else 'x'}:{'0' * 32}]"
    readout = live(cloud)
    packet = (readout.delivered & SPACE.family(4)).example()

    assert packet is not None
    foreign = [one for one in readout.explain(packet).split("; ") if "made by somebody else" in one]
    assert all("rule-0" in one for one in foreign)


def test_strangers_in_a_group_that_rules_name_are_let_in():
    rules = [("red", "ingress", 4, ("tcp", 80, 80), ("group", "blue"))]
    cloud = Cloud(World(rules, {"one": {"red"}, "two": set(), "three": set()}))
    cloud.found["ports"].append(
        stranger(security_groups=["blue"], allowed_address_pairs=[{"ip_address": "10.0.1.201"}])
    )
    found = live(cloud)

    for address in ("10.0.1.200", "10.0.1.201"):
        assert found.delivered & SPACE.prefixes(Field.SOURCE, [ip_network(address)])
    assert found.unmodelled == ()


def test_a_pair_with_another_hardware_address_is_a_forgery_even_of_the_own_address():
    cloud = Cloud(world(pairs={"one": ["10.0.1.10/32"]}))
    assert not live(cloud).forged
    cloud.found["ports"][0]["allowed_address_pairs"][0]["mac_address"] = "02:00:00:00:00:99"
    found = live(cloud)

    assert found.forged
    assert found.claimed


def test_a_machine_without_its_server_is_told():
    cloud = Cloud(world())
    gone = DeployedMachine("one", (NativeState("network:Port", "one", "port-one", {}, {}),))

    with pytest.raises(PlatformError, match="the machine 'one' is not there"):
        live(cloud, [gone, *cloud.machines()[1:]])
