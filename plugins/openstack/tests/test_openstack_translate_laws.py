"""Whatever a stack file says: it is refused with reasons, or the groups say exactly what it says."""

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openstack_stacks import CLOUD, TOLD, random_stack
from provision_openstack.provider import OpenStackProvider

from provision.errors import StackFileError
from provision.loader import load
from provision.spi import Capabilities
from provision.translate import Scope
from provision.verify.proof import prove_planned

PROVIDER = OpenStackProvider()
WITHOUT_SETS = Capabilities(
    "openstack", {**CLOUD.facts, "extensions": [one for one in CLOUD.facts["extensions"] if "address" not in one]}
)


def proof_of(stack, cloud=CLOUD):
    """The proof, None when the stack is refused."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "stack.yaml").write_text(yaml.dump(stack, sort_keys=False))
        try:
            return prove_planned(load(Path(directory)), PROVIDER, cloud, Scope("p", "dev", directory), {})
        except StackFileError as error:
            return None if all(one.summary for one in error.diagnostics) else error


@settings(max_examples=20, deadline=None, derandomize=True)
@example(199, CLOUD)
@given(st.integers(0, 10_000), st.sampled_from([CLOUD, TOLD, WITHOUT_SETS]))
def test_a_stack_is_refused_or_its_groups_say_what_it_says(seed, cloud):
    proof = proof_of(random_stack(seed), cloud)
    assert proof is None or proof.holds, [*map(str, proof.differences), *proof.unmodelled]


# Each is one that a simpler translation gets wrong.
@pytest.mark.parametrize(
    "policies",
    [
        {
            "in": {"kind": "traffic", "from": ["outside"], "to": ["machine.a"], "allow": ["tcp/443"]},
            "out": {"kind": "traffic", "from": ["machine.b"], "to": ["outside"], "allow": ["tcp/443"]},
        },
        {
            "in": {"kind": "traffic", "from": ["10.0.0.0/8"], "to": ["machine.a"], "allow": ["tcp/1-100"]},
            "not": {"kind": "traffic", "from": ["machine.b"], "to": ["machine.*"], "deny": ["tcp/50"], "order": 1},
        },
        {
            "wide": {"kind": "traffic", "from": ["10.0.0.0/8"], "to": ["10.0.0.0/8"], "allow": ["tcp"]},
            "not": {"kind": "traffic", "from": ["machine.b"], "to": ["machine.a"], "deny": ["any"], "order": 1},
        },
        {
            "out": {"kind": "traffic", "from": ["machine.*"], "to": ["outside"], "allow": ["tcp/80"]},
            "indoors": {"kind": "no_internet", "machines": ["machine.b"]},
        },
        {
            "near": {"kind": "traffic", "from": ["machine.*"], "to": ["10.20.1.0/24"], "allow": ["icmp", "udp/53"]},
            "hands-off": {"kind": "no_host_access", "machines": ["machine.b"]},
        },
        {
            "all": {"kind": "traffic", "from": ["machine.*"], "to": ["169.254.0.0/15"], "allow": ["tcp/80"]},
            "no-metadata": {"kind": "metadata", "machines": ["machine.*"]},
        },
        {
            "first": {"kind": "traffic", "from": ["machine.a"], "to": ["machine.b"], "allow": ["tcp/1-9"], "order": 1},
            "then": {"kind": "traffic", "from": ["machine.*"], "to": ["machine.*"], "deny": ["tcp"], "order": 2},
            "last": {
                "kind": "traffic",
                "from": ["machine.*"],
                "to": ["machine.*"],
                "allow": ["tcp", "udp"],
                "order": 3,
            },
        },
    ],
    ids=["both-beyond", "deny-out-of-a-prefix", "deny-of-any", "indoors", "no-hosts", "metadata", "order"],
)
@pytest.mark.parametrize("default", ["deny", "allow"])
def test_what_passes_is_what_the_file_says(policies, default):
    stack = {
        "version": 1,
        "platform": "openstack",
        "networks": {"n": {"cidr": "10.20.1.0/24", "cidr6": "fd00:20:1::/64", "internet": "routed"}},
        "machines": {
            "a": {"image": "micro", "memory": "512MiB", "nics": [{"network": "n"}]},
            "b": {"image": "micro", "memory": "512MiB", "count": 2, "nics": [{"network": "n"}]},
        },
        "isolation": {"policies": policies, "default": default},
    }
    proof = proof_of(stack)
    if default == "allow" and proof is None:  # what is left of everything without a service has no name
        assert any("deny" in policy for policy in policies.values())
        return
    assert proof is not None
    assert proof.holds, [*map(str, proof.differences), *proof.unmodelled]
