"""A type that nobody named is the smallest of EC2's own catalogue that has what is asked for."""

import pytest
from provision_aws.config import AwsConfig
from provision_aws.instance_types import choose
from provision_aws.session import Session
from provision_aws.wanted import InstanceRequirements

from provision.errors import UserError

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
