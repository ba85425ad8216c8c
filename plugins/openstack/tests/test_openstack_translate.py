"""What comes of stacks on a cloud: the graph, and which connections its security groups let through."""

import base64
from ipaddress import ip_address, ip_network

import pytest
from cloud_requests import FACTS, flavor, request
from provision_openstack.extra_specs import problems
from provision_openstack.resources import Port, Router, SecurityGroup, SecurityGroupRule, Server
from provision_openstack.sizes import FlavorRequirements, smallest
from provision_openstack.translate import objections, translate
from provision_openstack.translate.hardware import specs

from provision.errors import StackFileError
from provision.models import Stack
from provision.spi import Capabilities, Output

THREE_TIERS = {
    "networks": {
        "front": {"cidr": "10.20.1.0/24", "cidr6": "fd00:20:1::/64", "internet": "routed"},
        "back": {"cidr": "10.20.2.0/24", "cidr6": "fd00:20:2::/64", "internet": "routed"},
    },
    "machines": {
        "web": {"image": "micro", "count": 2, "memory": "96MiB", "nics": [{"network": "front"}]},
        "app": {"image": "micro", "memory": "96MiB", "nics": [{"network": "back"}]},
        "db": {
            "image": "micro",
            "memory": "1GiB",
            "nics": [{"network": "back"}],
            "disks": {"data": {"size": "64MiB", "type": "fast"}},
        },
    },
    "isolation": {
        "policies": {
            "world-to-web": {
                "kind": "traffic",
                "from": ["outside"],
                "to": ["machine.web"],
                "allow": ["tcp/80", "icmp/8.0", "icmpv6"],
            },
            "web-to-app": {"kind": "traffic", "from": ["machine.web"], "to": ["machine.app"], "allow": ["tcp/8080"]},
            "app-out": {"kind": "traffic", "from": ["machine.app"], "to": ["outside"], "allow": ["tcp/80", "udp/53"]},
            "by-address": {
                "kind": "traffic",
                "from": ["10.20.2.10/32"],
                "to": ["machine.db"],
                "allow": ["tcp/5432", "protocol/132"],
            },
        }
    },
}


@pytest.fixture(scope="module")
def graph():
    return translate(request(THREE_TIERS))


class Filters:
    """Rules of Neutron, as its API reference tells them, of a graph: a port passes what any of its rules allow."""

    def __init__(self, graph):
        self.nodes = {node.name: node for node in graph.nodes}
        self.ports = {node.name.split("/")[1]: node for node in graph.nodes if node.type is Port}
        self.rules = [node.inputs for node in graph.nodes if node.type is SecurityGroupRule]

    def groups(self, machine):
        return {output.node for output in self.ports[machine].inputs["security_group_ids"]}

    def addresses(self, machine):
        return [ip_address(one["ip_address"]) for one in self.ports[machine].inputs["fixed_ips"]]

    def members(self, group):
        return [one for name in self.ports if group in self.groups(name) for one in self.addresses(name)]

    def passes(self, machine, direction, peer, protocol, port):
        version = ip_address(peer).version
        return any(
            rule["direction"] == direction
            and rule["security_group_id"].node in self.groups(machine)
            and rule["ethertype"] == f"IPv{version}"
            and rule.get("protocol") in (None, protocol)
            and (rule.get("port_range_min") is None or rule["port_range_min"] <= port <= rule["port_range_max"])
            and self.means(rule, ip_address(peer))
            for rule in self.rules
        )

    def means(self, rule, peer):
        if "remote_group_id" in rule:
            return peer in self.members(rule["remote_group_id"].node)
        if "remote_ip_prefix" in rule:
            return peer in ip_network(rule["remote_ip_prefix"])
        ranges = self.nodes[rule["remote_address_group_id"].node].inputs["addresses"]
        return any(peer in ip_network(one) for one in ranges)

    def connects(self, source, target, protocol, port, family=4):
        """Whether a connection passes both ends; an end that is no machine has no rules."""
        one, other = (
            next(a for a in self.addresses(end) if a.version == family) if end in self.ports else ip_address(end)
            for end in (source, target)
        )
        out = source not in self.ports or self.passes(source, "egress", str(other), protocol, port)
        return out and (target not in self.ports or self.passes(target, "ingress", str(one), protocol, port))


@pytest.fixture(scope="module")
def filters(graph):
    return Filters(graph)


@pytest.mark.parametrize(
    ("source", "target", "protocol", "port", "family"),
    [
        ("8.8.8.8", "web-0", "tcp", 80, 4),
        ("2001:db8::9", "web-1", "tcp", 80, 6),
        ("192.168.7.7", "web-1", "tcp", 80, 4),
        ("web-0", "app", "tcp", 8080, 4),
        ("web-1", "app", "tcp", 8080, 6),
        ("app", "1.1.1.1", "udp", 53, 4),
        ("app", "2606:4700::1", "tcp", 80, 6),
        ("app", "db", "tcp", 5432, 4),
        ("app", "db", "132", 0, 4),
    ],
)
def test_what_is_allowed_passes_both_ends(filters, source, target, protocol, port, family):
    assert filters.connects(source, target, protocol, port, family)


@pytest.mark.parametrize(
    ("source", "target", "protocol", "port", "family"),
    [
        ("8.8.8.8", "web-0", "tcp", 81, 4),
        ("8.8.8.8", "web-0", "udp", 80, 4),
        ("8.8.8.8", "app", "tcp", 8080, 4),
        ("10.20.1.77", "web-0", "tcp", 80, 4),
        ("app", "web-0", "tcp", 80, 4),
        ("app", "web-0", "tcp", 80, 6),
        ("app", "169.254.169.254", "tcp", 80, 4),
        ("app", "fe80::a9fe:a9fe", "tcp", 80, 6),
        ("web-0", "web-1", "tcp", 80, 4),
        ("web-0", "1.1.1.1", "tcp", 80, 4),
        ("app", "web-0", "tcp", 8080, 4),
        ("app", "db", "tcp", 5432, 6),
        ("db", "app", "tcp", 5432, 4),
        ("web-0", "db", "tcp", 5432, 4),
    ],
)
def test_what_is_not_allowed_is_stopped(filters, source, target, protocol, port, family):
    assert not filters.connects(source, target, protocol, port, family)


def test_an_icmp_type_is_a_range_of_its_own(filters):
    rules = [rule for rule in filters.rules if rule.get("protocol") == "icmp"]
    assert [(rule["ethertype"], rule["port_range_min"], rule["port_range_max"]) for rule in rules] == [("IPv4", 8, 0)]


def test_every_group_is_exclusive_and_every_port_is_named_its_groups(graph):
    assert all(node.inputs["exclusive"] for node in graph.nodes if node.type is SecurityGroup)
    assert all("security_group_ids" in node.inputs for node in graph.nodes if node.type is Port)


def test_rules_do_not_grow_with_machines():
    def rules(count):
        document = THREE_TIERS | {
            "machines": THREE_TIERS["machines"] | {"web": THREE_TIERS["machines"]["web"] | {"count": count}}
        }
        return [node.name for node in translate(request(document)).nodes if node.type is SecurityGroupRule]

    assert rules(2) == rules(20)


def test_without_address_groups_there_is_a_rule_for_each_range():
    extensions = [name for name in FACTS["extensions"] if name != "security-groups-remote-address-group"]
    filters = Filters(translate(request(THREE_TIERS, extensions=extensions)))
    assert not any("remote_address_group_id" in rule for rule in filters.rules)
    assert filters.connects("8.8.8.8", "web-0", "tcp", 80)
    assert not filters.connects("10.20.1.77", "web-0", "tcp", 80)
    assert not filters.connects("app", "169.254.169.254", "tcp", 80)


def test_routed_networks_have_a_router_that_hides_nobody(graph):
    (router,) = [node for node in graph.nodes if node.type is Router]
    assert router.inputs["enable_snat"] is False
    assert router.inputs["external_network_id"] == "id-of-public"
    assert graph.node("networks/front/subnet-v4").inputs["gateway_ip"] == "10.20.1.1"
    assert graph.node("networks/front/router-v6").inputs["router_id"] == Output("router", "id")


def test_a_network_without_a_way_out_has_neither_router_nor_gateway():
    document = {
        "networks": {"lan": {"cidr": "10.0.0.0/24"}},
        "machines": {"one": {"image": "micro", "memory": "64MiB", "nics": [{"network": "lan"}]}},
    }
    graph = translate(request(document))
    assert [node.type.token for node in graph.nodes if "outer" in node.type.token] == []
    assert graph.node("networks/lan/subnet-v4").inputs["gateway_ip"] is None
    assert graph.node("machines/one/nic-0/port").inputs["security_group_ids"] == []


def test_a_machine_is_a_server_over_its_ports(graph):
    server = graph.node("machines/web-0/server")
    assert server.type is Server
    assert server.inputs["nics"] == [{"port_id": Output("machines/web-0/nic-0/port", "id")}]
    assert base64.b64decode(server.inputs["user_data"].get_secret_value()) == b"#!/bin/sh\n"
    assert server.inputs["requirements"] == {"memory_mib": 96, "disk_gib": 1}
    assert server.inputs["image"] == "micro"
    volume = graph.node("machines/db/disk-data")
    assert (volume.inputs["size_gib"], volume.inputs["volume_type"], volume.keep) == (1, "fast", True)


def test_a_root_of_a_size_is_a_volume():
    document = {
        "networks": {"lan": {"cidr": "10.0.0.0/24"}},
        "machines": {
            "one": {"image": "big", "memory": "64MiB", "root": {"size": "20GiB", "type": "fast", "disposable": True}}
        },
    }
    inputs = translate(request(document)).node("machines/one/server").inputs
    assert (inputs["root_volume"], inputs["root_size_gib"]) == ({"volume_type": "fast"}, 20)
    assert inputs["disposable"] is True
    assert inputs["requirements"] == {"memory_mib": 64}


def test_a_spread_is_a_server_group_and_a_share_of_bandwidth_a_policy():
    document = THREE_TIERS | {
        "isolation": {"policies": {"apart": {"kind": "spread", "machines": ["machine.web"], "max_per": 2}}},
        "sharing": {"shares": {"slow": {"machines": ["machine.web"], "nic": {"outbound": "10Mbit/s"}}}},
    }
    graph = translate(request(document))
    group = graph.node("isolation/apart/server-group")
    assert (group.inputs["policy"], group.inputs["max_server_per_host"]) == ("anti-affinity", 2)
    assert graph.node("machines/web-1/server").inputs["server_group_id"] == Output(group.name, "id")
    assert graph.node("sharing/slow").inputs["bandwidth_limits"] == [{"direction": "egress", "max_kbps": 10000}]
    assert graph.node("machines/web-0/nic-0/port").inputs["qos_policy_id"] == Output("sharing/slow", "id")


def said(document, **facts):
    stack = Stack.model_validate({"version": 1, **document})
    capabilities = Capabilities("openstack", FACTS | facts)
    return {".".join(map(str, one.path)): one.reason for one in objections(stack, capabilities)}


def test_a_stack_that_fits_meets_no_objection():
    assert said(THREE_TIERS) == {}


@pytest.mark.parametrize(
    ("facts", "path", "words"),
    [
        ({"roles": ["member"]}, "networks.front.internet", "only an administrator"),
        ({"external_networks": []}, "networks.back.internet", "no external network"),
        ({"images": []}, "machines.web.image", "shows no image 'micro'"),
        ({"flavors": [flavor("tiny", 1, 512, 1)]}, "machines.db", "tiny (1 CPUs, 512 MiB, 1 GiB), which lacks: memory"),
    ],
)
def test_a_cloud_that_lacks_something_is_told_from_the_start(facts, path, words):
    assert words in said(THREE_TIERS, **facts)[path]
    with pytest.raises(StackFileError):
        translate(request(THREE_TIERS, **facts))


@pytest.mark.parametrize("role", ["member", "manager"])
def test_limits_of_bandwidth_are_made_by_managers(role):
    shares = {"slow": {"machines": ["machine.web"], "nic": {"outbound": "10Mbit/s"}}}
    machine = {"web": {"image": "micro", "memory": "64MiB", "nics": [{"network": "lan"}]}}
    document = {"networks": {"lan": {"cidr": "10.0.0.0/24"}}, "machines": machine, "sharing": {"shares": shares}}
    found = said(document, roles=[role])
    assert [*found] == ([] if role == "manager" else ["sharing.shares.slow.nic"])


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        ({"instances": [3, 0]}, "needs 4 instances, and the project may have 3"),
        ({"cores": [4, 4]}, "needs 5 cores, and the project may have 4"),
        ({"security_groups": [2, 1]}, "needs 3 security groups, and the project may have 2"),
        ({"ports": [3, 0]}, "needs 4 ports, and the project may have 3"),
    ],
)
def test_what_a_project_may_never_have_is_refused_with_numbers(quota, words):
    with pytest.raises(StackFileError) as caught:
        translate(request(THREE_TIERS, quotas=quota))
    assert any(words in found.summary for found in caught.value.diagnostics)


def test_what_a_stack_has_already_does_not_count_twice():
    translate(request(THREE_TIERS, quotas={"instances": [4, 4], "ports": [-1, 900], "security_groups": [10, 10]}))


@pytest.mark.parametrize(
    ("policies", "name"),
    [
        ({"sealed": {"kind": "no_host_access", "machines": ["machine.web"]}}, "sealed"),
        ({"near": {"kind": "traffic", "from": ["machine.*"], "to": ["host"], "allow": ["tcp/53"]}}, "near.to"),
        (
            {"told": {"kind": "traffic", "from": ["machine.*"], "to": ["169.254.169.254/32"], "allow": ["tcp/80"]}},
            "told.to",
        ),
        ({"pages": {"kind": "memory", "machines": ["machine.*"], "locked": True}}, "pages"),
        ({"unseen": {"kind": "hide_hypervisor", "machines": ["machine.*"]}}, "unseen"),
        (
            {
                "rest": {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "deny": ["icmp/8"], "order": 1},
                "all": {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "allow": ["icmp"]},
            },
            "rest",
        ),
        (
            {
                "apart": {"kind": "spread", "machines": ["machine.web"]},
                "together": {"kind": "pack", "machines": ["machine.*"]},
            },
            "together",
        ),
    ],
)
def test_policies_that_contradict_each_other_are_refused(policies, name):
    isolation = {"policies": THREE_TIERS["isolation"]["policies"] | policies}
    assert f"isolation.policies.{name}" in said(THREE_TIERS | {"isolation": isolation})


def test_a_server_of_leases_that_no_rule_can_close_is_refused():
    networks = {"front": THREE_TIERS["networks"]["front"] | {"dhcp": {"enabled": True}}}
    document = THREE_TIERS | {"networks": THREE_TIERS["networks"] | networks}
    assert "Neutron lets DHCP pass" in said(document)["networks.front.dhcp"]
    isolation = THREE_TIERS["isolation"] | {"services": {"dhcp": True}}
    assert said(document | {"isolation": isolation}) == {}


def test_a_policy_that_closes_what_nothing_opens_is_enforced():
    isolation = {
        "policies": {
            "web-to-app": THREE_TIERS["isolation"]["policies"]["web-to-app"],
            "sealed": {"kind": "no_internet", "machines": ["machine.*"]},
        }
    }
    assert said(THREE_TIERS | {"isolation": isolation}) == {}


PINNED = {"kind": "dedicated_cpus", "machines": ["machine.db"], "smt": "isolate", "emulator": True}
SPECIAL = flavor("pinned", 4, 4096, 20, hw__cpu_policy="dedicated", hw__cpu_thread_policy="isolate",
                 hw__emulator_threads_policy="isolate")  # fmt: skip


def test_a_policy_about_hosts_is_a_flavor_with_its_extra_specs():
    document = THREE_TIERS | {"isolation": {"policies": {"own": PINNED}}}
    assert "hw:cpu_thread_policy=isolate" in said(document)["isolation.policies.own"]
    flavors = [*FACTS["flavors"], SPECIAL]
    assert said(document, flavors=flavors) == {}
    graph = translate(request(document, flavors=flavors))
    wanted = FlavorRequirements.model_validate(graph.node("machines/db/server").inputs["requirements"])
    assert smallest(flavors, wanted)["name"] == "pinned"
    assert "extra_specs" not in graph.node("machines/app/server").inputs["requirements"]


def test_a_named_flavor_must_have_them_too():
    database = THREE_TIERS["machines"]["db"] | {"size": {"openstack": "small"}}
    document = THREE_TIERS | {
        "machines": THREE_TIERS["machines"] | {"db": database},
        "isolation": {"policies": {"own": PINNED}},
    }
    reason = said(document, flavors=[*FACTS["flavors"], SPECIAL])["isolation.policies.own"]
    assert "the flavor 'small' does not have" in reason


@pytest.mark.parametrize(
    "policy",
    [
        {"kind": "dedicated_cpus", "emulator": True, "numa": True, "smt": "require"},
        {"kind": "memory_encryption", "technology": "sev-es"},
        {"kind": "memory_encryption"},
        {"kind": "secure_boot", "vtpm": True},
    ],
)
def test_nova_knows_all_extra_specs_that_policies_ask_for(policy):
    document = {"machines": {"one": {"image": "micro", "memory": "64MiB"}}, "version": 1}
    isolation = {"policies": {"special": policy | {"machines": ["machine.*"]}}}
    stack = Stack.model_validate(document | {"isolation": isolation})
    asked = specs(stack.isolation.policies["special"])
    assert asked
    assert list(problems(asked)) == []


def test_a_flavor_with_extra_specs_that_nova_ignores_is_told_and_taken():
    slip = flavor("slip", 4, 4096, 20, hw__hide_hypervisor_id="true", hw__cpu_thread_policy="isolate")
    hidden = {"kind": "hide_hypervisor", "machines": ["machine.db"], "nested": True}
    document = THREE_TIERS | {"isolation": {"policies": {"unseen": hidden}}}
    flavors = [*FACTS["flavors"], slip]
    assert "does nothing without 'hw:cpu_policy'" in said(document, flavors=flavors)["machines.db"]
    inputs = translate(request(document, flavors=flavors)).node("machines/db/server").inputs
    assert inputs["requirements"]["extra_specs"] == {"hw:hide_hypervisor_id": "true"}


@pytest.mark.parametrize(
    ("written", "pages", "fits"),
    [("large", "large", True), ("2048", "large", True), ("4", "large", False), ("small", "large", False)],
)
def test_any_page_that_is_larger_than_usual_is_a_huge_one(written, pages, fits):
    wanted = FlavorRequirements(extra_specs={"hw:mem_page_size": pages})
    assert (smallest([flavor("one", 1, 512, 1, hw__mem_page_size=written)], wanted) is not None) is fits


def test_all_disks_of_a_sealed_machine_are_volumes_that_encrypt():
    sealed = {"kind": "disk_encryption", "machines": ["machine.db"]}
    machines = THREE_TIERS["machines"] | {"db": THREE_TIERS["machines"]["db"] | {"disks": {"data": {"size": "1GiB"}}}}
    document = THREE_TIERS | {"isolation": {"policies": {"sealed": sealed}}, "machines": machines}
    graph = translate(request(document, encrypted_types=["luks", "fast"]))
    disk = graph.node("machines/db/disk-data").inputs
    assert (disk["volume_type"], disk["encrypted"]) == ("fast", True)
    server = graph.node("machines/db/server").inputs
    assert server["root_volume"] == {"volume_type": "fast"}
    assert (server["root_size_gib"], server["root_encrypted"]) == (1, True)
    assert "root_volume" not in graph.node("machines/app/server").inputs
    machines["db"]["disks"]["data"]["type"] = "slow"
    assert (
        "of the type 'slow', which does not encrypt"
        in (said(document | {"machines": machines}, encrypted_types=["luks"])["isolation.policies.sealed"])
    )


def test_types_that_are_configured_to_encrypt_and_do_not_are_named():
    sealed = {"kind": "disk_encryption", "machines": ["machine.db"]}
    document = THREE_TIERS | {"isolation": {"policies": {"sealed": sealed}}}
    told = said(document, encrypted_types=["fast"], refuted_types=["luks"])
    assert "encryptedVolumeTypes' names luks" in told["isolation.policies.sealed"]
    assert said(document, encrypted_types=["fast"], refuted_types=[]) == {}


def test_what_denies_is_taken_out_of_what_is_allowed():
    policies = {
        "world": {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "allow": ["tcp/8000-8010"]},
        "not-that": {"kind": "traffic", "from": ["outside"], "to": ["machine.*"], "deny": ["tcp/8005"], "order": 1},
    }
    graph = translate(request(THREE_TIERS | {"isolation": {"policies": policies}}))
    ports = {
        (node.inputs["port_range_min"], node.inputs["port_range_max"])
        for node in graph.nodes
        if node.type is SecurityGroupRule
    }
    assert ports == {(8000, 8004), (8006, 8010)}


def test_groups_are_called_as_their_peers_and_kept_when_policies_go(graph):
    fewer = {name: one for name, one in THREE_TIERS["isolation"]["policies"].items() if name != "world-to-web"}
    names = [
        {node.name for node in found.nodes if node.type is SecurityGroup}
        for found in (graph, translate(request(THREE_TIERS | {"isolation": {"policies": fewer}})))
    ]
    assert names[0] == names[1] == {"groups/machine.web", "groups/machine.app", "groups/machine.db"}


def test_the_smallest_plain_flavor_is_taken():
    special = flavor("pinned", 1, 512, 1, hw__cpu_policy="dedicated")
    flavors = [special, flavor("large", 8, 8192, 80), flavor("small", 2, 2048, 20)]
    assert smallest(flavors, FlavorRequirements(cpus=1, memory_mib=512))["name"] == "small"
    wanted = FlavorRequirements(extra_specs={"hw:cpu_policy": "dedicated"})
    assert smallest(flavors, wanted)["name"] == "pinned"
    assert smallest(flavors, FlavorRequirements(cpus=16)) is None
    assert smallest(flavors, FlavorRequirements(name="large"))["cpus"] == 8
