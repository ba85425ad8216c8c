"""What a translation says of policies that no packet rule carries is read back, and each break of it is noticed."""

from dataclasses import replace

import pytest
from cloud_requests import flavor
from openstack_stacks import CLOUD
from provision_openstack.provider import OpenStackProvider

from provision.loader import load
from provision.spi import CanReadSettings, Capabilities, ResourceGraph, SettingsRequest
from provision.translate import Scope
from provision.verify.proof.planned import planned
from provision.verify.selftest.score import score

STACK = """
version: 1
platform: openstack
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
    sealed: {kind: disk_encryption, machines: [machine.*]}
    cores: {kind: dedicated_cpus, machines: [machine.*], smt: isolate, numa: true, emulator: true}
    pages: {kind: memory, machines: [machine.*], huge_pages: true, locked: true}
    hidden: {kind: memory_encryption, machines: [machine.*], technology: sev}
    signed: {kind: secure_boot, machines: [machine.*], vtpm: true}
    unseen: {kind: hide_hypervisor, machines: [machine.*], nested: true}
    closed: {kind: metadata, machines: [machine.*]}
    apart: {kind: spread, machines: [machine.*]}
sharing:
  shares:
    slow: {machines: [machine.*], cpu: {cap: 1.5}, nic: {inbound: 10Mbit/s, outbound: 5Mbit/s}}
"""
SPECS = {
    "hw:cpu_policy": "dedicated",
    "hw:cpu_thread_policy": "isolate",
    "hw:emulator_threads_policy": "isolate",
    "hw:numa_nodes": "1",
    "hw:mem_page_size": "large",
    "hw:locked_memory": "true",
    "hw:mem_encryption": "true",
    "hw:mem_encryption_model": "amd-sev",
    "os:secure_boot": "required",
    "hw:tpm_version": "2.0",
    "hw:hide_hypervisor_id": "true",
    "quota:cpu_period": "100000",
    "quota:cpu_quota": "75000",
}
SERVER, PORT, DISK = "machines/db-0/server", "machines/db-0/nic-0/port", "machines/db-0/disk-data"


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    directory = tmp_path_factory.mktemp("settings")
    (directory / "stack.yaml").write_text(STACK)
    special = flavor("special", 2, 2048, 0, **{key.replace(":", "__"): value for key, value in SPECS.items()})
    image = {"id": "m", "name": "micro", "created": "2026", "size": 1, "min_disk_gib": 0}
    facts = {"flavors": [special], "images": [image | {"properties": {"hw_firmware_type": "uefi"}}]}
    provider = OpenStackProvider()
    assert isinstance(provider, CanReadSettings)
    cloud = Capabilities("openstack", {**CLOUD.facts, **facts})
    (found,) = planned(load(directory), provider, cloud, Scope("p", "s", str(directory)), {})
    return found


def said(part, graph=None):
    """By policy, whether the graph says what it asks for of the first machine."""
    asked = {**part.stack.isolation.policies, **part.stack.sharing.shares}
    members = tuple(("db-0", "db-1") for _ in asked)
    request = SettingsRequest(graph or part.graph, part.capabilities, "db-0", tuple(asked.values()), members)
    answers = OpenStackProvider().read_settings(request)
    return {name: [one.holds for one in answer] for name, answer in zip(asked, answers, strict=True)}


def changed(part, name, **inputs):
    """The graph with other inputs of one node."""
    nodes = [replace(one, inputs={**one.inputs, **inputs}) if one.name == name else one for one in part.graph.nodes]
    return ResourceGraph(part.graph.components, tuple(nodes))


def test_the_flavor_must_have_all_that_is_asked(part):
    assert part.graph.node(SERVER).inputs["requirements"]["extra_specs"] == SPECS


def test_what_is_translated_says_all_that_is_asked(part):
    assert {name: set(holds) for name, holds in said(part).items()} == {name: {True} for name in said(part)}


@pytest.mark.parametrize(
    ("policy", "node", "inputs"),
    [
        ("own", PORT, {"port_security_enabled": False}),
        ("own", PORT, {"allowed_address_pairs": [{"ip_address": "0.0.0.0/0"}]}),
        ("sealed", DISK, {"volume_type": None}),
        ("sealed", SERVER, {"root_volume": None}),
        ("sealed", SERVER, {"root_volume": {"volume_type": "__DEFAULT__"}}),
        ("closed", SERVER, {"config_drive": False}),
        ("apart", SERVER, {"server_group_id": None}),
        ("apart", "isolation/apart/server-group", {"policy": "soft-anti-affinity"}),
        ("slow", "sharing/slow", {"bandwidth_limits": []}),
        *(
            (policy, SERVER, {"requirements": {"cpus": 2, "extra_specs": {**SPECS, name: value}}})
            for policy, name, value in [
                ("cores", "hw:cpu_policy", "shared"),
                ("cores", "hw:cpu_thread_policy", "prefer"),
                ("pages", "hw:mem_page_size", "4"),
                ("pages", "hw:locked_memory", "no"),
                ("hidden", "hw:mem_encryption", "false"),
                ("hidden", "hw:mem_encryption_model", "amd-sev-es"),
                ("signed", "os:secure_boot", "optional"),
                ("unseen", "hw:hide_hypervisor_id", "0"),
                ("slow", "quota:cpu_quota", "-1"),
            ]
        ),
    ],
)
def test_a_break_is_told_of_its_policy_alone(part, policy, node, inputs):
    found = said(part, changed(part, node, **inputs))
    assert [name for name, holds in found.items() if False in holds] == [policy]


def test_every_break_of_a_setting_would_be_noticed(part):
    found = score(part, 600)
    assert found.by_layer["settings"] >= 49
    assert found.missed == ()
