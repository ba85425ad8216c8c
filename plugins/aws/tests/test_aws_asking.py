"""Of the account is asked what the stack depends on, and nothing else."""

import pytest
import yaml
from provision_aws.capabilities import GROUPS_PER_INTERFACE, RULES_PER_GROUP, ask, ask_for
from provision_aws.config import AwsConfig
from provision_aws.session import Session

from provision.models import Stack

pytestmark = pytest.mark.lab

SMALL = """
version: 1
networks: {lan: {cidr: 10.20.1.0/24}}
machines: {web: {image: micro, memory: 1GiB, nics: [{network: lan}]}}
isolation: {policies: {in: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}}}
"""
USUAL = {"groups_per_interface": GROUPS_PER_INTERFACE, "rules_per_group": RULES_PER_GROUP}


@pytest.fixture
def asked(between):
    """What a stack file has asked, and what is told."""
    sessions = []

    def of(text):
        session = Session(AwsConfig.model_validate(between.config))
        sessions.append(session)
        between.calls.clear()
        told = ask_for(session, Stack.model_validate(yaml.safe_load(text)))
        return set(between.calls) - {""}, told.facts  # without a name: services that are not EC2's own protocol

    yield of
    for one in sessions:
        one.close()


def test_a_small_stack_needs_the_zones(asked, between):
    calls, facts = asked(SMALL)
    assert calls == {"DescribeAvailabilityZones"}
    assert facts["limits"] == USUAL
    assert between.calls.total() == 1


@pytest.mark.parametrize(
    ("old", "new", "call"),
    [
        ("{cidr: 10.20.1.0/24}", "{cidr: 10.20.1.0/24, internet: routed}", "DescribeVpcBlockPublicAccessOptions"),
        ("{policies: {", "{policies: {m: {kind: memory_encryption, machines: [machine.*]}, ", "DescribeInstanceTypes"),
        ("{policies: {", "{policies: {s: {kind: secure_boot, machines: [machine.*]}, ", "DescribeImages"),
    ],
)
def test_what_a_stack_speaks_of_is_asked(asked, old, new, call):
    calls, facts = asked(SMALL.replace(old, new))
    assert calls == {"DescribeAvailabilityZones", call}
    assert facts["limits"] == USUAL


def test_quotas_are_asked_once_a_stack_comes_near_them(asked, between):
    services = ", ".join(f"tcp/{port}" for port in range(1, RULES_PER_GROUP, 2))
    asked(SMALL.replace("tcp/80", services))
    assert between.calls[""] == 0
    more = ", ".join(f"tcp/{port}" for port in range(1, RULES_PER_GROUP + 4, 2))
    asked(SMALL.replace("tcp/80", more))
    assert between.calls[""] == 2


def test_for_documents_everything_is_asked(between):
    session = Session(AwsConfig.model_validate(between.config))
    assert set(ask(session).facts) >= {"zones", "limits", "block_public_access", "amd_sev_snp", "uefi_images"}
    session.close()
