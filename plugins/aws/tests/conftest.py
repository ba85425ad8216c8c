"""An emulated EC2 for all tests of a module; each begins with nothing on it."""

import pytest
from http_faults import Between
from provision_aws import emulator


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
