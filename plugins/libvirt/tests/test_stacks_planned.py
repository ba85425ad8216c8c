"""The stacks of this repository are planned: on a host that lacks nothing and on one that lacks much, and proven."""

from pathlib import Path

import pytest
from provision_libvirt.provider import LibvirtProvider
from stack_requests import FACTS

from provision.diagnostics import DiagnosticSink
from provision.loader import load
from provision.models import Level
from provision.spi import Capabilities, Verdict
from provision.translate import Scope, negotiate
from provision.verify.proof import prove_planned

STACKS = sorted((Path(__file__).parents[3] / "stacks").glob("*/stack.yaml"))
POOR = {
    "accelerator": "qemu",
    "host_cpus": 1,
    "topology": [{"id": 0, "memory_mib": 8192, "huge_pages": {}, "cpus": [{"id": 0, "siblings": "0"}]}],
    "cgroup_version": 1,
    "shaping_missing": "htb",
    "may_lock_memory": False,
    "huge_pages_mounted": False,
    "security_models": ["dac"],
    "secure_boot": False,
    "tpm_backends": [],
}
EVERYWHERE = {
    "own-cores", "own-corner", "nobody-else", "huge-pages", "locked-memory", "encrypted-memory", "sealed-off",
    "signed-boot", "unseen",
}  # fmt: skip


def test_there_are_stacks():
    assert [file.parent.name for file in STACKS][:4] == ["01-hello", "02-web", "03-isolation", "04-cloud-init"]


@pytest.mark.parametrize("lacks", [{}, POOR], ids=["rich", "poor"])
@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.parent.name)
def test_each_is_planned_and_its_filters_say_what_it_says(file, lacks):
    loaded = load(file.parent)
    assert loaded.diagnostics == ()
    capabilities = Capabilities("libvirt", FACTS | {"accelerator": "kvm"} | lacks)
    proof = prove_planned(loaded, LibvirtProvider(), capabilities, Scope("p", "dev", str(file.parent)), {})
    assert proof.holds, [*map(str, proof.differences), *proof.unmodelled]


def downgraded(lacks):
    loaded = load(next(file.parent for file in STACKS if file.parent.name == "03-isolation"))
    capabilities = Capabilities("libvirt", FACTS | {"accelerator": "kvm"} | lacks)
    decisions = negotiate(loaded.stack, LibvirtProvider(), capabilities, DiagnosticSink(loaded.source_map))
    preferred = {n for n, p in loaded.stack.isolation.policies.items() if p.level is Level.PREFERRED}
    assert preferred == EVERYWHERE
    return {name for name, decision in decisions.items() if decision.verdict is Verdict.DOWNGRADE}


def test_a_poor_host_goes_without_all_that_is_preferred_and_a_rich_one_with_nearly_all():
    assert downgraded(POOR) == EVERYWHERE
    assert downgraded({"sole_use": True}) == {"encrypted-memory", "signed-boot"}
