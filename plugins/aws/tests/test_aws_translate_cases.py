"""What stacks become on EC2: native resources for networks, groups and machines; what is refused, with which words."""

import base64
import gzip
import random

import pytest
from aws_planning import planned, refused

from provision.spi import Output

NETWORKS = "{front: {cidr: 10.20.1.0/24, internet: routed}, back: {cidr: 10.20.2.0/24, internet: nat}}"


def rules(nodes):
    """Every rule in words: group, way, service, peer."""
    said = set()
    for name, node in nodes.items():
        given = node.inputs
        if node.type.token != "ec2:SecurityGroupRule":
            continue
        ports = f"/{given['from_port']}-{given['to_port']}" if "from_port" in given else ""
        keys = ("referenced_security_group_id", "cidr_ipv4", "cidr_ipv6", "prefix_list_id")
        peer = next(given[key] for key in keys if key in given)
        peer = peer.node.removeprefix("groups/") if isinstance(peer, Output) else peer
        said.add(f"{name.split('/')[1]} {given['direction']} {given['ip_protocol']}{ports} {peer}")
    return said


def machine(name="web", network="front", more=""):
    return f"{name}: {{image: micro, memory: 1GiB, nics: [{{network: {network}}}]{more}}}"


def stack(machines, policies="{}", networks=NETWORKS, isolation=""):
    said = f"policies: {policies}" + (f", {isolation}" if isolation else "")
    return f"networks: {networks}\nmachines: {{{', '.join(machines)}}}\nisolation: {{{said}}}\n"


def test_each_peer_is_a_group_and_machines_are_referred_to():
    policies = """{
      world: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443]},
      inside: {kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432, icmp/8]}}"""
    nodes = planned(stack([machine(), machine("db", "back")], policies))
    assert rules(nodes) == {
        "machine.web ingress tcp/443-443 0.0.0.0/0",
        "machine.web egress tcp/5432-5432 machine.db",
        "machine.web egress icmp/8--1 machine.db",
        "machine.db ingress tcp/5432-5432 machine.web",
        "machine.db ingress icmp/8--1 machine.web",
    }
    assert nodes["machines/web/nic-0"].inputs["security_group_ids"] == [Output("groups/machine.web", "id")]


def test_a_machine_that_no_policy_speaks_of_has_a_group_without_rules():
    nodes = planned(stack([machine()]))
    assert rules(nodes) == set()
    assert nodes["machines/web/nic-0"].inputs["security_group_ids"] == [Output("groups/closed", "id")]


def test_rules_of_others_are_taken_away_where_the_configuration_says_so():
    policies = "{world: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443]}}"
    for facts, exclusive in (({}, False), ({"exclusive_groups": True}, True)):
        nodes = planned(stack([machine(), machine("db")], policies), **facts)
        said = {node.inputs["exclusive"] for node in nodes.values() if node.type.token == "ec2:SecurityGroup"}
        assert said == {exclusive}


def test_a_denial_is_taken_out_of_what_is_allowed():
    policies = """{
      world: {kind: traffic, from: [203.0.113.0/24], to: [machine.web], allow: [tcp/8000-8010]},
      not-that: {kind: traffic, from: [outside], to: [machine.web], deny: [tcp/8005], order: 1}}"""
    assert rules(planned(stack([machine()], policies))) == {
        "machine.web ingress tcp/8000-8004 203.0.113.0/24",
        "machine.web ingress tcp/8006-8010 203.0.113.0/24",
    }


def test_where_others_may_go_beyond_the_stack_its_own_ranges_are_left_out():
    policies = """{
      in: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443]},
      out: {kind: traffic, from: [machine.db], to: [outside], allow: [tcp/443]}}"""
    six = "{front: {cidr: 10.20.1.0/24, cidr6: 'fd00::/64', internet: routed}}"
    nodes = planned(stack([machine(), machine("db")], policies, six))
    said = rules(nodes)
    assert {one for one in said if one.startswith("machine.db")} == {
        "machine.db egress tcp/443-443 0.0.0.0/0",
        "machine.db egress tcp/443-443 ::/0",
    }
    lists = {name: node.inputs for name, node in nodes.items() if node.type.token == "ec2:PrefixList"}
    assert {one.split()[-1] for one in said if one.startswith("machine.web")} == set(lists)
    four, beyond = sorted(lists.values(), key=lambda one: one["address_family"])
    assert "10.20.0.0/24" in [entry["cidr"] for entry in four["entries"]]
    assert "10.20.1.0/24" not in [entry["cidr"] for entry in four["entries"]]
    assert beyond["entries"] == [{"cidr": "::/0"}]
    assert beyond["left_out"] == [Output("vpc", "ipv6_cidr_block")]
    assert beyond["max_entries"] == 57


def test_groups_are_taken_apart_and_rules_divided_where_quotas_want_it():
    labels = [machine(f"m{index}", more=", labels: {a: x, b: x, c: x, d: x, e: x}") for index in range(2)]
    policies = [
        f"p{key}: {{kind: traffic, from: [label.{key}=x], to: [label.{key}=x], allow: [tcp/{port}]}}"
        for port, key in enumerate("abcde", 1)
    ]
    wide = planned(stack(labels, "{" + ", ".join(policies) + "}"))
    assert len(wide["machines/m0/nic-0"].inputs["security_group_ids"]) == 5
    tight = planned(
        stack(labels, "{" + ", ".join(policies) + "}"), limits={"groups_per_interface": 2, "rules_per_group": 8}
    )
    assert len(tight["machines/m0/nic-0"].inputs["security_group_ids"]) == 2
    (said, *_) = refused(
        stack(labels, "{" + ", ".join(policies) + "}"), limits={"groups_per_interface": 1, "rules_per_group": 4}
    )
    assert "would need 3 security groups, and the account allows 1: machine.m0 (20 rules)" in said


def test_networks_become_subnets_with_ways_out():
    nodes = planned(stack([machine("db", "back")]))
    assert nodes["vpc"].inputs["cidr_block"] == "10.20.0.0/16"
    assert nodes["vpc"].inputs["secondary_cidr_blocks"] == ["100.64.0.0/24"]
    assert nodes["networks/front/default4"].inputs["gateway_id"] == Output("internet-gateway", "id")
    assert nodes["networks/back/default4"].inputs["nat_gateway_id"] == Output("nat/us-east-2a/gateway", "id")
    assert nodes["vpc"].inputs["enable_dns_support"] is False


def test_a_network_is_divided_over_zones_and_a_machine_is_where_its_address_is():
    networks = "{n: {cidr: 10.20.1.0/24, overrides: {aws: {availability_zones: [us-east-2a, us-east-2c]}}}}"
    machines = "{image: micro, memory: 1GiB, nics: [{network: n, address: 10.20.1.200}], disks: {d: {size: 1GiB}}}"
    nodes = planned(stack([f"web: {machines}"], networks=networks))
    assert nodes["networks/n/subnet-us-east-2c"].inputs["cidr_block"] == "10.20.1.128/25"
    assert nodes["machines/web/nic-0"].inputs["subnet_id"] == Output("networks/n/subnet-us-east-2c", "id")
    assert nodes["machines/web/disk-d"].inputs["availability_zone"] == "us-east-2c"


@pytest.mark.parametrize(("size", "packed"), [(100, False), (40_000, True)])
def test_user_data_is_compressed_when_it_is_too_long(size, packed):
    text = "#!/bin/sh\n" + "# " + "x" * size + "\n"
    more = f", user_data: {text!r}".replace("'", '"')
    nodes = planned(stack([machine(more=more)], isolation="services: {metadata: true}"))
    data = base64.b64decode(nodes["machines/web/instance"].inputs["user_data_base64"])
    assert (data[:2] == b"\x1f\x8b") is packed
    assert (gzip.decompress(data) if packed else data).decode() == text


def test_user_data_that_is_too_long_even_when_compressed_is_refused():
    dense = random.Random(1).randbytes(20_000).hex()
    (said,) = refused(stack([machine(more=f', user_data: "#{dense}"')], isolation="services: {metadata: true}"))
    assert (
        "the user data of machine 'web' is more than the 16384 bytes that EC2 takes, though it was compressed" in said
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (stack([machine(more=", ssh_keys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA']")]), "it is closed"),
        (stack(["web: {image: micro, memory: 1GiB}"]), "no machine without a network card"),
        (stack([machine()], networks="{front: {cidr: 10.20.1.0/30}}"), "no range that a subnet can have: /16 to /28"),
        (stack([machine()], networks="{front: {cidr6: 'fd00::/64'}}"), "every subnet of EC2 has a range of IPv4"),
        (stack([machine()], networks="{front: {cidr: 10.1.0.0/24, cidr6: '2001:db8::/64'}}"), "not for you to choose"),
        (
            stack([machine()], networks="{front: {cidr: 10.1.0.0/24}, x: {cidr: 192.168.1.0/24}}"),
            "one VPC has no ranges of both",
        ),
        (
            stack([machine()], "{p: {kind: traffic, from: [outside], to: [machine.*], allow: [tcp/1], revoke: cut}}"),
            "EC2 tracks connections",
        ),
        (
            stack([machine()], "{p: {kind: traffic, from: [host], to: [machine.web], allow: [tcp/1]}}"),
            "hosts of EC2 have no address",
        ),
        (stack([machine(more=", count: 9")], "{p: {kind: spread, machines: [machine.*]}}"), "at most 7 machines apart"),
        (
            stack([machine(more=", count: 2")], "{p: {kind: spread, over: zone, machines: [machine.*]}}"),
            "of those that the policy selects there are 2 in us-east-2a",
        ),
        (
            stack([machine(more=", size: {aws: t3.small}")], "{p: {kind: dedicated_cpus, machines: [machine.*]}}"),
            "share cores by credits",
        ),
        (
            stack([machine()], "{p: {kind: secure_boot, machines: [machine.*]}}"),
            "no image of the account that starts by UEFI alone",
        ),
        (stack([machine(more=", overrides: {aws: {tenancy: host}}")]), "tenancy: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(text, words):
    assert any(words in one for one in refused(text)), refused(text)


def test_policies_become_options_of_the_machine():
    policies = """{
      cores: {kind: dedicated_cpus, machines: [machine.web], smt: isolate},
      alone: {kind: single_tenancy, machines: [machine.web]},
      token: {kind: metadata, machines: [machine.web], access: token, hop_limit: 3},
      apart: {kind: spread, machines: [machine.web]},
      sealed: {kind: disk_encryption, machines: [machine.web], key: alias/own},
      secret: {kind: memory_encryption, machines: [machine.web]}}"""
    made = planned(stack([machine()], policies, isolation="services: {metadata: true}"))["machines/web/instance"].inputs
    assert made["cpu_options"] == {"threads_per_core": 1, "amd_sev_snp": "enabled"}
    assert made["placement"] == {
        "tenancy": "dedicated",
        "group_name": Output("isolation/apart/placement", "group_name"),
    }
    assert made["metadata_options"]["http_put_response_hop_limit"] == 3
    assert made["root_disk"] == {"encrypted": True, "kms_key_id": "alias/own"}
    assert made["requirements"]["burstable"] is False
    assert made["requirements"]["amd_sev_snp"] is True


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8J0T5nQeYbK8XyzvW5pF0u1q2w3e4r5t6y7u8i9o0p ops@example.org"


def test_a_key_pair_is_made_where_the_file_asks_for_one_and_shared_by_all_with_the_key():
    more = f", count: 2, ssh_keys: ['{KEY}'], overrides: {{aws: {{key_pair: true}}}}"
    nodes = planned(stack([machine(more=more)], isolation="services: {metadata: true}"))
    (pair,) = [node for node in nodes.values() if node.type.token == "ec2:KeyPair"]
    assert pair.inputs["public_key"] == KEY.rpartition(" ")[0]
    assert pair.inputs["key_name"].startswith("shop-dev-key-")
    for name in ("web-0", "web-1"):
        assert nodes[f"machines/{name}/instance"].inputs["key_name"] == Output(pair.name, "key_name")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (", overrides: {aws: {key_pair: true}}", "a key pair is one key, and the machine has 0"),
        (f", ssh_keys: ['{KEY}'], overrides: {{aws: {{key_pair: true, key_name: ops}}}}", "a machine has one key pair"),
    ],
)
def test_a_key_pair_is_of_one_key(more, reason):
    said = refused(stack([machine(more=more)], isolation="services: {metadata: true}"))
    assert any(reason in one for one in said), said


def test_networks_without_the_internet_reach_amazons_services_by_endpoints():
    networks = (
        "{back: {cidr: 10.20.2.0/24, overrides: {aws: {endpoints: [s3, ssm]}}}, "
        "more: {cidr: 10.20.3.0/24, overrides: {aws: {endpoints: [s3], availability_zones: [us-east-2a, us-east-2b]}}}}"
    )
    nodes = planned(stack([machine(network="back")], networks=networks, isolation="services: {dns: true}"))
    storage, systems = nodes["endpoints/s3"].inputs, nodes["endpoints/ssm"].inputs
    assert storage["service_name"] == "com.amazonaws.us-east-2.s3"
    assert storage["endpoint_type"] == "Gateway"
    assert storage["route_table_ids"] == [
        Output("networks/back/routes", "id"),
        Output("networks/more/routes-us-east-2a", "id"),
        Output("networks/more/routes-us-east-2b", "id"),
    ]
    assert systems["endpoint_type"] == "Interface"
    assert systems["private_dns_enabled"]
    assert systems["subnet_ids"] == [Output("endpoints/us-east-2a/subnet", "id")]
    assert systems["security_group_ids"] == [Output("endpoints/group", "id")]
    assert nodes["endpoints/us-east-2a/subnet"].inputs["cidr_block"] == "100.64.1.0/28"
    assert rules(nodes) >= {"group ingress tcp/443-443 10.20.2.0/24"}
    assert nodes["vpc"].inputs["secondary_cidr_blocks"] == ["100.64.1.0/24"]
    assert nodes["vpc"].inputs["enable_dns_hostnames"]


def test_endpoints_with_names_need_the_name_server():
    networks = "{back: {cidr: 10.20.2.0/24, overrides: {aws: {endpoints: [ssm]}}}}"
    said = refused(stack([machine(network="back")], networks=networks))
    assert any("find endpoints other than s3 and dynamodb by the VPC's name server" in one for one in said), said


HOST = ", size: {aws: m5.large}, overrides: {aws: {dedicated_host: {machines: 2}}}"
ALONE = "{alone: {kind: single_tenancy, machines: [machine.*]}}"


def test_machines_are_put_onto_hosts_of_the_stacks_own():
    nodes = planned(stack([machine(more=f"{HOST}, count: 3")], ALONE))
    hosts = {name: node.inputs for name, node in nodes.items() if node.type.token == "ec2:DedicatedHost"}
    assert sorted(hosts) == ["hosts/web-us-east-2a-0", "hosts/web-us-east-2a-1"]
    assert {one["instance_family"] for one in hosts.values()} == {"m5"}
    placed = [nodes[f"machines/web-{index}/instance"].inputs["placement"] for index in range(3)]
    assert [one["host_id"].node[-1] for one in placed] == ["0", "0", "1"]
    assert {one["tenancy"] for one in placed} == {"host"}


@pytest.mark.parametrize(
    ("more", "policies", "reason"),
    [
        (HOST, "{}", "a host of its own is a matter of isolation, and no policy asks for it"),
        (HOST.replace("size: {aws: m5.large}, ", ""), ALONE, "a host is for one family of types, which must be known"),
        (HOST, ALONE[:-1] + ", apart: {kind: spread, machines: [machine.*]}}", "into no placement groups"),
    ],
)
def test_dedicated_hosts_are_refused_where_they_mean_nothing(more, policies, reason):
    said = refused(stack([machine(more=more)], policies))
    assert any(reason in one for one in said), said


def test_the_type_is_looked_for_again_where_the_file_says_so():
    nodes = planned(stack([machine(more=", overrides: {aws: {refresh_type: true}}")]))
    assert nodes["machines/web/instance"].inputs["choose_type_anew"]


def test_labels_are_tags_of_subnets_and_disks_too():
    nodes = planned(
        stack(
            [machine(network="back", more=", labels: {tier: web}, disks: {data: {size: 8GiB}}")],
            networks="{back: {cidr: 10.20.2.0/24, labels: {side: inner}, overrides: {aws: {tags: {cost: a}}}}}",
        )
    )
    assert nodes["networks/back/subnet"].inputs["tags"] == {"side": "inner", "cost": "a"}
    for part in ("nic-0", "instance", "disk-data"):
        assert nodes[f"machines/web/{part}"].inputs["tags"] == {"tier": "web"}
    wrong = "{back: {cidr: 10.20.2.0/24, labels: {'aws:x': inner}}}"
    assert any("they become tags of EC2" in one for one in refused(stack([machine(network="back")], networks=wrong)))
