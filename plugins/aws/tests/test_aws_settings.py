"""What a translation says of policies that no packet rule carries is read back, and each break of it is noticed."""

from dataclasses import replace

import pytest
from provision_aws.provider import AwsProvider

from provision.loader import load
from provision.spi import CanReadSettings, ResourceGraph, SettingsRequest
from provision.translate import Scope
from provision.verify.proof.planned import planned

STACK = """
version: 1
platform: aws
networks: {front: {cidr: 10.20.1.0/24}}
machines:
  db:
    image: micro
    cpus: 2
    memory: 1GiB
    count: 2
    disks: {data: {size: 8GiB, keep_on_delete: false}}
    nics: [{network: front}]
isolation:
  policies:
    own: {kind: anti_spoofing, machines: [machine.*]}
    sealed: {kind: disk_encryption, machines: [machine.*], key: alias/disks}
    alone: {kind: single_tenancy, machines: [machine.*]}
    cores: {kind: dedicated_cpus, machines: [machine.*], smt: isolate}
    hidden: {kind: memory_encryption, machines: [machine.*]}
    closed: {kind: metadata, machines: [machine.*]}
    apart: {kind: spread, machines: [machine.*]}
    zone: {kind: pack, over: zone, machines: [machine.*]}
"""
MACHINE, NIC = "machines/db-0/instance", "machines/db-0/nic-0"


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    directory = tmp_path_factory.mktemp("settings")
    (directory / "stack.yaml").write_text(STACK)
    provider = AwsProvider()
    assert isinstance(provider, CanReadSettings)
    (found,) = planned(load(directory), provider, provider.best_capabilities(), Scope("p", "s", str(directory)), {})
    return found


def said(part, graph=None):
    """By policy, whether the graph says what it asks for of the first machine."""
    policies = part.stack.isolation.policies
    members = tuple(("db-0", "db-1") for _ in policies)
    request = SettingsRequest(graph or part.graph, part.capabilities, "db-0", tuple(policies.values()), members)
    answers = AwsProvider().read_settings(request)
    return {name: [one.holds for one in answer] for name, answer in zip(policies, answers, strict=True)}


def test_what_is_translated_says_all_that_is_asked(part):
    found = {name: set(holds) for name, holds in said(part).items()}

    assert found == {name: {True} for name in part.stack.isolation.policies}


@pytest.mark.parametrize(
    ("policy", "node", "inputs"),
    [
        ("own", NIC, {"source_dest_check": False}),
        ("sealed", MACHINE, {"root_disk": {"encrypted": False, "kms_key_id": "alias/disks"}}),
        ("sealed", MACHINE, {"root_disk": {"encrypted": True}}),
        ("sealed", "machines/db-0/disk-data", {"encrypted": False}),
        ("sealed", "machines/db-0/disk-data", {"kms_key_id": "alias/other"}),
        ("alone", MACHINE, {"placement": {"tenancy": "default"}}),
        ("cores", MACHINE, {"cpu_options": {"amd_sev_snp": "enabled"}}),
        ("cores", MACHINE, {"requirements": {"burstable": True}}),
        ("cores", MACHINE, {"instance_type": "t3.small"}),
        ("hidden", MACHINE, {"cpu_options": {"threads_per_core": 1}}),
        ("closed", MACHINE, {"metadata_options": {}}),
        ("apart", MACHINE, {"placement": {"tenancy": "dedicated"}}),
        ("apart", "isolation/apart/placement", {"strategy": "cluster"}),
        ("zone", NIC, {"subnet_id": "subnet-1"}),
    ],
)
def test_what_is_broken_is_noticed_and_nothing_else(part, policy, node, inputs):
    nodes = tuple(
        replace(one, inputs={**one.inputs, **inputs}) if one.name == node else one for one in part.graph.nodes
    )

    found = said(part, ResourceGraph(part.graph.components, nodes))

    assert nodes != part.graph.nodes
    wrong = {name for name, holds in found.items() if not all(holds)}
    assert policy in wrong
    assert wrong <= {policy, "alone", "apart"} if node == MACHINE else wrong == {policy}
