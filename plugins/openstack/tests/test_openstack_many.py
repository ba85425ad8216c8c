"""Fifty servers in a real OpenStack: no call that changes something is made in vain, and a refresh costs pages."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from provision_openstack.config import OpenStackConfig
from provision_openstack.resources import Network, Port, SecurityGroup, SecurityGroupRule, Server, Subnet
from provision_openstack.session import Session

from provision.errors import RetriableError
from provision.spi import CreateRequest, DeleteRequest, Operation, ReadRequest

pytestmark = pytest.mark.lab

COUNT, PARALLEL = 50, 16
STACK = "e" * 32


class Stack:
    """Objects of the resource types, made and looked at as the engine does."""

    def __init__(self):
        self.session = Session(OpenStackConfig())
        self.made = []

    def operation(self, kind, name):
        urn = f"urn:pulumi:dev::many::provision-openstack:{kind.token}::{name}"
        return Operation(urn=urn, session=self.session, wait=lambda seconds: bool(time.sleep(seconds)))

    def make(self, kind, word, /, **inputs):
        wanted = kind.Inputs(stack_id=STACK, **inputs)
        while True:  # the test's own time limit ends what never passes
            try:
                made = kind().create(CreateRequest(self.operation(kind, word), wanted))
                break
            except RetriableError:
                time.sleep(0.5)
        self.made.append((kind, word, wanted, made.outputs, made.id))
        return made.id

    def look(self, item):
        kind, word, inputs, outputs, identity = item
        found = kind().read(ReadRequest(self.operation(kind, word), identity, inputs, outputs))
        return found is not None and found.inputs == inputs

    def remove(self, item):
        kind, word, inputs, outputs, identity = item
        kind().delete(DeleteRequest(self.operation(kind, word), identity, inputs, outputs))


@pytest.fixture
def stack(in_project):
    made = Stack()
    yield made
    made.session.close()


def counted(session):
    calls = Counter()

    def run(name, call):
        calls[name] += 1
        return call()

    session.stand_between(run)
    return calls


def changes(calls):
    return {name: number for name, number in calls.items() if not name.partition(".")[2].startswith("GET")}


def test_fifty_servers_are_made_looked_at_and_removed_with_few_calls(cloud, stack):
    image, flavor = cloud.image(), cloud.flavor()
    calls = counted(stack.session)
    network = stack.make(Network, "network", name="many")
    subnet = stack.make(Subnet, "subnet", name="many", network_id=network, cidr="10.0.0.0/16")
    group = stack.make(SecurityGroup, "group", name="many", exclusive=True)
    rule = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80}
    stack.make(SecurityGroupRule, "rule", security_group_id=group, remote_ip_prefix="10.0.0.0/8", **rule)

    def one(number):
        fixed = [{"subnet_id": subnet, "ip_address": f"10.0.1.{number}"}]
        port = stack.make(
            Port, f"port-{number}",
            network_id=network, name=f"many-{number}", fixed_ips=fixed, security_group_ids=[group],
        )  # fmt: skip
        nics = [{"port_id": port}]
        stack.make(Server, f"server-{number}", name=f"many-{number}", image_id=image, flavor_id=flavor, nics=nics)

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(one, range(1, COUNT + 1)))

    assert changes(calls) == {
        "network.POST /networks": 1,
        "network.POST /subnets": 1,
        "network.POST /security-groups": 1,
        "network.DELETE /security-group-rules/ID": 2,  # what Neutron lets out by itself, in IPv4 and IPv6
        "network.POST /security-group-rules": 1,
        "network.POST /ports": COUNT,
        "compute.POST /servers": COUNT,
    }
    looks = {name for name in calls if name not in changes(calls)}
    assert looks <= {"network.GET /networks", "compute.GET /", "compute.GET /servers/detail", "compute.GET /servers/ID"}

    stack.session.close()
    stack.session = Session(OpenStackConfig())
    calls = counted(stack.session)
    with ThreadPoolExecutor(PARALLEL) as pool:
        assert all(pool.map(stack.look, stack.made))
    assert calls.total() <= 12, calls

    calls.clear()
    with ThreadPoolExecutor(PARALLEL) as pool:
        for kind in (Server, Port, SecurityGroupRule, SecurityGroup, Subnet, Network):
            list(pool.map(stack.remove, [item for item in stack.made if item[0] is kind]))
    assert changes(calls).get("compute.DELETE /servers/ID") == COUNT
    assert stack.session.compute.get("/servers")["servers"] == []
