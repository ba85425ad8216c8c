import time

import pytest
from language_sample import stack

from provision.spi import UNKNOWN, CheckRequest
from provision.translate import AddressPlan, Scope, address_inputs, allocate, mac, nic_addresses

SCOPE = Scope("shop", "prod")


def plan(made, old=None):
    assigned, failures = allocate(address_inputs(made, SCOPE), old or {})
    assert not failures
    return assigned


def machines(**given):
    return {
        name: {"image": "micro", "memory": "64MiB", "nics": [{"network": "front"}], **more}
        for name, more in given.items()
    }


def test_every_nic_has_addresses_of_its_network():
    made = stack()
    found = nic_addresses(made, plan(made))
    assert list(found) == ["web-0", "web-1", "db"]
    back, front = found["db"]
    assert (back.network, front.network) == ("back", "front")
    assert back.ipv4.startswith("10.2.0.")
    assert back.ipv6.startswith("fd00:2::")
    assert front.ipv4.startswith("10.1.0.")
    assert front.ipv6 is None


def test_machines_that_become_counted_keep_their_addresses():
    before = plan(stack(machines=machines(web={})))
    after = plan(stack(machines=machines(web={"count": 3})), before)
    assert after["web-0/front"] == before["web/front"]
    assert plan(stack(machines=machines(web={})), after)["web/front"] == before["web/front"]


def test_a_renamed_machine_keeps_its_addresses_and_mac():
    before = plan(stack(machines=machines(web={"count": 2})))
    after = plan(stack(machines=machines(site={"count": 2, "renamed_from": "web"})), before)
    assert [after[f"site-{i}/front"] for i in range(2)] == [before[f"web-{i}/front"] for i in range(2)]


def test_a_renamed_network_keeps_addresses():
    before = plan(stack(machines=machines(web={})))
    renamed = stack(
        networks={"edge": {"cidr": "10.1.0.0/24", "renamed_from": "front"}},
        machines={"web": {"image": "micro", "memory": "64MiB", "nics": [{"network": "edge"}]}},
    )
    assert plan(renamed, before)["web/edge"] == before["web/front"]


def test_another_nic_moves_none():
    before = plan(stack(machines=machines(web={})))
    both = [{"network": "back"}, {"network": "front"}, {"network": "front"}]
    after = plan(stack(machines=machines(web={"nics": both})), before)
    assert after["web/front"] == before["web/front"]
    assert len({item.ipv4 for item in after.values()}) == 3


def test_gateway_network_broadcast_and_dhcp_range_are_never_given():
    networks = {
        "front": {
            "cidr": "10.1.0.0/28",
            "gateway": "10.1.0.5",
            "dhcp": {"enabled": True, "range": ["10.1.0.8", "10.1.0.11"]},
        }
    }
    found = plan(stack(networks=networks, machines=machines(web={"count": 9})))
    assert {item.ipv4 for item in found.values()} == {f"10.1.0.{i}" for i in (1, 2, 3, 4, 6, 7, 12, 13, 14)}


def test_a_full_network_is_said_with_numbers():
    inputs = address_inputs(
        stack(networks={"front": {"cidr": "10.1.0.0/29"}}, machines=machines(web={"count": 9})), SCOPE
    )
    _, failures = allocate(inputs, {})
    assert [failure.reason for failure in failures] == [
        "network 'front' (10.1.0.0/29) has 5 addresses to give, but 9 interfaces want one (4 got none); "
        "choose a wider prefix"
    ]


def test_a_fixed_address_that_another_machine_holds_is_refused():
    before = plan(stack(machines=machines(web={})))
    held = before["web/front"].ipv4
    taken = machines(web={}, db={"nics": [{"network": "front", "address": held}]})
    _, failures = allocate(address_inputs(stack(machines=taken), SCOPE), before)
    assert [failure.reason for failure in failures] == [
        f"db/front: {held} is already the address of web/front; choose another address for it"
    ]


@pytest.mark.parametrize("address", ["10.1.0.0", "10.1.0.255", "10.1.0.1", "10.9.0.1"])
def test_addresses_that_no_machine_can_have_are_refused(address):
    made = stack(machines=machines(db={"nics": [{"network": "front", "address": address}]}))
    _, failures = allocate(address_inputs(made, SCOPE), {})
    assert len(failures) == 1
    assert address in failures[0].reason


def test_fixed_addresses_may_be_exchanged():
    def fixed(web, db):
        return machines(
            web={"nics": [{"network": "front", "address": web}]}, db={"nics": [{"network": "front", "address": db}]}
        )

    before = plan(stack(machines=fixed("10.1.0.10", "10.1.0.11")))
    after = plan(stack(machines=fixed("10.1.0.11", "10.1.0.10")), before)
    assert (after["web/front"].ipv4, after["db/front"].ipv4) == ("10.1.0.11", "10.1.0.10")


def test_fixed_lists_go_by_index():
    nics = [{"network": "front", "address": ["10.1.0.20", "10.1.0.21"]}]
    found = plan(stack(machines=machines(web={"count": 2, "nics": nics})))
    assert [found[f"web-{i}/front"].ipv4 for i in range(2)] == ["10.1.0.20", "10.1.0.21"]


def test_macs_are_local_unicast_and_differ_between_stacks():
    first, second = mac("shop/prod", "web/front"), mac("shop/test", "web/front")
    assert first != second
    assert first.startswith("02:")
    assert len(bytes.fromhex(first.replace(":", ""))) == 6


def test_the_check_keeps_what_is_recorded():
    inputs = address_inputs(stack(), SCOPE).model_dump(exclude_none=True)
    first = AddressPlan().check(CheckRequest("urn", inputs, None)).inputs
    again = AddressPlan().check(CheckRequest("urn", inputs, first)).inputs
    assert first["assigned"]
    assert first == again


def test_unknown_inputs_are_passed_on():
    inputs = {"scope": UNKNOWN, "networks": {}, "wanted": {}}
    assert AddressPlan().check(CheckRequest("urn", inputs, None)).inputs == inputs


def test_ten_thousand_machines_are_quick():
    made = stack(networks={"front": {"cidr": "10.0.0.0/16"}}, machines=machines(web={"count": 10_000}))
    inputs = address_inputs(made, SCOPE)
    started = time.process_time()
    assigned, failures = allocate(inputs, {})
    spent = time.process_time() - started
    assert not failures
    assert len({item.ipv4 for item in assigned.values()}) == 10_000
    assert spent < 1.0
