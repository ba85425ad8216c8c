"""What becomes of a stack file: native resources, or a refusal at the place in the file."""

from pathlib import Path

from provision_qemu.provider import QemuProvider

from provision import spi
from provision.models import Stack

FACTS = {"kernel": "/boot/vmlinuz", "ready": "login:"}
STACK = {
    "version": 1,
    "platform": "qemu",
    "images": {"small": {"sources": {"qemu": {"kind": "file", "path": "small.img", "format": "raw"}}}},
    "machines": {"web": {"image": "small", "memory": "96MiB", "cpus": 2, "count": 2}},
}


def answer(feature: str, value: object) -> spi.Support:
    return QemuProvider().supports(spi.FeatureUse(feature, (), value), spi.Capabilities("qemu", FACTS))


def test_each_machine_becomes_one_native_machine():
    stack = Stack.model_validate(STACK)
    request = spi.TranslationRequest(stack, "shop", "dev", spi.Capabilities("qemu", FACTS), {}, {}, "/srv/shop")
    graph = QemuProvider().translate(request)
    assert [node.name for node in graph.nodes] == ["machines/web-0/machine", "machines/web-1/machine"]
    assert graph.nodes[1].inputs == {
        "name": "shop-dev-web-1",
        "kernel": "/boot/vmlinuz",
        "ready": "login:",
        "initrd": "/srv/shop/small.img",
        "cpus": 2,
        "memory_mib": 96,
        "power": "running",
    }
    assert QemuProvider().translate(request) == graph


def test_what_needs_a_network_is_refused_and_what_a_network_would_endanger_is_enforced():
    for kind in ("no_internet", "no_host_access", "peer_isolation", "anti_spoofing"):
        assert answer(f"isolation.policies.{kind}", object()).enforced
    assert answer("isolation.default", "deny").enforced
    assert answer("isolation.services.dhcp", False).enforced
    refused = ("networks.cidr", "machines.nics.network", "isolation.policies.traffic", "isolation.policies.spread")
    for feature in refused:
        assert "network" in answer(feature, "any").reason
    assert not answer("isolation.default", "allow").enforced
    assert not answer("isolation.services.dhcp", True).enforced


def test_an_image_must_be_an_initramfs():
    image = STACK["images"]["small"]["sources"]["qemu"]  # type: ignore[index]
    stack = Stack.model_validate(STACK)
    assert answer("images.sources.file", stack.images["small"].sources["qemu"]).enforced
    disk = Stack.model_validate({**STACK, "images": {"small": {"sources": {"qemu": {**image, "format": "qcow2"}}}}})
    assert answer("images.sources.file", disk.images["small"].sources["qemu"]).fix == "write 'format: raw'"


def test_what_is_not_known_is_refused():
    for feature in ("machines.disks.size", "machines.user_data", "machines.ready_timeout", "sharing.shares", "new"):
        assert not answer(feature, 1).enforced


def test_settings_are_facts_of_the_platform(tmp_path: Path, monkeypatch):
    config = QemuProvider.Config.model_validate({"directory": "/m", "kernel": "/boot/vmlinuz", "ready": "login:"})
    provider = QemuProvider()
    assert provider.capabilities(provider.connect(config)).facts == FACTS
