"""What goes wrong on the way to EC2 or in it: nothing is made twice or lost, and a person learns what to do."""

import asyncio
import time

import boto3
import pytest
from http_faults import Fault
from provision_aws import emulator, session
from provision_aws.config import AwsConfig
from provision_aws.provider import AwsProvider
from provision_aws.reading import Reader

from provision.errors import EnvironmentProblem
from provision.testing import Lifecycle, OperationFailed

pytestmark = pytest.mark.lab

VPC = {"stackId": "a" * 32, "name": "front", "cidrBlock": "10.20.0.0/16"}


def run(work):
    return asyncio.run(asyncio.wait_for(work, 500))


async def _make(lifecycle, token, inputs, name="it"):
    return await lifecycle.create(token, await lifecycle.check(token, inputs, name=name), name=name)


async def _vpc(between):
    async with Lifecycle(AwsProvider, between.config) as lifecycle:
        return await _make(lifecycle, "ec2:Vpc", VPC)


async def _surroundings(lifecycle):
    """What machines need: a subnet and a group."""
    vpc = await _make(lifecycle, "ec2:Vpc", VPC)
    wanted = {
        "stackId": VPC["stackId"],
        "vpcId": vpc.id,
        "cidrBlock": "10.20.0.0/20",
        "availabilityZone": f"{emulator.REGION}a",
    }
    subnet = await _make(lifecycle, "ec2:Subnet", wanted)
    group = await _make(
        lifecycle, "ec2:SecurityGroup", {"stackId": VPC["stackId"], "vpcId": vpc.id, "groupName": "web"}
    )
    return subnet.id, group.id


def _machine(subnet, group, name="web"):
    return {
        "stackId": VPC["stackId"],
        "name": name,
        "imageId": "ami-0123456789abcdef0",
        "instanceType": "t3.micro",
        "nics": [{"subnetId": subnet, "securityGroupIds": [group]}],
    }


def _by_hand(between):
    return boto3.client("ec2", region_name=emulator.REGION, endpoint_url=between.target)


def _ours(between):
    vpcs = _by_hand(between).describe_vpcs(Filters=[{"Name": "tag:provision:stack", "Values": [VPC["stackId"]]}])
    return [vpc["VpcId"] for vpc in vpcs["Vpcs"]]


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.SERVER_ERROR, Fault.CUT_BEFORE, Fault.CUT_AFTER])
def test_what_passes_is_tried_again_and_makes_one_object(between, fault):
    between.arm("CreateVpc", fault)

    made = run(_vpc(between))

    assert _ours(between) == [made.id]


def test_a_lost_answer_is_found_again_instead_of_making_another(between):
    between.arm("CreateVpc", Fault.CUT_AFTER)

    run(_vpc(between))

    assert between.calls["CreateVpc"] == 1


@pytest.mark.parametrize(
    ("action", "fault", "again"),
    [
        ("CreateVpc", Fault.SILENT_BEFORE, True),
        ("CreateVpc", Fault.SILENT_AFTER, False),
        ("DescribeVpcs", Fault.SILENT_BEFORE, False),
    ],
)
def test_what_is_not_answered_in_time_is_asked_or_looked_for_again(between, monkeypatch, action, fault, again):
    monkeypatch.setattr(session, "_READ_SECONDS", 3)
    between.arm(action, fault)

    made = run(_vpc(between))

    assert _ours(between) == [made.id]
    assert (between.calls["CreateVpc"] > 1) is again


def test_botocore_makes_no_retries_of_its_own(between):
    between.arm("CreateVpc", Fault.SERVER_ERROR, times=2)

    run(_vpc(between))

    assert between.calls["CreateVpc"] == 3


@pytest.mark.parametrize(
    ("fault", "code", "advice"),
    [
        (Fault.EXPIRED, "FAILED_PRECONDITION", "aws sso login"),
        (Fault.DENIED, "FAILED_PRECONDITION", "allow ec2:CreateVpc in the IAM policy"),
    ],
)
def test_what_does_not_pass_is_said_at_once_and_nothing_is_made(between, fault, code, advice):
    between.arm("CreateVpc", fault, times=99)

    with pytest.raises(OperationFailed) as failed:
        run(_vpc(between))

    assert (failed.value.code, between.calls["CreateVpc"]) == (code, 1)
    assert advice in failed.value.message
    assert _ours(between) == []


def test_expired_credentials_are_told_before_anything_is_asked(between):
    between.arm("GetCallerIdentity", Fault.EXPIRED)

    with pytest.raises(EnvironmentProblem, match="RequestExpired") as failed:
        session.Session(AwsConfig.model_validate(between.config))

    assert "aws sso login" in failed.value.fix


@pytest.mark.parametrize(
    ("fault", "advice"),
    [(Fault.NO_CAPACITY, "another instance type or zone"), (Fault.LIMIT, "higher quota")],
)
def test_a_machine_that_ec2_has_no_room_for_is_not_asked_for_again_and_again(between, fault, advice):
    between.arm("RunInstances", fault, times=99)

    async def work():
        async with Lifecycle(AwsProvider, between.config) as lifecycle:
            await _make(lifecycle, "ec2:Instance", _machine(*await _surroundings(lifecycle)))

    with pytest.raises(OperationFailed) as failed:
        run(work())

    assert advice in failed.value.message
    assert between.calls["RunInstances"] == 1


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.SILENT_AFTER])
def test_a_launch_whose_answer_was_lost_is_one_machine(between, monkeypatch, fault):
    monkeypatch.setattr(session, "_READ_SECONDS", 3)
    between.arm("RunInstances", fault)

    async def work():
        async with Lifecycle(AwsProvider, between.config) as lifecycle:
            return await _make(lifecycle, "ec2:Instance", _machine(*await _surroundings(lifecycle)))

    made = run(work())

    found = _by_hand(between).describe_instances()["Reservations"]
    assert [one["InstanceId"] for reservation in found for one in reservation["Instances"]] == [made.id]


def test_two_hundred_machines_at_once_cost_one_call_each_and_a_refresh_costs_pages(between):
    names = [f"web-{index}" for index in range(200)]
    looks, took = 0, 0.0

    async def work():
        nonlocal looks, took
        async with Lifecycle(AwsProvider, between.config) as lifecycle:
            subnet, group = await _surroundings(lifecycle)
            between.calls.clear()
            begun = time.monotonic()
            made = await asyncio.gather(
                *(_make(lifecycle, "ec2:Instance", _machine(subnet, group, name), name) for name in names)
            )
            took = time.monotonic() - begun
            assert between.calls["RunInstances"] == len(names)
            looks = between.calls["DescribeInstances"]
        async with Lifecycle(AwsProvider, between.config) as lifecycle:
            between.calls.clear()
            return [await lifecycle.read("ec2:Instance", one, name) for one, name in zip(made, names, strict=True)]

    seen = run(work())

    assert len({one.id for one in seen}) == len(names)
    # Waiting costs calls by time, however many wait; how long it takes is the machine's matter.
    assert looks <= 10 + took / Reader.first_wait_seconds, (looks, took)
    assert between.calls["DescribeInstances"] <= 5, between.calls
