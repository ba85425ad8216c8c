"""A private hypervisor for all tests of a module, and a bench on it that must be empty after each."""

import os

import pytest
from provision_libvirt import lab
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.resources import Pool
from provision_libvirt.resources.filter_list import all_filters
from provision_libvirt.session import Session
from resource_bench import POOL, Bench


@pytest.fixture(scope="module")
def hypervisor(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hv") / "lab"
    yield lab.start(directory, owner=os.getpid())
    lab.stop(directory)


@pytest.fixture(scope="module")
def session(hypervisor):
    made = Session(LibvirtConfig(uri=hypervisor.uri, outside_socket=str(hypervisor.outside_socket)))
    yield made
    made.close()


@pytest.fixture
def bench(session):
    made = Bench(session)
    yield made
    made.remove()
    assert [o.name() for o in made.connection.listAllDomains()] == []
    assert [o.name() for o in made.connection.listAllNetworks()] == []
    assert [o.name() for o in all_filters(made.connection) if "shop" in o.name()] == []
    assert [o.name() for o in made.connection.listAllStoragePools()] == []


@pytest.fixture
def pool(bench):
    return bench.make(Pool, "pool", name=POOL)
