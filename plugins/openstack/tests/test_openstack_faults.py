"""What goes wrong in a real OpenStack: nothing is made twice or lost, and a person learns what to do."""

import asyncio

import pytest
from openstack_lab import bind_fails, http_fault, spawn_fails
from provision_openstack.provider import OpenStackProvider

from provision.testing import Lifecycle, OperationFailed

pytestmark = pytest.mark.lab

STACK = "a" * 32


def run(work):
    return asyncio.run(asyncio.wait_for(work, 500))


async def _make(lifecycle, token, inputs):
    """An object, whose resource has its name: what another test made is not this one's."""
    inputs = {"stackId": STACK, **inputs}
    return await lifecycle.create(token, await lifecycle.check(token, inputs, name=inputs["name"]), name=inputs["name"])


async def _alone(token, inputs):
    async with Lifecycle(OpenStackProvider, {}) as lifecycle:
        return await _make(lifecycle, token, inputs)


def _network(name):
    return _alone("network:Network", {"name": name})


def _server(cloud, name, **more):
    return _alone("compute:Server", {"name": name, "flavorId": cloud.flavor(), "imageId": cloud.image(), **more})


def _there(session, kind, path, name):
    """Ids of objects of a name."""
    service = session.service(kind)
    many = path.rpartition("/")[2]
    return [one["id"] for one in service.get(path)[many] if one["name"] == name]


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ("503", {"status": 503, "headers": {"Retry-After": "1"}}),
        ("late-500", {"status": 500, "delay": 1}),
        ("502-after", {"status": 502, "after": True}),
        ("401", {"status": 401}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_passes_is_tried_again_and_makes_one_network(cloud, session, label, fault):
    with cloud.going_wrong(http_fault("neutron", "POST", "^/v2.0/networks$", times=1, **fault)):
        made = run(_network(label))
        assert len(cloud.followed()) == 1

    assert _there(session, "network", "/networks", label) == [made.id]


def test_a_lost_answer_makes_no_second_server_and_no_second_volume(cloud, session):
    lost = {"status": 502, "after": True, "times": 1}
    with cloud.going_wrong(
        http_fault("nova", "POST", "^/v2.1/servers$", **lost), http_fault("cinder", "POST", "/volumes$", **lost)
    ):
        server, volume = run(_server(cloud, "lost")), run(_alone("volume:Volume", {"name": "lost", "sizeGib": 1}))
        assert len(cloud.followed()) == 2

    assert _there(session, "compute", "/servers", "lost") == [server.id]
    assert _there(session, "block-storage", "/volumes", "lost") == [volume.id]


def test_a_server_whose_first_host_refuses_it_runs_on_another(cloud, session):
    with cloud.going_wrong(spawn_fails("^twice$", "no more disk", times=1)):
        made = run(_server(cloud, "twice"))
        assert len(cloud.followed()) == 1

    assert session.compute.get(f"/servers/{made.id}")["server"]["status"] == "ACTIVE"


def test_a_server_that_all_hosts_refuse_one_after_the_other_is_made_once_more(cloud, session):
    with cloud.going_wrong(spawn_fails("^thrice$", "no more disk", times=3)):
        made = run(_server(cloud, "thrice"))
        assert len(cloud.followed()) == 3

    assert _there(session, "compute", "/servers", "thrice") == [made.id]
    assert session.compute.get(f"/servers/{made.id}")["server"]["status"] == "ACTIVE"


def test_a_server_that_cannot_start_says_why_and_is_kept(cloud, session):
    with (
        cloud.going_wrong(spawn_fails("^broken$", "no more disk", abort=True)),
        pytest.raises(OperationFailed) as failed,
    ):
        run(_server(cloud, "broken"))

    assert "no more disk" in failed.value.message
    assert _there(session, "compute", "/servers", "broken") == [failed.value.kept.id]


def test_a_server_that_no_host_can_take_is_told_what_hosts_lack(cloud, session):
    with pytest.raises(OperationFailed) as failed:
        run(_server(cloud, "giant", flavorId=cloud.flavor(cpus=65)))

    assert "no host of the cloud can take it: No valid host was found" in failed.value.message
    assert "smaller flavor" in failed.value.message


def test_a_port_that_cannot_be_bound_is_named_as_the_cause(cloud, session):
    async def work():
        async with Lifecycle(OpenStackProvider, {}) as lifecycle:
            network = await _make(lifecycle, "network:Network", {"name": "unbound"})
            await _make(
                lifecycle, "network:Subnet", {"networkId": network.id, "name": "unbound", "cidr": "10.9.0.0/24"}
            )
            port = await _make(lifecycle, "network:Port", {"networkId": network.id, "name": "unbound"})
            inputs = {"flavorId": cloud.flavor(), "imageId": cloud.image(), "nics": [{"portId": port.id}]}
            await _make(lifecycle, "compute:Server", {"name": "unbound", **inputs})

    with cloud.going_wrong(bind_fails("^c")), pytest.raises(OperationFailed) as failed:
        run(work())

    assert _there(session, "compute", "/servers", "unbound") == [failed.value.kept.id]
    assert "every host that was tried refused it" in failed.value.message


def test_a_delete_that_was_not_answered_is_a_success(cloud, session):
    made = run(_network("leaving"))

    async def remove():
        async with Lifecycle(OpenStackProvider, {}) as lifecycle:
            await lifecycle.delete("network:Network", made, name="leaving")

    with cloud.going_wrong(http_fault("neutron", "DELETE", "^/v2.0/networks/", 502, after=True, times=1)):
        run(remove())

    assert _there(session, "network", "/networks", "leaving") == []
