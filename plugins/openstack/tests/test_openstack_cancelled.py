"""A run that is cancelled, or out of time, while a call looks at something: nothing is changed after it."""

import pytest
from fake_cloud import FakeCloud, logged_in
from provision_openstack.ownership import Owner
from provision_openstack.resources import Network, RouterInterface

from provision.spi import Cancelled, CreateRequest, DeleteRequest, Operation, UpdateRequest

STACK, URN = "5eed", "urn:pulumi:dev::shop::network:Network::front"
NETWORK, ROUTER, SUBNET = ("00000000-0000-0000-0000-00000000000" + digit for digit in "123")
API = "/network/v2.0"
LIVE = {"id": NETWORK, "name": "front", "status": "ACTIVE", "description": Owner(STACK, URN).described(""), "mtu": 1450}
PORT = {
    "id": "p",
    "device_id": ROUTER,
    "device_owner": "network:router_interface",
    "fixed_ips": [{"subnet_id": SUBNET, "ip_address": "10.0.0.1"}],
}


@pytest.fixture
def cloud():
    with FakeCloud() as made:
        router = {"id": ROUTER, "description": Owner(STACK, "urn:router").described("")}
        made.lay("GET", f"{API}/routers/{ROUTER}", (200, {"router": router}))
        made.lay("GET", f"{API}/networks/{NETWORK}", (200, {"network": LIVE}))
        yield made


@pytest.fixture
def session(cloud, tmp_path, monkeypatch):
    with logged_in(cloud, tmp_path, monkeypatch) as made:
        yield made


def works(kind, identity, there, wanted, then):
    """Each operation of a type: its name, what is there before it, and how it is called."""
    old, new = kind.Inputs(stack_id=STACK, **wanted), kind.Inputs(stack_id=STACK, **wanted, **then)
    yield "create", [], lambda operation: kind().create(CreateRequest(operation, old))
    yield "delete", there, lambda operation: kind().delete(DeleteRequest(operation, identity, old, None))
    if then:
        yield "update", there, lambda operation: kind().update(UpdateRequest(operation, identity, new, old, None))


WORKS = [
    pytest.param("networks", there, work, id=f"network-{name}")
    for name, there, work in works(Network, NETWORK, [LIVE], {"name": "front"}, {"mtu": 1300})
] + [
    pytest.param("ports", there, work, id=f"interface-{name}")
    for name, there, work in works(
        RouterInterface, f"{ROUTER}|{SUBNET}", [PORT], {"router_id": ROUTER, "subnet_id": SUBNET}, {}
    )
]


@pytest.mark.parametrize(("many", "there", "work"), WORKS)
def test_nothing_is_changed_after_the_look(cloud, session, many, there, work):
    cloud.lay("GET", f"{API}/{many}", (200, {many: there}))

    with pytest.raises(Cancelled):
        work(Operation(urn=URN, session=session, cancelled=lambda: True))

    asked = [call for call in cloud.asked if API in call]
    assert asked, "it looks"
    assert all(call.startswith("GET") for call in asked)


@pytest.mark.parametrize(("many", "there", "work"), WORKS)
def test_without_that_it_would_be(cloud, session, many, there, work):
    cloud.lay("GET", f"{API}/{many}", (200, {many: there}))

    with pytest.raises(Exception):  # noqa: B017, PT011 - this cloud answers no call that changes something
        work(Operation(urn=URN, session=session, wait=lambda seconds: True))

    assert [call for call in cloud.asked if API in call and not call.startswith("GET")]
