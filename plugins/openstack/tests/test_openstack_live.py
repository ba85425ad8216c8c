"""A session in a real OpenStack."""

import json
import subprocess
from importlib.resources import files

import pytest
from openstack_lab import http_fault
from openstack_lab.installing import installed
from provision_openstack import capabilities
from provision_openstack.config import OpenStackConfig
from provision_openstack.doctor import diagnose
from provision_openstack.errors import ApiError, explain
from provision_openstack.kinds import NETWORK

pytestmark = pytest.mark.lab

DEFINITIONS = """
import json
from nova.api.validation.extra_specs import validators
kinds = {int: "int", str: "str", bool: "bool"}
found = {}
for spec in validators.VALIDATORS.values():
    value = {key: kinds.get(value, value) if key == "type" else value for key, value in spec.value.items()}
    value.pop("description", None)
    found[spec.name] = [spec.name_regex, value | ({"deprecated": True} if spec.deprecated else {})]
print(json.dumps(found))
"""


def counted(session):
    calls = []

    def run(name, call):
        calls.append(name)
        return call()

    session.stand_between(run)
    return calls


def test_everything_is_asked_once_and_in_few_calls(cloud, session):
    flavor = cloud.flavor(cpus=2, memory_mib=128)
    calls = counted(session)

    found = capabilities.ask(session)

    assert len(calls) == len(set(calls)) <= 14, calls
    assert {"compute", "network", "image", "block-storage"} == set(found.facts["services"])
    assert {"port-security", "address-group", "qos"} <= set(found.facts["extensions"])
    assert flavor in [one["id"] for one in found.facts["flavors"]]
    assert found.facts["roles"] == ["member", "reader"]
    assert found.identity == f"{session.project_id}@RegionOne"
    assert json.loads(json.dumps(dict(found.facts))) == dict(found.facts)


def test_a_quota_that_is_used_up_is_known_and_explained(cloud, session):
    cloud.admin().network.update_quota(session.project_id, network=1)
    session.network.post("/networks", {"network": {"name": "only"}})

    found = capabilities.ask(session)
    with pytest.raises(ApiError) as refused:
        session.network.post("/networks", {"network": {"name": "one too many"}})

    assert found.facts["quotas"]["networks"] == [1, 1]
    assert "higher quota" in explain("making a network", refused.value).fix
    cloud.admin().network.update_quota(session.project_id, network=-1)


def test_doctor_finds_a_cloud_that_can_be_used(in_project):
    found = diagnose(OpenStackConfig())

    assert [one for one in found if one.ok is False] == []
    assert {"project", "roles", "compute", "network", "quotas"} <= {one.subject for one in found}


def test_an_application_credential_of_the_environment_is_enough(cloud, session, monkeypatch):
    path = f"/users/{session.user_id}/application_credentials"
    wanted = {"application_credential": {"name": "pipeline", "roles": [{"name": "reader"}]}}
    made = session.service("identity").post(path, wanted)["application_credential"]
    for name in ("OS_CLOUD", "OS_CLIENT_CONFIG_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_AUTH_TYPE", "v3applicationcredential")
    monkeypatch.setenv("OS_AUTH_URL", f"{cloud.layout.url('keystone')}/v3")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_ID", made["id"])
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", made["secret"])

    found = diagnose(OpenStackConfig())

    assert {one.subject: one.ok for one in found}["project"] is True
    assert {one.subject: one.ok for one in found}["roles"] is None  # it may only look
    assert made["secret"] not in str(found)


def test_a_revoked_token_is_renewed_in_the_middle(cloud, session):
    session.network.get("/networks")

    with cloud.going_wrong(http_fault("neutron", "GET", "^/v2.0/networks", 401, times=1)):
        answer = session.network.get("/networks")
        assert len(cloud.followed()) == 1

    assert "networks" in answer


def test_a_refresh_of_many_networks_is_one_call(session):
    made = [session.network.post("/networks", {"network": {"name": f"n{number}"}})["network"] for number in range(8)]
    calls = counted(session)

    found = session.together(*[lambda one=one: session.reader.look(NETWORK, one["id"], "stack") for one in made])

    assert [one["name"] for one in found] == [one["name"] for one in made]
    assert len(calls) <= 4, calls


def test_the_definitions_of_extra_specs_are_novas_own():
    python = installed(print) / "bin/python"
    done = subprocess.run([str(python), "-c", DEFINITIONS], capture_output=True, text=True, timeout=120, check=True)
    novas = json.loads(done.stdout.splitlines()[-1])
    ours = json.loads(files("provision_openstack").joinpath("extra_specs.json").read_text())

    grouped = {name: pair for name, pair in novas.items() if name.startswith(("trait{", "resources{"))}
    plain = {name: value for name, (pattern, value) in novas.items() if pattern == name}
    patterns = {pattern: value for name, (pattern, value) in novas.items() if pattern != name and name not in grouped}
    assert ours["specs"] == plain
    assert ours["patterns"] == patterns
    names = {name.partition(":")[2] for name in grouped} - {"CUSTOM_{trait}", "CUSTOM_{resource}"}
    assert {*ours["traits"], *ours["resources"]} == names
