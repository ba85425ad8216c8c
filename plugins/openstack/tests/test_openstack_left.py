"""A project of a real OpenStack in which nothing is left but what a stack has; and stateless groups in it."""

import pytest
import yaml
from openstack_engine import COMMAND, Deployed, configure, engine_environment

pytestmark = [pytest.mark.lab, pytest.mark.engine]

MACHINE = {
    "image": "tiny",
    "memory": "64MiB",
    "nics": [{"network": "front"}, {"network": "data"}],
    "root": {"size": "1GiB", "disposable": True},
    "overrides": {"openstack": {"availability_zone": "nova", "metadata": {"team": "shop"}}},
}
STACK = {
    "version": 1,
    "images": {"tiny": {"sources": {"openstack": {"kind": "named", "name": "tiny"}}}},
    "networks": {
        "front": {"cidr": "10.30.1.0/24"},
        "data": {"cidr": "10.30.2.0/24", "overrides": {"openstack": {"stateless_groups": True}}},
    },
    "isolation": {
        "policies": {
            "web": {"kind": "traffic", "from": ["network.front"], "to": ["network.front"], "allow": ["tcp/80"]},
            "cluster": {"kind": "traffic", "from": ["network.data"], "to": ["network.data"], "allow": ["tcp", "udp"]},
        }
    },
}


@pytest.fixture
def stack(cloud, project, tmp_path):
    cloud.flavor()
    cloud.image()
    folder = tmp_path / "left"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: left\nruntime: provision\n")
    configure(folder)
    return Deployed(folder, engine_environment(tmp_path, cloud) | project.environment)


def write(stack, count):
    """A stack with so many machines."""
    whole = STACK | {"machines": {"web": MACHINE | {"count": count}}}
    (stack.folder / "stack.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))


def limit(cloud, project, ports, networks, machines):
    admin, where = cloud.admin(), f"/os-quota-sets/{project.id}"
    for service, names in ((admin.compute, ("instances", "cores")), (admin.block_storage, ("volumes", "gigabytes"))):
        answer = service.put(where, json={"quota_set": dict.fromkeys(names, machines)})
        assert answer.status_code == 200, answer.text
    admin.network.update_quota(project.id, port=ports, network=networks)


def test_what_is_left_decides_and_what_a_stack_has_does_not_count_twice(stack, cloud, project, session):
    """Limits are reached by the stack and by a network and a port of somebody else's."""
    network = session.network.post("/networks", {"network": {"name": "of-others"}})["network"]
    session.network.post("/ports", {"port": {"network_id": network["id"], "name": "of-others"}})
    limit(cloud, project, ports=3, networks=3, machines=1)
    write(stack, 1)
    try:
        assert "1 machine created" in stack.fine("up", "-y")
        server = next(session.compute.pages("/servers/detail", "servers", version="2.46"))
        ports = session.network.get("/ports", {"device_id": server["id"]})["ports"]
        groups = session.network.get("/security-groups", {"project_id": project.id})["security_groups"]
        report = stack.report()

        stack.fine("up", "-y")
        write(stack, 2)
        limit(cloud, project, ports=4, networks=3, machines=2)
        more = stack.run(COMMAND, "up", "-y")
    finally:
        stack.fine("down", "-y")

    assert (server["metadata"]["team"], server["OS-EXT-AZ:availability_zone"]) == ("shop", "nova")
    stateful = {one["id"]: one["stateful"] for one in groups}
    kinds = {
        port["fixed_ips"][0]["ip_address"][:7]: {stateful[one] for one in port["security_groups"]} for port in ports
    }
    assert kinds == {"10.30.1": {True}, "10.30.2": {False}}
    assert report["accepted"]["proven"], report["accepted"]
    assert more.returncode == 1
    assert "the stack needs 4 ports and has 2; the project may have 4, of which others use 1" in more.stdout
    assert more.stdout.count("and the project may have") + more.stdout.count("of which others use") == 1
