"""What resource types make of what services show, without any service."""

import pytest
from provision_openstack.kinds import SERVER
from provision_openstack.ownership import Owner
from provision_openstack.resources import Image, Port, SecurityGroup, SecurityGroupRule, Server, Subnet, Volume
from provision_openstack.resources.server_changes import power_of
from provision_openstack.resources.subnet import whole
from pydantic import ValidationError

from provision.errors import PlatformError
from provision.spi import CheckRequest, DataLoss, Operation, Stored

OWNER = Owner("5eed", "urn:group")


def server(**inputs):
    return Server.Inputs(stack_id="5eed", name="web", flavor_id="f", image_id="i", **inputs)


@pytest.mark.parametrize(
    ("status", "task", "ready"),
    [
        ("ACTIVE", None, True),
        ("ACTIVE", "powering-off", False),
        ("ACTIVE", "image_snapshot", True),
        ("BUILD", "spawning", False),
        ("SHUTOFF", None, True),
        ("VERIFY_RESIZE", None, True),
        ("RESIZE", "resize_migrating", False),
    ],
)
def test_a_server_is_ready_when_nothing_is_under_way(status, task, ready):
    assert Server().ready({"status": status, "OS-EXT-STS:task_state": task}) is ready


def test_a_server_in_error_says_why_and_the_way_out():
    said = Server().ready({"id": "s", "status": "ERROR", "fault": {"message": "No valid host was found. "}})
    assert "No valid host was found." in said
    assert "take a smaller flavor" in said
    assert "--replace" in said


@pytest.mark.parametrize(
    ("status", "power"), [("ACTIVE", "running"), ("VERIFY_RESIZE", "running"), ("PAUSED", "stopped")]
)
def test_what_does_not_run_is_stopped(status, power):
    assert power_of({SERVER.states: status}) == power


def test_a_server_loses_what_is_on_its_own_disk():
    kept = {"root_volume": {"delete_on_termination": False}, "root_size_gib": 1}
    assert Server().loses_data(server()) is DataLoss.REMOVED
    assert Server().loses_data(server(disposable=True)) is DataLoss.NEVER
    assert Server().loses_data(server(**kept)) is DataLoss.REPLACED
    booted = Server.Inputs(stack_id="5eed", name="web", flavor_id="f", boot_volume_id="v")
    assert Server().loses_data(booted) is DataLoss.NEVER


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_id": "i", "boot_volume_id": "v"},
        {},
        {"boot_volume_id": "v", "root_volume": {}, "root_size_gib": 1},
        {"image_id": "i", "root_volume": {}},
        {"image_id": "i", "root_size_gib": 1},
        {"image_id": "i", "root_encrypted": True},
        {"image_id": "i", "flavor_id": None},
        {"image_id": "i", "nics": [{"port_id": "p"}, {"port_id": "p"}]},
        {"image_id": "i", "user_data": "%%%"},
    ],
)
def test_a_server_boots_in_one_way_and_has_a_flavor(wrong):
    with pytest.raises(ValidationError):
        Server.Inputs(**{"stack_id": "5eed", "name": "web", "flavor_id": "f"} | wrong)


def test_a_volume_never_shrinks():
    def check(now, then):
        return Volume().check(CheckRequest("urn", {"size_gib": now}, {"size_gib": then} if then else None)).failures

    assert [failure.property for failure in check(1, 2)] == ["size_gib"]
    assert not check(2, 1)
    assert not check(1, None)


@pytest.mark.parametrize(
    ("before", "after", "refused"), [(2, 1, ["root_size_gib"]), (1, 2, []), (None, 1, []), (1, None, [])]
)
def test_the_volume_that_a_server_starts_from_never_shrinks(before, after, refused):
    old, new = ({"root_size_gib": size} for size in (before, after))
    assert [one.property for one in Server().check(CheckRequest("urn", new, old)).failures] == refused


def test_state_of_a_server_that_had_its_size_in_its_root_volume_means_the_same_today():
    old = {"name": "web", "rootVolume": {"sizeGib": 2, "volumeType": "fast"}}
    new = {"name": "web", "rootVolume": {"volumeType": "fast"}, "rootSizeGib": 2}
    upgraded = Server.upgrades[0](Stored(old, {"name": "web"}))
    assert (upgraded.inputs, upgraded.outputs) == (new, {"name": "web"})


def test_a_volume_that_must_be_encrypted_and_is_not_is_not_used():
    plain = {"id": "v", "status": "available", "size": 1, "volume_type": "slow", "encrypted": False}
    sealed, any_volume = (Volume.Inputs(stack_id="5eed", size_gib=1, encrypted=wanted) for wanted in (True, False))
    operation = Operation(urn="urn", session=None)
    with pytest.raises(PlatformError, match="volumes of the type 'slow' are not encrypted"):
        Volume().change(operation, plain, sealed, fresh=True)
    assert not Volume().change(operation, plain | {"encrypted": True}, sealed, fresh=True)
    assert not Volume().change(operation, plain, any_volume, fresh=True)


def test_pools_that_neutron_made_are_not_wanted_as_such():
    live = {"network_id": "n", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "ip_version": 4, "enable_dhcp": False}
    whole = [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    part = [{"start": "10.0.0.50", "end": "10.0.0.99"}]
    assert Subnet().seen(None, live | {"allocation_pools": whole}, None)["allocation_pools"] == []
    assert Subnet().seen(None, live | {"allocation_pools": part}, None)["allocation_pools"] == part


@pytest.mark.parametrize(
    ("cidr", "gateway", "pools"),
    [
        ("10.0.0.0/24", None, ["10.0.0.1-10.0.0.254"]),
        ("10.0.0.0/24", "10.0.0.1", ["10.0.0.2-10.0.0.254"]),
        ("10.0.0.0/24", "10.0.0.254", ["10.0.0.1-10.0.0.253"]),
        ("10.0.0.0/24", "10.0.0.9", ["10.0.0.1-10.0.0.8", "10.0.0.10-10.0.0.254"]),
        ("fd00::/64", "fd00::1", ["fd00::2-fd00::ffff:ffff:ffff:ffff"]),
        ("10.0.0.0/31", "10.0.0.0", ["10.0.0.1-10.0.0.1"]),
    ],
)
def test_pools_follow_the_gateway(cidr, gateway, pools):
    assert [f"{pool['start']}-{pool['end']}" for pool in whole(cidr, gateway)] == pools


def test_a_port_that_got_an_address_by_hand_differs_and_one_that_neutron_chose_does_not():
    live = {
        "id": "p",
        "network_id": "n",
        "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"subnet_id": "s4", "ip_address": "10.0.0.9"}, {"subnet_id": "s6", "ip_address": "fd00::9"}],
        "security_groups": ["g", "by-hand"],
        "allowed_address_pairs": [{"ip_address": "10.0.0.99", "mac_address": "FA:16:3E:00:00:01"}],
    }
    wanted = Port.Inputs(stack_id="5eed", network_id="n", security_group_ids=["g"])
    seen = Port().inputs(None, live, wanted)
    assert seen.fixed_ips == []
    assert seen.security_group_ids == ["g", "by-hand"]
    assert [pair.model_dump() for pair in seen.allowed_address_pairs] == [
        {"ip_address": "10.0.0.99", "mac_address": None}
    ]
    fixed = [{"subnet_id": "s4", "ip_address": "10.0.0.9"}]
    exact = Port.Inputs(stack_id="5eed", network_id="n", security_group_ids=["g"], fixed_ips=fixed)
    assert len(Port().inputs(None, live, exact).fixed_ips) == 2
    assert Port().differing(None, live, exact)["fixed_ips"] == fixed


@pytest.mark.parametrize("exclusive", [False, True])
def test_rules_of_others_in_a_group_are_told_and_only_in_an_exclusive_one_they_are_a_difference(exclusive):
    live = {
        "id": "g",
        "name": "web",
        "description": OWNER.described("web"),
        "security_group_rules": [
            {"id": "ours", "description": Owner("5eed", "urn:rule").described("")},
            {"id": "theirs", "description": "by hand"},
        ],
    }
    recorded = SecurityGroup.Inputs(stack_id="5eed", name="web", exclusive=exclusive)
    assert SecurityGroup().told(None, live) == {"found_rules": ["theirs"]}
    assert SecurityGroup().inputs(None, live, recorded).foreign_rules == (["theirs"] if exclusive else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "g"},
        {"ethertype": "IPv6", "remote_ip_prefix": "10.0.0.0/8"},
        {"protocol": "47", "port_range_min": 1, "port_range_max": 2},
        {"protocol": "tcp", "port_range_min": 1},
        {"protocol": "icmp", "port_range_max": 0},
    ],
)
def test_rules_that_mean_nothing_are_refused(wrong):
    right = {"stack_id": "5eed", "security_group_id": "g", "direction": "ingress", "ethertype": "IPv4"}
    SecurityGroupRule.Inputs(**right)
    with pytest.raises(ValidationError):
        SecurityGroupRule.Inputs(**right | wrong)


def test_properties_of_an_image_are_the_users_own():
    live = {
        "id": "i",
        "name": "web",
        "hw_disk_bus": "scsi",
        "os_glance_failed_import": "",
        "checksum": "c",
        "min_disk": 0,
    }
    assert Image().seen(None, live, None)["properties"] == {"hw_disk_bus": "scsi"}
