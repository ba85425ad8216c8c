"""A cloud for the tests of a process, and a project of each module's own."""

import pytest
from openstack_lab.fixtures import cloud, project
from provision_openstack.config import OpenStackConfig
from provision_openstack.session import Session

__all__ = ["cloud", "project"]


@pytest.fixture
def in_project(project, monkeypatch):
    """The module's project, as the one that the environment names."""
    monkeypatch.delenv("OS_CLOUD", raising=False)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project


@pytest.fixture
def session(in_project):
    """A session in the module's project."""
    made = Session(OpenStackConfig())
    yield made
    made.close()
