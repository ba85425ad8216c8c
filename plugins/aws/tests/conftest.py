"""An emulated EC2 for all tests of a module; each begins with nothing on it."""

import pytest
from botocore.client import BaseClient
from botocore.stub import Stubber
from http_faults import Between
from provision_aws import emulator
from provision_aws.config import AwsConfig
from provision_aws.iam import allowed, policy
from provision_aws.provider import AwsProvider
from provision_aws.session import Session

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


@pytest.fixture
def session(monkeypatch):
    """A session of its own, which asks nobody by itself."""
    for name, value in emulator.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Session, "_identified", lambda self: "123456789012")
    made = Session(AwsConfig(region=emulator.REGION))
    yield made
    made.close()


@pytest.fixture
def ec2(session):
    """What it asks of EC2, and what is answered, each held against botocore's own model of the service."""
    with Stubber(session.client()) as stubber:
        yield stubber


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
