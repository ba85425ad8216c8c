"""One stack in several locations: plain `pulumi` with the real engine, and an in-memory platform for each."""

import json

import pytest
from test_engine_language import GOLDEN_URNS, STACK, project, summary  # noqa: F401 - a fixture

from provision.testing import Store

pytestmark = pytest.mark.engine

SEVERAL = """\
version: 1
platform: memory
locations:
  west:
    platform: memory
    config:
      store: {west}
networks:
  front:
    cidr: 10.1.0.0/24
    internet: routed
  back:
    cidr: 10.2.0.0/24
    internet: routed
    location: west
machines:
  web:
    image: micro
    memory: 64MiB
    count: 2
    nics:
      - network: front
  db:
    image: micro
    memory: 128MiB
    location: west
    nics:
      - network: back
isolation:
  policies:
    web-to-db:
      kind: traffic
      from: [machine.web]
      to: [machine.db]
      allow: [tcp/5432]
    world-to-web:
      kind: traffic
      from: [outside]
      to: [machine.web]
      allow: [tcp/80]
outputs:
  db: ${{machine.db.address}}
"""
CHAIN = "urn:pulumi:dev::shop::provision:index:Stack$"


@pytest.fixture
def several(project):  # noqa: F811
    (project.folder / "stack.yaml").write_text(SEVERAL.format(west=project.folder / "west.json"))
    return project


def west(project):  # noqa: F811
    return Store(project.folder / "west.json")


def names(store, kind):
    return [item.name for item in store.objects(kind)]


def test_machines_are_made_where_the_file_says_and_policies_name_those_elsewhere_by_address(several):
    several.up()
    assert sorted(names(several.store, "compute:Server")) == ["shop-dev-web-0", "shop-dev-web-1"]
    assert names(west(several), "compute:Server") == ["shop-dev-db"]
    found = several.resources()
    web = [several.outputs_of(f"machines/web-{index}")["address"] for index in (0, 1)]
    db = several.outputs_of("machines/db")["address"]
    peers = {
        urn.rpartition("::")[2]: item["inputs"]["rules"][0]["peers"]
        for urn, item in found.items()
        if item["type"] == "provision-memory:compute:Group"
    }
    assert peers == {
        "isolation/web-to-db/group": ["machine.web"],
        "locations/west/isolation/web-to-db/group": [f"{address}/32" for address in web],
        "isolation/world-to-web/group": ["outside"],
    }
    assert json.loads(several.fine("stack", "output", "--json")) == {"db": db}
    assert {
        CHAIN + rest
        for rest in (
            "pulumi:providers:provision-memory::locations/default",
            "pulumi:providers:provision-memory::locations/west",
            "provision-memory:index:AddressPlan::addresses",
            "provision-memory:index:AddressPlan::locations/west/addresses",
            "provision:index:Policy::isolation/web-to-db",
            "provision:index:Policy$provision-memory:compute:Group::locations/west/isolation/web-to-db/group",
            "provision:index:Machine$provision-memory:compute:Server::machines/db/server",
        )
    } <= set(found)
    assert [line for line in summary(several.up()) if "unchanged" not in line] == []


def test_a_stack_that_gets_a_second_location_keeps_all_that_it_has(project):  # noqa: F811
    project.up()
    assert set(project.resources()) == GOLDEN_URNS
    before = project.identities()
    text = STACK.replace(
        "platform: memory\n",
        f"""platform: memory
locations:
  west:
    platform: memory
    config: {{store: {project.folder / "west.json"}}}
""",
    )
    text = text.replace("machines:\n", "  far:\n    cidr: 10.9.0.0/24\n    location: west\nmachines:\n", 1)
    (project.folder / "stack.yaml").write_text(text)
    project.up()
    assert set(project.resources()) > GOLDEN_URNS
    assert {name: project.identities()[name] for name in before} == before
    assert names(west(project), "network:Network") == ["shop-dev-far"]


def test_another_spelling_of_the_same_platform_replaces_nothing_and_another_platform_everything(several):
    several.up()
    before, calls = several.identities(), len(west(several).mutations())
    folder = several.folder
    (folder / "unused").mkdir()
    several.edit(str(folder / "west.json"), f"{folder}/unused/../west.json")
    several.up()
    assert several.identities() == before
    assert len(west(several).mutations()) == calls
    several.edit(f"{folder}/unused/../west.json", str(folder / "further.json"))
    several.up()
    assert west(several).objects() == []
    further = Store(folder / "further.json")
    assert names(further, "compute:Server") == ["shop-dev-db"]
    assert sorted(names(several.store, "compute:Server")) == ["shop-dev-web-0", "shop-dev-web-1"]
    after = several.identities()
    kept = {name for name in before if before[name] and before[name] == after.get(name)}
    assert {"machines/web-0/server", "networks/front/network", "stack-id"} <= kept


def test_a_location_gets_another_name_and_everything_stays(several):
    several.up()
    before = several.identities()
    several.edit("  west:\n    platform", "  far-west:\n    platform")
    several.edit("location: west", "location: far-west")
    several.up()
    after = several.identities()
    assert {name: after[name] for name in ("machines/db/server", "networks/back/network")} == {
        name: before[name] for name in ("machines/db/server", "networks/back/network")
    }
    made = {call.operation for call in west(several).mutations() if call.kind in ("compute:Server", "network:Network")}
    assert made <= {"create", "update"}
    assert len(west(several).objects("compute:Server")) == 1


def test_what_cannot_cross_is_refused_at_its_place_before_anything_is_made(several):
    several.edit("cidr: 10.2.0.0/24\n    internet: routed", "cidr: 10.2.0.0/24\n    internet: nat")
    done = several.pulumi("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert "policy refused" in done.text
    assert f"{several.place('web-to-db')}: error: policy 'web-to-db' cannot be enforced on 'memory'" in done.text
    assert "it allows traffic from 'web' in 'default' to 'db' in 'west', and 'db' has no address that" in done.text
    assert several.store.objects() == []
    several.edit("      to: [machine.db]", "      level: preferred\n      to: [machine.db]")
    several.up()
    assert several.outputs_of("isolation/web-to-db")["verdict"] == "downgrade"
    assert not [item for item in west(several).objects("compute:Group")]


def test_two_locations_that_are_one_platform_are_refused(several):
    several.edit(str(several.folder / "west.json"), str(several.folder / "platform.json"))
    done = several.pulumi("preview")
    assert done.code != 0
    assert "the locations 'default' and 'west' are the same" in done.text


def test_everything_of_all_locations_goes_with_the_stack(several):
    several.up()
    several.fine("destroy", "--yes", "--skip-preview")
    assert several.store.objects() == []
    assert west(several).objects() == []
