"""The plugin keeps the promises of the interface on EC2's wire protocol, whatever goes wrong with any call to it."""

from fnmatch import fnmatchcase

import pytest
from provision_aws.conformance import AwsConformance

pytestmark = pytest.mark.lab

_IN_FULL = ("ec2:Vpc-", "ec2:SecurityGroup-", "ec2:Route-", "ec2:Instance-")
"""One type for each way of doing things: the others share their code, and go through what differs by their calls."""

_SHARED = (
    *("*-lost-before", "*-throttled", "*-time-out", "error-text", "read-*", "list-error"),
    *("update-lost-after", "*-cancelled", "update-killed", "delete-killed"),
)


def _is_worth_its_time(name):
    if name.startswith(_IN_FULL) or ":" not in name:
        return True
    _, _, check = name.partition("-")
    return not any(fnmatchcase(check, pattern) for pattern in _SHARED)


class TestConformance(AwsConformance):
    """Each check is a test; `provision plugin check aws` makes all of them for all types."""

    @classmethod
    def cases(cls):
        return [case for case in super().cases() if _is_worth_its_time(case.name)]
