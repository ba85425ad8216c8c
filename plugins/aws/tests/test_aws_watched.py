"""Native calls of boto3, as whoever watches a run is told of them."""

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from provision_aws.session import _watched

from provision.spi.calls import calls_for, watch_calls


def test_every_call_is_told_with_ec2s_own_code_those_of_pages_too():
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-central-1"}
    client = _watched("ec2", boto3.client("ec2", **keys))
    told = []
    watch_calls(lambda *call: told.append(call))
    try:
        with Stubber(client) as stub, calls_for("urn:1"):
            stub.add_response("describe_vpcs", {"Vpcs": [], "NextToken": "more"})
            stub.add_response("describe_vpcs", {"Vpcs": []})
            stub.add_client_error("create_vpc", "VpcLimitExceeded")
            assert len(list(client.get_paginator("describe_vpcs").paginate())) == 2
            with pytest.raises(ClientError):
                client.create_vpc(CidrBlock="10.0.0.0/16")
    finally:
        watch_calls(None)
    assert [(name, urn, failure) for name, urn, _, _, failure in told] == [
        ("ec2.DescribeVpcs", "urn:1", ""),
        ("ec2.DescribeVpcs", "urn:1", ""),
        ("ec2.CreateVpc", "urn:1", "VpcLimitExceeded"),
    ]
    assert "10.0.0.0" not in repr(told)
