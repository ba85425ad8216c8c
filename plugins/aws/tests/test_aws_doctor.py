"""`provision doctor` tells what the credentials may do, and does none of it."""

import os

import pytest
from http_faults import Fault
from provision_aws.config import AwsConfig
from provision_aws.doctor import diagnose

pytestmark = pytest.mark.lab


def _config(between):
    return AwsConfig.model_validate(between.config)


def test_account_region_and_permissions_are_told(between):
    found = {finding.subject: finding for finding in diagnose(_config(between))}

    assert (found["account"].ok, found["account"].detail) == (True, "123456789012 in eu-central-1")
    assert found["permission to see machines"].ok is True


def test_a_permission_that_is_missing_is_told_with_the_action(between):
    between.arm("DescribeInstances", Fault.DENIED)

    found = {finding.subject: finding for finding in diagnose(_config(between))}

    assert found["permission to see machines"].ok is False
    assert "ec2:DescribeInstances" in found["permission to see machines"].fix


def test_an_account_that_may_not_be_worked_in_is_told(between):
    config = _config(between).model_copy(update={"account_ids": ["000000000000"]})

    assert [finding.ok for finding in diagnose(config)] == [False]


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
