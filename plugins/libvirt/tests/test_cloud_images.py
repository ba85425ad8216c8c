"""Full images: what a file says of itself, downloads, and the parts of the image that is built here."""

import asyncio
import hashlib
import http.server
import json
import os
import ssl
import struct
import subprocess
import threading
from pathlib import Path

import pytest
from provision_libvirt import cloud
from provision_libvirt.caching import atomic_directory, locked
from provision_libvirt.cloud import debian, disk, image
from provision_libvirt.cloud.fetch import fetch, kept, shown
from provision_libvirt.cloud.header import virtual_size
from provision_libvirt.micro.kernel import Modules
from provision_libvirt.provider import LibvirtProvider

from provision.errors import EnvironmentProblem, RetriableError, UserError
from provision.testing import Lifecycle, Made

# ---- headers


def made(*words):
    subprocess.run(["qemu-img", "create", "-q", *map(str, words)], check=True)


def test_the_size_that_a_guest_sees_is_read(tmp_path):
    made("-f", "qcow2", tmp_path / "a", "7M")
    assert virtual_size(tmp_path / "a", "qcow2", "a") == 7 << 20
    (tmp_path / "raw").write_bytes(b"\0" * 4096)
    assert virtual_size(tmp_path / "raw", "raw", "raw") == 4096


def backing(tmp_path):
    made("-f", "qcow2", tmp_path / "base", "1M")
    made("-f", "qcow2", "-F", "qcow2", "-b", tmp_path / "base", tmp_path / "image")


def data_file(tmp_path):
    made("-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", tmp_path / "image", "1M")


def damaged(tmp_path):
    made("-f", "qcow2", tmp_path / "image", "1M")
    with (tmp_path / "image").open("r+b") as file:
        file.seek(72)
        file.write(struct.pack(">Q", 2))


def encrypted(tmp_path):
    # LUKS in the header, by hand: to make a real key, QEMU times the machine, and gives up on one that is busy.
    made("-f", "qcow2", tmp_path / "image", "1M")
    with (tmp_path / "image").open("r+b") as file:
        file.seek(32)
        file.write(struct.pack(">I", 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (backing, "is laid over another file (a backing file), which it would show to its machines"),
        (data_file, "keeps its data in another file, which it would show to its machines"),
        (encrypted, "is encrypted"),
        (damaged, "is marked as damaged"),
        (lambda path: (path / "image").write_bytes(b"QFI\xfb\0\0\0\x03"), "is cut off"),
        (lambda path: (path / "image").write_bytes(b"QFI\xfb\0\0\0\x09" + b"\0" * 100), "is qcow2 of version 9"),
        (lambda path: (path / "image").write_bytes(b"\0" * 4096), "is not qcow2"),
        (lambda path: (path / "image").write_bytes(b"KDMV" + b"\0" * 4096), "is VMDK, not qcow2"),
        (lambda path: (path / "image").write_bytes(b"\x1f\x8b" + b"\0" * 4096), "is gzip, not qcow2"),
        (lambda path: (path / "image").write_bytes(b""), "is not qcow2"),
    ],
)
def test_what_is_no_whole_disk_of_its_own_is_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError) as refused:
        virtual_size(tmp_path / "image", "qcow2", "tiny")
    assert message in refused.value.summary
    assert refused.value.summary.startswith("image 'tiny': ")
    assert refused.value.fix


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"QFI\xfb" + b"\0" * 600, "is qcow2, not raw"),  # its machines would choose what they are shown
        (b"", "has 0 bytes"),
        (b"\0" * 1000, "has 1000 bytes"),
        (b"\xfd7zXZ\0" + b"\0" * 600, "is xz, not raw"),
    ],
)
def test_what_is_no_raw_disk_is_refused(tmp_path, content, message):
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(UserError, match=message):
        virtual_size(tmp_path / "image", "raw", "tiny")


# ---- downloads

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.breaks = 0
        self.ranges = True
        self.hold = None

    def url(self, path="image.qcow2"):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        if self.path.startswith("/status/"):
            self.send_error(int(self.path.rpartition("/")[2]))
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/image.qcow2")
            self.end_headers()
        else:
            self.give()

    def give(self):
        server, start = self.server, 0
        asked = self.headers.get("Range")
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if server.hold is not None:
            server.hold.wait(20)
        end = len(CONTENT)
        if server.breaks > 0:
            server.breaks -= 1
            end = start + (len(CONTENT) - start) // 2
        self.wfile.write(CONTENT[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def left(cache):
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_a_download_is_made_once_and_kept_by_what_it_is(server, tmp_path):
    assert kept(SHA256, tmp_path) is None
    path = fetch(server.url(), SHA256, cache=tmp_path)
    assert path.read_bytes() == CONTENT
    assert kept(SHA256, tmp_path) == path
    assert fetch("http://127.0.0.1:1/elsewhere", SHA256, cache=tmp_path) == path
    assert len(server.asked) == 1
    assert left(tmp_path) == [SHA256]


def test_one_that_broke_off_goes_on_where_it_was(server, tmp_path):
    server.breaks = 2
    assert fetch(server.url(), SHA256, cache=tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [
        None,
        f"bytes={len(CONTENT) // 2}-",
        f"bytes={len(CONTENT) // 4 * 3}-",
    ]


def test_where_the_server_cannot_go_on_it_begins_anew(server, tmp_path):
    server.breaks, server.ranges = 1, False
    assert fetch(server.url(), SHA256, cache=tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_one_that_breaks_off_for_good_is_gone_on_with_by_the_next_run(server, tmp_path):
    server.breaks = 3
    with pytest.raises(RetriableError, match=r"broke off: \d+ of 5120000 bytes came"):
        fetch(server.url(), SHA256, cache=tmp_path)
    assert left(tmp_path) == [f"{SHA256}.part"]
    assert fetch(server.url(), SHA256, cache=tmp_path).read_bytes() == CONTENT
    assert left(tmp_path) == [SHA256]


def test_a_part_that_is_more_than_there_is_begins_anew(server, tmp_path):
    (tmp_path / f"{SHA256}.part").write_bytes(CONTENT + b"more")
    assert fetch(server.url(), SHA256, cache=tmp_path).read_bytes() == CONTENT


def test_a_run_that_is_cancelled_stops_and_keeps_what_came(server, tmp_path):
    told = []
    with pytest.raises(InterruptedError):
        fetch(server.url(), SHA256, cache=tmp_path, cancelled=lambda: bool(told.append(1)) or len(told) > 2)
    part = tmp_path / f"{SHA256}.part"
    assert 0 < part.stat().st_size < len(CONTENT)
    assert fetch(server.url(), SHA256, cache=tmp_path).read_bytes() == CONTENT
    assert server.asked[-1][1] is not None


def test_another_checksum_is_refused_and_nothing_is_kept(server, tmp_path):
    with pytest.raises(UserError) as refused:
        fetch(server.url(), "0" * 64, cache=tmp_path)
    assert refused.value.summary == (
        f"{server.url()} has the SHA-256 {SHA256}, not 000000000000… as the stack file says"
    )
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("status/404", UserError, "answered 404 Not Found"),
        ("status/410", UserError, "answered 410 Gone"),
        ("status/403", UserError, "answered 403 Forbidden"),
        ("status/400", UserError, "answered 400 Bad Request"),
        ("status/503", RetriableError, "answered 503 Service Unavailable"),
        ("status/429", RetriableError, "answered 429 Too Many Requests"),
    ],
)
def test_what_the_server_refuses_is_said(server, tmp_path, path, error, message):
    with pytest.raises(error, match=message) as refused:
        fetch(server.url(path), SHA256, cache=tmp_path)
    assert refused.value.fix
    assert left(tmp_path) == []


def test_a_redirect_is_followed(server, tmp_path):
    assert fetch(server.url("moved"), SHA256, cache=tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == ["/moved", "/image.qcow2"]


def test_nobody_there_is_said(tmp_path):
    with pytest.raises(RetriableError, match=r"cannot be reached: .*Connection refused"):
        fetch("http://127.0.0.1:1/x", SHA256, cache=tmp_path)


def test_a_server_that_is_not_trusted_is_not_asked(server, tmp_path):
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with pytest.raises(EnvironmentProblem, match="is not trusted: self-signed certificate"):
        fetch(server.url().replace("http:", "https:"), SHA256, cache=tmp_path / "cache")
    assert server.asked == []


def test_what_may_be_secret_in_a_url_is_not_shown():
    assert shown("https://user:hush@example.org:8443/a/b.qcow2?token=hush#x") == "https://example.org:8443/a/b.qcow2"


def test_of_two_runs_one_downloads_and_the_other_waits(server, tmp_path):
    server.hold = threading.Event()
    told, found = [], []

    def run(report):
        found.append(fetch(server.url(), SHA256, cache=tmp_path, report=report))

    first = threading.Thread(target=run, args=(lambda text: None,))
    first.start()
    while not server.asked:
        first.join(0.01)
    second = threading.Thread(target=run, args=(told.append,))
    second.start()
    while not told:
        second.join(0.01)
    server.hold.set()
    first.join()
    second.join()
    assert told == [f"another process downloads {server.url()}: waiting for it"]
    assert [path.read_bytes() == CONTENT for path in found] == [True, True]
    assert len(server.asked) == 1


# ---- the image that is built here

TARGETS = """\
http://mirror.example/debian/|bookworm|main|Debian
http://mirror.example/debian/|bookworm|contrib|Debian
http://mirror.example/debian/|bookworm-backports|main|Debian
http://mirror.example/debian-security/|bookworm-security|main|Debian
https://packages.example/apt|nodistro|main|Other
http://mirror.example/debian/|bookworm|main|Debian
"""


def test_packages_come_from_the_mirror_of_this_machine():
    signed = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert debian.source_lines(TARGETS) == [
        f"{signed} http://mirror.example/debian/ bookworm main",
        f"{signed} http://mirror.example/debian-security/ bookworm-security main",
    ]


def test_a_machine_that_is_no_debian_of_that_release_uses_debians_own_mirror():
    for targets in ("", "http://archive.ubuntu.example/ubuntu|noble|main|Ubuntu\n"):
        assert debian.source_lines(targets)[0].endswith(" http://deb.debian.org/debian bookworm main")


def test_the_partition_fills_the_disk():
    table = disk.partition_table(1 << 30)
    assert len(table) == 512
    assert table.endswith(b"\x55\xaa")
    first, count = struct.unpack_from("<II", table, 446 + 8)
    assert (first, first + count) == (2048, (1 << 30) // 512)


def unpacked(archive):
    """Files of a cpio archive in the format `newc`: mode and content by path."""
    found, at = {}, 0
    while True:
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        if name == "TRAILER!!!":
            return found
        start = at + (110 + length + 3) // 4 * 4
        found[name] = (mode, archive[start : start + size])
        at = start + (size + 3) // 4 * 4


def test_the_initramfs_holds_what_its_init_calls():
    modules = Modules({"ext4": b"E"}, {"order": ("ext4",)})
    found = unpacked(disk.initramfs(modules, b"busybox", image.APPLETS))
    assert found["init"][0] & 0o111
    assert found["modules/order"][1] == b"ext4\n"
    assert found["bin/busybox"][1] == b"busybox"
    words = set(found["init"][1].decode().replace("$(", " ").split())
    programs = {"mount", "umount", "insmod", "cat", "ls", "sleep", "switch_root", "mkdir", "grep", "sed", "modprobe"}
    assert {f"bin/{word}" for word in words & programs} <= found.keys()


def test_the_guests_settings_are_those_that_its_programs_read(tmp_path):
    disk.write_settings(tmp_path)
    assert (tmp_path / "etc/machine-id").read_text() == ""
    assert "datasource_list: [NoCloud, None]" in (tmp_path / "etc/cloud/cloud.cfg.d/90-provision.cfg").read_text()
    assert os.readlink(tmp_path / "etc/systemd/system/apt-daily.timer") == "/dev/null"


def ready(cache, digest="a" * 64, recipe="x"):
    home = cache / "debian" / f"image-{digest[:16]}"
    home.mkdir(parents=True)
    (home / "manifest.json").write_text(json.dumps({"digest": digest, "size": 1, "recipe": recipe}))
    (home.parent / "current").symlink_to(home.name)
    return home


def test_an_image_that_was_built_is_found_and_kept(tmp_path, monkeypatch):
    assert cloud.find("debian", tmp_path) is None
    home = ready(tmp_path)
    monkeypatch.setattr(image, "_build", lambda *_: pytest.fail("it was built again"))
    assert cloud.build("debian", tmp_path) == cloud.find("debian", tmp_path) == cloud.CloudImage(home, "a" * 64, 1)
    assert cloud.is_outdated(cloud.find("debian", tmp_path))


def test_an_older_build_is_found_by_its_digest(tmp_path):
    old = ready(tmp_path, "b" * 64)
    (old.parent / "current").unlink()
    new = ready(tmp_path, "c" * 64)
    assert cloud.find("debian", tmp_path).directory == new
    assert cloud.find("debian", tmp_path, digest="b" * 64).directory == old
    assert cloud.find("debian", tmp_path, digest="d" * 64) is None


def test_an_image_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no image 'plan9' to build"):
        cloud.build("plan9", tmp_path)


def test_what_killed_builders_left_is_swept_by_the_next(tmp_path, monkeypatch):
    home = ready(tmp_path)
    for name in (".scratch-x", f".{home.name}-y"):
        (home.parent / name / "root").mkdir(parents=True)
    cloud.build("debian", tmp_path)
    assert sorted(path.name for path in home.parent.iterdir()) == ["current", home.name, "lock"]


def test_a_build_that_fails_leaves_nothing_and_says_what_failed(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mmdebstrap").write_text(
        "#!/bin/sh\necho 'I: downloading packages with apt...' >&2\necho 'E: no network' >&2\nexit 1\n"
    )
    (tools / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    told = []
    with pytest.raises(EnvironmentProblem, match="mmdebstrap failed: E: no network"):
        cloud.build("debian", tmp_path / "cache", progress=told.append)
    assert "Debian: downloading packages with apt" in told
    assert [path.name for path in (tmp_path / "cache/debian").iterdir()] == ["lock"]


def test_a_missing_tool_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "needs", lambda: {"no-such-mmdebstrap": "mmdebstrap"})
    with pytest.raises(EnvironmentProblem) as refused:
        cloud.build("debian", tmp_path)
    assert "no-such-mmdebstrap" in refused.value.summary
    assert refused.value.fix == "apt-get install --no-install-recommends mmdebstrap"


# ---- what is kept


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    home = tmp_path / "home"

    def fail():
        with atomic_directory(home) as scratch:
            (scratch / "file").write_text("half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with atomic_directory(home) as scratch:
        (scratch / "file").write_text("whole")
        assert not home.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_one_who_waits_is_told_so(tmp_path):
    told = threading.Event()

    def wait():
        with locked(tmp_path / "lock", told.set):
            pass

    with locked(tmp_path / "lock"):
        second = threading.Thread(target=wait)
        second.start()
        assert told.wait(20)
        assert second.is_alive()
    second.join(20)
    assert not second.is_alive()


def test_one_who_is_cancelled_waits_no_more(tmp_path):
    def wait():
        with locked(tmp_path / "lock", cancelled=lambda: True):
            pass

    with locked(tmp_path / "lock"), pytest.raises(InterruptedError):
        wait()


def test_the_init_is_a_shell_script_that_parses():
    subprocess.run(["sh", "-n", str(Path(disk.GUEST) / "init")], check=True)


# ---- what is the same image


def test_the_same_content_from_another_place_is_the_same_image():
    base = {"pool": "p", "name": "v", "cache": True, "stackId": "s"}
    source = {"kind": "url", "url": "https://one.example/x", "digest": "1" * 64}
    outputs = {**base, "volumeName": "v", "path": "/x", "key": "k", "generation": "g"}
    made = Made("p/v", outputs, {**base, "source": source})

    async def changed(**parts):
        async with Lifecycle(LibvirtProvider, {"uri": "test:///default"}, configure=False) as platform:
            found = await platform.diff("storage:Volume", made, {**base, "source": {**source, **parts}})
            return found.changed

    assert not asyncio.run(changed(url="https://two.example/x"))
    assert asyncio.run(changed(digest="2" * 64))


def test_only_root_can_build_and_is_told_how(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(debian, "needs", dict)
    with pytest.raises(EnvironmentProblem) as refused:
        cloud.build("debian", tmp_path / "provision/images")
    assert refused.value.fix == f"run: sudo env XDG_CACHE_HOME={tmp_path} provision setup --image debian"
