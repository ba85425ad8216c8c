"""A stack file of this repository on a real OpenStack, through the real engine."""

import shutil
from pathlib import Path

import pytest
from openstack_engine import Deployed, configure, engine_environment
from provision_openstack.ownership import stack_of

pytestmark = [pytest.mark.lab, pytest.mark.engine]

STACKS = Path(__file__).resolve().parents[3] / "stacks"


@pytest.fixture(scope="module")
def admin(cloud):
    """The administrator's own project, with what clouds have before anybody comes: a flavor, an image, a way out."""
    made = cloud.admin()
    made.compute.create_flavor(name="stack-small", ram=512, vcpus=1, disk=1)
    form = {"disk_format": "raw", "container_format": "bare", "visibility": "public"}
    made.image.create_image("micro", data=bytes(65536), **form)
    outside = made.network.create_network(name="public", is_router_external=True)
    made.network.create_subnet(network_id=outside.id, ip_version=4, cidr="203.0.113.0/24", is_dhcp_enabled=False)
    return made


@pytest.fixture
def stack(admin, cloud, tmp_path):
    """02-web as it stands, with another platform configured."""
    folder = tmp_path / "web"
    shutil.copytree(STACKS / "02-web", folder, ignore=shutil.ignore_patterns("Pulumi.*.yaml"))
    configure(folder, **{"provision-openstack:cloud": "lab-admin"})
    return Deployed(folder, engine_environment(tmp_path, cloud))


def ports(admin):
    found = admin.network.ports(project_id=admin.current_project_id)
    return {port.name: port for port in found if "nic-0" in port.name}


def standing(admin):
    project = {"project_id": admin.current_project_id}
    things = [
        *admin.compute.servers(),
        *admin.block_storage.volumes(),
        *admin.network.ports(**project),
        *admin.network.routers(**project),
        *(one for one in admin.network.networks(**project) if one.name != "public"),
        *(one for one in admin.network.security_groups(**project) if one.name != "default"),
        *admin.network.address_groups(**project),
    ]
    return [thing.name for thing in things]


def test_three_tiers_live_in_a_cloud(stack, admin):
    before = standing(admin)
    said = stack.fine("up", "-y")
    assert "4 machines created" in said
    assert "10.20.2.10" in said
    try:
        servers = {server.name: server for server in admin.compute.servers()}
        assert sorted(name.rpartition("dev-")[2] for name in servers) == ["app", "db", "web-0", "web-1"]
        assert {server.status for server in servers.values()} == {"ACTIVE"}
        assert all(server.has_config_drive for server in servers.values())
        assert [len(server.attached_volumes) for name, server in servers.items() if name.endswith("db")] == [1]

        default = admin.network.find_security_group("default", project_id=admin.current_project_id)
        wanted = {name: set(port.security_group_ids) for name, port in ports(admin).items()}
        assert all(groups and default.id not in groups for groups in wanted.values())
        ours = [
            rule
            for group in set().union(*wanted.values())
            for rule in admin.network.security_group_rules(security_group_id=group)
        ]
        assert ours
        assert all(stack_of("description", {"description": rule.description}) for rule in ours)
        assert not [rule for rule in ours if rule.protocol is None], "nothing that Neutron lets out by itself is left"

        planned = stack.report("--static", "--self-test")
        assert (planned["proven"], planned["self_test"]["missed"]) == (True, [])
        assert planned["self_test"]["total"] > 300
        report = stack.report()
        assert report["accepted"]["proven"], report["accepted"]
        assert {one["name"]: one["holds"]["accepted"] for one in report["policies"]} == dict.fromkeys(
            ("world-to-web", "web-to-app", "app-to-db"), True
        )

        web = next(port for name, port in ports(admin).items() if "web-0" in name)
        foreign = admin.network.create_security_group_rule(
            security_group_id=web.security_group_ids[0], direction="ingress", ether_type="IPv4", protocol="tcp",
            port_range_min=22, port_range_max=22,
        )  # fmt: skip
        admin.network.update_port(web, security_groups=[*web.security_group_ids, default.id])
        differences = stack.report()["accepted"]["differences"]
        assert any("tcp/22" in one["text"] and "made by somebody else" in one["rules"] for one in differences)
        refreshed = stack.run("pulumi", "refresh", "-y", "--stack", "dev", "--non-interactive")
        assert refreshed.returncode == 0, refreshed.stdout
        changed = stack.fine("up", "-y")
        assert "updated" in changed
        assert admin.network.find_security_group_rule(foreign.id, ignore_missing=True) is None
        assert {name: set(port.security_group_ids) for name, port in ports(admin).items()} == wanted
        stack.fine("preview", "--detailed-exitcode")
    finally:
        stack.fine("down", "-y")
    assert standing(admin) == before
