"""What a stack file says in OpenStack's own words: typed, and anything else is refused where it stands."""

import pytest
from cloud_requests import FACTS, request
from openstack_stacks import CLOUD
from provision_openstack.provider import OpenStackProvider
from provision_openstack.translate import translate
from provision_openstack.translate.objections import objections

from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError
from provision.loader import load
from provision.models import Stack
from provision.spi import Capabilities
from provision.translate import negotiate

STACK = """\
version: 1
platform: openstack
networks:
  front: {cidr: 10.0.1.0/24}
machines:
  web:
    image: micro
    memory: 512MiB
    nics: [{network: front}]
    disks:
      data:
        size: 5GiB
        overrides: {openstack: DISK}
    overrides: {openstack: MACHINE}
"""


def loaded(folder, machine="{}", disk="{}"):
    (folder / "stack.yaml").write_text(STACK.replace("MACHINE", machine).replace("DISK", disk))
    return load(folder)


def document(machine=None, disk=None):
    web = {"image": "micro", "memory": "512MiB", "nics": [{"network": "front"}]}
    web["disks"] = {"data": {"size": "5GiB", "overrides": {"openstack": disk or {}}}}
    web["overrides"] = {"openstack": machine or {}}
    return {"networks": {"front": {"cidr": "10.0.1.0/24"}}, "machines": {"web": web}}


def test_zones_and_metadata_are_of_the_server_and_of_the_volume():
    graph = translate(
        request(
            document(
                {"availability_zone": "rack-2", "metadata": {"owner": "ann"}},
                {"availability_zone": "rooms", "metadata": {"tier": "data"}},
            )
        )
    )

    server, volume = graph.node("machines/web/server").inputs, graph.node("machines/web/disk-data").inputs
    assert (server["availability_zone"], server["metadata"]) == ("rack-2", {"owner": "ann"})
    assert (volume["availability_zone"], volume["metadata"]) == ("rooms", {"tier": "data"})


def test_without_them_nothing_is_said():
    graph = translate(request(document()))

    for name in ("server", "disk-data"):
        assert not {"availability_zone", "metadata"} & set(graph.node(f"machines/web/{name}").inputs)


def test_zones_that_there_are_not_are_told_with_those_that_there_are():
    stack = Stack.model_validate({"version": 1, **document({"availability_zone": "b"}, {"availability_zone": "c"})})
    facts = FACTS | {"zones": ["nova", "rack-2"], "volume_zones": []}

    found = {one.path: (one.reason, one.fix) for one in objections(stack, Capabilities("openstack", facts))}

    assert found == {
        ("machines", "web", "overrides", "openstack", "availability_zone"): (
            "Nova has no zone 'b' that is available",
            "write one of: nova, rack-2",
        ),
        ("machines", "web", "disks", "data", "overrides", "openstack", "availability_zone"): (
            "Cinder has no zone 'c' that is available",
            "write one of: none",
        ),
    }


@pytest.mark.parametrize(
    ("where", "written", "line", "words"),
    [
        ("machine", "{flavour: big}", 14, "flavour: Extra inputs are not permitted"),
        ("machine", "{config_drive: false}", 14, "config_drive: Extra inputs are not permitted"),
        ("machine", "{metadata: {provision: mine}}", 14, "the key 'provision' is reserved"),
        ("machine", "{availability_zone: 7}", 14, "availability_zone: Input should be a valid string"),
        ("disk", "{volume_type: fast}", 13, "volume_type: Extra inputs are not permitted"),
    ],
)
def test_what_is_unknown_is_refused_with_its_place(tmp_path, where, written, line, words):
    found = loaded(tmp_path, **{where: written})
    with pytest.raises(StackFileError) as refused:
        negotiate(found.stack, OpenStackProvider(), CLOUD, DiagnosticSink(found.source_map))

    problem = next(one for one in refused.value.diagnostics if "overrides" in one.path)
    place = found.source_map.locate(problem.path)
    assert words in problem.summary
    assert "fields that can be overridden: availability_zone, metadata" in problem.fix
    assert place.line == line
    assert place.column > 1
