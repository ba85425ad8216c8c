"""Networks and groups that a stack refers to: used as they are, and refused when they are other than the file says."""

import pytest
from cloud_requests import request
from provision_openstack.provider import OpenStackProvider
from provision_openstack.support import supports
from provision_openstack.translate import objections, translate

from provision.errors import StackFileError
from provision.models import Stack
from provision.spi import Capabilities, FeatureUse, FindsExisting

OFFICE = {
    "id": "id-of-office",
    "mtu": 1450,
    "subnets": [{"id": "id-of-v4", "cidr": "10.7.0.0/24", "gateway": "10.7.0.1", "dhcp": False}],
    "way": "nat",
    "taken": {"10.7.0.1": {"id": "id-of-gateway", "name": ""}},
}
GROUP = {"id": "id-of-group", "rules": 0, "stateful": True}
STACK = {
    "networks": {
        "office": {"cidr": "10.7.0.0/24", "internet": "nat", "existing": {"openstack": {"network": "office"}}},
        "back": {"cidr": "10.8.0.0/24"},
    },
    "machines": {
        "web": {
            "image": "micro",
            "memory": "512MiB",
            "nics": [
                {"network": "office", "existing": {"openstack": {"security_groups": ["monitored"]}}},
                {"network": "back"},
            ],
        }
    },
    "isolation": {"policies": {"web": {"kind": "traffic", "from": ["outside"], "to": ["machine.web"],
                                       "allow": ["tcp/80"]}}},
}  # fmt: skip


def asked(stack=STACK, networks=None, groups=None):
    networks = [OFFICE] if networks is None else networks
    found = {"networks": {"office": networks}, "groups": {"monitored": [GROUP] if groups is None else groups}}
    return request(stack, existing=found)


def refusals(**changes):
    made = asked(**changes)
    return [one for one in objections(made.stack, made.capabilities) if not one.warns]


def changed(path, value):
    """The stack with one field of its network changed."""
    office = {**STACK["networks"]["office"], path: value}
    return STACK | {"networks": {**STACK["networks"], "office": office}}


def test_a_network_that_is_there_is_used_and_nothing_of_it_is_made():
    graph = translate(asked())

    names = {node.name: node for node in graph.nodes}
    assert not [name for name in names if name.startswith("networks/office/") or name == "router"]
    assert "networks/back/network" in names
    port = names["machines/web/nic-0/port"].inputs
    assert port["network_id"] == "id-of-office"
    assert [one["subnet_id"] for one in port["fixed_ips"]] == ["id-of-v4"]


def test_a_group_that_is_there_is_joined_beside_the_stacks_own():
    graph = translate(asked())

    (groups,) = [node.inputs["security_group_ids"] for node in graph.nodes if node.name == "machines/web/nic-0/port"]
    assert groups[-1] == "id-of-group"
    assert len(groups) > 1


def test_whatever_is_as_the_file_says_is_not_refused():
    assert refusals() == []


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"networks": []}, ("networks", "office", "existing"), "no network 'office'"),
        ({"networks": [OFFICE, OFFICE | {"id": "other"}]}, ("networks", "office", "existing"), "id-of-office, other"),
        ({"stack": changed("cidr", "10.9.0.0/24")}, ("networks", "office", "cidr"), "it has 10.7.0.0/24"),
        ({"stack": changed("gateway", "10.7.0.9")}, ("networks", "office", "gateway"), "is 10.7.0.1"),
        ({"stack": changed("mtu", 1300)}, ("networks", "office", "mtu"), "is 1450"),
        ({"stack": changed("dhcp", {"enabled": True})}, ("networks", "office", "dhcp"), "has no DHCP"),
        ({"networks": [OFFICE | {"way": "none"}]}, ("networks", "office", "internet"), "no router that leads out"),
        ({"networks": [OFFICE | {"way": "routed"}]}, ("networks", "office", "internet"), "does not hide"),
        (
            {"networks": [OFFICE | {"subnets": [OFFICE["subnets"][0] | {"dhcp": True}]}]},
            ("networks", "office", "dhcp"),
            "has DHCP",
        ),
        ({"groups": []}, ("machines", "web", "nics", 0, "existing"), "no security group 'monitored'"),
        ({"groups": [GROUP | {"rules": 2}]}, ("machines", "web", "nics", 0, "existing"), "has 2 rules"),
        ({"groups": [GROUP | {"stateful": False}]}, ("machines", "web", "nics", 0, "existing"), "stateless"),
    ],
)
def test_what_is_other_than_the_file_says_is_refused_with_what_is_there(changes, path, words):
    found = refusals(**changes)

    assert path in [one.path for one in found]
    assert words in next(one.reason for one in found if one.path == path)
    assert all(one.fix for one in found)


def test_what_cannot_be_seen_of_a_network_is_taken_as_the_file_says():
    assert refusals(networks=[OFFICE | {"way": ""}]) == []


def test_an_address_that_another_port_has_is_refused_and_the_stacks_own_is_not():
    taken = {"10.7.0.10": {"id": "p", "name": "somebody"}}
    with pytest.raises(StackFileError) as refused:
        translate(asked(networks=[OFFICE | {"taken": taken}]))
    (found,) = refused.value.diagnostics
    assert "'web' would get 10.7.0.10, which the port p of 'office' has" in str(found)
    own = {"10.7.0.10": {"id": "p", "name": "shop-dev-web-nic-0"}}
    assert translate(asked(networks=[OFFICE | {"taken": own}])).nodes


@pytest.mark.parametrize("wrong", [{}, {"networks": "x"}, {"network": ""}, {"network": "x", "subnet": "y"}])
def test_words_that_mean_nothing_are_refused(wrong):
    stack = Stack.model_validate({"version": 1} | changed("existing", {"openstack": wrong}))
    use = FeatureUse("networks.existing", (), wrong, owner=stack.networks["office"])

    assert not supports(use, Capabilities("openstack", {})).enforced
    assert list(objections(stack, asked().capabilities)) == [], "the field's own answer is enough"


def test_the_plugin_looks_at_what_is_there_before_anything_is_made():
    assert isinstance(OpenStackProvider(), FindsExisting)
