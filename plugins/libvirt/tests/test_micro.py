"""The micro image's parts, and the probe protocol spoken by the real agent."""

import gzip
import socket
import stat
import struct
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from provision_libvirt.micro import Probe, ProbeClient, ProbeFailure, State, agent_binary
from provision_libvirt.micro.agent import GUEST
from provision_libvirt.micro.client import Reads
from provision_libvirt.micro.cpio import Entry, archive, directory, regular, symlink
from provision_libvirt.micro.image import _is_static
from provision_libvirt.micro.kernel import _SIGNATURE_MARK, collect_modules, extract_vmlinux
from provision_libvirt.micro.transport import SocketTransport

from provision.errors import EnvironmentProblem

# ---- archive


def read_archive(data: bytes) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        body = (at + 110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data[body : body + fields[6]])
        at = (body + fields[6] + 3) // 4 * 4


def test_an_archive_holds_what_was_put_in_and_the_directories_above() -> None:
    busybox = regular(b"12345", executable=True)
    packed = archive({"bin/busybox": busybox, "bin/sh": symlink("busybox"), "proc": directory()})
    assert read_archive(packed) == {
        "bin": (stat.S_IFDIR | 0o755, b""),
        "bin/busybox": (stat.S_IFREG | 0o755, b"12345"),
        "bin/sh": (stat.S_IFLNK | 0o777, b"busybox"),
        "proc": (stat.S_IFDIR | 0o755, b""),
    }


def test_an_archive_does_not_depend_on_the_order_of_its_entries() -> None:
    entries: dict[str, Entry] = {"b/x": regular(b"x"), "a": regular(b"y"), "b/c/d": symlink("..")}
    assert archive(entries) == archive(dict(reversed(entries.items())))


# ---- kernel and modules


def bzimage(payload: bytes) -> bytes:
    head = bytearray(1024)
    head[0x1F1], head[0x1FE:0x200], head[0x202:0x206] = 1, b"\x55\xaa", b"HdrS"
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + b"\0" * 16 + payload + b"rest"


def test_the_elf_kernel_comes_out_of_a_bzimage() -> None:
    kernel = b"\x7fELF" + bytes(range(256)) * 9
    assert extract_vmlinux(bzimage(gzip.compress(kernel) + struct.pack("<I", len(kernel)))) == kernel


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"short", "the kernel image is not an x86 bzImage"),
        (bzimage(b"????" * 4), "the kernel image is compressed in an unknown way (3f3f3f3f)"),
        (bzimage(gzip.compress(b"no ELF") + b"\0\0\0\0"), "the kernel image holds no ELF kernel"),
    ],
)
def test_what_is_no_kernel_is_refused(image: bytes, message: str) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        extract_vmlinux(image)
    assert caught.value.summary == message


def test_modules_load_after_what_they_need_and_lose_their_signature(tmp_path: Path) -> None:
    signed = b"body\0depends=lower_one\0" + b"SIG" + b"\0" * 8 + struct.pack(">I", 3) + _SIGNATURE_MARK
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "top.ko").write_bytes(signed)
    (tmp_path / "lower-one.ko").write_bytes(b"\0depends=\0")
    found = collect_modules(tmp_path, {"always": ("top", "built_in"), "seed": ("lower-one",)})
    assert found.lists == {"always": ("lower_one", "top"), "seed": ("lower_one",)}
    assert found.files["top"] == b"body\0depends=lower_one\0"


def test_only_a_static_program_passes_as_busybox(tmp_path: Path) -> None:
    assert _is_static(agent_binary(tmp_path, progress=lambda _: None).read_bytes())
    assert not _is_static(Path("/bin/sh").read_bytes())
    assert not _is_static(b"#!/bin/sh\n")


# ---- seed


def instructions(config: str) -> list[str]:
    done = subprocess.run(
        ["busybox", "awk", "-f", str(GUEST / "network.awk")], input=config, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


BLOCK = """version: 2
ethernets:
  nic0:
    match:
      macaddress: "52:54:00:AA:00:01"
    addresses:
      - 10.0.0.5/24
      - "fd00::5/64"
    routes:
      - to: default
        via: 10.0.0.1
      - to: ::/0
        via: "fd00::1"
    nameservers:
      search: [lab]
      addresses: [10.0.0.53]
  nic1:
    match: {macaddress: "52:54:00:aa:00:02"}
    dhcp4: true
    mtu: 1400
"""
JSON = """{"version": 2, "ethernets": {"nic0": {"match": {"macaddress": "52:54:00:aa:00:01"},
"addresses": ["10.0.0.5/24"], "gateway4": "10.0.0.1", "dhcp4": false}}}"""


def test_a_network_config_becomes_instructions_in_order() -> None:
    assert instructions(BLOCK) == [
        "nic 52:54:00:aa:00:01",
        "address 10.0.0.5/24",
        "address fd00::5/64",
        "route default 10.0.0.1",
        "route default fd00::1",
        "dns 10.0.0.53",
        "nic 52:54:00:aa:00:02",
        "dhcp4",
        "mtu 1400",
    ]


def test_a_network_config_in_json_is_read_too() -> None:
    assert instructions(JSON) == ["nic 52:54:00:aa:00:01", "address 10.0.0.5/24", "route default 10.0.0.1"]


# ---- the agent, real, over a unix socket


@pytest.fixture(scope="module")
def agent_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("agent")
    path = place / "s"
    process = subprocess.Popen([agent_binary(place, progress=lambda _: None), "--socket", path])
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)
    yield path
    process.kill()
    process.wait()


@pytest.fixture
def client(agent_socket: Path) -> Iterator[ProbeClient]:
    with ProbeClient(SocketTransport(agent_socket), grace_seconds=5) as connected:
        yield connected
        connected.unlisten_all()


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET6, kind) as one:
        one.bind(("::", 0))
        return int(one.getsockname()[1])


def test_listeners_answer_on_both_families_and_closed_ports_refuse(client: ProbeClient) -> None:
    tcp, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    assert client.listen("tcp", [tcp]) == {}
    assert client.listen("udp", [udp, udp]) == {}
    probes = [
        Probe("tcp", "127.0.0.1", tcp), Probe("tcp", "::1", tcp),
        Probe("udp", "127.0.0.1", udp), Probe("udp", "::1", udp),
    ]  # fmt: skip
    assert [answer.state for answer in client.run(probes)] == [State.OPEN] * 4
    client.unlisten_all()
    assert [answer.state for answer in client.run(probes)] == [State.REFUSED] * 4


def test_a_silent_port_is_a_timeout(client: ProbeClient) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        begun = time.monotonic()
        answers = client.run([Probe("udp", "127.0.0.1", mute.getsockname()[1], 0.5)] * 20)
    assert {answer.state for answer in answers} == {State.TIMEOUT}
    assert time.monotonic() - begun < 5  # together, not one after the other


def test_a_taken_port_is_reported(client: ProbeClient) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as other:
        other.bind(("::", 0))
        other.listen()
        port = other.getsockname()[1]
        assert client.listen("tcp", [port]) == {port: "in-use"}


def test_a_udp_listener_answers_nothing_but_probes(client: ProbeClient) -> None:
    port = free_port(socket.SOCK_DGRAM)
    client.listen("udp", [port])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(0.3)
        stranger.connect(("127.0.0.1", port))
        stranger.send(b"provision-echo 1")
        with pytest.raises(TimeoutError):
            stranger.recv(100)
        stranger.send(b"provision-probe 7")
        assert stranger.recv(100) == b"provision-echo 7"


def test_a_flood_goes_through_all_ports_in_turn(client: ProbeClient) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(5)
        port = heard.getsockname()[1]
        last = min(port + 1, 65535)
        sent = client.flood("127.0.0.1", (last - 1, last), rate=2000, seconds=0.2)
        assert 100 <= sent <= 500
        got = 0
        while got < (sent - 1) // 2:
            assert heard.recv(100) == b"flood"
            got += 1


def test_a_held_connection_carries_until_its_other_end_closes(client: ProbeClient, agent_socket: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    client.listen("tcp", [port])
    assert client.beat(5).state is State.ERROR
    assert client.hold(Probe("tcp", "127.0.0.1", port, 5)).state is State.OPEN
    assert [answer.state for answer in client.run([Probe("tcp", "127.0.0.1", port)] * 3)] == [State.OPEN] * 3
    assert [client.beat(5).state for _ in range(3)] == [State.OPEN] * 3
    with ProbeClient(SocketTransport(agent_socket)) as other:
        assert other.beat(5).detail == "no-flow"  # it is its client's alone
    client.unlisten_all()
    assert client.beat(5).state in (State.REFUSED, State.ERROR)
    client.release()
    assert client.beat(5).detail == "no-flow"


def test_a_connection_that_swallows_what_it_gets_is_a_timeout(client: ProbeClient) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        assert client.hold(Probe("tcp", "127.0.0.1", mute.getsockname()[1], 5)).state is State.OPEN
        assert client.beat(0.3).state is State.TIMEOUT


@pytest.mark.parametrize(
    ("request_line", "reply"),
    [
        (b"1", b"1 error no-verb"),
        (b"1 dance", b"1 error bad-request"),
        (b"1 tcp localhost 80 1", b"1 error bad-address"),
        (b"1 tcp ::1 0 1", b"1 error bad-port"),
        (b"1 tcp ::1 65536 1", b"1 error bad-port"),
        (b"1 tcp ::1 80 nan", b"1 error bad-timeout"),
        (b"1 tcp ::1 80 61", b"1 error bad-timeout"),
        (b"1 listen sctp 80", b"1 error bad-protocol"),
        (b"1 flood ::1 9 8 100 1", b"1 error bad-port"),
        (b"1 flood ::1 8 9 0 1", b"1 error bad-rate"),
        (b"1 flood ::1 8 9 100 0", b"1 error bad-timeout"),
        (b"1 flood here 8 9 100 1", b"1 error bad-address"),
        (b"1 beat 1", b"1 error no-flow"),
        (b"1 hold ::1 80 0", b"1 error bad-timeout"),
        (b"1 heard", b"1 error not-watching"),
        (b"1 frame 02 " + b"00" * 60, b"1 error bad-frame"),
        (b"1 frame 02000000ffff zz" + b"00" * 60, b"1 error bad-frame"),
        (b"1 frame 02000000ffff " + b"00" * 60, b"1 error no-card"),
        (b"1 burn 1", b"1 error bad-request"),  # on a unix socket it is no guest's
        (b"1 read vda 4096 1", b"1 error bad-request"),
        (b"a/b ping", b"? error bad-id"),
        (b"x" * 33 + b" ping", b"? error bad-id"),
        (b"\xff\x00\x80 ping", b"? error bad-id"),
        (b"1 ping " + b"y" * 5000, b"? error line-too-long"),
    ],
)
def test_bad_requests_are_answered_and_do_no_harm(agent_socket: Path, request_line: bytes, reply: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(5)
        raw.connect(str(agent_socket))
        raw.sendall(request_line + b"\n")
        assert raw.recv(1000) == reply + b"\n"
        raw.sendall(b"2 ping\n")
        assert raw.recv(1000).startswith(b"2 ok provision-probe 1 ")


def test_more_probes_than_the_agent_holds_are_turned_away(agent_socket: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute, socket.socket(socket.AF_UNIX) as raw:
        mute.bind(("127.0.0.1", 0))
        raw.settimeout(5)
        raw.connect(str(agent_socket))
        raw.sendall(b"".join(b"%d udp 127.0.0.1 %d 1\n" % (i, mute.getsockname()[1]) for i in range(130)))
        lines = b""
        while lines.count(b"\n") < 130:
            lines += raw.recv(65536)
    assert lines.count(b" error busy\n") == 2
    assert lines.count(b" timeout ") == 128


# ---- the client, against a transport made by hand


class Scripted:
    """A transport whose other side is a function from a request line to what comes back."""

    def __init__(self, *replies: bytes) -> None:
        self.sent: list[bytes] = []
        self.replies = deque(replies)

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def receive(self, seconds: float) -> bytes:
        if not self.replies:
            return b""
        names = [line.split()[0] for data in self.sent for line in data.splitlines() if line]
        reply = self.replies.popleft()
        for index, name in enumerate(names):
            reply = reply.replace(b"<%d>" % index, name)
        return reply

    def close(self) -> None:
        self.sent.append(b"closed")


def test_answers_find_their_probes_in_any_order_and_in_pieces() -> None:
    transport = Scripted(b"stale ok\n<1> refused 3\n<0> op", b"en 2\n")
    answers = ProbeClient(transport).run([Probe("tcp", "a", 1), Probe("icmp", "b")])
    assert [(answer.state, answer.detail) for answer in answers] == [(State.OPEN, "2"), (State.REFUSED, "3")]
    assert [line.split(b" ", 1)[1] for line in transport.sent[1].splitlines()] == [b"tcp a 1 2", b"icmp b 2"]


def test_no_more_requests_fly_than_the_window_allows() -> None:
    transport = Scripted(b"<0> open 1\n", b"<1> open 1\n<2> open 1\n")
    ProbeClient(transport, window=2).run([Probe("icmp", "a")] * 3)
    assert [len(data.splitlines()) for data in transport.sent] == [1, 2, 1]


def test_a_silent_agent_is_a_failure_and_not_a_closed_port() -> None:
    with pytest.raises(ProbeFailure, match="left 1 of 1 probes unanswered"):
        ProbeClient(Scripted(), grace_seconds=0.05).run([Probe("tcp", "a", 1, 0.01)])


def test_an_older_agent_is_told_from_one_that_fails() -> None:
    for ask in (ProbeClient.watch, lambda c: c.burn(0.1), lambda c: c.hold(Probe("tcp", "a", 1)),
                lambda c: c.transmit([("02:00:00:00:00:01", b"x")])):  # fmt: skip
        with pytest.raises(ProbeFailure, match="the agent is older than this program"):
            ask(ProbeClient(Scripted(b"<0> error bad-request\n")))


def test_what_a_guest_heard_and_read_is_told() -> None:
    assert ProbeClient(Scripted(b"<0> ok \n")).heard() == frozenset()
    assert ProbeClient(Scripted(b"<0> ok 0123abcd,ffff0000\n")).heard() == {"0123abcd", "ffff0000"}
    assert ProbeClient(Scripted(b"<0> ok read 400 2000000 800\n")).read("vda", 4096, 2) == Reads(400, 2.0, 0.0008)


def test_an_unknown_agent_is_refused() -> None:
    with pytest.raises(ProbeFailure, match="no probe agent of version 1"):
        ProbeClient(Scripted(b"<0> ok something-else 9\n")).ping()
