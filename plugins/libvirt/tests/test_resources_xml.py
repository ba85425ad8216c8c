"""What is written to libvirt, and that reading it gives back what was meant."""

import io
import ipaddress
import struct

import pycdlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provision_libvirt.resources import (
    Domain,
    Volume,
    cpusets,
    tuning,
    xml_domain,
    xml_filter,
    xml_network,
    xml_places,
    xml_storage,
)
from provision_libvirt.resources.domain import needs_restart
from provision_libvirt.resources.domain_model import Disk, DomainInputs, Nic
from provision_libvirt.resources.filter_model import FilterInputs, FilterReference, FilterRule
from provision_libvirt.resources.iso import iso_image
from provision_libvirt.resources.leftovers import blank_qcow2, is_console_log
from provision_libvirt.resources.network_model import DhcpHost, DhcpRange, DnsHost, IpAddress, NetworkInputs
from provision_libvirt.resources.xml_tools import element, from_text, to_text

from provision.spi import IMMUTABLE, RESTARTS, CheckRequest

UUID = "f457db9f-828e-82a4-ab91-6accab13c252"

names = st.from_regex(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", fullmatch=True)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc")), min_size=1)
ipv4s = st.ip_addresses(v=4).map(str)
ipv6s = st.ip_addresses(v=6).map(str)
macs = st.binary(min_size=6, max_size=6).map(lambda raw: ":".join(f"{byte:02x}" for byte in raw))
parameters = st.dictionaries(
    st.sampled_from(["IP", "MAC", "PEERS"]), st.lists(ipv4s, min_size=1, max_size=3), max_size=3
)


def model(kind, **fields):
    return st.fixed_dictionaries(fields).map(kind.model_validate)


networks = model(
    NetworkInputs,
    stack_id=st.just("stack"),
    pool=names,
    name=names,
    mode=st.sampled_from(["isolated", "nat", "routed"]),
    bridge=st.just("br-x"),
    ipv4=model(IpAddress, address=ipv4s, prefix=st.integers(1, 32)),
    ipv6=st.none() | model(IpAddress, address=ipv6s, prefix=st.integers(1, 127)),
    domain=st.none() | names,
    mtu=st.none() | st.integers(576, 9000),
    dns=st.booleans(),
    dhcp_range=st.none() | model(DhcpRange, start=ipv4s, end=ipv4s),
    dhcp_hosts=st.lists(model(DhcpHost, mac=macs, ip=ipv4s, name=st.none() | names), max_size=3),
    dns_hosts=st.lists(model(DnsHost, ip=ipv4s | ipv6s, names=st.lists(names, min_size=1, max_size=3)), max_size=3),
)
rules = model(
    FilterRule,
    action=st.sampled_from(["accept", "drop", "reject", "return", "continue"]),
    direction=st.sampled_from(["in", "out", "inout"]),
    priority=st.integers(-1000, 1000),
    statematch=st.booleans(),
    protocol=st.sampled_from(["tcp", "udp-ipv6", "icmpv6", "all", "arp", "mac"]),
    attributes=st.dictionaries(st.sampled_from(["srcipaddr", "dstportstart", "state", "comment"]), texts, max_size=3),
)
filters = model(
    FilterInputs,
    stack_id=st.just("stack"),
    pool=names,
    name=names,
    chain=st.sampled_from(["root", "ipv4", "arp-in"]),
    priority=st.none() | st.integers(-1000, 1000),
    rules=st.lists(rules, max_size=5),
    references=st.lists(model(FilterReference, filter=names, parameters=parameters), max_size=3),
)
domains = model(
    DomainInputs,
    stack_id=st.just("stack"),
    pool=names,
    name=names,
    memory_mib=st.integers(128, 1 << 20),
    balloon_mib=st.none() | st.integers(32, 127),
    vcpus=st.integers(8, 64),
    online_vcpus=st.none() | st.integers(1, 7),
    accelerator=st.sampled_from(["kvm", "qemu"]),
    kernel=st.none() | texts,
    initrd=st.none() | texts,
    cmdline=st.none() | texts,
    disks=st.lists(
        model(
            Disk,
            path=texts,
            format=st.sampled_from(["qcow2", "raw"]),
            serial=st.none() | names,
            secret=st.none() | st.just(UUID),
            generation=st.none() | names,
        ),
        max_size=4,
        unique_by=lambda disk: disk.path,
    ),
    seed=st.none() | texts,
    nics=st.lists(
        model(
            Nic,
            network=names,
            mac=macs,
            filter=names,
            parameters=parameters,
            mtu=st.none() | st.just(1400),
            isolated=st.none() | st.just(True),
            connected=st.booleans(),
            generation=st.none() | names,
            settings=st.none() | names,
            inbound_kilobytes_s=st.none() | st.integers(1, 1 << 20),
            outbound_kilobytes_s=st.none() | st.integers(1, 1 << 20),
        ),
        max_size=3,
        unique_by=lambda nic: nic.mac,
    ),
    generations=st.lists(names, max_size=3),
    probe_channel=st.booleans(),
    console_log=st.booleans(),
    cpu_shares=st.none() | st.integers(1, 10_000),
    cpu_quota_us=st.none() | st.integers(1000, 1 << 20),
    memory_limit_mib=st.none() | st.integers(32, 1 << 20),
    share_pages=st.sampled_from([None, False]),
    balloon=st.sampled_from([None, True]),
    numa_node=st.none() | st.integers(0, 7),
    huge_page_kib=st.sampled_from([None, 2048, 1 << 20]),
    locked=st.sampled_from([None, True]),
    hide_hypervisor=st.sampled_from([None, True]),
    nested=st.sampled_from([None, False]),
    secure_boot=st.sampled_from([None, True]),
    tpm=st.sampled_from([None, True]),
    memory_encryption=st.sampled_from([None, "sev", "sev-es", "sev-snp", "tdx"]),
    confinement=st.sampled_from([None, "apparmor", "selinux"]),
    emulator_pin=st.none() | st.sets(st.integers(0, 99), min_size=1).map(cpusets.written),
    **{name: st.none() for name in ("vcpu_pins", "disk_iops", "disk_bytes_s")},
)


def same(parsed: dict, inputs) -> bool:
    return all(getattr(inputs, name) == value for name, value in parsed.items())


@given(networks)
def test_a_network_reads_as_it_was_written(inputs):
    text = xml_network.render(inputs, UUID, stack="s", urn="u", generation="g1")

    assert same(xml_network.parse(text), inputs)
    assert xml_network.generation(text) == "g1"


@given(filters)
def test_a_filter_reads_as_it_was_written(inputs):
    parsed = xml_filter.parse(xml_filter.render(inputs, f"{inputs.name}-1", UUID))

    assert parsed.pop("name") == f"{inputs.name}-1"
    assert same(parsed, inputs)


@given(domains)
def test_a_domain_reads_as_it_was_written(inputs):
    path = f"/pool/{inputs.name}.console.log" if inputs.console_log else None
    text = xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=path)

    assert same(xml_domain.parse(text), inputs)


def test_a_routed_network():
    inputs = NetworkInputs(
        stack_id="secret",
        pool="shop-dev",
        name="shop-dev-front",
        mode="nat",
        bridge="pv-12ab",
        ipv4=IpAddress(address="10.0.0.1", prefix=24),
        ipv6=IpAddress(address="fd00::1", prefix=64),
        dhcp_hosts=[DhcpHost(mac="02:00:00:00:00:01", ip="10.0.0.2", name="web")],
        dns_hosts=[DnsHost(ip="10.0.0.2", names=["web"])],
    )

    assert xml_network.render(inputs, UUID, stack="ab", urn="urn:x", generation="g") == (
        f'<network xmlns:provision="urn:provision:libvirt:1"><name>shop-dev-front</name><uuid>{UUID}</uuid>'
        '<metadata><provision:owner stack="ab" urn="urn:x" generation="g" />'
        '</metadata><forward mode="nat"><nat ipv6="yes" /></forward><bridge name="pv-12ab" stp="off" delay="0" />'
        '<dns><host ip="10.0.0.2"><hostname>web</hostname></host></dns>'
        '<ip address="10.0.0.1" prefix="24"><dhcp><host mac="02:00:00:00:00:01" name="web" ip="10.0.0.2" /></dhcp></ip>'
        '<ip family="ipv6" address="fd00::1" prefix="64" /></network>'
    )


def test_a_domain():
    inputs = DomainInputs(
        stack_id="secret",
        pool="shop-dev",
        name="shop-dev-web",
        memory_mib=96,
        accelerator="qemu",
        kernel="/p/k",
        cmdline="quiet a=<b>",
        disks=[Disk(path="/p/d", serial="data")],
        seed="/p/s",
        nics=[Nic(network="front", mac="02:00:00:00:00:01", filter="f-1", parameters={"IP": ["10.0.0.2"]}, mtu=1400)],
        generations=["g1"],
        probe_channel=True,
    )

    text = xml_domain.render(inputs, UUID, stack="ab", urn="urn:x", console_path="/p/c.log")

    assert "secret" not in text
    assert text == (
        f'<domain xmlns:provision="urn:provision:libvirt:1" type="qemu"><name>shop-dev-web</name>'
        f"<uuid>{UUID}</uuid><metadata>"
        '<provision:owner stack="ab" urn="urn:x" pool="shop-dev" machine="q35">'
        "<provision:generation>g1</provision:generation></provision:owner></metadata>"
        '<memory unit="MiB">96</memory><vcpu>1</vcpu>'
        '<os><type arch="x86_64" machine="q35">hvm</type><kernel>/p/k</kernel><cmdline>quiet a=&lt;b&gt;</cmdline>'
        '<boot dev="hd" /></os><features><acpi /><apic /></features><cpu mode="maximum" /><clock offset="utc" />'
        "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash><devices>"
        '<disk type="file" device="disk"><driver name="qemu" type="qcow2" discard="unmap" /><source file="/p/d" />'
        '<target dev="vda" bus="virtio" /><serial>data</serial></disk>'
        '<disk type="file" device="disk"><driver name="qemu" type="raw" /><source file="/p/s" />'
        '<target dev="vdb" bus="virtio" /><readonly /></disk>'
        '<interface type="network"><mac address="02:00:00:00:00:01" /><source network="front" />'
        '<model type="virtio" /><filterref filter="f-1"><parameter name="IP" value="10.0.0.2" /></filterref>'
        '<mtu size="1400" /><rom enabled="no" /></interface>'
        '<serial type="pty"><log file="/p/c.log" append="on" /><target type="isa-serial" port="0" /></serial>'
        '<console type="pty"><target type="serial" port="0" /></console>'
        '<channel type="unix"><target type="virtio" name="org.provision.probe.0" /></channel>'
        '<controller type="usb" model="none" /><memballoon model="none" /></devices></domain>'
    )


def test_disks_are_named_as_linux_counts_them():
    inputs = DomainInputs(
        stack_id="s", pool="p", name="n", memory_mib=64, disks=[Disk(path=f"/{n}") for n in range(28)]
    )
    root = from_text(xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=None))

    targets = [target.get("dev") for target in root.iterfind("devices/disk/target")]

    assert targets[:2] == ["vda", "vdb"]
    assert targets[25:] == ["vdz", "vdaa", "vdab"]


def settled(inputs, before=None):
    return xml_places.settled(xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=None), before)


def devices(text):
    """Letters of disks and places of all devices."""
    found = {}
    for device in from_text(text).iterfind("devices/*"):
        if (key := xml_places.device_key(device)) is not None:
            place, target = device.find("address"), device.find("target")
            letter = target.get("dev") if device.tag == "disk" else None
            found[key] = (letter, None if place is None else (place.get("bus"), place.get("slot")))
    return found


def as_given(text, express=True):
    """A definition as libvirt gives it back, with an address for every device."""
    root = from_text(text)
    bus = 0
    for device in root.iterfind("devices/*"):
        if xml_places.device_key(device) is not None and device.find("address") is None:
            bus += 1
            place = {"bus": f"{bus:#04x}", "slot": "0x00"} if express else {"bus": "0x00", "slot": f"{bus + 1:#04x}"}
            device.append(element("address", type="pci", **place))
    return to_text(root)


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_devices_stay_where_they_are_when_others_come_and_go(machine):
    part = ("bus", "slot").index({"q35": "bus", "pc": "slot"}[machine])
    disks = [Disk(path=f"/p/{name}", serial=name) for name in ("a", "b", "c")]
    cards = [Nic(network="n", mac=f"02:00:00:00:00:0{number}") for number in range(3)]
    inputs = plain_domain().model_copy(
        update={"machine": machine, "kernel": "/p/k", "disks": disks, "nics": cards[:2], "seed": "/p/s"}
    )
    first = as_given(settled(inputs), machine == "q35")
    changed = inputs.model_copy(
        update={"disks": [Disk(path="/p/new", serial="new"), disks[0], disks[2]], "nics": [cards[2], cards[1]]}
    )
    second = settled(changed, first)

    was, now = devices(first), devices(second)
    stay = was.keys() & now.keys()
    assert stay == {("disk", "a"), ("disk", "c"), ("disk", "/p/s"), ("interface", cards[1].mac)}
    assert {key: now[key] for key in stay} == {key: was[key] for key in stay}
    assert now["disk", "new"][0] == "vdb", "the first free letter"
    last = max(int(place[part], 0) for _, place in was.values())
    fresh = sorted(int(now[key][1][part], 0) for key in (("disk", "new"), ("interface", cards[2].mac)))
    assert fresh == [last + 1, last + 2], "behind all others, so that the guest counts these as before"
    assert devices(settled(changed, second)) == now


def test_each_definition_has_room_for_eight_more_devices_where_they_need_ports():
    inputs = plain_domain().model_copy(update={"disks": [Disk(path="/p/a", serial="a")]})
    ports = from_text(settled(inputs)).findall("devices/controller[@model='pcie-root-port']")

    assert [port.get("index") for port in ports] == [str(index) for index in range(1, 3 + 8 + 1)]
    assert "pcie-root-port" not in settled(inputs.model_copy(update={"machine": "pc"}))


def test_a_disk_that_the_machine_is_to_boot_from_comes_first():
    data = Disk(path="/p/a", serial="a")
    before = as_given(settled(plain_domain().model_copy(update={"disks": [data], "kernel": "/p/k"})))
    inputs = plain_domain().model_copy(update={"disks": [Disk(path="/p/root", serial="root"), data]})

    assert {key: letter for key, (letter, _) in devices(settled(inputs, before)).items() if letter} == {
        ("disk", "root"): "vda",
        ("disk", "a"): "vdb",
    }


def test_places_mean_nothing_on_another_board():
    inputs = plain_domain().model_copy(update={"machine": "pc"})
    before = as_given(settled(plain_domain()))

    assert {place for _, place in devices(settled(inputs, before)).values()} == {None}


def test_a_live_nic_keeps_everything_but_its_filter():
    live = (
        "<domain><devices><interface type='network'><mac address='02:00:00:00:00:01'/>"
        "<source network='n' portid='x' bridge='br'/><target dev='vnet3'/>"
        "<filterref filter='old'><parameter name='IP' value='1.1.1.1'/></filterref><alias name='net0'/></interface>"
        "</devices></domain>"
    )

    changed = xml_domain.live_nic_changed(live, Nic(network="n", mac="02:00:00:00:00:01", filter="new"))
    removed = xml_domain.live_nic_changed(live, Nic(network="n", mac="02:00:00:00:00:01"))
    absent = xml_domain.live_nic_changed(live, Nic(network="n", mac="02:00:00:00:00:02"))

    assert changed == (
        '<interface type="network"><mac address="02:00:00:00:00:01" /><source network="n" portid="x" bridge="br" />'
        '<target dev="vnet3" /><alias name="net0" /><filterref filter="new" /><link state="up" /></interface>'
    )
    assert removed is not None
    assert "filterref" not in removed
    assert absent is None


@given(rules, st.integers(0, 32), st.ip_addresses(v=4), st.ip_addresses(v=6))
def test_spellings_of_one_rule_are_one_rule(rule, prefix, four, six):
    mask = str(ipaddress.ip_network(f"0.0.0.0/{prefix}").netmask)
    one = rule.model_copy(update={"attributes": {"srcipmask": str(prefix), "dstipaddr": str(six), "type": "8"}})
    two = rule.model_copy(update={"attributes": {"type": "0x8", "dstipaddr": six.exploded.upper(), "srcipmask": mask}})
    other = rule.model_copy(update={"attributes": {**one.attributes, "srcipaddr": str(four)}})

    assert xml_filter.canonical(one) == xml_filter.canonical(two)
    assert xml_filter.canonical(one) != xml_filter.canonical(other)


def test_a_fingerprint_minds_content_and_not_indentation():
    plain = "<filter name='a'><rule action='drop'/></filter>"

    assert xml_filter.fingerprint(plain) == xml_filter.fingerprint(
        "<filter name='a'>\n  <rule action='drop'/>\n</filter>\n"
    )
    assert xml_filter.fingerprint(plain) != xml_filter.fingerprint(plain.replace("drop", "accept"))


def test_filters_in_use_are_found_at_any_depth():
    used = xml_domain.used_filters(
        ["<domain><devices><interface><filterref filter='a'/></interface></devices></domain>"]
    )

    assert used == {"a"}


def test_a_volume_over_another():
    assert xml_storage.volume("v", "qcow2", 42, ("/base", "raw")) == (
        '<volume><name>v</name><capacity unit="bytes">42</capacity><target><format type="qcow2" /></target>'
        '<backingStore><path>/base</path><format type="raw" /></backingStore></volume>'
    )


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=20), st.integers(0, 2))
def test_only_an_image_without_clusters_and_snapshots_is_blank(l1, snapshots):
    header = (
        b"QFI\xfb" + bytes(32) + struct.pack(">IQ", len(l1), 512) + bytes(12) + struct.pack(">I", snapshots) + bytes(8)
    )
    image = header.ljust(512, b"\0") + struct.pack(f">{len(l1)}Q", *l1)

    assert blank_qcow2(lambda at, length: image[at : at + length]) == (not any(l1) and not snapshots)
    assert not blank_qcow2(lambda at, length: image[at : at + length][:40])
    assert not blank_qcow2(lambda at, length: b"\0" * length)


@given(st.dictionaries(st.sampled_from(["meta-data", "user-data", "network-config"]), texts, min_size=1))
def test_a_seed_holds_its_files_under_the_label_cidata(files):
    image = iso_image(files)
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    read = {}
    for name in files:
        content = io.BytesIO()
        iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
        read[name] = content.getvalue().decode()

    assert image[32808:32814] == b"cidata"
    assert read == files


def test_metadata_survives_a_round_trip():
    assert to_text(from_text("<a><b>x</b></a>")) == "<a><b>x</b></a>"


@given(networks, st.randoms())
def test_order_and_spelling_of_leases_and_names_mean_nothing(inputs, random):
    hosts = [host.model_copy(update={"mac": host.mac.upper()}) for host in inputs.dhcp_hosts]
    names = [
        host.model_copy(update={"ip": ipaddress.ip_address(host.ip).exploded, "names": list(reversed(host.names))})
        for host in inputs.dns_hosts
    ]
    random.shuffle(hosts)
    random.shuffle(names)
    other = inputs.model_copy(update={"dhcp_hosts": hosts, "dns_hosts": names})
    more = inputs.model_copy(update={"dhcp_hosts": [*hosts, DhcpHost(mac="02:00:00:00:00:01", ip="1.2.3.4", name="x")]})

    assert xml_network.canonical(other) == xml_network.canonical(inputs)
    assert xml_network.canonical(more) != xml_network.canonical(inputs)


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("web.console.log", True),
        ("web.console.log.2", True),
        ("web.console.log.old", False),
        ("web-1.console.log", False),
        ("web.qcow2", False),
    ],
)
def test_parts_of_a_console_log_are_recognised(volume, expected):
    assert is_console_log(volume, "web") is expected


CHANGED = {
    "memory_mib": 128,
    "balloon_mib": 64,
    "firmware": "uefi",
    "autostart": True,
    "shutdown_timeout_s": 5,
    "shutdown_on_delete": True,
    "vcpus": 2,
    "online_vcpus": 1,
    "accelerator": "qemu",
    "kernel": "/p/other",
    "initrd": "/p/other",
    "cmdline": "other",
    "disks": [Disk(path="/p/other")],
    "seed": "/p/other",
    "nics": [Nic(network="front", mac="02:00:00:00:00:01", filter="other", parameters={"IP": ["10.0.0.3"]})],
    "generations": ["other"],
    "power": "stopped",
    "probe_channel": True,
    "console_log": False,
    "ready": "channel",
    "ready_timeout_s": 5,
    "cpu_shares": 200,
    "cpu_quota_us": 50_000,
    "memory_limit_mib": 512,
    "share_pages": False,
    "balloon": True,
    "disk_iops": 100,
    "disk_bytes_s": 1 << 20,
    "vcpu_pins": ["1"],
    "emulator_pin": "0",
    "numa_node": 0,
    "huge_page_kib": 2048,
    "locked": True,
    "hide_hypervisor": True,
    "nested": False,
    "secure_boot": True,
    "tpm": True,
    "memory_encryption": "sev",
    "confinement": "apparmor",
}


def plain_domain():
    nic = Nic(network="front", mac="02:00:00:00:00:01", filter="f-1")
    return DomainInputs(stack_id="s", pool="p", name="web", memory_mib=96, nics=[nic])


def restarts(inputs, changed):
    path = "/p/web.console.log" if inputs.console_log else None
    live = xml_domain.parse(xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=path))
    return needs_restart(live, changed)


@pytest.mark.parametrize(("field", "value"), CHANGED.items())
def test_a_change_restarts_a_machine_exactly_when_its_annotation_says_so(field, value):
    inputs = plain_domain()
    annotated = RESTARTS in DomainInputs.model_fields[field].metadata

    assert restarts(inputs, inputs.model_copy(update={field: value})) is annotated
    assert not restarts(inputs, inputs)


def test_every_field_of_a_machine_replaces_it_or_is_known_to_the_test_above():
    replacing = {name for name, field in DomainInputs.model_fields.items() if IMMUTABLE in field.metadata}

    assert replacing == {"name", "machine"}
    assert set(DomainInputs.model_fields) == replacing | set(CHANGED) | {"stack_id", "pool", "pool_uuid"}


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ({"vcpus": 4, "online_vcpus": 1}, {"vcpus": 4, "online_vcpus": 3}, False),
        ({"vcpus": 4, "online_vcpus": 3}, {"vcpus": 4}, False),
        ({"vcpus": 4}, {"vcpus": 4, "online_vcpus": 3}, True),
        ({"vcpus": 4, "online_vcpus": 2}, {"vcpus": 4, "online_vcpus": 1}, True),
        ({"vcpus": 4}, {"vcpus": 2}, False),
        ({"vcpus": 4}, {"vcpus": 5, "online_vcpus": 1}, False),
        ({"vcpus": 4}, {"vcpus": 4, "online_vcpus": 1, "power": "stopped"}, False),
        ({"vcpus": 4, "power": "stopped"}, {"vcpus": 4, "online_vcpus": 1}, False),
    ],
)
def test_a_running_machine_gets_virtual_cpus_and_gives_none_back(before, after, refused):
    checked = Domain().check(CheckRequest("u", {"name": "web"} | after, before))
    assert [failure.property for failure in checked.failures] == (["online_vcpus"] if refused else [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("network", "other"),
        ("mac", "02:00:00:00:00:02"),
        ("mtu", 1300),
        ("isolated", True),
        ("generation", "other"),
        ("settings", "other"),
        ("connected", False),
        ("filter", None),
        ("inbound_kilobytes_s", 10),
        ("outbound_kilobytes_s", 10),
    ],
)
def test_a_changed_property_of_a_nic_restarts_exactly_when_its_annotation_says_so(field, value):
    inputs = plain_domain()
    nics = [inputs.nics[0].model_copy(update={field: value})]

    assert restarts(inputs, inputs.model_copy(update={"nics": nics})) is (RESTARTS in Nic.model_fields[field].metadata)


def test_nics_and_disks_come_and_go_while_the_machine_runs():
    inputs = plain_domain().model_copy(update={"disks": [Disk(path="/p/d", serial="d")]})
    more = Nic(network="front", mac="02:00:00:00:00:09", filter="f-1")

    for changed in (
        {"nics": []},
        {"nics": [more]},
        {"nics": [more, *inputs.nics]},
        {"disks": []},
        {"disks": [Disk(path="/p/e", serial="e"), *inputs.disks]},
        {"disks": [Disk(path="/p/d", serial="renamed")]},
    ):
        assert not restarts(inputs, inputs.model_copy(update=changed))


@pytest.mark.parametrize(
    ("field", "value"),
    [("path", "/p/other"), ("format", "raw"), ("secret", UUID), ("generation", "other"), ("serial", "other")],
)
def test_a_changed_property_of_a_disk_restarts_exactly_when_its_annotation_says_so(field, value):
    inputs = plain_domain().model_copy(update={"disks": [Disk(path="/p/d", serial="d")]})
    disks = [inputs.disks[0].model_copy(update={field: value})]

    assert restarts(inputs, inputs.model_copy(update={"disks": disks})) is (
        RESTARTS in Disk.model_fields[field].metadata
    )


LIMITED = {"cpu_shares": 200, "cpu_quota_us": 50_000, "disk_iops": 100, "disk_bytes_s": 1 << 20}


def test_limits_pins_and_memory_in_the_definition():
    inputs = plain_domain().model_copy(
        update={
            **LIMITED,
            "seed": "/p/s",
            "disks": [Disk(path="/p/d")],
            "vcpus": 2,
            "vcpu_pins": ["3", "7"],
            "emulator_pin": "0-1",
            "numa_node": 1,
            "memory_limit_mib": 400,
            "huge_page_kib": 2048,
            "share_pages": False,
            "locked": True,
            "balloon": True,
            "nics": [plain_domain().nics[0].model_copy(update={"inbound_kilobytes_s": 125})],
        }
    )
    text = xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=None)

    assert (
        '<memoryBacking><hugepages><page size="2048" unit="KiB" /></hugepages><nosharepages /><locked />'
        '</memoryBacking><memtune><hard_limit unit="MiB">400</hard_limit></memtune>'
        '<numatune><memory mode="strict" nodeset="1" /></numatune>'
        "<cputune><shares>200</shares><global_period>100000</global_period><global_quota>50000</global_quota>"
        '<vcpupin vcpu="0" cpuset="3" /><vcpupin vcpu="1" cpuset="7" /><emulatorpin cpuset="0-1" /></cputune>'
    ) in text
    limit = (
        "<iotune><total_bytes_sec>1048576</total_bytes_sec><total_iops_sec>100</total_iops_sec>"
        "<group_name>machine</group_name></iotune>"
    )
    assert text.count(limit) == 2
    assert '<bandwidth><inbound average="125" /></bandwidth>' in text
    assert '<memballoon model="virtio" autodeflate="on" freePageReporting="on" />' in text
    assert same({**xml_domain.parse(text), "console_log": True}, inputs)


def test_disks_with_limits_of_their_own_are_no_common_limit():
    inputs = plain_domain().model_copy(update={**LIMITED, "disks": [Disk(path="/p/d"), Disk(path="/p/e")]})
    text = xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=None)

    assert xml_domain.parse(text)["disk_iops"] == 100
    assert xml_domain.parse(text.replace("<total_iops_sec>100<", "<total_iops_sec>99<", 1))["disk_iops"] == 0
    assert xml_domain.parse(text.replace("<group_name>machine<", "<group_name>other<"))["disk_iops"] == 0
    assert xml_domain.parse(text.replace("<global_quota>50000<", "<global_quota>-1<"))["cpu_quota_us"] is None
    doubled = text.replace("<global_period>100000<", "<global_period>50000<")
    assert xml_domain.parse(doubled)["cpu_quota_us"] == 100_000


def test_only_the_loss_of_a_weight_needs_a_restart_among_limits():
    inputs = plain_domain().model_copy(update=LIMITED)

    for name in LIMITED:
        assert restarts(inputs, inputs.model_copy(update={name: None})) is (name == "cpu_shares")


@given(st.sets(st.integers(0, 300)))
def test_a_set_of_cpus_reads_as_it_was_written(cpus):
    text = cpusets.written(cpus)

    assert cpusets.read(text) == cpus
    assert cpusets.canonical(",".join(map(str, sorted(cpus, reverse=True)))) == text
    assert cpusets.read(f"{text},400,^400") == cpus
    assert cpusets.canonical(["x", 7]) == ["x", 7]


class _Pinned:
    """A domain on a host with four CPUs."""

    def connect(self):
        return self

    def getCPUMap(self, flags):
        return (4, [True] * 4, 4)


@pytest.mark.parametrize(
    ("recorded", "live", "seen"),
    [
        ({}, {"vcpu_pins": ["0-3"], "emulator_pin": "0-3"}, {"vcpu_pins": None, "emulator_pin": None}),
        ({}, {"vcpu_pins": ["0-2"]}, {"vcpu_pins": ["0-2"]}),
        ({"vcpu_pins": ["1,0"]}, {"vcpu_pins": ["0-1"]}, {"vcpu_pins": ["1,0"]}),
        ({"vcpu_pins": ["1"]}, {"vcpu_pins": ["0-3"]}, {"vcpu_pins": ["0-3"]}),
        ({"balloon": False, "locked": False, "share_pages": True}, {}, {"balloon": False, "share_pages": True}),
        ({"balloon": False}, {"balloon": True}, {"balloon": True}),
        ({}, {"confinement": "apparmor"}, {"confinement": None}),
        ({"confinement": "apparmor"}, {}, {"confinement": None}),
        ({"nested": True, "tpm": False}, {}, {"nested": True, "tpm": False}),
    ],
)
def test_what_means_the_same_as_recorded_is_no_drift(recorded, live, seen):
    inputs = plain_domain().model_copy(update=recorded)
    nothing = dict.fromkeys(CHANGED)

    found = tuning.as_recorded(_Pinned(), {**nothing, **live}, inputs)

    assert {name: found[name] for name in seen} == seen


def test_what_protects_a_machine_in_the_definition():
    inputs = plain_domain().model_copy(
        update={
            "hide_hypervisor": True, "nested": False, "secure_boot": True, "tpm": True, "confinement": "apparmor",
        }
    )  # fmt: skip
    text = xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=None)

    assert (
        '<os firmware="efi"><type arch="x86_64" machine="q35">hvm</type><firmware>'
        '<feature enabled="yes" name="enrolled-keys" /><feature enabled="yes" name="secure-boot" /></firmware>'
    ) in text
    assert '<smm state="on" /><kvm><hidden state="on" /></kvm></features>' in text
    assert (
        '<cpu mode="host-passthrough"><feature policy="disable" name="hypervisor" />'
        '<feature policy="disable" name="vmx" /><feature policy="disable" name="svm" /></cpu>'
    ) in text
    assert '<tpm model="tpm-crb"><backend type="emulator" version="2.0" /></tpm>' in text
    assert '</devices><seclabel type="dynamic" model="apparmor" relabel="yes" /></domain>' in text
    for part in ('name="secure-boot"', '<smm state="on"', 'name="svm"', '<hidden state="on"', 'name="hypervisor"'):
        broken = xml_domain.parse(text.replace(part, part.replace('="', '="x')))
        assert broken != xml_domain.parse(text), part


def test_a_confinement_that_the_hypervisor_gives_anyway_needs_no_restart():
    confined = plain_domain().model_copy(update={"confinement": "apparmor"})

    assert not restarts(confined, plain_domain())
    assert restarts(confined, confined.model_copy(update={"confinement": "selinux"}))


def test_an_encrypted_disk_and_its_volume_name_the_same_key():
    inputs = plain_domain().model_copy(update={"disks": [Disk(path="/p/d", secret=UUID), Disk(path="/p/e")]})
    text = xml_domain.render(inputs, UUID, stack="s", urn="u", console_path=None)
    key = f'<encryption format="luks"><secret type="passphrase" uuid="{UUID}" /></encryption>'

    assert f'<source file="/p/d">{key}</source>' in text
    assert text.count(key) == 1
    assert f'<target><format type="qcow2" />{key}</target>' in xml_storage.volume("v", "qcow2", 42, None, UUID)
    assert restarts(inputs, inputs.model_copy(update={"disks": [Disk(path="/p/d"), Disk(path="/p/e")]}))


@pytest.mark.parametrize(
    ("inputs", "refused"),
    [
        ({"capacity_bytes": 1}, False),
        ({"capacity_bytes": 1, "format": "raw"}, True),
        ({"source": {"kind": "backing", "path": "/p", "format": "raw"}}, False),
        ({"source": {"kind": "file", "path": "/p", "digest": "0" * 64}}, True),
        ({"source": {"kind": "file", "path": "/p", "digest": "0" * 64}, "cache": True}, True),
    ],
)
def test_only_disks_that_the_hypervisor_makes_itself_can_be_encrypted(inputs, refused):
    checked = Volume().check(CheckRequest("urn", {"name": "d", "encrypted": True, **inputs}, None))

    assert [failure.property for failure in checked.failures] == (["encrypted"] if refused else [])
    assert not Volume().check(CheckRequest("urn", {"name": "d", **inputs}, None)).failures


@pytest.mark.parametrize(("size", "refused"), [(8 << 20, True), (16 << 20, False), (32 << 20, False)])
def test_a_disk_grows_and_never_shrinks(size, refused):
    before = {"name": "d", "capacity_bytes": 16 << 20}
    checked = Volume().check(CheckRequest("urn", {"name": "d", "capacity_bytes": size}, before))

    assert [failure.property for failure in checked.failures] == (["capacity_bytes"] if refused else [])
    if refused:
        reason = checked.failures[0].reason
        assert "cannot shrink (from 16777216 to 8388608 bytes): it would lose data; keep its size" in reason


@pytest.mark.parametrize(
    ("extra", "strange"),
    [
        (
            "<cputune><shares>5</shares><global_period>100000</global_period><global_quota>5000</global_quota></cputune>",
            [],
        ),
        ("<cputune><shares>5</shares><quota>5000</quota></cputune>", ["cputune/quota"]),
        ("<memtune><hard_limit unit='MiB'>500</hard_limit></memtune>", []),
        (
            "<memtune><hard_limit unit='MiB'>500</hard_limit><soft_limit unit='MiB'>5</soft_limit></memtune>",
            ["memtune/soft_limit"],
        ),
        ("<memoryBacking><nosharepages/></memoryBacking>", []),
        ("<memoryBacking><nosharepages/><discard/></memoryBacking>", ["memoryBacking/discard"]),
        ("<memoryBacking><access mode='shared'/></memoryBacking>", ["memoryBacking", "memoryBacking/access"]),
    ],
)
def test_an_import_loses_no_part_of_the_host_that_inputs_cannot_say(extra, strange):
    text = xml_domain.render(plain_domain(), UUID, stack="s", urn="u", console_path=None)
    text = text.replace("<vcpu>", f"{extra}<vcpu>")
    inputs = plain_domain().model_copy(update=xml_domain.parse(text))

    assert xml_domain.undescribed(text, inputs, None) == strange
