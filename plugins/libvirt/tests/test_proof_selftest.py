"""The self-test of the proof on packet filters: what an edit of a rule or a setting breaks is noticed."""

from dataclasses import replace

import pytest
from provision_libvirt import readers
from provision_libvirt.translate import translate
from stack_requests import addresses, request

from provision.spi import Change, ResourceGraph
from provision.verify.evidence import OF_PACKETS
from provision.verify.proof import Part, Way
from provision.verify.selftest import mutants, score
from provision.verify.selftest.score import Bench, Fate, Layer
from provision.verify.settings import read_settings

TWO = {
    "version": 1,
    "platform": "libvirt",
    "networks": {"lan": {"cidr": "10.9.0.0/24"}},
    "machines": {
        name: {"image": "micro", "memory": "96MiB", "nics": [{"network": "lan"}]} for name in ("web", "db", "other")
    },
    "isolation": {
        "policies": {
            "store": {"kind": "traffic", "from": ["machine.web"], "to": ["machine.db"], "allow": ["tcp/5432", "udp/53"]}
        }
    },
}


def part() -> Part:
    asked = request(TWO)
    return Part(asked.stack, addresses(asked.stack), translate(asked), asked.capabilities, readers)


def test_every_break_that_opens_or_closes_something_is_noticed():
    found = score(part(), most=100_000)

    assert found.tried == found.possible > 300
    assert found.missed == ()
    assert found.caught > 2 * (len(found.narrower) + len(found.beyond))


def test_fewer_breaks_are_spread_over_all_of_them():
    found = score(part(), most=40)

    assert found.tried == 40
    assert found.possible > 300


GUARDED = {
    **TWO,
    "machines": {
        name: {
            "image": "micro",
            "memory": "96MiB",
            "nics": [{"network": "lan"}],
            "disks": {"data": {"size": "16MiB", "keep_on_delete": False}},
        }
        for name in ("web", "db")
    },
    "isolation": {
        "policies": {
            "cores": {"kind": "dedicated_cpus", "machines": ["machine.db"], "emulator": True},
            "memory": {"kind": "memory", "machines": ["machine.db"], "locked": True, "huge_pages": True},
            "disks": {"kind": "disk_encryption", "machines": ["machine.*"]},
            "confined": {"kind": "confinement", "machines": ["machine.db"]},
            "hidden": {"kind": "hide_hypervisor", "machines": ["machine.db"]},
            "apart": {"kind": "peer_isolation", "machines": ["machine.*"]},
        }
    },
    "sharing": {
        "shares": {
            "less": {
                "machines": ["machine.web"],
                "cpu": {"weight": 50, "cap": 0.5},
                "disk": {"iops": 100, "throughput": "1MiB/s"},
                "memory": {"page_sharing": False},
            }
        }
    },
}


HANDS_OFF = {"kind": "no_host_access", "machines": ["machine.*"]}


def test_every_setting_that_a_policy_or_share_asks_for_is_noticed_when_it_is_broken():
    asked = request(GUARDED, accelerator="kvm")
    whole = Part(asked.stack, addresses(asked.stack), translate(asked), asked.capabilities, readers)
    said = read_settings([whole], OF_PACKETS)
    assert said.wrong == ()
    assert {name for name, item in said.policies.items() if item.holds} == set(GUARDED["isolation"]["policies"])
    assert said.shares["less"].holds

    bench = Bench(whole)
    settings = [mutant for mutant in mutants(whole.graph) if mutant.setting]
    fates = {str(mutant): bench.fate(mutant) for mutant in settings}
    assert [text for text, fate in fates.items() if fate is Fate.MISSED] == []
    assert {text for text, fate in fates.items() if fate is Fate.BEYOND} <= {
        str(mutant) for mutant in settings if mutant.choice
    }
    noticed = [text for text, fate in fates.items() if fate is Layer.SETTINGS]
    of_policies = (
        "vcpu_pins emulator_pin locked huge_page_kib secret encrypted confinement hide_hypervisor nested isolated"
    )
    for field in [*of_policies.split(), "cpu_shares", "cpu_quota_us", "disk_iops", "share_pages"]:
        assert any(f".{field}" in text for text in noticed), field


@pytest.mark.parametrize(("policies", "fate"), [({"hands-off": HANDS_OFF}, Layer.SETTINGS), ({}, Fate.WITHOUT_EFFECT)])
def test_closing_further_addresses_of_the_host_counts_where_a_policy_asks_for_it(policies, fate):
    stack = {**TWO, "networks": {"lan": {"cidr": "10.9.0.0/24", "internet": "routed"}}}
    asked = request({**stack, "isolation": {"policies": policies}})
    whole = Part(asked.stack, addresses(asked.stack), translate(asked), asked.capabilities, readers)
    said = read_settings([whole], OF_PACKETS)
    assert said.wrong == ()
    assert {name: item.holds for name, item in said.policies.items()} == dict.fromkeys(policies, True)

    bench = Bench(whole)
    breaks = [mutant for mutant in mutants(whole.graph) if mutant.path[0] == "host_addresses"]
    assert {bench.fate(mutant) for mutant in breaks} == {fate}
    assert any(mutant.path == ("host_addresses",) for mutant in breaks)  # all of it taken away: no chains at all
    assert {mutant.change for mutant in breaks} == {Change.IN_PLACE}  # so that the live self-test may do it


@pytest.mark.parametrize(
    ("element", "change", "way"),
    [
        ("arp", {"attributes": {"srcmacaddr": "$MAC", "arpsrcmacaddr": "$MAC"}}, Way.CLAIM),
        ("arp", {"action": "drop"}, Way.GAP),
        ("ip", {"attributes": {"srcipaddr": "10.9.0.10"}}, Way.FORGERY),
        ("ip", {"direction": "in", "priority": 100, "attributes": {}}, Way.OVERHEARD),
    ],
)
def test_what_a_nic_may_claim_send_and_overhear_is_part_of_the_proof(element, change, way):
    whole = part()
    node = next(node for node in whole.graph.nodes if node.name == "machines/web/nic-0/filter")
    index = next(index for index, rule in enumerate(node.inputs["rules"]) if rule["protocol"] == element)
    rules = [*node.inputs["rules"]]
    rules[index] = {**rules[index], **change}
    nodes = tuple(
        replace(one, inputs={**one.inputs, "rules": rules}) if one.name == node.name else one
        for one in whole.graph.nodes
    )
    assert whole.prove().holds
    assert way in {item.way for item in whole.having(ResourceGraph((), nodes)).prove().differences}
