"""A host of a real OpenStack dies: new machines run elsewhere, and those that were on it can be removed."""

import asyncio

import pytest
from openstack_lab import Settings
from openstack_lab.fixtures import running
from provision_openstack.provider import OpenStackProvider

from provision.testing import Lifecycle

pytestmark = pytest.mark.lab

STACK = "b" * 32


@pytest.fixture(scope="module")
def cloud():
    """Every service is a process of its own, over a message broker."""
    yield from running(Settings(mode="full", computes=2))


def run(work):
    return asyncio.run(asyncio.wait_for(work, 500))


def test_machines_avoid_a_dead_host_and_those_on_it_can_be_removed(cloud, session):
    compute = cloud.admin().compute
    wanted = {"stackId": STACK, "flavorId": cloud.flavor(), "imageId": cloud.image()}

    async def make(lifecycle, name):
        inputs = await lifecycle.check("compute:Server", {**wanted, "name": name}, name=name)
        return await lifecycle.create("compute:Server", inputs, name=name)

    async def before():
        async with Lifecycle(OpenStackProvider, {}) as lifecycle:
            return await make(lifecycle, "first")

    async def after():
        async with Lifecycle(OpenStackProvider, {}) as lifecycle:
            made = [await make(lifecycle, "second"), await make(lifecycle, "third")]
            await lifecycle.delete("compute:Server", first, name="first")
            return made

    first = run(before())
    dead = compute.get_server(first.id).compute_host
    cloud.kill(f"compute-{dead}")
    cloud.fence(dead)
    assert {one.host for one in compute.services(binary="nova-compute") if one.state == "down"} == {dead}

    made = run(after())

    assert {compute.get_server(one.id).compute_host for one in made} == {"c1", "c2"} - {dead}
    assert {one["id"] for one in session.compute.get("/servers")["servers"]} == {one.id for one in made}
