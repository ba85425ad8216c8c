"""Native calls of boto3: told of to whoever watches a run, and never more than some at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from provision_aws.session import taking_turns

from provision.spi.calls import calls_for, watch_calls

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-central-1"}


def test_every_call_is_told_with_ec2s_own_code_those_of_pages_too():
    client = taking_turns("ec2", boto3.client("ec2", **KEYS), threading.Semaphore())
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


def test_no_more_calls_than_turns_at_a_time_and_one_that_fails_gives_its_turn_away():
    client = boto3.client("ec2", **KEYS)
    lock, full, now, most, done = threading.Lock(), threading.Event(), 0, 0, 0

    def answered(operation, parameters):
        nonlocal now, most, done
        with lock:
            now, most = now + 1, max(most, now + 1)
            if now == 3:
                full.set()
        assert full.wait(60)  # until as many as may are under way
        with lock:
            now, done = now - 1, done + 1
        if parameters["fails"]:
            raise LookupError

    client._make_api_call = answered
    taking_turns("ec2", client, threading.Semaphore(3))
    with ThreadPoolExecutor(12) as pool:
        made = [pool.submit(client._make_api_call, "DescribeVpcs", {"fails": number % 2}) for number in range(60)]
        failed = [one for one in made if one.exception(60)]

    assert (most, done, len(failed)) == (3, 60, 30)
