"""The lab and the micro image for real: namespaces, libvirt, guests, packets, and nothing left behind."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libvirt
import pytest
from provision_libvirt.lab import LabInfo, lifecycle, settings, start, status, stop
from provision_libvirt.lab.cgroups import hierarchies
from provision_libvirt.micro import CHANNEL, CMDLINE, READY_MARK, Nic, Probe, ProbeClient, State, build
from provision_libvirt.micro.transport import ChannelTransport, SocketTransport
from provision_libvirt.resources.iso import iso_image

from provision.errors import EnvironmentProblem, UserError

# ---- without a lab


def test_a_directory_whose_sockets_would_be_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    place = Path("/var/tmp") / ("x" * 80)
    with pytest.raises(UserError) as caught:
        start(place)
    assert caught.value.summary == f"the lab's directory {place} is too long: its sockets would exceed 107 bytes"
    assert caught.value.fix == "set PROVISION_LAB_DIR to a path of at most 82 bytes"


def test_a_lab_needs_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentProblem, match="needs root"):
        start(tmp_path / "lab")


def test_missing_programs_are_named_with_the_apt_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(lifecycle, "_TOOLS", {"no-such-daemon": "some-package", "sh": "dash"})
    with pytest.raises(EnvironmentProblem) as caught:
        start(tmp_path / "lab")
    assert caught.value.summary == "the private hypervisor needs programs that are missing here: no-such-daemon"
    assert caught.value.fix == "apt-get install --no-install-recommends some-package"


def test_a_directory_with_something_else_in_it_is_never_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(lifecycle, "_checked", lambda directory: directory)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious").write_text("x")
    with pytest.raises(UserError, match="something else than a lab"):
        stop(tmp_path / "home")
    assert (tmp_path / "home" / "precious").read_text() == "x"


def test_a_recorded_process_that_is_another_one_now_is_no_lab(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text(f'{{"pid": {os.getpid()}, "start_time": "1"}}')
    (tmp_path / "ready").touch()
    assert status(tmp_path) is None


def test_hierarchies_of_both_versions_are_found_and_read_only_ones_left() -> None:
    text = (
        "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
        "31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "32 25 0:28 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "33 25 0:29 / /tmp rw - tmpfs tmpfs rw\n"
    )
    found = [(str(h.point), h.kind, h.options) for h in hierarchies(text)]
    assert found == [("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct"), ("/sys/fs/cgroup/unified", "cgroup2", "")]


# ---- with one

NETWORK = """<network><name>routed</name><forward mode='route'/><bridge name='vbrouted' stp='off'/>
<ip address='10.77.0.1' netmask='255.255.255.0'/><ip family='ipv6' address='fd77::1' prefix='64'/></network>"""
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>96</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/var/lib/libvirt/images/vmlinux</kernel>
<initrd>/var/lib/libvirt/images/initrd</initrd><cmdline>{cmdline}</cmdline></os><features><acpi/></features>
<cpu mode='maximum'/><devices>
<interface type='network'><source network='routed'/><mac address='{mac}'/><model type='virtio'/>
<rom enabled='no'/></interface>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/var/lib/libvirt/images/{name}.iso'/>
<target dev='vda' bus='virtio'/><readonly/></disk>
<serial type='pty'><log file='/var/log/libvirt/qemu/{name}-console.log' append='on'/></serial>
<channel type='unix'><target type='virtio' name='{channel}'/></channel>
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""


@dataclass
class Guest:
    """A running guest and the client of its agent."""

    domain: libvirt.virDomain
    client: ProbeClient


@pytest.fixture(scope="module")
def lab() -> Iterator[LabInfo]:
    place = Path("/var/tmp") / f"provision-test-{os.getpid()}"
    info = start(place, owner=os.getpid())
    yield info
    stop(place)


@pytest.fixture(scope="module")
def guests(lab: LabInfo) -> Iterator[list[Guest]]:
    image = build()
    images = lab.directory / "lib/images"
    shutil.copy(image.kernel, images / "vmlinux")
    shutil.copy(image.initrd, images / "initrd")
    connection = libvirt.open(lab.uri)
    connection.networkDefineXML(NETWORK).create()
    made: dict[int, Guest] = {}

    def boot(number: int) -> None:
        name, mac = f"g{number}", f"52:54:00:77:00:{number:02x}"
        (images / f"{name}.iso").write_bytes(seed(name, mac, number))
        domain = connection.createXML(DOMAIN.format(name=name, mac=mac, cmdline=CMDLINE, channel=CHANNEL))
        client = ProbeClient(ChannelTransport(connection, domain.UUIDString()))
        assert client.wait(120).hostname == name
        made[number] = Guest(domain, client)

    threads = [threading.Thread(target=boot, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield [made[1], made[2]]
    connection.close()


def seed(name: str, mac: str, number: int) -> bytes:
    return iso_image(
        {
            "meta-data": f"instance-id: {name}\nlocal-hostname: {name}\n",
            "user-data": "#!/bin/sh\necho USER-DATA-RAN $(hostname)\n",
            "network-config": f'version: 2\nethernets:\n  nic0:\n    match: {{macaddress: "{mac}"}}\n'
            f'    addresses: [10.77.0.{10 + number}/24, "fd77::{10 + number}/64"]\n'
            '    routes:\n      - to: default\n        via: 10.77.0.1\n      - to: ::/0\n        via: "fd77::1"\n',
        }
    )


@pytest.mark.lab
def test_starting_again_gives_the_same_lab(lab: LabInfo) -> None:
    assert start(lab.directory) == lab
    assert status(lab.directory) == lab


@pytest.mark.lab
def test_two_starts_at_once_give_one_lab() -> None:
    place = Path("/var/tmp") / f"provision-twice-{os.getpid()}"
    found: list[LabInfo] = []
    threads = [threading.Thread(target=lambda: found.append(start(place))) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 2
        assert found[0] == found[1]
    finally:
        assert stop(place)


@pytest.mark.lab
def test_a_lab_has_no_link_to_the_machine(lab: LabInfo) -> None:
    links = subprocess.run(
        ["nsenter", f"--net=/proc/{lab.pid}/ns/net", "ip", "-o", "link"], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[1].split("@")[0].rstrip(":") for line in links.splitlines()}
    assert not {name for name in names if name.startswith(("eth", "en", "wl"))}
    assert "outside0" in names
    host = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert "outside0" not in host


@pytest.mark.lab
def test_guests_have_the_addresses_of_their_seed(guests: list[Guest]) -> None:
    [nic] = guests[0].client.addresses()
    assert isinstance(nic, Nic)
    assert nic.mac == "52:54:00:77:00:01"
    assert {"10.77.0.11/24", "fd77::11/64"} <= set(nic.addresses)


@pytest.mark.lab
def test_the_console_log_tells_of_readiness_and_user_data(lab: LabInfo, guests: list[Guest]) -> None:
    log = lab.directory / "log/qemu/g1-console.log"
    end = time.monotonic() + 10
    while "USER-DATA-RAN g1" not in log.read_text(errors="replace"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert f"{READY_MARK} g1 " in log.read_text(errors="replace")


@pytest.mark.lab
def test_packets_pass_between_guests_and_the_outside(lab: LabInfo, guests: list[Guest]) -> None:
    first, second = guests
    outside = ProbeClient(SocketTransport(lab.outside_socket))
    for client in (first.client, second.client, outside):
        assert client.listen("tcp", [80]) == {}
        assert client.listen("udp", [53]) == {}

    def seen(client: ProbeClient, address: str) -> list[State]:
        probes = [
            Probe("tcp", address, 80, 5), Probe("tcp", address, 81, 5),
            Probe("udp", address, 53, 5), Probe("udp", address, 54, 5), Probe("icmp", address, None, 5),
        ]  # fmt: skip
        return [answer.state for answer in client.run(probes)]

    expected = [State.OPEN, State.REFUSED, State.OPEN, State.REFUSED, State.OPEN]
    for address in ("10.77.0.12", "fd77::12", lab.outside_address, lab.outside_address6):
        assert seen(first.client, address) == expected, address
    for address in ("10.77.0.11", "fd77::11"):
        assert seen(outside, address) == expected, address
    outside.unlisten_all()
    assert seen(second.client, lab.outside_address)[0] == State.REFUSED
    absent = outside.run([Probe("tcp", "10.77.0.99", 80, 1), Probe("icmp", "10.77.0.99", None, 1)])
    assert {answer.state for answer in absent} <= {State.TIMEOUT, State.UNREACHABLE}


@pytest.mark.lab
def test_a_channel_can_be_taken_over_and_survives_garbage(lab: LabInfo, guests: list[Guest]) -> None:
    connection = libvirt.open(lab.uri)
    uuid = guests[1].domain.UUIDString()
    rude = ChannelTransport(connection, uuid)
    rude.send(b"\xff\x00" * 3000 + b"\nhalf a li")
    rude.close()
    ProbeClient(ChannelTransport(connection, uuid))
    with ProbeClient(ChannelTransport(connection, uuid)) as taken_over:
        assert taken_over.ping().hostname == "g2"
    connection.close()


@pytest.mark.lab
def test_a_guest_shuts_down_when_asked(lab: LabInfo, guests: list[Guest]) -> None:
    connection = libvirt.open(lab.uri)
    guests[0].domain.shutdown()
    end = time.monotonic() + 20
    while any(domain.name() == "g1" for domain in connection.listAllDomains()):
        assert time.monotonic() < end
        time.sleep(0.05)
    connection.close()


@pytest.mark.lab
def test_a_killed_lab_is_cleared_away_by_the_next_start_and_nothing_stays_after_stop() -> None:
    place = Path("/var/tmp") / f"provision-crash-{os.getpid()}"
    first = start(place)
    os.kill(first.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while status(place) is not None:
        assert time.monotonic() < end
        time.sleep(0.02)
    second = start(place)
    assert second.pid != first.pid
    network = os.stat(f"/proc/{second.pid}/ns/net").st_ino
    assert stop(place)
    assert not stop(place)
    assert not place.exists()
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(place) not in mounts
    assert not [h.point for h in hierarchies(mounts) if (h.point / lifecycle._cgroup(place)).exists()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inode = os.stat(process / "ns/net").st_ino
        except OSError:
            continue  # ended meanwhile, or not to be looked into
        assert inode != network


@pytest.mark.lab
def test_a_daemon_that_fails_gives_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path("/var/tmp") / f"provision-broken-{os.getpid()}"
    prepare = settings.prepare

    def spoilt(directory: Path, agent: Path) -> None:
        prepare(directory, agent)
        (directory / "etc/libvirtd.conf").write_text("auth_unix_rw = nonsense\n")

    monkeypatch.setattr(settings, "prepare", spoilt)
    with pytest.raises(EnvironmentProblem) as caught:
        start(place)
    assert caught.value.summary.startswith("the lab ended while it started\n  | ")
    assert "libvirtd ended (" in caught.value.summary
    assert not place.exists()


@pytest.mark.lab
def test_a_lab_ends_with_its_owner_however_that_ends_and_leaves_nothing() -> None:
    place = Path("/var/tmp") / f"provision-owned-{os.getpid()}"
    owner = subprocess.Popen(["sleep", "600"])
    try:
        info = start(place, owner=owner.pid)
        assert start(place, owner=os.getpid()) == info, "it runs already, for its owner"
    finally:
        owner.kill()
        owner.wait()
    end = time.monotonic() + 120
    while place.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not place.exists()
    process = Path(f"/proc/{info.pid}/stat")
    assert not process.exists() or process.read_text().rpartition(")")[2].split()[0] in "ZX"
    assert stop(place) is False


@pytest.mark.lab
def test_a_lab_cannot_be_started_for_a_process_that_has_ended() -> None:
    place = Path("/var/tmp") / f"provision-owned-{os.getpid()}"
    owner = subprocess.Popen(["true"])
    owner.wait()
    with pytest.raises(EnvironmentProblem, match=f"the process {owner.pid}, with which the lab is to end"):
        start(place, owner=owner.pid)
    assert not place.exists()
