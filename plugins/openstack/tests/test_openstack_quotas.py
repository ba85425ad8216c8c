"""What is left of quotas: others' things count against a stack, its own never twice, and few questions are asked."""

import pytest
from cloud_requests import FACTS, request
from provision_openstack import kinds
from provision_openstack import resources as types
from provision_openstack.holdings import FACT, with_holdings
from provision_openstack.ownership import METADATA_KEY, Owner
from provision_openstack.translate import translate
from provision_openstack.translate.quotas import needs

from provision.errors import StackFileError
from provision.models import Stack
from provision.spi import AsksForStack, Capabilities, references

NEEDED = {
    "instances": 2,
    "cores": 2,
    "memory_mib": 1024,
    "networks": 1,
    "subnets": 2,
    "routers": 1,
    "ports": 2,
    "floating_ips": 2,
    "security_groups": 1,
    "security_group_rules": 2,
    "server_groups": 1,
    "volumes": 4,
    "volume_gib": 16,
}
"""What the stack with two machines needs."""

EACH = {"instances": 1, "cores": 1, "memory_mib": 512, "ports": 1, "floating_ips": 1, "volumes": 2, "volume_gib": 8}
"""What one machine more needs."""

PLACES = {
    types.Network: kinds.NETWORK,
    types.Subnet: kinds.SUBNET,
    types.Router: kinds.ROUTER,
    types.Port: kinds.PORT,
    types.FloatingIp: kinds.FLOATING_IP,
    types.SecurityGroup: kinds.SECURITY_GROUP,
    types.ServerGroup: kinds.SERVER_GROUP,
    types.Volume: kinds.VOLUME,
    types.Server: kinds.SERVER,
}


def document(count=2, machine="web", **more):
    web = {
        "image": "micro",
        "memory": "512MiB",
        "count": count,
        "root": {"size": "3GiB"},
        "disks": {"data": {"size": "5GiB"}},
        "nics": [{"network": "front", "public": True}],
    }
    policies = {
        "apart": {"kind": "spread", "machines": [f"machine.{machine}"]},
        "in": {"kind": "traffic", "from": ["outside"], "to": [f"machine.{machine}"], "allow": ["tcp/80"]},
    }
    return {
        "networks": {"front": {"cidr": "10.0.1.0/24", "cidr6": "fd00:1::/64", "internet": "nat"}},
        "machines": {machine: web},
        "isolation": {"policies": policies},
        **more,
    }


class Project:
    """What a project has, shown as the services show it."""

    project_id = "p"

    def __init__(self):
        self.lives = {}
        self.asked = []
        self.reader = self

    def together(self, *asks):
        return [ask() for ask in asks]

    def all(self, kind, query=None):
        self.asked.append(kind.detail or kind.path)
        yield from self.lives.get(kind.path, ())

    def has(self, graph, stack_id):
        """All of a graph, as the stack of that identity makes it."""
        for node in graph.nodes:
            if node.type in PLACES:
                self.lives.setdefault(PLACES[node.type].path, []).append(self._live(graph, node, stack_id))
            if node.type is types.Server:  # Nova makes the volume that it starts from, and marks nothing
                root = {"id": f"root-of-{node.name}", "name": "", "size": node.inputs["root_size_gib"]}
                attached = [{"server_id": f"{stack_id}-{node.name}"}]
                self.lives.setdefault("/volumes", []).append({**root, "metadata": {}, "attachments": attached})
        return self

    def _live(self, graph, node, stack_id):
        owner = Owner(stack_id, f"urn:{node.name}")
        name = node.inputs.get("name", "")
        found = {"id": f"{stack_id}-{node.name}", "name": name}
        if node.type is types.ServerGroup:
            return found | {"name": owner.named(name)}
        if node.type in (types.Server, types.Volume):
            found |= {"metadata": {METADATA_KEY: owner.mark}, "size": node.inputs.get("size_gib")}
            return found | {"flavor": {"original_name": "tiny", "vcpus": 1, "ram": 512}}
        found |= {"description": owner.described(node.inputs.get("description", ""))}
        if node.type is types.SecurityGroup:
            rules = [one for one in graph.nodes if one.type is types.SecurityGroupRule]
            mine = [one for one in rules if next(references(one.inputs["security_group_id"])).node == node.name]
            found["security_group_rules"] = [
                {"id": one.name, "description": Owner(stack_id, f"urn:{one.name}").described("")} for one in mine
            ]
        return found


def asked(project, quotas, said):
    """A request for a stack, as it is when the cloud was asked about it."""
    stack = Stack.model_validate({"version": 1, **said})
    told = Capabilities("openstack", {**FACTS, "quotas": quotas})
    found = with_holdings(project, told, needs(stack, told))
    return request(said, **found.facts)


def renamed(graph, prefix):
    """The same of another stack."""
    for node in graph.nodes:
        for field in ("name", "description"):
            if field in node.inputs:
                node.inputs[field] = node.inputs[field].replace("shop-dev", prefix)
    return graph


def refused(made):
    with pytest.raises(StackFileError) as caught:
        translate(made)
    return [one.summary for one in caught.value.diagnostics]


def test_the_plugin_is_asked_about_a_stack():
    from provision_openstack.provider import OpenStackProvider

    assert isinstance(OpenStackProvider(), AsksForStack)


@pytest.mark.parametrize("quota", sorted(NEEDED))
def test_a_full_quota_does_not_stop_what_is_there_already(quota):
    project = Project().has(translate(request(document())), "a" * 32)
    full = {quota: [NEEDED[quota] + 3, NEEDED[quota] + 3]}

    made = asked(project, full, document())

    assert quota in made.capabilities.facts[FACT]
    translate(made)


@pytest.mark.parametrize("quota", sorted(NEEDED))
def test_what_others_have_is_not_left(quota):
    project = Project().has(renamed(translate(request(document(3))), "office-dev"), "b" * 32)
    used = NEEDED[quota] + EACH.get(quota, 0)

    found = refused(asked(project, {quota: [used + NEEDED[quota] - 1, used]}, document()))

    assert len(found) == 1
    assert f"the stack needs {NEEDED[quota]} " in found[0]
    assert f"and has 0; the project may have {used + NEEDED[quota] - 1}, of which others use {used}" in found[0]
    translate(asked(project, {quota: [used + NEEDED[quota], used]}, document()))


@pytest.mark.parametrize("quota", sorted(EACH))
def test_one_more_than_what_is_left_is_refused_with_numbers(quota):
    project = Project().has(translate(request(document())), "a" * 32)
    most = NEEDED[quota] + EACH[quota] + 4
    wanted = NEEDED[quota] + EACH[quota]

    found = refused(asked(project, {quota: [most - 1, NEEDED[quota] + 4]}, document(3)))

    assert len(found) == 1
    assert f"the stack needs {wanted} " in found[0]
    assert f"and has {NEEDED[quota]}; the project may have {most - 1}, of which others use 4" in found[0]
    translate(asked(project, {quota: [most, NEEDED[quota] + 4]}, document(3)))


def test_cores_count_by_the_flavors_that_servers_have():
    project = Project().has(translate(request(document())), "a" * 32)
    for live in project.lives["/servers"]:
        live["flavor"] = {"original_name": "gone", "vcpus": 4, "ram": 512}

    found = refused(asked(project, {"cores": [8, 20]}, document(9)))

    assert found == ["the stack needs 9 cores, and the project may have 8"]
    translate(asked(project, {"cores": [8, 8]}, document(3)))


def test_nothing_more_is_asked_where_enough_is_left():
    project = Project()

    made = asked(project, {name: [1000, 1000 - much] for name, much in NEEDED.items()}, document())

    assert project.asked == []
    assert FACT not in made.capabilities.facts


def test_nothing_more_is_asked_where_nothing_is_limited():
    project = Project()

    asked(project, {name: [-1, 10_000] for name in NEEDED}, document())

    assert project.asked == []


def test_each_kind_of_object_is_listed_once():
    project = Project()

    asked(project, {name: [0, 0] for name in NEEDED}, document())

    assert sorted(project.asked) == [
        "/floatingips",
        "/networks",
        "/os-server-groups",
        "/ports",
        "/routers",
        "/security-groups",
        "/servers/detail",
        "/subnets",
        "/volumes/detail",
    ]


def test_only_what_may_not_suffice_is_looked_at():
    project = Project()

    asked(project, {"ports": [4, 3], "cores": [100, 0], "networks": [-1, 50]}, document())

    assert project.asked == ["/ports"]


def test_a_quota_below_what_is_there_does_not_stop_a_stack_that_needs_no_more():
    project = Project().has(translate(request(document(3))), "a" * 32)

    translate(asked(project, {"ports": [2, 5]}, document(2)))


def test_machines_under_other_names_are_the_stacks_own():
    project = Project().has(translate(request(document())), "a" * 32)

    translate(asked(project, {"ports": [2, 2]}, document(machine="gate")))


def test_a_stack_whose_name_begins_alike_is_another():
    others = renamed(translate(request(document(3))), "shop-dev-2")
    project = Project().has(others, "b" * 32).has(translate(request(document())), "a" * 32)

    found = refused(asked(project, {"ports": [5, 5]}, document(3)))

    assert found == ["the stack needs 3 ports and has 2; the project may have 5, of which others use 3"]


def test_one_group_has_only_so_many_servers():
    assert refused(request(document(3), quotas={"server_group_members": [2, 0]})) == [
        "the stack needs 3 servers in one group, and the project may have 2"
    ]
    translate(request(document(3), quotas={"server_group_members": [3, 0]}))
