"""What a stack says of a machine's part of its host is what the host applies, and breaking it is seen."""

import fcntl
import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import libvirt
import libvirt_qemu
import pytest
from provision_libvirt import capabilities, lab, micro
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.effective import effective
from provision_libvirt.evidence import busy
from provision_libvirt.hostview import host_view
from provision_libvirt.ownership import in_stack
from provision_libvirt.probes import probe_channel
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.resources import Domain, Pool, Seed, Volume, encryption, xml_domain
from provision_libvirt.resources.guest import console_text
from provision_libvirt.session import Session
from provision_libvirt.translate.hostpart import HostParts
from resource_bench import STACK, Bench
from signed_disk import signed_disk

from provision.diagnostics import DiagnosticSink
from provision.errors import ForeignObject, PlatformError, PolicyRefused, StackFileError
from provision.models import Share, Stack
from provision.spi import DeployedMachine, EvidenceRequest, NativeState
from provision.translate import negotiate

pytestmark = pytest.mark.lab
POOL = "shop-dev"
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")


def set_aside(more):
    """Let the host set aside so many more huge pages; other test processes may do so at the same time."""
    with (Path(tempfile.gettempdir()) / "provision-huge-pages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        HUGE_PAGES.write_text(str(int(HUGE_PAGES.read_text()) + more))


@pytest.fixture(scope="module")
def hypervisor(tmp_path_factory):
    set_aside(80)
    directory = tmp_path_factory.mktemp("hv") / "lab"
    running = lab.start(directory, owner=os.getpid())
    session = Session(LibvirtConfig(uri=running.uri))
    yield SimpleNamespace(
        session=session, view=host_view(running.uri), facts=capabilities.ask(session), connection=session.connection()
    )
    session.close()
    lab.stop(directory)
    set_aside(-80)


def stack(**given):
    machines = {"web": {"image": "micro", "memory": "128MiB"}, **given.pop("machines", {})}
    policies = {"isolation": {"policies": given.pop("policies", {})}}
    return Stack.model_validate({"version": 1, "machines": machines, **policies, **given})


def part(hypervisor, made, name="web"):
    """Inputs that come of a stack that was negotiated with the live hypervisor."""
    decisions = negotiate(made, LibvirtProvider(), hypervisor.facts, DiagnosticSink())
    return HostParts(made, hypervisor.facts, decisions).domain(name, name, made.machines[name])


def refusal(hypervisor, made):
    with pytest.raises((PolicyRefused, StackFileError)) as caught:
        part(hypervisor, made)
    return "\n".join(found.summary for found in caught.value.diagnostics)


FULL = {
    "sharing": {
        "shares": {
            "s": {
                "machines": ["machine.web"],
                "cpu": {"weight": 50, "cap": 0.8},
                "disk": {"iops": 500, "throughput": "5MiB/s"},
            }
        }
    },
    "policies": {
        "own": {"kind": "dedicated_cpus", "machines": ["machine.web"], "numa": True},
        "memory": {"kind": "memory", "machines": ["machine.web"], "huge_pages": True},
        "confined": {"kind": "confinement", "machines": ["machine.web"], "mandatory_access_control": False},
    },
    "machines": {"other": {"image": "micro", "memory": "96MiB"}},
}


@pytest.fixture(scope="module")
def guest(hypervisor):
    """One machine with everything that is enforced here, running."""
    bench = Bench(hypervisor.session)
    bench.make(Pool, "pool", name=POOL)
    image = micro.build()
    digests = {}
    for name in ("kernel", "initrd"):
        source = {"kind": f"micro-{name}", "digest": image.digest}
        digests[name] = bench.make(Volume, name, pool=POOL, name=name, format="raw", source=source, cache=True)
    seed = bench.make(Seed, "seed", pool=POOL, name="web", meta_data="instance-id: web\n")
    disk = bench.make(Volume, "disk", pool=POOL, name="web.data", capacity_bytes=16 << 20)
    sealed = bench.make(Volume, "sealed", pool=POOL, name="web.sealed", capacity_bytes=16 << 20, encrypted=True)
    made = bench.make(
        Domain,
        "web",
        pool=POOL,
        name="shop-dev-web",
        memory_mib=128,
        accelerator="qemu",
        kernel=digests["kernel"].outputs.path,
        initrd=digests["initrd"].outputs.path,
        cmdline=micro.CMDLINE,
        disks=[{"path": disk.outputs.path}, {"path": sealed.outputs.path, "secret": sealed.outputs.secret}],
        seed=seed.outputs.path,
        probe_channel=True,
        ready="channel",
        **part(hypervisor, stack(**FULL)),
    )
    yield SimpleNamespace(
        sealed=sealed, thing=made, domain=hypervisor.connection.lookupByUUIDString(made.id), bench=bench
    )
    bench.remove()


def test_the_host_applies_what_the_stack_says(hypervisor, guest):
    found = effective(hypervisor.view, "shop-dev-web")

    assert found is not None
    assert guest.thing.drift() == set()
    assert found.cpu_weight == (50 if found.cgroup_version == 2 else 512)
    assert found.cpu_quota_us == 80_000
    own = {max(cpu["id"] for node in hypervisor.facts.facts["topology"] for cpu in node["cpus"])}
    assert found.vcpu_cpus == (own,)
    assert found.emulator_cpus == own
    assert found.huge_kib == 128 * 1024
    assert not found.mergeable
    assert found.seccomp
    assert found.capabilities == 0
    assert found.no_new_privileges
    assert "mnt" in found.own_namespaces
    assert [guest.domain.blockIoTune(disk, 1)["total_iops_sec"] for disk in ("vda", "vdb", "vdc")] == [500] * 3
    assert guest.domain.blockIoTune("vda", 1)["total_bytes_sec"] == 5 << 20


def test_what_was_broken_by_hand_is_seen_and_mended_while_it_runs(hypervisor, guest):
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    breaks = {
        "cpu_shares": lambda d: d.setSchedulerParametersFlags({"cpu_shares": 1000}, live),
        "cpu_quota_us": lambda d: d.setSchedulerParametersFlags({"global_quota": -1}, live),
        "disk_iops": lambda d: d.setBlockIoTune("vda", {"total_iops_sec": 0, "total_bytes_sec": 5 << 20}, live),
        "vcpu_pins": lambda d: d.pinVcpuFlags(0, (True, True), live),
        "emulator_pin": lambda d: d.pinEmulator((True, True), live),
    }
    started = guest.domain.ID()
    before = effective(hypervisor.view, "shop-dev-web")
    for broken in breaks.values():
        broken(guest.domain)

    assert guest.thing.drift() >= set(breaks)
    assert effective(hypervisor.view, "shop-dev-web") != before
    mended = guest.thing.update()
    assert mended.drift() == set()
    assert effective(hypervisor.view, "shop-dev-web") == before
    assert guest.domain.ID() == started


def test_limits_change_and_go_while_the_machine_runs(hypervisor, guest):
    started = guest.domain.ID()
    free = guest.thing.update(
        cpu_shares=100, cpu_quota_us=None, disk_iops=None, disk_bytes_s=None, vcpu_pins=None, emulator_pin=None
    )
    found = effective(hypervisor.view, "shop-dev-web")

    assert found is not None
    assert free.drift() == set()
    assert found.cpu_quota_us is None
    assert found.cpu_weight == 100
    assert found.vcpu_cpus == (set(range(hypervisor.facts.facts["host_cpus"])),)
    again = free.update(**guest.thing.inputs.model_dump())
    assert again.drift() == set()
    assert guest.domain.ID() == started


def test_a_busy_machine_is_seen_to_be_held_to_its_limits_and_to_have_more_without_them(hypervisor, guest):
    share = Share.model_validate(
        {"machines": ["machine.web"], "cpu": {"cap": 0.05}, "disk": {"iops": 50, "throughput": "1MiB/s"}}
    )
    held = guest.thing.update(cpu_quota_us=5_000, disk_iops=50, disk_bytes_s=1 << 20)
    native = NativeState(
        Domain.token, "machines/web/domain", held.id, held.outputs.model_dump(), held.inputs.model_dump()
    )
    machine = DeployedMachine("web", (native,))
    channel = probe_channel(hypervisor.session, machine)

    def measured(expected):
        """A host that is busy may give so little that nothing is shown: then it is measured again."""
        end = time.monotonic() + 300
        while True:
            (found,) = busy.measure(hypervisor.session, channel, EvidenceRequest(machine, (share,)))
            print(found)
            if all(one.holds is expected for one in found) or time.monotonic() > end:
                return [one.holds for one in found]

    try:
        assert measured(True) == [True] * 3
        live = libvirt.VIR_DOMAIN_AFFECT_LIVE
        guest.domain.setSchedulerParametersFlags({"global_quota": -1}, live)
        guest.domain.setBlockIoTune("vda", {"total_iops_sec": 0, "total_bytes_sec": 0}, live)
        assert measured(False) == [False] * 3
    finally:
        channel.close()
        guest.thing.update()


def test_the_guest_of_a_machine_without_any_of_it_differs(hypervisor, guest):
    """What the tests above look at is not there by itself."""
    values = guest.thing.inputs.model_dump(exclude={"stack_id"})
    plain = {name: None for name in ("cpu_quota_us", "huge_page_kib", "share_pages", "numa_node", "emulator_pin")}
    other = guest.bench.make(
        Domain,
        "other",
        **{**values, **plain, "name": "shop-dev-other", "memory_mib": 96, "cpu_shares": None, "vcpu_pins": None,
           "disks": [], "disk_iops": None, "disk_bytes_s": None, "ready": "none"},
    )  # fmt: skip
    found = effective(hypervisor.view, "shop-dev-other")
    other.delete()

    assert found is not None
    assert found.huge_kib == 0
    assert found.mergeable
    assert found.cpu_quota_us is None
    assert len(found.emulator_cpus) == hypervisor.facts.facts["host_cpus"]


def test_what_this_host_cannot_do_is_refused_with_its_reason(hypervisor):
    facts = hypervisor.facts.facts
    too_many = stack(
        machines={"web": {"image": "micro", "memory": "128MiB", "cpus": facts["host_cpus"] + 1}},
        policies={"own": {"kind": "dedicated_cpus", "machines": ["machine.web"]}},
    )
    assert f"needs {facts['host_cpus'] + 1} CPUs of its own" in refusal(hypervisor, too_many)
    limited = {"shares": {"s": {"machines": ["machine.web"], "nic": {"inbound": "1Mbit/s"}}}}
    if facts["shaping_missing"]:
        assert f"that libvirt needs: {facts['shaping_missing']}" in refusal(hypervisor, stack(sharing=limited))
    else:
        assert part(hypervisor, stack(sharing=limited)) == {}
    locked = {"policies": {"m": {"kind": "memory", "machines": ["machine.web"], "locked": True}}}
    if facts["may_lock_memory"]:
        assert part(hypervisor, stack(**locked)) == {"share_pages": False, "locked": True}
    else:
        assert "without CAP_SYS_RESOURCE" in refusal(hypervisor, stack(**locked))


def test_with_secure_boot_a_signed_system_comes_up_and_a_changed_kernel_does_not(hypervisor, guest, tmp_path):
    signed = {"policies": {"s": {"kind": "secure_boot", "machines": ["machine.web"]}}}
    images = {"own": {"sources": {"libvirt": {"kind": "file", "path": "own.img"}}}}
    made = stack(images=images, machines={"web": {"image": "own", "memory": "512MiB"}}, **signed)
    disk = guest.bench.make(
        Volume, "signed-disk", pool=POOL, name="signed.root", format="raw", source=signed_disk(tmp_path)
    )
    booted = guest.bench.make(
        Domain, "signed", pool=POOL, name="shop-dev-signed", memory_mib=512, accelerator="qemu",
        disks=[{"path": disk.outputs.path, "format": "raw"}], **part(hypervisor, made),
    )  # fmt: skip
    try:
        assert booted.drift() == set()
        said = printed(hypervisor, "shop-dev-signed", "GUEST is up")
        changed, _, rest = said.partition("GRUB tries the changed kernel")[2].partition("GRUB tries the signed kernel")
        assert "bad shim signature" in changed
        assert "bad shim signature" not in rest
        assert "GUEST SecureBoot 06 00 00 00 01" in rest
        assert "GUEST SetupMode 06 00 00 00 00" in rest
        assert "GUEST lockdown none [integrity]" in rest
        found = effective(hypervisor.view, "shop-dev-signed")
        assert found is not None
        assert found.secure_firmware
        assert found.secure_variables
        other = effective(hypervisor.view, "shop-dev-web")
        assert other is not None
        assert not other.secure_firmware
        assert not other.secure_variables

        live = hypervisor.connection.lookupByUUIDString(booted.id)
        live.destroy()
        weaker = live.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).replace("secure='yes'", "")
        for feature in ("secure-boot", "enrolled-keys"):
            weaker = weaker.replace(f"enabled='yes' name='{feature}'", f"enabled='no' name='{feature}'")
        hypervisor.connection.defineXML(weaker)
        assert "secure_boot" in booted.drift()
    finally:
        booted.delete()
        disk.delete()


def printed(hypervisor, machine, awaited):
    """What a machine prints on its console up to the awaited words."""
    end = time.monotonic() + 400
    while awaited not in (said := console_text(hypervisor.connection, POOL, machine)):
        assert time.monotonic() < end, f"{machine} printed:\n{said[-2000:]}"
        time.sleep(0.5)
    return said


def test_every_part_of_a_definition_is_in_libvirts_grammar(hypervisor):
    """Also what this host cannot start, but for a TPM, which libvirt only knows where it can make one."""
    has_tpm = "emulator" in hypervisor.facts.facts["tpm_backends"] or None
    inputs = Domain.Inputs(
        stack_id="s", pool=POOL, name="grammar", memory_mib=128, vcpus=2, online_vcpus=1, accelerator="qemu",
        console_log=False,
        disks=[{"path": "/x"}], nics=[{"network": "n", "mac": "02:00:00:00:00:01", "inbound_kilobytes_s": 5,
                                       "outbound_kilobytes_s": 6, "connected": False, "settings": "x"}],
        balloon_mib=96,
        cpu_shares=5, cpu_quota_us=5000, memory_limit_mib=500, share_pages=False, balloon=True, disk_iops=5,
        disk_bytes_s=5, vcpu_pins=["0", "1"], emulator_pin="0-1", numa_node=0, huge_page_kib=2048, locked=True,
        confinement="apparmor", hide_hypervisor=True, nested=False, secure_boot=True, tpm=has_tpm,
    )  # fmt: skip
    uuid = "0d1f2d1e-0000-8000-8000-000000000001"
    text = xml_domain.render(inputs, uuid, stack="s", urn="u", console_path=None)
    live = hypervisor.connection.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        seen = xml_domain.parse(live.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    finally:
        live.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    assert {name for name in seen if getattr(inputs, name) != seen[name]} == {"machine"}


def test_what_a_guest_writes_to_an_encrypted_disk_is_not_on_the_hosts_disk(hypervisor, guest):
    canary = b"\x5a" * 65536
    pool = hypervisor.view.root / "var/lib/libvirt/images" / POOL

    for device in ("virtio-disk0", "virtio-disk1"):
        command = f'qemu-io -d /machine/peripheral/{device}/virtio-backend "write -P 0x5a 0 65536"'
        said = libvirt_qemu.qemuMonitorCommand(guest.domain, command, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
        assert "rror" not in said

    assert canary in (pool / "web.data").read_bytes()
    assert canary not in (pool / "web.sealed").read_bytes()
    assert guest.sealed.drift() == set()


def test_a_key_lives_as_long_as_its_volume_and_is_never_told(hypervisor, guest):
    connection = hypervisor.connection
    made = guest.bench.make(Volume, "k", pool=POOL, name="k.data", capacity_bytes=16 << 20, encrypted=True)
    secret = connection.secretLookupByUUIDString(made.outputs.secret)
    described = secret.XMLDesc()

    with pytest.raises(libvirt.libvirtError, match="secret is private"):
        secret.value()
    assert made.again().outputs.secret == made.outputs.secret
    grown = made.update(capacity_bytes=32 << 20)
    assert grown.drift() == set()
    with pytest.raises(PlatformError, match="exists and is encrypted; it was not touched"):
        grown.again(encrypted=None)
    plain = guest.bench.make(Volume, "p", pool=POOL, name="p.data", capacity_bytes=16 << 20)
    with pytest.raises(PlatformError, match="exists and is not encrypted; it was not touched"):
        plain.again(encrypted=True)

    secret.undefine()
    assert grown.drift() == set()
    assert "is gone from the hypervisor" in guest.bench.notes[-1]
    with pytest.raises(PlatformError, match=r"the key of the encrypted volume 'k\.data' is gone"):
        grown.again()

    connection.secretDefineXML(described)
    made.delete()
    assert [s.UUIDString() for s in connection.listAllSecrets()] == [guest.sealed.outputs.secret]


def test_keys_of_volumes_that_are_gone_go_with_the_pool(hypervisor, guest):
    connection = hypervisor.connection
    directory = guest.sealed.outputs.path.rpartition("/")[0]
    stray = encryption.new_key(connection, f"{directory}/never-made", STACK, "urn:x")
    theirs = encryption.new_key(connection, f"{directory}/of-another", "another stack", "urn:x")

    encryption.forget_lost_keys(connection, lambda uuid: in_stack(uuid, STACK))

    left = {secret.UUIDString() for secret in connection.listAllSecrets()}
    assert left == {guest.sealed.outputs.secret, theirs}
    assert stray not in left
    with pytest.raises(ForeignObject):
        encryption.new_key(connection, f"{directory}/of-another", STACK, "urn:x")
    connection.secretLookupByUUIDString(theirs).undefine()
