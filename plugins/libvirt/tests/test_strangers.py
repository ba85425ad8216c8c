"""Machines of others on the networks of a stack, on libvirt's own test driver: the calls are real."""

import pytest
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.provider import LibvirtProvider

from provision.spi import DeployedMachine, NativeState, Stranger

DOMAIN = (
    "<domain type='test'><name>{name}</name><memory>65536</memory><os><type>hvm</type></os>"
    "<devices>{nics}</devices></domain>"
)
ON = {
    "network": "<interface type='network'><source network='{}'/></interface>",
    "bridge": "<interface type='bridge'><source bridge='{}'/></interface>",
}


@pytest.fixture
def session(provider):
    session = provider.connect(LibvirtConfig(uri="test:///default"))
    yield session
    provider.disconnect(session)


@pytest.fixture
def provider():
    return LibvirtProvider()


def network(name, native):
    return NativeState("network:Network", name, f"id-of-{native}", {"name": native, "bridge": f"br-{native}"})


def define(session, name, *nics):
    """A machine, off; gives its id."""
    made = "".join(ON[kind].format(source) for kind, source in nics)
    with session.own() as connection:
        return connection.defineXML(DOMAIN.format(name=name, nics=made)).UUIDString()


def test_machines_on_networks_of_the_stack_are_strangers_unless_they_are_its_own(provider, session):
    networks = [network("networks/front/network", "s-front"), network("networks/back/network", "s-back")]
    pool = NativeState("storage:Pool", "pool", "id", {"name": "s-front"})
    own = define(session, "own", ("network", "s-front"))
    define(session, "both", ("network", "s-front"), ("bridge", "br-s-back"), ("network", "s-front"))
    define(session, "by bridge", ("bridge", "br-s-front"))
    define(session, "elsewhere", ("network", "default"), ("bridge", "br0"))
    machines = [DeployedMachine("web", (NativeState("domain:Domain", "machines/web/domain", own, {}),))]

    assert provider.strangers(session, [pool, *networks], machines) == [
        Stranger("networks/front/network", "the machine 'both'"),
        Stranger("networks/back/network", "the machine 'both'"),
        Stranger("networks/front/network", "the machine 'by bridge'"),
    ]
    assert provider.strangers(session, [pool], machines) == ()
