"""A type that nobody named is the smallest of EC2's own catalogue that has what is asked for."""

import asyncio

import pytest
from provision_aws import images, instance_types
from provision_aws.config import AwsConfig
from provision_aws.instance_types import choose
from provision_aws.provider import AwsProvider
from provision_aws.session import Session
from provision_aws.wanted import InstanceRequirements

from provision.errors import UserError
from provision.testing import Lifecycle

pytestmark = pytest.mark.lab


@pytest.fixture
def session(between):
    made = Session(AwsConfig.model_validate(between.config))
    yield made
    made.close()


def test_what_is_asked_for_is_had_and_asked_once(session, between):
    small, why = choose(session, InstanceRequirements(cpus=2, memory_mib=1024))
    own, _ = choose(session, InstanceRequirements(cpus=2, memory_mib=1024, burstable=False))
    encrypted, _ = choose(session, InstanceRequirements(cpus=2, memory_mib=1024, amd_sev_snp=True))
    arm, _ = choose(session, InstanceRequirements(cpus=2, memory_mib=1024, architecture="arm64"))
    single, _ = choose(session, InstanceRequirements(cpus=2, memory_mib=1024, threads_per_core=1, nitro=True))

    assert why.startswith(f"{small} (2 CPUs, ")
    assert small.startswith(("t2.", "t3.", "t3a."))
    told = {one["InstanceType"]: one for one in session.client().describe_instance_types()["InstanceTypes"]}
    assert told[own]["BurstablePerformanceSupported"] is False
    assert "amd-sev-snp" in told[encrypted]["ProcessorInfo"]["SupportedFeatures"]
    assert told[arm]["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]
    assert told[single]["Hypervisor"] == "nitro"
    assert 1 in told[single]["VCpuInfo"]["ValidThreadsPerCore"]
    assert told[single]["VCpuInfo"]["DefaultCores"] >= 2
    assert between.calls["DescribeInstanceTypes"] == 4  # by architecture and hypervisor; one is the test's own


def test_what_no_type_has_is_refused_with_the_closest(session):
    with pytest.raises(UserError, match=r"comes closest and lacks enough memory"):
        choose(session, InstanceRequirements(cpus=2, memory_mib=10**9))


FIRST = {"instanceType": "m5.large", "typeReason": "it was there first", "imageId": "ami-0123456789abcdef0"}
LATER = {"instanceType": "m6a.large", "typeReason": "it is newer", "imageId": "ami-0fedcba9876543210"}
WANTED = {
    "stackId": "ab" * 16,
    "nics": [{"subnetId": "subnet-1", "securityGroupIds": ["sg-1"]}],
    "requirements": {"cpus": 2, "memoryMib": 4096},
    "image": {"ssmParameter": "/app/image"},
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, FIRST),
        ({"detailedMonitoring": True}, FIRST),
        ({"chooseTypeAnew": True}, LATER | {"imageId": FIRST["imageId"]}),
        ({"chooseImageAnew": True}, FIRST | {"imageId": LATER["imageId"]}),
        ({"requirements": {"cpus": 4, "memoryMib": 4096}}, LATER | {"imageId": FIRST["imageId"]}),
        ({"image": {"ssmParameter": "/app/other"}}, FIRST | {"imageId": LATER["imageId"]}),
        ({"instanceType": "c5.large"}, FIRST | {"instanceType": "c5.large", "typeReason": "c5.large is named"}),
    ],
    ids=["same", "other-change", "type-anew", "image-anew", "other-size", "other-image", "named"],
)
def test_what_was_found_stays_whatever_there_is_later_while_the_same_is_asked_for(between, monkeypatch, more, expected):
    def there(found):
        monkeypatch.setattr(instance_types, "choose", lambda *asked: (found["instanceType"], found["typeReason"]))
        monkeypatch.setattr(images, "find", lambda *asked: found["imageId"])

    async def work():
        async with Lifecycle(AwsProvider, between.config) as lifecycle:
            there(FIRST)
            before = await lifecycle.check("ec2:Instance", WANTED)
            there(LATER)
            return before, await lifecycle.check("ec2:Instance", WANTED | more, before)

    before, after = asyncio.run(work())

    assert {name: before[name] for name in FIRST} == FIRST
    assert {name: after[name] for name in FIRST} == expected
