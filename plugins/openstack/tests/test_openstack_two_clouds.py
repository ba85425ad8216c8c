"""One stack in two clouds, each in a region of its own, over a network that was there before.

Its runs are killed, resumed and cancelled, and it is looked at and switched.
"""

import json
import os
import signal
import subprocess
import time

import pytest
from openstack_engine import COMMAND, Deployed, engine_environment
from openstack_lab.configuring import write_clouds
from provision_openstack.config import OpenStackConfig
from provision_openstack.session import Session
from second_region import SecondRegion

pytestmark = [pytest.mark.lab, pytest.mark.engine]

PATIENCE = 240.0
STACK = """
version: 1
locations:
  one: {platform: openstack, config: {cloud: one, region: RegionOne}}
  two: {platform: openstack, config: {cloud: two, region: RegionTwo}}
images:
  tiny: {sources: {openstack: {kind: named, name: tiny}}}
networks:
  office: {cidr: 10.50.0.0/24, location: one, existing: {openstack: {network: office}}}
  lab: {cidr: 10.60.0.0/24, location: two}
machines:
  desk:
    image: tiny
    memory: 64MiB
    count: 3
    location: one
    root: {disposable: true}
    nics: [{network: office, existing: {openstack: {security_groups: [monitored]}}}]
  bench:
    image: tiny
    memory: 64MiB
    location: two
    root: {disposable: true}
    nics: [{network: lab}]
isolation:
  policies:
    desks: {kind: traffic, from: [machine.desk], to: [machine.desk], allow: [tcp/22]}
"""


@pytest.fixture
def region(cloud):
    """Where the second cloud has its things."""
    with SecondRegion(cloud) as made:
        yield made


@pytest.fixture
def clouds(cloud, region, tmp_path, monkeypatch):
    """Two projects as two clouds; the first has a network and a group that somebody made by hand."""
    cloud.image()
    cloud.flavor()
    names = [cloud.project(word).name for word in ("one", "two")]
    path = tmp_path / "clouds.yaml"
    users = dict(zip(("one", "two"), ((name, name) for name in names), strict=True))
    write_clouds(cloud.layout, path, users, ["RegionOne", "RegionTwo"])
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    made = [Session(OpenStackConfig(cloud=word)) for word in ("one", "two")]
    network = made[0].network.post("/networks", {"network": {"name": "office"}})["network"]
    subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.50.0.0/24", "enable_dhcp": False}
    made[0].network.post("/subnets", {"subnet": subnet})
    group = made[0].network.post("/security-groups", {"security_group": {"name": "monitored"}})["security_group"]
    for rule in group["security_group_rules"]:
        made[0].network.delete(f"/security-group-rules/{rule['id']}")
    yield made
    for session in made:
        session.close()


@pytest.fixture
def stack(cloud, clouds, tmp_path):
    """The stack in a folder of its own."""
    folder = tmp_path / "desks"
    folder.mkdir()
    (folder / "stack.yaml").write_text(STACK)
    (folder / "Pulumi.yaml").write_text("name: desks\nruntime: provision\n")
    (folder / "Pulumi.dev.yaml").write_text("config: {}\n")
    env = engine_environment(tmp_path, cloud) | {"OS_CLIENT_CONFIG_FILE": os.environ["OS_CLIENT_CONFIG_FILE"]}
    return Deployed(folder, {name: value for name, value in env.items() if name != "OS_CLOUD"})


def servers(session):
    return {one["name"].removeprefix("desks-dev-"): one for one in session.compute.get("/servers/detail")["servers"]}


def standing(session):
    """Everything of a project, by kind."""
    project = {"project_id": session.project_id}
    listings = {many: session.network.get(f"/{many.replace('_', '-')}", project)[many]
                for many in ("networks", "ports", "subnets", "security_groups")}  # fmt: skip
    return {many: sorted((one["name"], one["id"]) for one in listed) for many, listed in listings.items()}


def begun(stack, verb, reached, number):
    """Run a command until `reached`, then send it a signal; its exit code and what it said."""
    with subprocess.Popen(
        [COMMAND, verb, "-y"], cwd=stack.folder, env=stack.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not reached():
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < end
            time.sleep(0.1)
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def test_a_stack_in_two_clouds_survives_what_happens_to_its_runs(stack, clouds, region):
    one, two = clouds
    before = [standing(session) for session in clouds]

    code, _ = begun(stack, "up", lambda: servers(one), signal.SIGKILL)
    assert code == -signal.SIGKILL
    stack.fine("up", "-y")
    assert sorted(servers(one)) == ["desk-0", "desk-1", "desk-2"]
    assert sorted(servers(two)) == ["bench"]
    assert len(standing(one)["ports"]) == 3, "nothing was made twice"
    asked = dict(region.asked)
    assert json.loads(asked["nova POST /v2.1/servers"])["server"]["name"] == "desks-dev-bench"
    assert json.loads(asked["neutron POST /v2.0/networks"])["network"]["name"] == "desks-dev-lab"
    assert not any(b"desk-" in body for _, body in region.asked), "the first cloud is in the other region"
    assert standing(one)["networks"] == before[0]["networks"]
    monitored = dict(before[0]["security_groups"])["monitored"]
    ports = one.network.get("/ports", {"project_id": one.project_id})["ports"]
    assert all(monitored in port["security_groups"] and len(port["security_groups"]) == 2 for port in ports)
    stack.fine("preview", "--detailed-exitcode")

    told = {row["name"]: row for row in json.loads(stack.fine("status", "--format", "json"))["machines"]}
    assert {name: row["state"] for name, row in told.items()} == dict.fromkeys(
        ("desk-0", "desk-1", "desk-2", "bench"), "running"
    )
    stack.fine("power", "bench", "off")
    assert servers(two)["bench"]["status"] == "SHUTOFF"
    stack.fine("power", "bench", "on")
    assert "FAKE CONSOLE OUTPUT" in stack.fine("logs", "desk-1")

    code, said = begun(stack, "down", lambda: len(servers(one)) < 3, signal.SIGINT)
    assert code != 0 or not (servers(one) or servers(two)), "whoever is interrupted says so, or had ended"
    assert "Traceback" not in said
    stack.fine("down", "-y")
    assert [servers(session) for session in clouds] == [{}, {}]
    assert [standing(session) for session in clouds] == before
