"""Servers of others on the networks of a stack, as Neutron tells of their ports."""

from types import SimpleNamespace

from provision_openstack.kinds import PORT
from provision_openstack.readers.strangers import strangers

from provision.spi import DeployedMachine, NativeState, Stranger

PORTS = [
    {"network_id": "net-1", "device_owner": "compute:nova", "device_id": "own"},
    {"network_id": "net-1", "device_owner": "compute:nova", "device_id": "other"},
    {"network_id": "net-1", "device_owner": "compute:az-2", "device_id": "other"},
    {"network_id": "net-1", "device_owner": "network:dhcp", "device_id": "dhcp"},
    {"network_id": "net-1", "device_owner": "network:router_interface", "device_id": "router"},
    {"network_id": "net-1", "device_owner": "", "device_id": ""},
    {"network_id": "net-2", "device_owner": "compute:nova", "device_id": "beyond"},
]


def ports_of(kind, query):
    """What the API answers to that question."""
    assert kind is PORT
    return [port for port in PORTS if port["network_id"] in query["network_id"]]


def test_servers_that_are_none_of_the_stack_are_strangers_and_what_neutron_has_there_is_not():
    session = SimpleNamespace(reader=SimpleNamespace(all=ports_of))
    networks = [
        NativeState("network:Network", "networks/front/network", "net-1", {}),
        NativeState("network:Subnet", "networks/front/subnet", "net-2", {}),
    ]
    machines = [DeployedMachine("web", (NativeState("compute:Server", "machines/web/server", "own", {}),))]

    assert strangers(session, networks, machines) == [Stranger("networks/front/network", "the server other")]
    assert strangers(session, networks[1:], machines) == []
