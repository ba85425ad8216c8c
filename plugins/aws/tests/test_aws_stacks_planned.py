"""The stacks of this repository on EC2: planned and proven, or refused with the reasons, before any call."""

from pathlib import Path

import pytest
from provision_aws.provider import AwsProvider

from provision.diagnostics import DiagnosticSink, Severity
from provision.errors import PolicyRefused, StackFileError
from provision.loader import load
from provision.models import Level
from provision.spi import Verdict
from provision.translate import Scope, negotiate
from provision.verify.proof import prove_planned

STACKS = Path(__file__).parents[3] / "stacks"
PROVIDER = AwsProvider()
GONE = {"side-by-side", "unshared-memory", "sandboxed"}
"""Required policies of `03-isolation` that EC2 cannot carry out."""


def loaded(name, overlay=None):
    return load(STACKS / name, overlay=overlay, platform="aws")


def reasons(error):
    errors = [one for one in error.diagnostics if one.severity is Severity.ERROR]
    return {str(one.path[2]): one.summary for one in errors if one.path[:2] == ("isolation", "policies")}


@pytest.mark.parametrize("name", ["01-hello", "02-web"])
def test_a_stack_is_planned_and_its_groups_say_what_it_says(name):
    scope = Scope("p", "dev", str(STACKS / name))
    proof = prove_planned(loaded(name), PROVIDER, PROVIDER.best_capabilities(), scope, {})
    assert proof.holds, [*map(str, proof.differences), *proof.unmodelled]


def test_required_policies_that_nobody_can_carry_out_there_are_refused_with_reasons():
    stack = loaded("03-isolation").stack
    with pytest.raises(PolicyRefused) as refused:
        negotiate(stack, PROVIDER, PROVIDER.best_capabilities(), DiagnosticSink())
    said = reasons(refused.value)
    assert set(said) == GONE
    assert "EC2 does not place machines on one host" in said["side-by-side"]
    assert "neither set nor seen" in said["unshared-memory"]


def test_without_them_the_rest_is_enforced_or_downgraded_and_proven(tmp_path):
    text = (STACKS / "03-isolation" / "stack.yaml").read_text()
    (tmp_path / "stack.yaml").write_text(text)
    nothing = "".join(f"    {name}: null\n" for name in sorted(GONE))
    (tmp_path / "stack.aws.yaml").write_text(f"isolation:\n  policies:\n{nothing}sharing: null\n")
    found = load(tmp_path, overlay="aws", platform="aws")
    decisions = negotiate(found.stack, PROVIDER, PROVIDER.best_capabilities(), DiagnosticSink())
    downgraded = {name for name, one in decisions.items() if one.verdict is Verdict.DOWNGRADE}
    assert downgraded == {"own-corner", "huge-pages", "locked-memory", "sealed-off", "signed-boot", "unseen"}
    assert all(found.stack.isolation.policies[name].level is Level.PREFERRED for name in downgraded)
    scope = Scope("p", "dev", str(tmp_path))
    proof = prove_planned(found, PROVIDER, PROVIDER.best_capabilities(), scope, {})
    assert proof.holds, [*map(str, proof.differences), *proof.unmodelled]


def test_user_data_needs_the_metadata_service():
    with pytest.raises(StackFileError) as refused:
        negotiate(loaded("04-cloud-init").stack, PROVIDER, PROVIDER.best_capabilities(), DiagnosticSink())
    assert any("metadata service, and it is closed" in one.summary for one in refused.value.diagnostics)
