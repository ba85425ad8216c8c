"""Whatever a stack file says: it is refused with reasons, or the groups say exactly what it says."""

import tempfile
from pathlib import Path

import pytest
import yaml
from aws_stacks import random_stack
from hypothesis import given, settings
from hypothesis import strategies as st
from provision_aws.provider import AwsProvider

from provision.errors import StackFileError
from provision.loader import load
from provision.translate import Scope
from provision.verify.proof import prove_planned

PROVIDER = AwsProvider()


def proof_of(stack):
    """The proof, None when the stack is refused."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "stack.yaml").write_text(yaml.dump(stack, sort_keys=False))
        try:
            scope = Scope("p", "dev", directory)
            return prove_planned(load(Path(directory)), PROVIDER, PROVIDER.best_capabilities(), scope, {})
        except StackFileError as error:
            return None if all(one.summary for one in error.diagnostics) else error


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_a_stack_is_refused_or_its_groups_say_what_it_says(seed):
    proof = proof_of(random_stack(seed))
    assert proof is None or proof.holds, [*map(str, proof.differences), *proof.unmodelled]


# One of each that was once got wrong, or nearly.
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
            "in": {"kind": "traffic", "from": ["machine.*"], "to": ["machine.*"], "allow": ["tcp"]},
            "apart": {"kind": "peer_isolation", "machines": ["machine.b"]},
        },
        {
            "out": {"kind": "traffic", "from": ["machine.*"], "to": ["outside"], "allow": ["tcp/80"]},
            "indoors": {"kind": "no_internet", "machines": ["machine.b"]},
        },
        {"out": {"kind": "traffic", "from": ["machine.b"], "to": ["internet"], "allow": ["tcp/80"]}},
    ],
    ids=["both-beyond", "deny-out-of-a-prefix", "isolated-peers", "indoors", "internet"],
)
def test_wide_prefixes_let_nobody_of_the_stack_in(policies):
    stack = {
        "version": 1,
        "platform": "aws",
        "networks": {"n": {"cidr": "10.20.1.0/24", "cidr6": "fd00:20:1::/64", "internet": "routed"}},
        "machines": {
            "a": {"image": "micro", "memory": "1GiB", "nics": [{"network": "n"}]},
            "b": {"image": "micro", "memory": "1GiB", "count": 2, "nics": [{"network": "n"}]},
        },
        "isolation": {"policies": policies},
    }
    proof = proof_of(stack)
    assert proof is not None
    assert proof.holds, [*map(str, proof.differences), *proof.unmodelled]
