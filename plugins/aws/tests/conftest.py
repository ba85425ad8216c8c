"""An emulated EC2 for all tests of a module; each begins with nothing on it."""

import pytest
from botocore.client import BaseClient
from http_faults import Between
from provision_aws import emulator
from provision_aws.iam import allowed, policy
from provision_aws.provider import AwsProvider

PREFIXES = {"service-quotas": "servicequotas"}
FREE = {"sts:GetCallerIdentity"}  # needs no permission


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with emulator.running(tmp_path_factory.mktemp("ec2")) as url:
        yield url


@pytest.fixture
def between(server, monkeypatch):
    for name, value in emulator.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    emulator.reset(server)
    with Between(server) as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def permitted():
    """Whatever the plugin asks of AWS in any of these tests, in its order; the policy that it prints allows it."""
    asked, usual = [], BaseClient._make_api_call

    def recorded(client, operation, parameters):
        if "provision-aws" in (client.meta.config.user_agent_extra or ""):
            service = client.meta.service_model.service_name
            asked.append(f"{PREFIXES.get(service, service)}:{operation}")
        return usual(client, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", recorded)
        yield asked
    assert set(asked) - FREE <= allowed(policy(AwsProvider.resource_types)), "an action is missing from the policy"
