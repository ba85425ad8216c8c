"""Every native type on a real hypervisor: made, read, changed, adopted, refused, removed."""

import os
import subprocess
import threading
import time

import libvirt
import pytest
from provision_libvirt import micro
from provision_libvirt.console import console_log, join
from provision_libvirt.ownership import Owner
from provision_libvirt.probes import outside_channel, probe_channel
from provision_libvirt.resources import Domain, Filter, Network, Pool, Seed, Volume, xml_storage
from provision_libvirt.session import download, upload
from resource_bench import POOL, RULES, STACK, Thing, local_image, network

from provision.errors import CreatedButUnhealthy, ForeignObject, NotFound, PlatformError, RetriableError, UserError
from provision.packets import Protocol
from provision.spi import (
    Cancelled,
    DeployedMachine,
    NativeState,
    Probe,
    Seen,
)

pytestmark = pytest.mark.lab


# ---- networks


def test_a_network_reads_as_made_and_goes_twice(bench, pool):
    made = network(bench)
    live = bench.connection.networkLookupByUUIDString(made.id)

    assert made.read().inputs == made.inputs
    assert made.read().outputs == made.outputs
    assert live.isActive()
    assert live.autostart()
    made.delete()
    made.delete()
    assert made.read() is None


def test_leases_and_names_change_in_place(bench, pool):
    made = network(bench)
    changed = made.update(
        dhcp_hosts=[
            {"mac": "02:00:00:00:00:0b", "ip": "10.77.0.10", "name": "web"},
            {"mac": "02:00:00:00:00:0a", "ip": "10.77.0.11"},
        ],
        dns_hosts=[{"ip": "10.77.0.10", "names": ["web", "shop"]}, {"ip": "fd77::5", "names": ["db"]}],
        dhcp_range={"start": "10.77.0.100", "end": "10.77.0.110"},
    )

    assert changed.outputs == made.outputs
    assert changed.drift() == set()
    assert changed.update(dhcp_hosts=list(reversed(changed.inputs.dhcp_hosts))).drift() == set()


@pytest.mark.parametrize("where", [libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE, libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG])
def test_a_lease_added_by_hand_is_drift_and_is_taken_back(bench, pool, where):
    made = network(bench)
    live = bench.connection.networkLookupByUUIDString(made.id)
    live.update(3, 4, -1, "<host mac='02:00:00:00:00:99' ip='10.77.0.99'/>", where)

    assert made.drift() == {"dhcp_hosts"}
    assert made.update().drift() == set()


def test_a_network_stopped_by_hand_counts_as_gone_and_is_started_as_a_new_one(bench, pool):
    made = network(bench)
    bench.connection.networkLookupByUUIDString(made.id).destroy()

    assert made.read() is None
    again = made.again()
    assert again.id == made.id
    assert again.outputs.generation != made.outputs.generation
    assert again.drift() == set()


def test_what_an_interrupted_run_left_of_a_network_is_adopted(bench, pool):
    made = network(bench)

    assert made.again().outputs == made.outputs
    other = made.again(mtu=1300)
    assert other.id == made.id
    assert other.outputs.generation != made.outputs.generation
    assert other.drift() == set()


def test_a_foreign_network_of_that_name_is_not_touched(bench, pool):
    connection = bench.connection
    foreign = connection.networkDefineXML("<network><name>shop-dev-front</name><bridge name='foreign'/></network>")
    before = foreign.XMLDesc()
    try:
        with pytest.raises(ForeignObject, match="the network 'shop-dev-front' exists on the hypervisor") as caught:
            network(bench)
        assert "by hand" in caught.value.fix
        assert foreign.XMLDesc() == before
        fake = Thing(
            Network, pool.operation, Network.Inputs.model_construct(stack_id=STACK), foreign.UUIDString(), None
        )
        with pytest.raises(ForeignObject):
            fake.delete()
        assert foreign.XMLDesc() == before
    finally:
        foreign.undefine()


def test_addresses_of_another_network_are_named(bench, pool):
    network(bench)

    with pytest.raises(ForeignObject, match=r"pv-two, 10\.77\.0\.1/24.*clashes"):
        bench.make(
            Network, "two", pool=POOL, name="shop-dev-two", bridge="pv-two", ipv4={"address": "10.77.0.1", "prefix": 24}
        )

    assert [found.name() for found in bench.connection.listAllNetworks()] == ["shop-dev-front"]


# ---- filters


def test_a_filter_reads_as_made_whatever_libvirt_makes_of_its_spelling(bench, pool):
    made = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)
    user = bench.make(
        Filter,
        "user",
        pool=POOL,
        name="shop-dev-user",
        references=[{"filter": made.outputs.name, "parameters": {"IP": ["10.0.0.1", "10.0.0.2"]}}],
    )

    assert made.outputs.name.startswith("shop-dev-web-")
    assert made.read().inputs == made.inputs
    assert user.read().inputs == user.inputs
    user.delete()
    made.delete()
    made.delete()
    assert made.read() is None


def test_one_rule_changed_by_hand_is_the_one_that_shows(bench, pool):
    made = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)
    live = bench.connection.nwfilterLookupByUUIDString(made.id)
    bench.connection.nwfilterDefineXML(live.XMLDesc().replace("'80'", "'81'"))

    seen = made.read().inputs
    assert made.drift() == {"rules"}
    assert seen.rules[0].attributes["dstportstart"] == "81"
    assert seen.rules[1] == made.inputs.rules[1]
    mended = made.update()
    assert mended.outputs == made.outputs
    assert mended.drift() == set()


def test_leftover_incarnations_go_once_another_one_is_used(bench, pool):
    left = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)
    used = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)
    assert left.read() is not None, "to `create` it may be the live one"
    user = bench.make(Filter, "u", pool=POOL, name="shop-dev-u", references=[{"filter": used.outputs.name}])
    assert left.read() is None

    third = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)

    assert used.read() is not None
    assert user.read() is not None
    assert third.read() is not None
    used.delete()
    assert used.read() is not None, "it is in use, and goes when its user takes the one that replaces it"
    user.update(references=[{"filter": third.outputs.name}])
    assert used.read() is None
    with pytest.raises(RetriableError, match="still in use by the packet filter 'shop-dev-u-"):
        third.delete()
    user.delete()


def test_a_leftover_incarnation_goes_with_the_one_that_was_made_after_it(bench, pool):
    base = bench.make(Filter, "b", pool=POOL, name="shop-dev-base", rules=RULES)
    left = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", references=[{"filter": base.outputs.name}])
    with pytest.raises(RetriableError, match="still in use by the packet filter 'shop-dev-web-"):
        base.delete()

    recorded = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)
    assert recorded.outputs.older == [left.outputs.uuid]
    assert recorded.read().outputs == recorded.outputs
    assert left.read() is not None, "it may be what is replaced"
    recorded.delete()

    assert left.read() is None
    base.delete()
    assert base.read() is None


def test_an_update_of_a_filter_removes_its_leftover_incarnations(bench, pool):
    left = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)
    live = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)

    live.update(rules=RULES[:1])

    assert left.read() is None


# ---- storage


def test_volumes_are_made_grown_and_removed(bench, pool):
    disk = bench.make(Volume, "d", pool=POOL, name="data.qcow2", capacity_bytes=16 << 20)
    raw = bench.make(Volume, "r", pool=POOL, name="data.raw", format="raw", capacity_bytes=16 << 20)
    source = {"kind": "backing", "path": disk.outputs.path, "format": "qcow2"}
    overlay = bench.make(Volume, "o", pool=POOL, name="over.qcow2", source=source)

    for made in (disk, raw, overlay):
        assert made.read().inputs == made.inputs
        assert made.read().outputs == made.outputs
    for made in (disk, raw):
        assert made.update(capacity_bytes=32 << 20).drift() == set()
        bench.connection.storageVolLookupByPath(made.outputs.path).resize(48 << 20)
        assert made.drift() == {"capacity_bytes"}
        made.delete()
        made.delete()
        assert made.read() is None


@pytest.mark.parametrize("cache", [True, False])
def test_an_upload_that_was_cut_off_is_never_taken_for_whole(bench, pool, tmp_path, cache):
    content, source = local_image(tmp_path)
    whole = bench.make(Volume, "i", pool=POOL, name="image", format="raw", source=source, cache=cache)
    connection = bench.connection
    live = connection.storageVolLookupByPath(whole.outputs.path)
    name = live.name()
    live.delete(0)
    live = connection.storagePoolLookupByName(POOL).createXML(xml_storage.empty_file(name, "0600"), 0)
    upload(connection, live, [content[:1_000_000]])

    again = whole.again()

    live = connection.storageVolLookupByPath(again.outputs.path)
    assert download(connection, live, 0, 1 << 30) == content


def test_data_on_a_disk_is_never_written_over(bench, pool, tmp_path):
    content, source = local_image(tmp_path)
    disk = bench.make(Volume, "i", pool=POOL, name="root.raw", format="raw", source=source, capacity_bytes=4_000_256)
    connection = bench.connection
    upload(connection, connection.storageVolLookupByPath(disk.outputs.path), [b"precious"])

    again = disk.again()

    live = connection.storageVolLookupByPath(again.outputs.path)
    assert download(connection, live, 0, 1 << 30) == b"precious" + content[8:] + bytes(4_000_256 - len(content))
    with pytest.raises(PlatformError, match="more than 1000000; it was not touched"):
        disk.again(capacity_bytes=1_000_000)
    with pytest.raises(UserError, match="is not qcow2"):
        disk.again(format="qcow2")


def test_a_file_that_changed_since_it_was_planned_is_refused_and_leaves_nothing(bench, pool, tmp_path):
    _, source = local_image(tmp_path)
    with pytest.raises(UserError, match="is not the planned one"):
        bench.make(Volume, "i", pool=POOL, name="image", format="raw", source={**source, "digest": "0" * 64})

    assert bench.connection.storagePoolLookupByName(POOL).listAllVolumes() == []


def test_a_full_disk_is_told_and_leaves_no_partial_volume(bench, hypervisor, tmp_path):
    inside = ["nsenter", "-t", str(hypervisor.pid), "-m", "--"]
    path = "/var/lib/libvirt/images/shop-full"
    subprocess.run([*inside, "mkdir", "-p", path], check=True)
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=1m", "none", path], check=True)
    try:
        full = bench.make(Pool, "full", name="shop-full")
        _, source = local_image(tmp_path)
        with pytest.raises(PlatformError, match="the hypervisor's disk is full"):
            bench.make(Volume, "i", pool="shop-full", name="image", format="raw", source=source)
        live = bench.connection.storagePoolLookupByName("shop-full")
        live.refresh()
        assert live.listAllVolumes() == []
        full.delete()
    finally:
        subprocess.run([*inside, "umount", path], check=True)


def test_volumes_go_only_into_the_pool_of_their_stack(bench, pool):
    with pytest.raises(ForeignObject, match="storage pool 'shop-dev'"):
        bench.make(Volume, "d", stack="another", pool=POOL, name="d.qcow2", capacity_bytes=1 << 20)
    with pytest.raises(NotFound, match="the pool 'other' does not exist"):
        bench.make(Volume, "d", pool="other", name="d.qcow2", capacity_bytes=1 << 20)


def test_a_seed_is_written_anew_and_one_that_is_cut_short_counts_as_gone(bench, pool):
    seed = bench.make(Seed, "s", pool=POOL, name="web", meta_data="instance-id: web\n", user_data="#!/bin/sh\n")
    assert seed.read().inputs == seed.inputs
    assert "#!/bin/sh" not in repr(seed.inputs)

    changed = seed.update(user_data="#!/bin/sh\necho " + "x" * 9000)
    assert changed.outputs.generation != seed.outputs.generation
    assert changed.outputs.size > seed.outputs.size
    live = bench.connection.storageVolLookupByPath(changed.outputs.path)
    assert b"x" * 9000 in download(bench.connection, live, 0, 1 << 30)
    live.delete(0)
    live = bench.connection.storagePoolLookupByName(POOL).createXML(xml_storage.empty_file(live.name(), "0600"), 0)
    upload(bench.connection, live, [bytes(32_000)])
    assert changed.read() is None
    again = changed.again()
    assert again.read().inputs == again.inputs
    upload(bench.connection, bench.connection.storageVolLookupByPath(again.outputs.path), [bytes(60_000)])
    assert again.drift() == {"meta_data", "user_data"}
    assert again.update().drift() == set()


def test_something_else_with_the_name_of_a_seed_is_not_written_over(bench, pool):
    live = bench.connection.storagePoolLookupByName(POOL).createXML(xml_storage.empty_file("web.seed.iso", "0600"), 0)
    upload(bench.connection, live, [b"precious"])

    with pytest.raises(ForeignObject, match=r"shop-dev/web\.seed\.iso.* \(it is no seed for cloud-init\)"):
        bench.make(Seed, "s", pool=POOL, name="web", meta_data="x")

    assert download(bench.connection, live, 0, 100) == b"precious"
    live.delete(0)


def test_a_pool_is_adopted_and_started_again(bench, pool):
    assert pool.again().outputs == pool.outputs
    bench.connection.storagePoolLookupByUUIDString(pool.id).destroy()
    assert pool.read() is None
    assert pool.again().read().inputs == pool.inputs


def test_a_foreign_pool_of_that_name_is_not_touched(bench):
    text = xml_storage.pool(POOL, "11111111-2222-4333-8444-555555555555", "/var/lib/libvirt/images/foreign")
    foreign = bench.connection.storagePoolDefineXML(text)
    try:
        with pytest.raises(ForeignObject, match="storage pool 'shop-dev'"):
            bench.make(Pool, "pool", name=POOL)
        assert not foreign.isActive()
    finally:
        foreign.undefine()


def test_the_pool_goes_last_and_takes_leftovers_of_its_stack_but_no_data(bench, tmp_path):
    pool = bench.make(Pool, "pool", name=POOL)
    left = [network(bench), bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)]
    left.append(bench.make(Filter, "u", pool=POOL, name="shop-dev-u", references=[{"filter": left[1].outputs.name}]))
    owner = Owner(STACK, "urn:domain").uuid()
    bench.connection.defineXML(
        f"<domain type='qemu'><name>shop-dev-web</name><uuid>{owner}</uuid><memory>65536</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    other = bench.connection.networkDefineXML(
        f"<network><name>other</name><uuid>{Owner('another', 'u').uuid()}</uuid><bridge name='other'/></network>"
    )
    _, source = local_image(tmp_path)
    bench.make(Volume, "blank", pool=POOL, name="blank.qcow2", capacity_bytes=1 << 30)
    bench.make(Volume, "base", pool=POOL, name="base", format="raw", source=source, cache=True)
    bench.make(Volume, "kept", pool=POOL, name="kept.raw", format="raw", source=source)
    bench.make(Volume, "scratch", pool=POOL, name="scratch.raw", format="raw", source=source)
    bench.make(Seed, "s", pool=POOL, name="web", meta_data="x")
    try:
        pool.update(disposable=["scratch.raw"]).delete()

        assert [found.name() for found in bench.connection.listAllNetworks()] == ["other"]
        assert bench.connection.listAllDomains() == []
        assert all(thing.read() is None for thing in left)
        assert bench.notes == ["volumes with data stay in /var/lib/libvirt/images/shop-dev on the hypervisor: kept.raw"]
    finally:
        other.undefine()
    again = bench.make(Pool, "pool", stack="another life", name=POOL)
    names = [volume.name() for volume in bench.connection.storagePoolLookupByName(POOL).listAllVolumes()]
    assert names == ["kept.raw"]
    bench.connection.storagePoolLookupByName(POOL).listAllVolumes()[0].delete(0)
    again.delete()


def test_a_bridge_that_a_killed_libvirt_left_is_in_nobodys_way(bench, pool, hypervisor):
    bridge = "pv0123456789"
    inside = ["nsenter", "-t", str(hypervisor.pid), "-n", "ip", "link"]
    subprocess.run([*inside, "add", bridge, "type", "bridge"], check=True)

    made = network(bench, bridge=bridge)
    assert made.outputs.bridge == bridge

    made.delete()
    subprocess.run([*inside, "add", bridge, "type", "bridge"], check=True)
    subprocess.run([*inside, "add", "busy", "master", bridge, "type", "veth", "peer", "name", "other"], check=True)
    with pytest.raises(PlatformError, match="is there already") as caught:
        network(bench, bridge=bridge)
    assert f"ip link delete {bridge}" in caught.value.fix
    for name in ("busy", bridge):
        subprocess.run([*inside, "delete", name], check=True)


# ---- machines


@pytest.fixture
def parts(bench, pool):
    """Everything that a machine needs, and a function that makes one."""
    image = micro.build()
    files = {}
    for kind in ("micro-kernel", "micro-initrd"):
        source = {"kind": kind, "digest": image.digest}
        files[kind] = bench.make(Volume, kind, pool=POOL, name=kind, format="raw", cache=True, source=source).outputs
    front = network(bench).outputs
    rules = [
        {"action": "accept", "direction": "inout", "protocol": protocol} for protocol in ("all", "all-ipv6", "mac")
    ]
    open_filter = bench.make(Filter, "open", pool=POOL, name="shop-dev-open", rules=rules).outputs
    closed = [{"action": "drop", "direction": "inout", "protocol": "icmp", "priority": 100}, *rules]
    closed_filter = bench.make(Filter, "closed", pool=POOL, name="shop-dev-closed", rules=closed).outputs
    settings = "version: 2\nethernets:\n  nic0:\n    match: {macaddress: '02:00:00:00:00:0a'}\n"
    settings += "    addresses: [10.77.0.10/24, 'fd77::a/64']\n    gateway4: 10.77.0.1\n"
    metadata = "instance-id: web\nlocal-hostname: web\n"
    seed = bench.make(Seed, "s", pool=POOL, name="web", meta_data=metadata, network_config=settings).outputs
    disk = bench.make(Volume, "data", pool=POOL, name="data.qcow2", capacity_bytes=1 << 30).outputs

    def machine(**changes):
        inputs = {
            "pool": POOL,
            "name": "shop-dev-web",
            "memory_mib": 96,
            "accelerator": "qemu",
            "kernel": files["micro-kernel"].path,
            "initrd": files["micro-initrd"].path,
            "cmdline": micro.CMDLINE,
            "disks": [{"path": disk.path, "serial": "data"}],
            "seed": seed.path,
            "nics": [{"network": front.name, "mac": "02:00:00:00:00:0a", "filter": open_filter.name, "mtu": 1400}],
            "generations": [front.generation, seed.generation, disk.generation],
            "probe_channel": True,
            "ready": "channel",
            "ready_timeout_s": 120,
        }
        return bench.make(Domain, "web", **{**inputs, **changes})

    machine.closed = closed_filter.name
    machine.network = front.name
    return machine


def deployed(thing):
    return DeployedMachine("web", (NativeState(Domain.token, "web", thing.id, thing.outputs.model_dump()),))


def printed(bench, machine, seconds=60):
    """What a ready machine printed, once it has: a guest says that it is ready a moment before it prints so."""
    end = time.monotonic() + seconds
    while "READY" not in (text := console_log(bench.session, deployed(machine))) and time.monotonic() < end:
        time.sleep(0.2)
    return text


def test_the_life_of_a_machine(bench, parts):
    made = parts()
    live = bench.connection.lookupByUUIDString(made.id)
    assert made.read().inputs == made.inputs
    assert made.read().outputs == made.outputs
    assert "PROVISION-GUEST-READY web" in printed(bench, made)

    # A person types at its console.
    keyboard, typing = os.pipe()
    shown, screen = os.pipe()
    stream = bench.connection.newStream(0)
    live.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
    os.write(typing, b"\necho $((6 * 7))-answer\n")
    joined = threading.Thread(target=join, args=(stream, keyboard, screen))
    joined.start()
    seen = b""
    while b"42-answer" not in seen:
        seen += os.read(shown, 1000)
    assert joined.is_alive()
    os.write(typing, b"ignored \x1d")
    joined.join(10)
    assert not joined.is_alive()

    # What an interrupted run left is adopted as it runs.
    number = live.ID()
    assert made.again().outputs == made.outputs
    assert live.ID() == number

    # A name that is taken is refused.
    with pytest.raises(ForeignObject, match=r"'shop-dev-web' \(UUID .*\) belongs to something of this stack"):
        bench.make(Domain, "other", **{k: v for k, v in made.inputs.model_dump().items() if k != "stack_id"})
    assert live.ID() == number

    # Probes run inside, and a packet filter changes while the machine runs.
    ping = Probe(Protocol.ICMP, "10.77.0.1", timeout=1)
    channel = probe_channel(bench.session, deployed(made))
    try:
        assert [seen.seen for seen in channel.run([ping, Probe(Protocol.TCP, "10.77.0.1", 9)])] == [
            Seen.OPEN,
            Seen.REFUSED,
        ]
        nic = {"network": parts.network, "mac": "02:00:00:00:00:0a", "filter": parts.closed, "mtu": 1400}
        made = made.update(nics=[nic])
        assert made.drift() == set()
        wrong = Probe(Protocol.ICMPV6, "10.77.0.1")
        assert [seen.seen for seen in channel.run([ping, wrong])] == [Seen.TIMEOUT, Seen.FAILED]
    finally:
        channel.close()
    assert live.ID() == number
    with pytest.raises(RetriableError, match="still in use by the machine 'shop-dev-web'"):
        next(thing for thing in bench.made if thing.outputs.name == parts.closed).delete()

    # Changes by hand are drift, in the running machine and in what its next start uses; an update takes them back.
    live.setMemoryFlags(64 << 10, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    live.suspend()
    assert made.drift() == {"balloon_mib", "power"}
    assert made.read().inputs.power == "paused"
    made = made.update()
    assert made.drift() == set()
    assert live.ID() == number
    live.destroy()
    assert made.drift() == {"power"}

    # More memory needs a restart; switching off and on is an update too.
    made = made.update(memory_mib=112)
    assert made.drift() == set()
    assert live.ID() != number
    made = made.update(power="stopped")
    assert not live.isActive()
    assert made.drift() == set()

    made.delete()
    made.delete()
    assert made.read() is None
    assert f"{made.inputs.name}.console.log" not in [
        volume.name() for volume in bench.connection.storagePoolLookupByName(POOL).listAllVolumes()
    ]


def test_a_guest_that_does_not_boot_is_kept_with_the_end_of_its_console(bench, parts):
    end, error = time.monotonic() + 300, None
    while error is None or not any("Kernel panic" in reason for reason in error.reasons):
        assert time.monotonic() < end  # the same guest is waited for again: a busy machine takes long to its end
        with pytest.raises(CreatedButUnhealthy, match="is not ready after") as caught:
            parts(cmdline="console=ttyS0 no_timer_check panic=0 rdinit=/nonsense", ready_timeout_s=12, disks=[])
        error = caught.value
    outputs = Domain.Outputs.model_validate(error.outputs)

    assert bench.connection.lookupByUUIDString(error.id).isActive()
    assert not any("\x1b" in reason for reason in error.reasons)
    inputs = Domain.Inputs(stack_id=STACK, pool=POOL, name="shop-dev-web", memory_mib=96, console_log=True)
    Thing(Domain, bench.made[0].operation, inputs, error.id, outputs).delete()


def test_a_machine_whose_wait_was_cancelled_is_kept_and_waited_for_again(bench, parts):
    with pytest.raises(CreatedButUnhealthy, match="the run was cancelled while it was starting") as caught:
        parts(cancelled=lambda: "starting" in bench.reports)

    made = parts()

    assert made.id == caught.value.id
    assert made.outputs.model_dump() == caught.value.outputs
    assert "PROVISION-GUEST-READY web" in printed(bench, made)


def test_a_machine_whose_run_was_cancelled_before_its_start_leaves_nothing(bench, parts):
    with pytest.raises(Cancelled):
        parts(cancelled=lambda: True)

    assert bench.connection.listAllDomains() == []


def test_a_foreign_machine_is_not_touched(bench, parts):
    foreign = bench.connection.defineXML(
        "<domain type='qemu'><name>shop-dev-web</name><memory>65536</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    before = foreign.XMLDesc()
    try:
        with pytest.raises(ForeignObject, match="the machine 'shop-dev-web' exists"):
            parts()
        inputs = Domain.Inputs(stack_id=STACK, pool=POOL, name="shop-dev-web", memory_mib=96)
        outputs = Domain.Outputs(name="shop-dev-web", pool=POOL, probe_channel=False, uuid=foreign.UUIDString())
        with pytest.raises(ForeignObject):
            Thing(Domain, bench.made[0].operation, inputs, foreign.UUIDString(), outputs).delete()
        assert foreign.XMLDesc() == before
    finally:
        foreign.undefine()


def test_the_outside_peer_answers(bench):
    channel = outside_channel(bench.session)
    assert channel is not None
    try:
        assert [seen.seen for seen in channel.run([Probe(Protocol.ICMP, "127.0.0.1")])] == [Seen.OPEN]
    finally:
        channel.close()
