"""What the plugin says to each field that a stack file may set."""

import contextlib
import itertools
import typing

import pytest
from provision_libvirt.filtering import filter_problem
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.support import supports
from provision_libvirt.translate import translate
from pydantic import BaseModel
from stack_requests import FACTS, request

from provision.diagnostics import DiagnosticSink
from provision.errors import PolicyRefused, StackFileError
from provision.models import (
    ConfinementPolicy,
    Firmware,
    Isolation,
    MemoryEncryptionPolicy,
    PackPolicy,
    Peer,
    Revoke,
    Selector,
    SpreadPolicy,
    Stack,
)
from provision.packets import Service
from provision.spi import CanProbe, Capabilities, FeatureUse, HasConsole, HasDoctor, HasLab, HasSetup, Verdict, registry
from provision.translate import negotiate

CAPABILITIES = Capabilities("libvirt", FACTS)
FRAMEWORK = {
    "version", "description", "platform", "parameters", "references", "locations", "drift", "outputs", "include",
    "modules",
}  # fmt: skip
EVERYWHERE = {"kind", "level", "labels", "count", "location", "renamed_from", "least_memory", "evidence"}


def answer(feature, value=True, **facts):
    return supports(FeatureUse(feature, (), value), Capabilities("libvirt", FACTS | facts))


def grammar(model=Stack, prefix=""):
    """Every field of the grammar as the name of a feature."""
    for name, field in model.model_fields.items():
        if name in EVERYWHERE or (model is Stack and name in FRAMEWORK):
            continue
        feature = f"{prefix}.{name}" if prefix else name
        inner = [kind for kind in models(field.annotation) if kind.__name__ not in ("UserData", "CloudInit")]
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
    "machines.overrides": {"machine_type": "pc"},
    "isolation.policies.metadata.access": "closed",
    "isolation.policies.metadata.hop_limit": 1,
    "isolation.policies.traffic.allow": [Service.parse("tcp/80")],
    "isolation.policies.traffic.deny": [Service.parse("tcp/80")],
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
        "isolation.policies.disk_encryption", "isolation.policies.disk_encryption.machines",
        "machines.disks.encrypted", "machines.root.encrypted",
        "isolation.policies.confinement", "isolation.policies.confinement.machines",
        "isolation.policies.confinement.mandatory_access_control", "isolation.policies.confinement.seccomp",
        "isolation.policies.secure_boot", "isolation.policies.secure_boot.machines",
        "isolation.policies.secure_boot.vtpm", "isolation.policies.hide_hypervisor.machines",
        "isolation.policies.hide_hypervisor.nested",
        "isolation.policies.dedicated_cpus", "isolation.policies.dedicated_cpus.emulator",
        "isolation.policies.dedicated_cpus.machines", "isolation.policies.dedicated_cpus.numa",
        "isolation.policies.dedicated_cpus.smt", "isolation.policies.memory", "isolation.policies.memory.huge_pages",
        "isolation.policies.memory.locked", "isolation.policies.memory.machines",
        "isolation.policies.memory.shared_pages", "isolation.policies.memory_encryption.machines",
        "isolation.policies.memory_encryption.technology", "isolation.policies.pack",
        "isolation.policies.pack.machines",
        "isolation.policies.pack.over", "isolation.policies.single_tenancy.machines", "isolation.policies.spread",
        "isolation.policies.spread.machines", "isolation.policies.spread.max_per", "isolation.policies.spread.over",
        "isolation.policies.metadata", "isolation.policies.metadata.access", "isolation.policies.metadata.hop_limit",
        "isolation.policies.metadata.machines", "isolation.policies.no_host_access",
        "isolation.policies.no_host_access.machines", "isolation.policies.no_internet",
        "isolation.policies.no_internet.machines", "isolation.policies.peer_isolation",
        "isolation.policies.peer_isolation.machines", "isolation.policies.traffic.deny",
        "isolation.policies.traffic", "isolation.policies.traffic.allow", "isolation.policies.traffic.destinations",
        "isolation.policies.traffic.order", "isolation.policies.traffic.revoke", "isolation.policies.traffic.sources",
        "isolation.services.dhcp", "isolation.services.dns", "isolation.services.nd", "machines.autostart",
        "machines.overrides",
        "machines.cpus", "machines.firmware", "machines.nics.connected", "machines.shutdown_timeout",
        "machines.delete_protection", "machines.disks.keep_on_delete", "machines.disks.size", "machines.image",
        "machines.memory", "machines.nics.address", "machines.nics.address6", "machines.nics.mac",
        "machines.nics.network", "machines.power", "machines.ready_timeout", "machines.root.disposable",
        "machines.root.size",
        "machines.cloud_init", "machines.ssh_keys", "images.agent", "images.sources.builtin.refresh",
        "images.sources.url", "images.sources.url.format",
        "images.sources.url.sha256", "images.sources.url.url", "machines.user_data", "networks.cidr",
        "networks.cidr6", "networks.dhcp.enabled", "networks.dhcp.range",
        "networks.dns", "networks.domain", "networks.gateway", "networks.gateway6", "networks.internet", "networks.mtu",
        "sharing.pools.cpu_overcommit", "sharing.pools.memory_overcommit", "sharing.pools.rule",
        "sharing.shares.cpu.cap", "sharing.shares.cpu.weight", "sharing.shares.disk.iops",
        "sharing.shares.disk.throughput", "sharing.shares.machines", "sharing.shares.memory.balloon",
        "sharing.shares.memory.maximum", "sharing.shares.memory.minimum", "sharing.shares.memory.page_sharing",
        "sharing.shares.nic.inbound",
        "sharing.shares.nic.outbound",
    }  # fmt: skip


def test_an_unknown_feature_is_unsupported():
    said = answer("machines.quantum_entangled")
    assert not said.enforced
    assert said.reason == "the libvirt plugin does not know 'machines.quantum_entangled'"


@pytest.mark.parametrize(
    "feature",
    ["machines.nics.public", "isolation.services.ntp", "isolation.services.metadata"],
)
def test_switching_off_what_is_never_on_is_fine(feature):
    assert answer(feature, False).enforced
    assert not answer(feature, True).enforced


def test_a_protocol_that_only_ebtables_could_match_is_refused():
    said = answer("isolation.policies.traffic.allow", [Service.parse("tcp/1"), Service.parse("protocol/47")])
    assert said.reason == "libvirt's packet filter cannot follow protocol/47"


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


@pytest.mark.parametrize(
    ("feature", "value", "facts", "reason"),
    [
        ("sharing.shares.cpu.weight", 5, {"cgroup_version": None}, "which one the hypervisor has cannot be seen"),
        ("sharing.shares.cpu.weight", 5, {"cgroup_controllers": ["memory"]}, "no 'cpu' controller"),
        ("sharing.shares.cpu.cap", 0.5, {"cgroup_controllers": []}, "no 'cpu' controller"),
        ("sharing.shares.cpu.cap", 0.009, {}, "the kernel's least is 0.01 of a CPU"),
        ("sharing.shares.memory.maximum", 1 << 30, {"cgroup_controllers": ["cpu"]}, "no 'memory' controller"),
        ("sharing.shares.memory.maximum", 1 << 30, {"may_lock_memory": False}, "without CAP_SYS_RESOURCE"),
        ("sharing.shares.nic.inbound", 1e6, {"shaping_missing": "sfq, police"}, "that libvirt needs: sfq, police"),
        ("sharing.shares.nic.outbound", 1e6, {"shaping_missing": None}, "cannot be seen from here"),
        ("sharing.shares.nic.outbound", 7999.0, {}, "libvirt's least is 8 kbit/s"),
        ("machines.firmware", Firmware.UEFI, {"firmware": ["bios"]}, "has no UEFI firmware"),
        ("machines.overrides", {"machine_type": "microvm"}, {}, "an emulated microvm has no timer"),
        ("machines.overrides", {"machine_type": "pc-9"}, {}, "'machine_type': Input should be 'pc' or 'q35'"),
        ("machines.overrides", {"video": "vga"}, {}, "'video': Extra inputs are not permitted"),
        ("isolation.policies.dedicated_cpus", True, {"topology": []}, "does not tell which CPUs it has"),
        ("isolation.policies.memory.locked", True, {"may_lock_memory": False}, "without CAP_SYS_RESOURCE"),
        ("isolation.policies.memory.huge_pages", True, {"huge_pages_mounted": False}, "no file system of huge pages"),
    ],
)
def test_what_a_host_lacks_is_the_reason(feature, value, facts, reason):
    said = answer(feature, value, **facts)
    assert not said.enforced
    assert reason in said.reason
    assert said.fix
    best = supports(FeatureUse(feature, (), SAMPLES.get(feature, True)), LibvirtProvider().best_capabilities())
    assert best.enforced


def encryption(technology):
    return MemoryEncryptionPolicy(
        kind="memory_encryption", machines=[Selector.parse("machine.*")], technology=technology
    )


def over(kind, topology):
    model = {"spread": SpreadPolicy, "pack": PackPolicy}[kind]
    return model(kind=kind, machines=[Selector.parse("machine.*")], over=topology)


MAC_OFF = ConfinementPolicy.model_validate(
    {"kind": "confinement", "machines": ["machine.*"], "mandatory_access_control": False}
)
SECCOMP_OFF = MAC_OFF.model_copy(update={"mandatory_access_control": True, "seccomp": False})


@pytest.mark.parametrize(
    ("kind", "value", "facts", "reason"),
    [
        ("confinement", True, {"security_models": ["none", "dac"]}, "(its security drivers: none, dac)"),
        ("confinement", SECCOMP_OFF, {"security_models": []}, "(its security drivers: none)"),
        ("confinement", MAC_OFF, {"seccomp": False}, "seccomp_sandbox"),
        ("confinement", MAC_OFF, {"seccomp": None}, "cannot be seen from here"),
        ("confinement", MAC_OFF, {"security_models": ["dac"]}, None),
        ("confinement", SECCOMP_OFF, {"seccomp": None, "security_models": ["selinux"]}, None),
        ("hide_hypervisor", True, {"accelerator": "qemu"}, "CPUID leaf 0x40000000"),
        ("hide_hypervisor", True, {"accelerator": "kvm"}, None),
        ("secure_boot", True, {"secure_boot": False}, "no UEFI firmware with secure boot"),
        ("secure_boot.vtpm", True, {"tpm_backends": ["passthrough"]}, "swtpm is not installed there"),
        ("secure_boot.vtpm", False, {"tpm_backends": []}, None),
        ("disk_encryption", True, {"secrets": False}, "its secret driver is not there"),
        ("disk_encryption.key", "mine", {}, "each disk has a key of its own"),
        ("memory_encryption", True, {}, "neither AMD SEV nor Intel TDX"),
        ("memory_encryption", encryption("sev"), {}, "the hypervisor offers no SEV (virsh domcapabilities: not"),
        ("memory_encryption", encryption("sev-snp"), {"memory_encryption": ["tdx"]}, "domcapabilities names tdx)"),
        ("memory_encryption", encryption("tdx"), {"memory_encryption": ["tdx"]}, None),
        ("memory_encryption", encryption("any"), {"memory_encryption": ["sev"]}, None),
        ("spread", over("spread", "rack"), {}, "does not know in which rack a hypervisor stands"),
        ("spread", over("spread", "numa"), {"topology": []}, "does not tell which CPUs it has"),
        ("spread", over("spread", "host"), {"topology": []}, None),
        ("pack", over("pack", "core"), {"topology": []}, "does not tell which CPUs it has"),
        ("pack", over("pack", "zone"), {"topology": []}, None),
        ("single_tenancy", True, {}, "gives its host to nobody"),
        (
            "single_tenancy",
            True,
            {"sole_use": True, "unmarked_machines": ["mine"]},
            "machines that no stack made: mine",
        ),
        ("single_tenancy", True, {"sole_use": True, "unmarked_machines": []}, None),
    ],
)
def test_protection_is_refused_with_what_the_hypervisor_lacks(kind, value, facts, reason):
    said = answer(f"isolation.policies.{kind}", value, **facts)
    assert said.enforced is (reason is None)
    assert reason is None or reason in said.reason


def test_what_is_not_asked_for_needs_nothing():
    assert answer("isolation.policies.memory.locked", False, may_lock_memory=False).enforced
    assert answer("isolation.policies.memory.huge_pages", False, huge_pages_mounted=False).enforced
    assert answer("sharing.shares.cpu.cap", 0.5, cgroup_controllers=None).enforced


def decided(level, cpus):
    document = {
        "version": 1,
        "machines": {
            "web": {"image": "micro", "memory": "96MiB", "cpus": cpus},
            "db": {"image": "micro", "memory": "96MiB"},
        },
        "isolation": {
            "policies": {"own": {"kind": "dedicated_cpus", "machines": ["machine.web"], "level": level}},
        },
    }
    return negotiate(Stack.model_validate(document), LibvirtProvider(), CAPABILITIES, DiagnosticSink())["own"]


def test_cores_that_the_host_does_not_have_are_refused_or_recorded_as_a_downgrade():
    assert decided("required", 7).verdict is Verdict.ENFORCE
    with pytest.raises(PolicyRefused) as caught:
        decided("required", 9)
    assert caught.value.diagnostics[0].summary == (
        "policy 'own' cannot be enforced on 'libvirt': machine 'web' needs 9 CPUs of its own, but of the 8 of the "
        "hypervisor 8 are left"
    )
    downgraded = decided("preferred", 8)
    assert downgraded.verdict is Verdict.DOWNGRADE
    assert (
        downgraded.reason == "of the hypervisor's 8 CPUs none would be left for the 1 machine without CPUs of their own"
    )


@pytest.mark.parametrize("rule", ["refuse", "warn"])
def test_a_pool_that_is_overcommitted_is_refused_or_told_as_its_author_asks(rule):
    document = {
        "version": 1,
        "machines": {"web": {"image": "micro", "memory": "96MiB", "cpus": 3, "count": 3}},
        "sharing": {"pools": {"host": {"cpu_overcommit": 1, "memory_overcommit": 1, "rule": rule}}},
    }
    stack, sink = Stack.model_validate(document), DiagnosticSink()
    with pytest.raises(StackFileError) if rule == "refuse" else contextlib.nullcontext():
        negotiate(stack, LibvirtProvider(), CAPABILITIES, sink)
    (found,) = sink
    assert str(found.severity) == {"refuse": "error", "warn": "warning"}[rule]
    said = "the running machines have 9 virtual CPUs, and 1 times the hypervisor's 8 CPUs are 8"
    assert found.summary.endswith(said)
    assert found.fix
    assert found.path == ("sharing", "pools", "host", "cpu_overcommit")
    with pytest.raises(StackFileError) if rule == "refuse" else contextlib.nullcontext():
        assert translate(request(document)).nodes


def test_room_for_cpus_is_refused_where_it_cannot_be_given():
    def told(most, **policies):
        web = {"image": "micro", "memory": "96MiB", "cpus": 2, "overrides": {"libvirt": {"max_cpus": most}}}
        document = {"version": 1, "machines": {"web": web}, "isolation": {"policies": policies}}
        sink = DiagnosticSink()
        with contextlib.suppress(StackFileError):
            negotiate(Stack.model_validate(document), LibvirtProvider(), CAPABILITIES, sink)
        return [found.summary.partition("'libvirt': ")[2] for found in sink]

    own = {"kind": "dedicated_cpus", "machines": ["machine.web"], "numa": False}
    assert told(2) == told(4) == told(2, own=own) == []
    assert told(1) == ["it is less than 'cpus: 2'"]
    assert told(4, own=own) == [
        "each virtual CPU of machine 'web' has one of the hypervisor's own, chosen when it starts"
    ]


def test_too_little_memory_to_start_by_uefi_is_told_unless_the_file_says_what_the_image_needs():
    def told(memory, least=None, **machine):
        source = {"kind": "file", "path": "disk.img"}
        image = {"sources": {"libvirt": source}} | ({} if least is None else {"least_memory": least})
        signed = {"kind": "secure_boot", "vtpm": False, "machines": ["machine.web"]}
        document = {
            "version": 1,
            "images": {"own": image},
            "machines": {"web": {"image": "own", "memory": memory, **machine}},
            "isolation": {"policies": {} if machine else {"signed": signed}},
        }
        sink = DiagnosticSink()
        able = Capabilities("libvirt", {**CAPABILITIES.facts, "firmware": ["bios", "efi"]})
        negotiate(Stack.model_validate(document), LibvirtProvider(), able, sink)
        return [(str(found.severity), found.path) for found in sink]

    warned = [("warning", ("machines", "web", "memory"))]
    assert told("319MiB") == told("256MiB", firmware="uefi") == warned
    assert told("320MiB") == told("256MiB", least="256MiB") == told("256MiB", firmware="bios") == []


@pytest.mark.parametrize("image", ["debian", "micro"])
def test_images_that_bring_a_bare_kernel_are_not_given_to_a_firmware_that_does_not_start_it(image):
    document = {"version": 1, "machines": {"web": {"image": image, "memory": "512MiB", "firmware": "uefi"}}}
    sink = DiagnosticSink()
    known = Capabilities("libvirt", FACTS | {"firmware": ["bios", "efi"]})
    with pytest.raises(StackFileError):
        negotiate(Stack.model_validate(document), LibvirtProvider(), known, sink)
    (found,) = sink
    assert found.path == ("machines", "web", "firmware")
    assert found.summary.endswith(f"the image '{image}' comes with a bare kernel that UEFI does not start")


def negotiated(policies, **facts):
    document = {
        "version": 1,
        "networks": {"lan": {"cidr": "10.1.0.0/24"}, "out": {"cidr": "10.2.0.0/24", "internet": "nat"}},
        "machines": {
            "web": {"image": "micro", "memory": "96MiB", "nics": [{"network": "lan"}]},
            "db": {"image": "micro", "memory": "96MiB", "nics": [{"network": "lan"}]},
            "pc": {"image": "micro", "memory": "96MiB", "nics": [{"network": "out"}]},
        },
        "isolation": {"policies": policies},
    }
    known = Capabilities("libvirt", FACTS | facts)
    return negotiate(Stack.model_validate(document), LibvirtProvider(), known, DiagnosticSink())


def traffic(order, **services):
    return {"kind": "traffic", "from": ["machine.web"], "to": ["machine.db"], "order": order} | services


def test_denials_that_alternate_with_allowances_more_often_than_there_is_room_are_refused():
    def many(count):
        turns = ({"deny": ["tcp/22"]}, {"allow": ["tcp/23"]})
        return {f"p{order}": traffic(order, **turns[order % 2]) for order in range(count)}

    assert len(negotiated(many(48))) == 48
    with pytest.raises(PolicyRefused) as caught:
        negotiated(many(49))
    assert "change 48 times between deny and allow, and libvirt's packet filter has room for 47" in str(
        caught.value.diagnostics[0]
    )
    same_turn = {f"d{order}": traffic(order, deny=["tcp/22"]) for order in range(200)}
    assert len(negotiated(same_turn | {"late": traffic(999, allow=["tcp"])})) == 201


def test_cutting_established_flows_is_refused_where_something_is_denied():
    cut = traffic(2, allow=["tcp/22"], revoke="cut")
    assert negotiated({"cut": cut})["cut"].verdict is Verdict.ENFORCE
    with pytest.raises(PolicyRefused) as caught:
        negotiated({"shut": traffic(1, deny=["tcp/23"]), "cut": cut})
    assert "lets a 'deny' that is new stop new connections only" in caught.value.diagnostics[0].summary


def test_groups_of_machines_that_are_apart_need_networks_of_their_own():
    def apart(*machines, **further):
        return {"kind": "peer_isolation", "machines": [f"machine.{name}" for name in machines]} | further

    assert negotiated({"lan": apart("web", "db"), "more": apart("db", "web", "pc")})["lan"].verdict is Verdict.ENFORCE
    assert negotiated({"lan": apart("web", "db"), "out": apart("pc")})["out"].verdict is Verdict.ENFORCE
    with pytest.raises(PolicyRefused) as caught:
        negotiated({"one": apart("web"), "two": apart("db")})
    assert "on network 'lan' machines 'db' and 'web' would be kept apart too" in caught.value.diagnostics[0].summary
    found = negotiated({"one": apart("web"), "two": apart("db", level="preferred")})
    assert [found[name].verdict for name in ("one", "two")] == [Verdict.ENFORCE, Verdict.DOWNGRADE]


@pytest.mark.parametrize(("version", "enforced"), [("6.0.0", False), ("6.1.0", True), ("10.0.0", True)])
def test_isolated_ports_need_a_libvirt_that_has_them(version, enforced):
    assert answer("isolation.policies.peer_isolation", libvirt_version=version).enforced is enforced


def test_the_hypervisor_is_closed_only_where_its_addresses_are_known():
    def closed(machine):
        return {"closed": {"kind": "no_host_access", "machines": [f"machine.{machine}"]}}

    assert negotiated(closed("*"))["closed"].verdict is Verdict.ENFORCE
    assert negotiated(closed("web"), host_addresses=[])["closed"].verdict is Verdict.ENFORCE
    with pytest.raises(PolicyRefused) as caught:
        negotiated(closed("pc"), host_addresses=[])
    assert "machine 'pc' has a way out by network 'out'" in caught.value.diagnostics[0].summary


@pytest.mark.parametrize(("field", "value"), [("access", "token"), ("hop_limit", 2)])
def test_what_only_a_metadata_service_could_do_is_refused(field, value):
    said = answer(f"isolation.policies.metadata.{field}", value)
    assert not said.enforced
    assert "libvirt has no metadata service" in said.reason
