"""Each refusal of EC2 becomes the class of error that says whose fault it is and what to do."""

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError
from provision_aws import emulator
from provision_aws.config import AwsConfig
from provision_aws.errors import explain, explained
from provision_aws.ownership import Owner, urn_value
from provision_aws.session import Session

from provision.errors import (
    EnvironmentProblem,
    NotFound,
    PlatformError,
    RetriableError,
    Throttled,
    UserError,
)


def refusal(code, status=400, text="no", **headers):
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code, "Message": text}, "ResponseMetadata": metadata}, "RunInstances")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RequestLimitExceeded", 503, Throttled),
        ("InternalError", 500, RetriableError),
        ("DependencyViolation", 400, RetriableError),
        ("InsufficientInstanceCapacity", 500, PlatformError),
        ("VcpuLimitExceeded", 400, PlatformError),
        ("UnauthorizedOperation", 403, EnvironmentProblem),
        ("ExpiredToken", 400, EnvironmentProblem),
        ("InvalidVpcID.NotFound", 400, NotFound),
        ("InvalidParameterValue", 400, UserError),
        ("SomethingNew", 400, PlatformError),
    ],
)
def test_a_code_has_one_class_and_a_fix(code, status, kind):
    found = explain("making it", refusal(code, status))

    assert type(found) is kind
    assert found.fix


@pytest.mark.parametrize(
    ("operation", "action"), [("RunInstances", "ec2:RunInstances"), ("GetParameter", "ssm:GetParameter")]
)
def test_a_missing_permission_is_told_as_iam_calls_it_with_the_reason(operation, action):
    text = "You are not authorized, with an explicit deny in a policy. Encoded authorization failure message: AbCd=="
    answer = {"Error": {"Code": "UnauthorizedOperation", "Message": text}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    found = explain("making it", ClientError(answer, operation))

    assert found.summary == (
        f"making it: not permitted (UnauthorizedOperation for {operation}): You are not authorized, with an explicit "
        "deny in a policy."
    )
    assert found.fix.startswith(f"allow {action} in the IAM policy of who runs this")


def test_what_ec2_asks_to_wait_is_waited():
    found = explain("making it", refusal("RequestLimitExceeded", 503, **{"retry-after": "7"}))

    assert isinstance(found, Throttled)
    assert found.retry_after == 7


def test_an_id_that_was_made_a_moment_ago_is_not_gone_but_not_known_everywhere_yet():
    refused = refusal("InvalidSubnetID.NotFound", text="The subnet ID 'subnet-1' does not exist")

    assert isinstance(explain("making it", refused, ["subnet-1"]), RetriableError)
    assert isinstance(explain("making it", refused, ["subnet-2"]), NotFound)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(NoCredentialsError(), EnvironmentProblem), (ReadTimeoutError(endpoint_url="x"), RetriableError)],
)
def test_what_botocore_raises_by_itself_is_told_too(error, kind):
    with pytest.raises(kind), explained("making it"):
        raise error


def test_a_long_urn_fits_a_tag_and_stays_unmistakable():
    long, other = "urn:" + "x" * 300, "urn:" + "x" * 299 + "y"

    assert len(urn_value(long)) == 256
    assert urn_value(long) != urn_value(other)
    tags = [{"Key": key, "Value": value} for key, value in Owner("s", long).tags().items()]
    assert Owner("s", long).made({"Tags": tags})
    assert not Owner("s", other).made({"Tags": tags})
    assert not Owner("t", long).made({"Tags": tags})


def test_a_region_that_nobody_knows_is_doubted(monkeypatch):
    refused = ReadTimeoutError(endpoint_url="https://sts.eu-centrl-1.amazonaws.com")
    monkeypatch.setattr(BaseClient, "_make_api_call", lambda *call: (_ for _ in ()).throw(refused))
    for name, value in emulator.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    for region, doubt in (("eu-centrl-1", "did you mean eu-central-1?"), ("eu-central-1", "check that the region")):
        with pytest.raises(EnvironmentProblem, match=f"at the region {region}: the connection to AWS broke") as caught:
            Session(AwsConfig(region=region))
        assert doubt in caught.value.fix
        assert ("no region" in caught.value.fix) is (region == "eu-centrl-1")
