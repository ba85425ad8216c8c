"""The emitted filters on a real hypervisor, shown with real packets between real guests, the hypervisor and outside."""

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from provision_libvirt import lab
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.resources import Domain, Filter
from stack_requests import addresses, request

from provision.packets import Protocol
from provision.spi import (
    CreateRequest,
    DeleteRequest,
    DeployedMachine,
    NativeState,
    Operation,
    Output,
    Probe,
    ReadRequest,
    UpdateRequest,
)

pytestmark = pytest.mark.lab

TCP, UDP, ICMP, ICMPV6 = Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ICMPV6
PORTS = ((TCP, 8080), (TCP, 8081), (UDP, 5353), (UDP, 5354))
SPOOF = """#!/bin/sh
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    ping -c 1 -W 2 10.60.1.10 >/dev/null 2>&1 && break
    sleep 1
done
ping -c 1 -W 2 10.60.1.10 >/dev/null 2>&1 && own=passed || own=blocked
ip addr add 10.60.1.99/24 dev eth0
ping -c 3 -W 2 -I 10.60.1.99 10.60.1.10 >/dev/null 2>&1 && lie=passed || lie=blocked
echo "SPOOF-TEST own=$own lie=$lie"
"""


def traffic(source, destinations, *services):
    sources = source if isinstance(source, list) else [source]
    return {"kind": "traffic", "from": sources, "to": [destinations], "allow": list(services)}


def document(policies):
    machine = {"image": "micro", "memory": "96MiB"}
    return {
        "networks": {
            "near": {"cidr": "10.60.1.0/24", "cidr6": "fd00:60:1::/64", "internet": "routed"},
            "far": {"cidr": "10.60.2.0/24", "cidr6": "fd00:60:2::/64", "internet": "routed"},
        },
        "machines": {
            "a": machine | {"nics": [{"network": "near"}]},
            "b": machine | {"nics": [{"network": "near"}], "user_data": SPOOF},
            "c": machine | {"nics": [{"network": "far"}]},
        },
        "isolation": {"policies": policies},
    }


POLICIES = {
    "web": traffic("outside", "machine.a", "tcp/8080"),
    "near": traffic("machine.a", "machine.b", "tcp/8080", "udp/5353"),
    "far": traffic("machine.a", "machine.c", "tcp/8080", "udp/5353", "icmp", "icmpv6"),
    "ping": traffic(["10.60.1.11/32", "10.60.1.99/32"], "machine.a", "icmp"),  # b, and the address that it lies about
}
EDITED = POLICIES | {"near": traffic("machine.a", "machine.b", "tcp/8081", "udp/5353")}


class Deployment:
    """Does what the engine does: makes the nodes of a graph in order, and later updates the filters that changed."""

    def __init__(self, provider, session):
        self.provider, self.session = provider, session
        self.facts = dict(provider.capabilities(session).facts)
        self.made: dict[str, Any] = {}
        self.order: list[str] = []

    def graph(self, policies):
        return self.provider.translate(request(document(policies), **self.facts))

    def operation(self, name, kind):
        return Operation(urn=f"urn:pulumi:dev::shop::{kind.token}::{name}", session=self.session, wait=time.sleep)

    def resolve(self, value):
        if isinstance(value, Output):
            _, _, created = self.made[value.node]
            return getattr(created.outputs, value.property)
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        return [self.resolve(item) for item in value] if isinstance(value, list | tuple) else value

    def make(self, node):
        inputs = node.type.Inputs(stack_id="5eed" * 8, **self.resolve(node.inputs))
        created = node.type().create(CreateRequest(self.operation(node.name, node.type), inputs))
        self.made[node.name] = (node.type, inputs, created)
        self.order.append(node.name)

    def up(self, policies):
        nodes = self.graph(policies).nodes
        for node in nodes:
            if node.type is not Domain:
                self.make(node)
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.make, [node for node in nodes if node.type is Domain]))

    def edit(self, policies):
        """Update filters in place; gives the names of those that changed."""
        changed = []
        for node in self.graph(policies).nodes:
            kind, old, created = self.made[node.name]
            inputs = kind.Inputs(stack_id="5eed" * 8, **self.resolve(node.inputs))
            if inputs != old:
                asked = UpdateRequest(self.operation(node.name, kind), created.id, inputs, old, created.outputs)
                kind().update(asked)
                self.made[node.name] = (kind, inputs, created)
                changed.append((node.name, kind))
        return changed

    def down(self):
        for name in reversed(self.order):
            kind, inputs, created = self.made[name]
            kind().delete(DeleteRequest(self.operation(name, kind), created.id, inputs, created.outputs))

    def machine(self, name):
        kind, _, created = self.made[f"machines/{name}/domain"]
        native = NativeState(kind.token, f"machines/{name}/domain", created.id, created.outputs.model_dump())
        return DeployedMachine(name, (native,))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    started = lab.start(tmp_path_factory.mktemp("nw") / "lab", owner=os.getpid())
    provider = LibvirtProvider()
    config = LibvirtConfig(uri=started.uri, outside_socket=str(started.outside_socket))
    session = provider.connect(config)
    deployment = Deployment(provider, session)
    channels = {}
    try:
        deployment.up(POLICIES)
        channels = {name: provider.probe_channel(session, deployment.machine(name)) for name in ("a", "b", "c")}
        channels["outside"] = provider.outside_channel(session)
        for channel in channels.values():
            channel.listen(PORTS)
        yield deployment, channels, started
    finally:
        for channel in channels.values():
            channel.close()
        deployment.down()
        provider.disconnect(session)
        lab.stop(started.directory)


def where(started):
    found = {}
    stack = request(document(POLICIES)).stack
    for name, (nic,) in addresses(stack).items():
        found[name] = {4: nic.ipv4, 6: nic.ipv6}
    found["outside"] = {4: started.outside_address, 6: started.outside_address6}
    found["host"] = {4: "10.60.1.1", 6: "fd00:60:1::1"}
    return found


def seen(channels, places):
    """Which exchanges pass, of all that can be tried: (source, destination, service) in both IP versions."""
    found = set()
    for source, channel in channels.items():
        asked = []
        for target, address in places.items():
            if target == source or (source == "outside" and target == "host"):
                continue
            for family in (4, 6):
                for protocol, port in ((TCP, 8080), (TCP, 8081), (UDP, 5353), (UDP, 5354)):
                    asked.append(
                        ((source, target, f"{protocol}/{port}", family), Probe(protocol, address[family], port))
                    )
                echo = ICMP if family == 4 else ICMPV6
                asked.append(((source, target, str(echo), family), Probe(echo, address[family])))
        answers = channel.run([probe for _, probe in asked])
        for (key, _), answer in zip(asked, answers, strict=True):
            assert answer.seen != "failed", (key, answer)
            if answer.seen.passed:
                found.add(key)
    return found


def both(*exchanges):
    return {(source, target, service, family) for source, target, service in exchanges for family in (4, 6)}


FAR = both(("a", "c", "tcp/8080"), ("a", "c", "udp/5353")) | {("a", "c", "icmp", 4), ("a", "c", "icmpv6", 6)}
WEB = both(("outside", "a", "tcp/8080"))
PING = {("b", "a", "icmp", 4)}


def test_exactly_what_is_allowed_passes(running):
    _, channels, started = running
    expected = both(("a", "b", "tcp/8080"), ("a", "b", "udp/5353")) | FAR | WEB | PING
    assert seen(channels, where(started)) == expected


def test_reading_everything_back_shows_no_difference(running):
    deployment, _, _ = running
    for name, (kind, inputs, created) in deployment.made.items():
        read = kind().read(ReadRequest(deployment.operation(name, kind), created.id, inputs, created.outputs))
        assert read is not None, name
        differing = {f for f in kind.Inputs.model_fields if getattr(read.inputs, f) != getattr(inputs, f)}
        assert (name, differing) == (name, set())


def test_a_guest_that_lies_about_its_address_is_not_heard(running):
    deployment, _, _ = running
    end = time.monotonic() + 120
    found = None
    while found is None and time.monotonic() < end:
        text = deployment.provider.console_log(deployment.session, deployment.machine("b"))
        found = re.search(r"SPOOF-TEST own=(\w+) lie=(\w+)", text)
        time.sleep(1)
    assert found is not None
    assert found.groups() == ("passed", "blocked")


def test_the_hypervisor_itself_does_not_reach_the_guests(running):
    _, _, started = running
    places = where(started)
    for name in ("a", "b", "c"):
        for family in (4, 6):
            ping = [
                "nsenter",
                "-t",
                str(started.pid),
                "-n",
                "busybox",
                "ping",
                "-c",
                "1",
                "-W",
                "2",
                places[name][family],
            ]
            done = subprocess.run(ping, capture_output=True, text=True, check=False)
            assert "100% packet loss" in done.stdout, (name, family, done)


def test_an_edit_of_a_policy_takes_effect_in_place(running):
    deployment, channels, started = running
    changed = deployment.edit(EDITED)
    assert {kind for _, kind in changed} == {Filter}
    assert {name for name, _ in changed} == {"isolation/near/in", "isolation/near/out"}
    expected = both(("a", "b", "tcp/8081"), ("a", "b", "udp/5353")) | FAR | WEB | PING
    assert seen(channels, where(started)) == expected
    deployment.edit(POLICIES)
