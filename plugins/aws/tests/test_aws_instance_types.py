"""A type that nobody named is the smallest of EC2's own catalogue that has what is asked for."""

import pytest
from provision_aws.config import AwsConfig
from provision_aws.instance_types import choose
from provision_aws.resources.instance_model import InstanceRequirements
from provision_aws.session import Session

from provision.errors import UserError

pytestmark = pytest.mark.lab


@pytest.fixture
def session(between):
    made = Session(AwsConfig.model_validate(between.config))
    yield made
    made.close()


def test_what_is_asked_for_is_had_and_asked_once(session, between):
    small = choose(session, InstanceRequirements(cpus=2, memory_mib=1024))
    own = choose(session, InstanceRequirements(cpus=2, memory_mib=1024, burstable=False))
    encrypted = choose(session, InstanceRequirements(cpus=2, memory_mib=1024, amd_sev_snp=True))
    arm = choose(session, InstanceRequirements(cpus=2, memory_mib=1024, architecture="arm64"))

    assert small.startswith(("t2.", "t3.", "t3a."))
    told = {one["InstanceType"]: one for one in session.client().describe_instance_types()["InstanceTypes"]}
    assert told[own]["BurstablePerformanceSupported"] is False
    assert "amd-sev-snp" in told[encrypted]["ProcessorInfo"]["SupportedFeatures"]
    assert told[arm]["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]
    assert between.calls["DescribeInstanceTypes"] == 2  # one of them is the test's own


def test_what_no_type_has_is_refused_with_the_closest(session):
    with pytest.raises(UserError, match=r"comes closest and lacks enough memory"):
        choose(session, InstanceRequirements(cpus=2, memory_mib=10**9))
