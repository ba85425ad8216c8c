"""Evidence of a running machine: it agrees with what was asked, and each thing broken by hand is told in numbers."""

from types import SimpleNamespace

import libvirt
import pytest
from provision_libvirt.evidence import evidence
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.resources import Domain, Filter
from provision_libvirt.resources.xml_tools import from_text
from resource_bench import RULES, network
from test_effective_lab import FULL, POOL, guest, hypervisor, part, stack

from provision.errors import PlatformError
from provision.models import Share
from provision.spi import CanShowEvidence, DeployedMachine, Evidence, EvidenceRequest, NativeState

pytestmark = pytest.mark.lab
__all__ = ["guest", "hypervisor"]  # fixtures
LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
A, E = Evidence.ACCEPTED, Evidence.EFFECTIVE


def native(thing):
    return NativeState(
        thing.kind.token, "machines/web/x", thing.id, thing.outputs.model_dump(), thing.inputs.model_dump()
    )


def shown(hypervisor, things, asked, shared=(), others=()):
    """(kind, holds, text) of each thing asked; all of it is asked of `others` too."""
    machine = DeployedMachine("web", tuple(map(native, things)))
    members = (machine, *(DeployedMachine(thing.inputs.name, (native(thing),)) for thing in others))
    request = EvidenceRequest(machine, tuple(asked), tuple(map(native, shared)), (members,) * len(asked))
    return [[(one.kind, one.holds, one.text) for one in answer] for answer in evidence(hypervisor.session, request)]


def policies(**written):
    made = stack(policies={name: {"machines": ["machine.web"], **body} for name, body in written.items()})
    return list(made.isolation.policies.values())


@pytest.fixture(scope="module")
def asked():
    made = stack(**{**FULL, "machines": {"other": {"image": "micro", "memory": "96MiB"}}})
    sealed = policies(sealed={"kind": "disk_encryption"})
    return SimpleNamespace(
        own=made.isolation.policies["own"],
        memory=made.isolation.policies["memory"],
        confined=made.isolation.policies["confined"],
        sealed=sealed[0],
        share=made.sharing.shares["s"],
    )


def test_the_plugin_shows_evidence():
    assert isinstance(LibvirtProvider(), CanShowEvidence)


def test_what_was_asked_is_accepted_and_effective_with_its_numbers(hypervisor, guest, asked):
    own, memory, confined, share = shown(
        hypervisor, [guest.thing], [asked.own, asked.memory, asked.confined, asked.share]
    )
    cpu = hypervisor.facts.facts["host_cpus"] - 1
    assert own[0] == (A, True, f"vCPU 0 pinned to {cpu}, emulator to {cpu}, memory of NUMA node 0")
    assert own[1][1] is not None
    assert f"vCPU 0 held to {cpu}, emulator to {cpu}: seen on 1 vCPU thread and the emulator's" in own[1][2]
    assert memory == [
        (A, True, "page sharing off"),
        (E, True, "no page of its process may be merged"),
        (A, True, "huge pages of 2048 KiB"),
        (E, True, "128 of 128 MiB in huge pages"),
    ]
    assert confined[0][:2] == (A, None)
    assert confined[1][:2] == (E, True)
    assert confined[1][2].startswith("system-call filter on every thread; no privileges, none to be gained; namespaces")
    assert all(holds for _, holds, _ in share)
    assert (E, True, "at most 0.8 CPUs in its control group") in share
    assert (E, True, "its emulator holds disks to 500 operations/s") in share


def test_an_unencrypted_disk_among_encrypted_ones_is_named(hypervisor, guest, asked):
    ((accepted, effective),) = shown(hypervisor, [guest.thing], [asked.sealed])
    assert accepted == (A, False, "web.data not encrypted")
    assert effective == (E, False, "the header of web.data says no encryption")


def broken_pin(domain):
    domain.pinVcpuFlags(0, (True, True), LIVE)


def broken_emulator(domain):
    domain.pinEmulator((True, True), LIVE)


def broken_cap(domain):
    domain.setSchedulerParametersFlags({"global_quota": -1}, LIVE)


def broken_weight(domain):
    domain.setSchedulerParametersFlags({"cpu_shares": 1000}, LIVE)


def broken_disk(domain):
    domain.setBlockIoTune("vda", {"total_iops_sec": 0, "total_bytes_sec": 5 << 20}, LIVE)


@pytest.mark.parametrize(
    ("breaks", "what", "accepted", "effective"),
    [
        (broken_pin, "own", "vCPU 0 pinned to 0-1", "vCPU 0 held to 0-1"),
        (broken_emulator, "own", "emulator to 0-1", "emulator to 0-1"),
        (broken_cap, "share", "no CPU cap instead of 0.8", "no CPU cap instead of 0.8 in its control group"),
        (broken_weight, "share", "CPU weight 1000 instead of", "CPU weight 1000 in its control group instead of"),
        (
            broken_disk,
            "share",
            "disks limited to ",
            "its emulator holds disks to none instead of 500",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_broken_by_hand_is_told(hypervisor, guest, asked, breaks, what, accepted, effective):
    breaks(guest.domain)
    try:
        (found,) = shown(hypervisor, [guest.thing], [getattr(asked, what)])
    finally:
        guest.thing.update()
    wrong = [(kind, text) for kind, holds, text in found if holds is False]
    assert any(kind is A and accepted in text for kind, text in wrong), wrong
    assert any(kind is E and effective in text for kind, text in wrong), wrong


def test_another_machine_of_the_stack_on_the_core_is_told(hypervisor, guest, asked):
    other = guest.bench.make(
        Domain, "neighbour", pool=POOL, name="shop-dev-neighbour", memory_mib=96, accelerator="qemu", ready="none",
        console_log=False,
    )  # fmt: skip
    try:
        (found,) = shown(hypervisor, [guest.thing], [asked.own])
        assert found[1][1] is False
        assert "and shop-dev-neighbour may run there too" in found[1][2]
    finally:
        other.delete()
    (alone,) = shown(hypervisor, [guest.thing], [asked.own])
    assert "no other machine runs there" in alone[1][2]


def test_machines_that_are_apart_together_or_alone_are_compared_with_each_other(hypervisor, guest):
    near = {"pool": POOL, "memory_mib": 96, "accelerator": "qemu", "ready": "none", "console_log": False}
    other = guest.bench.make(
        Domain, "neighbour", name="shop-dev-neighbour", vcpu_pins=["0"], emulator_pin="0", **near
    )  # fmt: skip
    asked = policies(
        cores={"kind": "spread", "over": "core"}, nodes={"kind": "pack", "over": "numa"},
        host={"kind": "pack"}, hosts={"kind": "spread", "over": "host"}, alone={"kind": "single_tenancy"},
    )  # fmt: skip
    stranger = None
    try:
        cores, nodes, host, hosts, alone = shown(hypervisor, [guest.thing], asked, others=[other])
        assert [holds for _, holds, _ in (*cores, *host, *alone)] == [True] * 6
        assert cores[0][2].endswith("which no other machine of the policy has")
        assert nodes[0] == (A, False, "on NUMA node 0, shop-dev-neighbour elsewhere")
        assert [holds for _, holds, _ in hosts] == [False, False]
        assert alone[1][2] == "no QEMU process on its host but those of this stack (2)"

        guest.domain.pinVcpuFlags(0, (True, True), LIVE)
        other = other.update(vcpu_pins=["0-1"])
        stranger = hypervisor.connection.defineXML(
            "<domain type='qemu'><name>by-hand</name><memory>1024</memory><os><type>hvm</type></os></domain>"
        )
        cores, _, _, _, alone = shown(hypervisor, [guest.thing], asked, others=[other])
        assert [holds for _, holds, _ in cores] == [False, False]
        assert "shared with shop-dev-neighbour, which libvirt says otherwise" in cores[0][2]
        assert alone[0] == (A, False, "by-hand on the hypervisor too")
    finally:
        if stranger is not None:
            stranger.undefine()
        guest.thing.update()
        other.delete()


def test_a_file_that_asks_for_more_than_was_deployed_is_contradicted(hypervisor, guest):
    more = Share.model_validate({"machines": ["machine.web"], "cpu": {"cap": 0.25}, "memory": {"maximum": "1GiB"}})
    wanted = policies(l={"kind": "memory", "locked": True}, s={"kind": "secure_boot"}, h={"kind": "hide_hypervisor"})
    share, locked, signed, hidden = shown(hypervisor, [guest.thing], [more, *wanted])
    assert [holds for _, holds, _ in share] == [False] * 4
    assert (A, False, "at most 0.8 CPUs instead of 0.25") in share
    assert (E, False, "memory limit none in its control group instead of 1024 MiB") in share
    assert (A, False, "memory not locked") in locked
    assert any(kind is E and holds is False and text.endswith("of 128 MiB cannot be swapped")
               for kind, holds, text in locked)  # fmt: skip
    assert [holds for _, holds, _ in signed] == [False, False, False]
    assert [holds for _, holds, _ in hidden] == [False] * 4


def test_filters_are_followed_from_each_network_card(hypervisor, guest):
    front = network(guest.bench)
    shared = guest.bench.make(Filter, "shared", pool=POOL, name="shop-dev-shared", rules=RULES)
    reference = [{"filter": shared.outputs.name}]
    own = guest.bench.make(Filter, "own", pool=POOL, name="shop-dev-own", rules=RULES, references=reference)
    card = {"network": front.outputs.name, "mac": "02:00:00:00:00:0a", "filter": own.outputs.name}
    box = guest.bench.make(
        Domain, "box", pool=POOL, name="shop-dev-box", memory_mib=96, accelerator="qemu", ready="none",
        console_log=False, nics=[card],
    )  # fmt: skip
    spoofing = policies(a={"kind": "anti_spoofing"})
    try:
        (found,) = shown(hypervisor, [box, own], spoofing, [shared])
        assert found == [(A, True, "1 network card with 2 filters as written")]
        (unknown,) = shown(hypervisor, [box, own], spoofing)
        assert unknown[0] == (A, False, f"the filter '{shared.outputs.name}' is on no record")
        live = hypervisor.connection.nwfilterLookupByUUIDString(shared.id)
        hypervisor.connection.nwfilterDefineXML(live.XMLDesc().replace("10.0.0.0", "0.0.0.0"))
        (changed,) = shown(hypervisor, [box, own], spoofing, [shared])
        assert changed[0] == (A, False, f"the filter '{shared.outputs.name}' was changed by hand")
        limits_of_cards_are_read_from_the_kernel(hypervisor, box)
    finally:
        box.delete()


def limits_of_cards_are_read_from_the_kernel(hypervisor, box):
    """Each half is made by hand where the kernel has what it needs; libvirt makes both or none."""
    both = {"inbound": "1Mbit/s", "outbound": "2Mbit/s"}
    share = Share.model_validate({"machines": ["machine.web"], "nic": both})
    (none,) = shown(hypervisor, [box], [share])
    assert none == [
        (A, False, "inbound none instead of 125 kB/s"),
        (E, False, "inbound none in its kernel instead of 1 Mbit/s"),
        (A, False, "outbound none instead of 250 kB/s"),
        (E, False, "outbound none in its kernel instead of 2 Mbit/s"),
    ]
    root = from_text(hypervisor.connection.lookupByUUIDString(box.id).XMLDesc(0))
    device = root.find("devices/interface/target").get("dev")
    if "htb" not in hypervisor.facts.facts["shaping_missing"]:
        for command in (
            f"qdisc replace dev {device} root handle 1: htb default 1",
            f"class add dev {device} parent 1: classid 1:1 htb rate 125kbps",
        ):
            assert hypervisor.view.run("tc", *command.split()) is not None
        (made,) = shown(hypervisor, [box], [share])
        assert made[1] == (E, True, "inbound 1 Mbit/s in its kernel")


def test_a_machine_that_does_not_run_shows_only_what_is_accepted_and_one_that_is_gone_nothing(hypervisor, guest, asked):
    off = guest.bench.make(
        Domain, "off", pool=POOL, name="shop-dev-off", memory_mib=128, accelerator="qemu", power="stopped",
        console_log=False, **part(hypervisor, stack(**FULL)),
    )  # fmt: skip
    own, share = shown(hypervisor, [off], [asked.own, asked.share])
    assert [(kind, holds) for kind, holds, _ in own] == [(A, True), (E, None)]
    assert {text for kind, holds, text in share if kind is E} == {"it does not run"}
    off.delete()
    with pytest.raises(PlatformError, match="the machine 'web' is not there"):
        shown(hypervisor, [off], [asked.own])
