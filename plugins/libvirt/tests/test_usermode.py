"""A user's own hypervisor: what it refuses with which reason, and what its machines are made of."""

import pytest
from provision_libvirt import place, usermode
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.resources import xml_domain
from provision_libvirt.resources.domain_model import DomainInputs
from provision_libvirt.session import Session

from provision.diagnostics import DiagnosticSink
from provision.errors import PolicyRefused, StackFileError, UserError
from provision.models import Stack
from provision.spi import Capabilities
from provision.translate import Scope, address_inputs, allocate, negotiate, translate

URI = "qemu:///session"
SERVICES = {"dhcp": True, "dns": True, "ntp": True, "metadata": True}
KNOWN = Capabilities(
    "libvirt", {"accelerator": "qemu", "nwfilter": True, "micro_digest": "0" * 16, **usermode.facts(URI)}
)


def stack(isolation=None, network=None, **machine):
    nics = {"nics": [{"network": "out"}]}
    return Stack.model_validate(
        {
            "version": 1,
            "platform": "libvirt",
            "networks": {"out": {"cidr": "10.3.0.0/24", "internet": "nat", "gateway": "10.3.0.2", **(network or {})}},
            "machines": {"box": {"image": "micro", "memory": "96MiB", **nics, **machine}},
            "isolation": {"default": "allow", "services": SERVICES, **(isolation or {})},
        }
    )


def refusals(made):
    with pytest.raises(StackFileError) as caught:
        negotiate(made, LibvirtProvider(), KNOWN, DiagnosticSink())
    return caught.value, [item.summary for item in caught.value.diagnostics]


def domain(made):
    decisions = negotiate(made, LibvirtProvider(), KNOWN, DiagnosticSink())
    scope = Scope("shop", "dev")
    assigned, _ = allocate(address_inputs(made, scope), {})
    done = translate(made, LibvirtProvider(), KNOWN, decisions, assigned, scope, DiagnosticSink())
    return done, done.graph.node("machines/box/domain")


def test_a_machine_has_user_mode_networking_and_neither_network_nor_filter():
    done, node = domain(stack())
    assert {one.type.token for one in done.graph.nodes} == {
        "storage:Pool", "storage:Volume", "storage:Seed", "domain:Domain",
    }  # fmt: skip
    (nic,) = node.inputs["nics"]
    assert nic["user"] == "10.3.0.0/24"
    assert nic.get("filter") is None
    seed = done.graph.node("machines/box/seed").inputs["network_config"]
    assert 'via: "10.3.0.2"' in seed
    assert '- "10.3.0.3"' in seed


def test_what_is_written_for_libvirt_is_read_back_as_it_was():
    inputs = DomainInputs(
        stack_id="0" * 32, pool="p", name="box", memory_mib=64,
        nics=[{"mac": "02:00:00:00:00:01", "user": "10.3.0.0/24"}],
    )  # fmt: skip
    text = xml_domain.render(inputs, "", stack="", urn="", console_path=None)
    assert '<interface type="user">' in text
    assert [nic.user for nic in xml_domain.parse(text)["nics"]] == ["10.3.0.0/24"]
    assert xml_domain.undescribed(text, inputs, None) == []


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"kind": "traffic", "from": ["outside"], "to": ["machine.box"], "allow": ["tcp/80"]}, "has no packet filters"),
        ({"kind": "no_internet", "machines": ["machine.box"]}, "has no packet filters"),
        ({"kind": "anti_spoofing", "machines": ["machine.box"]}, "has no packet filters"),
        ({"kind": "peer_isolation", "machines": ["machine.box"]}, "has no bridges"),
        ({"kind": "dedicated_cpus", "machines": ["machine.box"]}, "may make no control groups"),
        ({"kind": "confinement", "machines": ["machine.box"]}, "run as that user"),
        ({"kind": "memory", "machines": ["machine.box"], "locked": True}, "CAP_SYS_RESOURCE"),
    ],
)
def test_policies_that_it_cannot_hold_are_refused_with_the_reason(policy, reason):
    error, said = refusals(stack({"policies": {"own": policy}}))
    assert isinstance(error, PolicyRefused)
    assert any("policy 'own'" in text and reason in text for text in said), said


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (stack({"default": "deny"}), "isolation is 'deny' by default, but a user's own hypervisor"),
        (stack({"services": SERVICES | {"ntp": False}}), "nothing can close ntp"),
        (stack(count=2), "'box-0' and 'box-1' are both on the network 'out'"),
        (stack(network={"internet": "routed"}), "the network 'out' is 'internet: routed'"),
        (stack(network={"gateway": "10.3.0.1"}), "the gateway of 10.3.0.0/24 is 10.3.0.2"),
        (stack(network={"cidr": "10.3.0.0/28"}), "an IPv4 prefix of at most 27 bits"),
        (stack(network={"cidr6": "fd00::/64"}), "has IPv4 alone"),
        (stack(network={"dhcp": {"enabled": True}}), "whose servers cannot be set up"),
    ],
)
def test_what_user_mode_networking_cannot_give_is_refused(made, reason):
    _, said = refusals(made)
    assert any(reason in text for text in said), said


def test_an_address_that_is_taken_is_refused():
    with pytest.raises(UserError, match=r"10\.3\.0\.3 on 'out', which user-mode networking takes"):
        domain(stack(nics=[{"network": "out", "address": "10.3.0.3"}]))


def test_volumes_are_kept_where_the_user_may_write(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/home/v/data")
    assert place.pool_path(URI, None) == "/home/v/data/libvirt/images"
    assert place.pool_path(URI, "/mine") == "/mine"
    with pytest.raises(UserError, match="cannot be seen from here"):
        place.pool_path("qemu+unix:///session?socket=/run/user/7/libvirt/libvirt-sock", None)
    default = LibvirtConfig(uri="qemu:///system")
    assert Session(default, connect=lambda uri: _Alive()).pool_path == "/var/lib/libvirt/images"
    handed_on = LibvirtConfig(uri=URI, pool_path="/var/lib/libvirt/images")  # as the engine does with defaults
    assert Session(handed_on, connect=lambda uri: _Alive()).pool_path == "/home/v/data/libvirt/images"


class _Alive:
    def setKeepAlive(self, *words):
        pass
