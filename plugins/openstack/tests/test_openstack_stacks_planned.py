"""The stacks of this repository on OpenStack: planned and proven, or refused with the reasons, before any call."""

from pathlib import Path

import pytest
from cloud_requests import flavor
from openstack_stacks import CLOUD, TOLD
from provision_openstack.provider import OpenStackProvider

from provision.diagnostics import DiagnosticSink, Severity
from provision.errors import PolicyRefused
from provision.loader import load
from provision.models import Level
from provision.spi import Capabilities, Verdict
from provision.translate import Scope, negotiate
from provision.verify.proof import prove_planned
from provision.verify.proof.planned import planned
from provision.verify.selftest.score import score

STACKS = Path(__file__).parents[3] / "stacks"
PROVIDER = OpenStackProvider()
NEVER = {"apart", "unshared-memory", "sandboxed"}
"""Required policies of `03-isolation` that no user of a cloud can carry out."""

PREFERRED = {"own-corner", "nobody-else", "locked-memory", "sealed-off", "unseen"}
"""Preferred ones of which the same is true."""

BY_HARDWARE = {"own-cores", "huge-pages", "encrypted-memory", "signed-boot"}
"""Preferred ones for which a cloud needs flavors."""

_VAULT = {
    "hw__cpu_policy": "dedicated",
    "hw__mem_page_size": "2048",
    "hw__mem_encryption": "True",
}
GENEROUS = Capabilities(
    "openstack",
    {
        **TOLD.facts,
        "flavors": [
            *TOLD.facts["flavors"],
            flavor("guarded", 2, 1024, 0, **_VAULT),
            flavor("signed", 2, 1024, 1, os__secure_boot="required", hw__tpm_version="2.0"),
        ],
        "images": [
            {"id": "m", "name": "micro", "created": "2026", "size": 1, "min_disk_gib": 0,
             "properties": {"hw_firmware_type": "uefi"}}
        ],
    },
)  # fmt: skip
"""A cloud that has what the stack prefers, whose operators told where its hosts are."""


def part_of(name, cloud):
    directory = STACKS / name
    scope = Scope("p", "dev", str(directory))
    (part,) = planned(load(directory, platform="openstack"), PROVIDER, cloud, scope, {})
    return part


@pytest.mark.parametrize("name", ["01-hello", "02-web"])
def test_a_stack_is_planned_and_its_groups_say_what_it_says(name):
    proof = part_of(name, CLOUD).prove()
    assert proof.holds, [*map(str, proof.differences), *proof.unmodelled]


def test_every_break_that_opens_something_would_be_noticed():
    found = score(part_of("02-web", CLOUD), 400)
    assert found.total > 300
    assert found.missed == ()


def test_required_policies_that_nobody_can_carry_out_there_are_refused_with_reasons():
    stack = load(STACKS / "03-isolation", platform="openstack").stack
    with pytest.raises(PolicyRefused) as refused:
        negotiate(stack, PROVIDER, CLOUD, DiagnosticSink())
    errors = [one for one in refused.value.diagnostics if one.severity is Severity.ERROR]
    said = {str(one.path[2]): one.summary for one in errors if one.path[0] == "isolation"}
    assert set(said) == NEVER | {"hands-off"}
    assert "do not stop address resolution" in said["apart"]
    assert "whether hosts merge equal pages" in said["unshared-memory"]
    assert "'world-to-gate' lets 'gate' and addresses beyond the stack meet" in said["hands-off"]
    shares = {one.path[2:]: one.summary for one in errors if one.path[0] == "sharing"}
    assert "no flavor that fits has what 'batch' needs for it: quota:cpu_period=100000" in shares["background",]
    assert all(one.fix for one in errors)


@pytest.mark.parametrize(
    ("cloud", "gone"), [(TOLD, PREFERRED | BY_HARDWARE), (GENEROUS, PREFERRED)], ids=["plain", "generous"]
)
def test_without_them_the_rest_is_enforced_or_downgraded_and_proven(tmp_path, cloud, gone):
    (tmp_path / "stack.yaml").write_text((STACKS / "03-isolation" / "stack.yaml").read_text())
    nothing = "".join(f"    {name}: null\n" for name in sorted(NEVER))
    (tmp_path / "stack.openstack.yaml").write_text(f"isolation:\n  policies:\n{nothing}sharing: null\n")
    found = load(tmp_path, overlay="openstack", platform="openstack")
    sink = DiagnosticSink()
    decisions = negotiate(found.stack, PROVIDER, cloud, sink)
    downgraded = {name for name, one in decisions.items() if one.verdict is Verdict.DOWNGRADE}
    assert downgraded == gone
    assert all(found.stack.isolation.policies[name].level is Level.PREFERRED for name in downgraded)
    assert {str(one.path[2]) for one in sink if one.path[:2] == ("isolation", "policies")} == gone
    scope = Scope("p", "dev", str(tmp_path))
    proof = prove_planned(found, PROVIDER, cloud, scope, {})
    assert proof.holds, [*map(str, proof.differences), *proof.unmodelled]
