"""`provision doctor` tells what the credentials may do, and does none of it."""

import os

import pytest
from http_faults import Fault
from provision_aws import emulator
from provision_aws.config import AwsConfig
from provision_aws.conformance_hands import Account
from provision_aws.doctor import diagnose

from provision.spi import Finding

pytestmark = pytest.mark.lab

ASKED = (
    "see zones", "find images", "see machines", "see types of machines", "make VPCs", "make security groups",
    "make gateways", "take addresses", "make disks", "make key pairs", "make machines",
)  # fmt: skip


def _standing(between):
    """What was made; moto keeps the interface of a machine that it made by itself, and EC2 does not."""
    return [one for one in emulator.standing(between.target) if not one.startswith("enis ")]


def _config(between):
    return AwsConfig.model_validate(between.config)


def test_account_region_and_permissions_are_told_and_nothing_is_made(between):
    Account(between.target, emulator.REGION).ec2.describe_vpcs()  # what every account has is there from now on
    before = emulator.standing(between.target)

    found = {finding.subject: finding for finding in diagnose(_config(between))}

    assert (found["account"].ok, found["account"].detail) == (True, "123456789012 in eu-central-1")
    told = {subject: finding.ok for subject, finding in found.items() if subject != "account"}
    assert told == dict.fromkeys((f"permission to {what}" for what in ASKED), True)
    assert emulator.standing(between.target) == before


def test_a_permission_that_is_missing_is_told_with_the_action(between):
    between.arm("DescribeInstances", Fault.DENIED)

    found = {finding.subject: finding for finding in diagnose(_config(between))}

    assert found["permission to see machines"].ok is False
    assert "ec2:DescribeInstances" in found["permission to see machines"].fix


def test_an_account_that_may_not_be_worked_in_is_told(between):
    config = _config(between).model_copy(update={"account_ids": ["000000000000"]})

    assert [finding.ok for finding in diagnose(config)] == [False]


def test_what_a_service_makes_that_knows_no_dry_run_is_taken_back(between):
    Account(between.target, emulator.REGION).ec2.describe_vpcs()
    before = _standing(between)
    between.knows_dry_runs = False

    found = {finding.subject: finding for finding in diagnose(_config(between))}

    assert between.calls["CreateVpc"] == between.calls["RunInstances"] == between.calls["TerminateInstances"] == 1
    assert _standing(between) == before
    assert found["permission to make VPCs"] == Finding("permission to make VPCs", None, "EC2 does not tell")
    assert found["permission to make machines"].ok is None


@pytest.mark.parametrize(
    ("action", "fault", "ok"),
    [
        ("RunInstances", Fault.DENIED, False),
        ("RunInstances", Fault.EXPIRED, False),
        ("RunInstances", Fault.LIMIT, None),
    ],
)
def test_only_who_is_not_allowed_to_is_told_so(between, action, fault, ok):
    between.arm(action, fault)

    found = {finding.subject: finding for finding in diagnose(_config(between))}

    assert found["permission to make machines"].ok is ok
    assert found["permission to make machines"].fix
    assert found["permission to make disks"].ok is True


@pytest.mark.parametrize(
    ("variables", "ok"),
    [({}, None), ({"AWS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}, None), ({"AWS_PROFILE": "work"}, False)],
    ids=["unused", "of-the-machine", "used"],
)
def test_nobody_misses_an_account_who_has_set_up_none(monkeypatch, tmp_path, variables, ok):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert [finding.ok for finding in diagnose(AwsConfig())] == [ok]
