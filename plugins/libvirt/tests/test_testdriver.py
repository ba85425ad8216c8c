"""Libvirt's test driver: stacks without guests, in this process's own memory."""

import pytest
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.resources import Domain, Network, Pool, Volume
from provision_libvirt.session import Session
from provision_libvirt.support import supports
from provision_libvirt.translate import translate
from resource_bench import POOL, Bench
from stack_requests import request

from provision.diagnostics import DiagnosticSink
from provision.errors import EnvironmentProblem, PolicyRefused
from provision.models import Stack
from provision.spi import FeatureUse
from provision.translate import negotiate

STACK = {
    "networks": {"lan": {"cidr": "10.0.0.0/24"}},
    "machines": {
        "web": {
            "image": "micro",
            "memory": "96MiB",
            "count": 2,
            "nics": [{"network": "lan"}],
            "disks": {"data": {"size": "1GiB"}},
        }
    },
    "isolation": {"default": "allow"},
}
ECHO = {"kind": "traffic", "from": ["machine.web"], "to": ["machine.web"], "allow": ["tcp/7"]}


@pytest.fixture
def session():
    made = Session(LibvirtConfig(uri="test:///default"))
    yield made
    made.close()


def test_what_the_driver_lacks_is_asked_not_assumed(session):
    facts = LibvirtProvider().capabilities(session).facts

    assert (facts["accelerator"], facts["nwfilter"], facts["secrets"]) == ("test", False, False)
    assert facts["accelerator_reason"] == "libvirt's test driver runs no guests"


@pytest.mark.parametrize(
    "feature",
    ["isolation.policies.traffic", "isolation.policies.disk_encryption.machines", "sharing.shares.machines",
     "machines.user_data", "machines.cloud_init", "machines.ssh_keys", "images.sources.file.path"],
)  # fmt: skip
def test_what_needs_a_guest_is_refused_with_the_reason(session, feature):
    capabilities = LibvirtProvider().capabilities(session)
    answer = supports(FeatureUse(feature, (), True), capabilities)

    assert not answer.enforced
    assert answer.reason == "libvirt's test driver runs no guests"
    assert "pulumi config set provision-libvirt:uri" in answer.fix


def test_a_stack_with_filters_is_refused_before_anything_is_made(session):
    provider = LibvirtProvider()
    capabilities = provider.capabilities(session)
    stack = Stack.model_validate({"version": 1, **STACK, "isolation": {"default": "allow", "policies": {"echo": ECHO}}})

    with pytest.raises(PolicyRefused) as caught:
        negotiate(stack, provider, capabilities, DiagnosticSink())
    assert [item.summary for item in caught.value.diagnostics] == [
        "policy 'echo' cannot be enforced on 'libvirt': libvirt's test driver runs no guests"
    ]
    with pytest.raises(EnvironmentProblem, match="isolation is 'deny' by default"):
        translate(request({**STACK, "isolation": {}}, **capabilities.facts))


def test_machines_are_made_without_what_only_a_guest_uses(session):
    facts = LibvirtProvider().capabilities(session).facts
    nodes = {node.name: node for node in translate(request(STACK, **facts)).nodes}

    assert sorted(nodes) == [
        "machines/web-0/disk-data", "machines/web-0/domain", "machines/web-1/disk-data", "machines/web-1/domain",
        "networks/lan/network", "pool",
    ]  # fmt: skip
    domain = nodes["machines/web-0/domain"].inputs
    assert domain["accelerator"] == "test"
    assert domain["nics"][0]["filter"] is None
    assert domain.get("seed") is None
    assert "kernel" not in domain


def test_the_life_of_a_machine_of_the_driver(session):
    bench = Bench(session)
    pool = bench.make(Pool, "pool", name=POOL)
    network = bench.make(Network, "lan", pool=POOL, name="shop-dev-lan", mode="routed", bridge="pv-lan",
                         ipv4={"address": "10.77.0.1", "prefix": 24})  # fmt: skip
    disk = bench.make(Volume, "disk", pool=POOL, name="shop-dev-web.data", capacity_bytes=1 << 20)
    machine = bench.make(
        Domain, "web", pool=POOL, name="shop-dev-web", memory_mib=96, accelerator="test",
        disks=[{"path": disk.outputs.path, "serial": "data"}],
        nics=[{"network": "shop-dev-lan", "mac": "02:00:00:00:00:0a"}],
    )  # fmt: skip

    assert [thing.drift() for thing in (pool, network, disk, machine)] == [set()] * 4
    session.connection().lookupByName("shop-dev-web").destroy()
    assert machine.drift() == {"power"}
    assert machine.update().drift() == set()
    assert machine.again().id == machine.id
    bench.remove()
    assert [thing.read() for thing in (pool, network, machine)] == [None] * 3
    assert all(thing.name() != POOL for thing in session.connection().listAllStoragePools())
