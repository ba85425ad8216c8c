"""What the plugin says to each field that a stack file may set."""

import itertools
import typing

import pytest
from provision_libvirt.filtering import filter_problem
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.support import supports
from pydantic import BaseModel
from stack_requests import FACTS

from provision.models import Isolation, Peer, Revoke, Stack
from provision.packets import Service
from provision.spi import CanProbe, Capabilities, FeatureUse, HasConsole, HasDoctor, HasLab, HasSetup, registry

CAPABILITIES = Capabilities("libvirt", FACTS)
FRAMEWORK = {
    "version", "description", "platform", "parameters", "references", "locations", "outputs", "include", "modules",
}  # fmt: skip
EVERYWHERE = {"kind", "level", "labels", "count", "location", "renamed_from"}


def answer(feature, value=True, **facts):
    return supports(FeatureUse(feature, (), value), Capabilities("libvirt", FACTS | facts))


def grammar(model=Stack, prefix=""):
    """Every field of the grammar as the name of a feature."""
    for name, field in model.model_fields.items():
        if name in EVERYWHERE or (model is Stack and name in FRAMEWORK):
            continue
        feature = f"{prefix}.{name}" if prefix else name
        inner = [kind for kind in models(field.annotation) if kind.__name__ != "UserData"]
        if not inner:
            yield feature
        for kind in inner:
            tag = kind.model_fields.get("kind")
            tagged = f"{feature}.{typing.get_args(tag.annotation)[0]}" if tag else feature
            if tag:
                yield tagged
            yield from grammar(kind, tagged)


def models(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(itertools.chain.from_iterable(models(part) for part in typing.get_args(annotation)))


SAMPLES = {
    "isolation.policies.traffic.allow": [Service.parse("tcp/80")],
    "isolation.policies.traffic.destinations": [Peer.parse("machine.web")],
    "isolation.policies.traffic.sources": [Peer.parse("outside")],
    "isolation.policies.traffic.revoke": Revoke.CUT,
}


def test_the_grammar_is_walked_as_a_whole():
    found = set(grammar())
    assert {"machines.cpus", "isolation.policies.traffic.sources", "sharing.shares.cpu.weight"} <= found
    assert "isolation.policies.secure_boot.vtpm" in found


@pytest.mark.parametrize("feature", sorted(set(grammar())))
def test_every_field_is_enforced_or_refused_with_a_reason_of_its_own(feature):
    said = answer(feature, SAMPLES.get(feature, True))
    assert said.enforced or (said.reason and "does not know" not in said.reason)


def test_what_is_enforced_is_this():
    enforced = {f for f in grammar() if answer(f, SAMPLES.get(f, True)).enforced}
    assert enforced == {
        "images.sources.builtin", "images.sources.builtin.name", "images.sources.file", "images.sources.file.format",
        "images.sources.file.path", "images.user", "isolation.default", "isolation.policies.anti_spoofing",
        "isolation.policies.anti_spoofing.arp", "isolation.policies.anti_spoofing.ip",
        "isolation.policies.anti_spoofing.mac", "isolation.policies.anti_spoofing.machines",
        "isolation.policies.traffic", "isolation.policies.traffic.allow", "isolation.policies.traffic.destinations",
        "isolation.policies.traffic.order", "isolation.policies.traffic.revoke", "isolation.policies.traffic.sources",
        "isolation.services.dhcp", "isolation.services.dns", "isolation.services.nd", "machines.cpus",
        "machines.delete_protection", "machines.disks.keep_on_delete", "machines.disks.size", "machines.image",
        "machines.memory", "machines.nics.address", "machines.nics.address6", "machines.nics.mac",
        "machines.nics.network", "machines.power", "machines.ready_timeout", "machines.root.size",
        "machines.user_data", "networks.cidr", "networks.cidr6", "networks.dhcp.enabled", "networks.dhcp.range",
        "networks.dns", "networks.domain", "networks.gateway", "networks.gateway6", "networks.internet", "networks.mtu",
    }  # fmt: skip


def test_an_unknown_feature_is_unsupported():
    said = answer("machines.quantum_entangled")
    assert not said.enforced
    assert said.reason == "the libvirt plugin does not know 'machines.quantum_entangled'"


@pytest.mark.parametrize(
    "feature",
    ["machines.disks.encrypted", "machines.nics.public", "isolation.services.ntp", "isolation.services.metadata"],
)
def test_switching_off_what_is_never_on_is_fine(feature):
    assert answer(feature, False).enforced
    assert not answer(feature, True).enforced


def test_a_protocol_that_only_ebtables_could_match_is_refused():
    said = answer("isolation.policies.traffic.allow", [Service.parse("tcp/1"), Service.parse("protocol/47")])
    assert said.reason == "libvirt's packet filter cannot follow protocol/47"


def test_references_as_peers_are_refused():
    said = answer("isolation.policies.traffic.sources", [Peer.parse("reference.shared.cidr")])
    assert "reference.shared.cidr" in said.reason


def test_keeping_established_flows_is_refused_and_cutting_them_is_what_happens():
    assert answer("isolation.policies.traffic.revoke", Revoke.CUT).enforced
    assert answer("isolation.policies.traffic.revoke", Revoke.KEEP).fix == "write 'revoke: cut'"


def test_traffic_policies_need_bridged_packets_to_be_filtered():
    said = answer("isolation.policies.traffic", bridge_nf_call_ip6tables=False)
    assert "net.bridge.bridge-nf-call-ip6tables is not 1" in said.reason
    assert said.fix == ("on the hypervisor: modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-ip6tables=1")
    assert filter_problem(Capabilities("libvirt", FACTS | {"bridge_nf_call_iptables": None})) is None
    assert filter_problem(Capabilities("libvirt", {})) is not None


def test_the_provider_keeps_to_the_interface():
    provider = registry.check("libvirt", LibvirtProvider)
    for protocol in (CanProbe, HasConsole, HasDoctor, HasLab, HasSetup):
        assert isinstance(provider, protocol)
    assert registry.load("libvirt").name == "libvirt"
    assert Isolation().default == "deny"
