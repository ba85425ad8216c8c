"""One stack on several hypervisors, by unix socket and by SSH, and a stack on an ordinary user's own hypervisor."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from lab_bench import Hypervisor, first_process, until
from provision_libvirt.capabilities import ask
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.lab.settings import host_uuid
from provision_libvirt.session import Session

from provision.errors import EnvironmentProblem
from provision.testing import Store

pytestmark = [pytest.mark.lab, pytest.mark.engine]

TWO = """\
version: 1
locations:
  default:
    platform: libvirt
    config: {{uri: '{east}', outsideSocket: {east_outside}}}
  west:
    platform: libvirt
    config: {{uri: '{west}', outsideSocket: {west_outside}}}
  paper:
    platform: memory
    config: {{store: {paper}}}
networks:
  front: {{cidr: 10.72.1.0/24, internet: routed}}
  back: {{cidr: 10.72.2.0/24, internet: routed, location: west}}
machines:
  web: {{image: micro, memory: 96MiB, nics: [{{network: front}}]}}
  db: {{image: micro, memory: 96MiB, nics: [{{network: back}}], location: west}}
  plan: {{image: micro, memory: 96MiB, location: paper}}
isolation:
  policies:
    web-to-db: {{kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432]}}
    world-to-web: {{kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}}
"""

MINE = """\
version: 1
platform: libvirt
networks:
  out: {cidr: 10.73.1.0/24, internet: nat, gateway: 10.73.1.2}
machines:
  box:
    image: micro
    memory: 96MiB
    nics: [{network: out}]
    disks: {data: {size: 1MiB, keep_on_delete: false}}
isolation:
  default: allow
  services: {dhcp: true, dns: true, ntp: true, metadata: true}
"""
VISITOR = 61234


@pytest.fixture(scope="module")
def second(place):
    """Another private hypervisor, with an identity of its own."""
    folder, base, _ = place
    environment = base | {"PROVISION_LAB_DIR": str(folder / "lab2")}

    def lab(word):
        subprocess.run(["provision", "lab", word], env=environment, capture_output=True, timeout=120, check=True)

    lab("start")
    try:
        address = f"qemu+unix:///system?socket={folder}/lab2/run/libvirt/libvirt-sock"
        yield Hypervisor(folder / "lab2", environment | {"LIBVIRT_DEFAULT_URI": address})
    finally:
        lab("stop")


@pytest.fixture(scope="module")
def road(hypervisor, second):
    """A way between the two hypervisors for what their networks route; it goes with them."""
    ends = [(hypervisor, "198.51.100.1", "10.72.2.0/24"), (second, "198.51.100.2", "10.72.1.0/24")]
    names = [f"pw{os.getpid()}{side}" for side in "ab"]
    words = ["ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1]]
    subprocess.run(words, check=True)
    for name, (lab, address, _), (_, other, _), (_, _, far) in zip(names, ends, ends[::-1], ends, strict=True):
        pid = str(first_process(lab))
        subprocess.run(["ip", "link", "set", name, "netns", pid], check=True)
        for command in (f"addr add {address}/24 dev {name}", f"link set {name} up", f"route add {far} via {other}"):
            subprocess.run(["nsenter", "-t", pid, "-n", "ip", *command.split()], check=True)


@pytest.fixture(scope="module")
def shell(place):
    """An SSH server on a loopback port with keys of its own; gives (port, directory of the keys)."""
    folder = place[0] / "ssh"
    folder.mkdir()
    for name in ("host", "key", "stranger"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(words, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(folder / "key.pub", folder / "authorized")
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key}\n")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    os.makedirs("/run/sshd", exist_ok=True)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], stderr=log)

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers, "the SSH server answers")
        yield port, folder
    finally:
        server.terminate()
        server.wait(30)
        for program in (Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "provision").glob("ssh-*"):
            if str(folder) in program.read_text():  # kept for hosts that are known here, of which nothing is left
                program.unlink()


def by_ssh(hypervisor, shell, *, key="key", known="known", port=None):
    ours, folder = shell
    return (
        f"qemu+ssh://root@127.0.0.1:{port or ours}/system?socket={hypervisor.directory}/run/libvirt/libvirt-sock"
        f"&keyfile={folder}/{key}&known_hosts={folder}/{known}"
    )


@pytest.mark.usefixtures("road")
def test_one_stack_on_two_hypervisors_is_made_shown_kept_and_removed(deploy, hypervisor, second, shell):
    two = deploy("two", "version: 1\nplatform: libvirt\n")
    text = TWO.format(
        east=hypervisor.uri,
        east_outside=hypervisor.directory / "run/outside.sock",
        west=by_ssh(second, shell),
        west_outside=second.directory / "run/outside.sock",
        paper=two.folder / "paper.json",
    )
    two.write(text)
    two.fine("provision", "up")
    assert set(two.running) == {"two-dev-web"}
    assert set(second.running("two-dev")) == {"two-dev-db"}
    assert [item.name for item in Store(two.folder / "paper.json").objects("compute:Server")] == ["two-dev-plan"]
    assert two.changes() == {}

    # Packets that cross from one hypervisor to the other pass where the file says so, and nowhere else.
    done = two.fine("provision", "verify", "--format", "json")
    found = json.loads(done.out)
    asked = {(row["source"], row["destination"], row["service"]): row["passed"] for row in found["rows"]}
    assert asked["web", "db", "tcp/5432"] is True
    assert asked["db", "web", "tcp/5432"] is False
    assert asked["db", "web", "tcp/80"] is False
    assert asked["outside", "web", "tcp/80"] is True
    assert asked["outside (west)", "db", "tcp/5432"] is False
    assert [item["name"] for item in found["not_probed"]] == ["plan"]
    assert found["counts"]["differ"] == 0

    status = json.loads(two.fine("provision", "status", "--format", "json").out)
    assert {item["name"]: item["state"] for item in status["machines"]} == dict.fromkeys(
        ("db", "plan", "web"), "running"
    )
    until(lambda: "/ #" in two.fine("provision", "console", "db", "--log").out, "the console of db speaks", pause=1)

    # One of them cannot be reached: the others are shown and proven, and it is named.
    known = shell[1] / "known"
    known.rename(shell[1] / "hidden")
    part = two.refused("provision", "status", "--format", "json")
    shown = json.loads(part.out)
    assert (part.code, shown["exit_code"]) == (1, 1)
    assert {item["name"]: item["state"] for item in shown["machines"]} == {"plan": "running", "web": "running"}
    (away,) = shown["unreached"]
    assert (away["location"], away["machines"]) == ("west", ["db"])
    assert "its SSH host key is not known" in away["reason"]
    part = two.refused("provision", "verify", "--format", "json")
    found = json.loads(part.out)
    assert (part.code, found["exit_code"], found["counts"]["differ"]) == (3, 3, 0)
    unseen = {item["name"]: item["reason"] for item in found["not_probed"] if item["failure"]}
    assert set(unseen) == {"db", "outside (west)"}
    assert all("location 'west': the hypervisor at" in reason for reason in unseen.values())
    standings = {item["name"]: item["standing"] for item in found["policies"]}
    assert standings == {"web-to-db": "unproven", "world-to-web": "proven"}
    (shell[1] / "hidden").rename(known)

    # The same hypervisor by another way: nothing is made anew, and no machine notices.
    before = two.running | second.running("two-dev")
    two.edit(hypervisor.uri, by_ssh(hypervisor, shell))
    planned = two.changes()
    assert set(planned.values()) <= {"update"}, planned
    two.fine("provision", "up")
    assert two.running | second.running("two-dev") == before

    # A way that leads nowhere is told, and which location it is of.
    two.edit(by_ssh(second, shell), by_ssh(second, shell, known="authorized"))
    refused = two.refused("provision", "preview")
    assert "location 'west': the hypervisor at" in refused.text
    assert "its SSH host key is not known" in refused.text
    two.edit(by_ssh(second, shell, known="authorized"), by_ssh(second, shell))

    two.fine("provision", "down")
    assert two.objects == {}
    assert second.objects("two-dev") == {}
    assert Store(two.folder / "paper.json").objects() == []


def test_ways_by_ssh_that_lead_nowhere_are_told_apart(second, shell):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        for wrong, reason in (
            ({"key": "stranger"}, "its SSH server takes none of the keys"),
            ({"port": held.getsockname()[1]}, "its SSH server does not answer"),
        ):
            with pytest.raises(EnvironmentProblem, match=reason):
                Session(LibvirtConfig(uri=by_ssh(second, shell, **wrong)))
    session = Session(LibvirtConfig(uri=by_ssh(second, shell)))
    try:
        assert ask(session).identity == str(host_uuid(second.directory))
    finally:
        session.close()


@pytest.fixture
def visitor():
    """An ordinary user, known only to processes of his own, and his own libvirt; gives (URI, his directory)."""
    home = Path(tempfile.mkdtemp(prefix="pv", dir="/tmp"))  # short: libvirt puts sockets deep below it
    run = home / "run"
    (home / "pools").mkdir(parents=True)
    run.mkdir(mode=0o700)
    for file, line in (
        ("passwd", f"visitor:x:{VISITOR}:{VISITOR}::{home}:/bin/sh\n"),
        ("group", f"visitor:x:{VISITOR}:\n"),
    ):
        with open(f"/etc/{file}") as known:
            (home / file).write_text(known.read() + line)
    for path in (home, home / "pools", run):
        os.chown(path, VISITOR, VISITOR)
    inside = (
        f"mount --bind {home}/passwd /etc/passwd && mount --bind {home}/group /etc/group && "
        # The shell stays: libvirt waits until emulators that it ends are reaped by the first process.
        f"setpriv --reuid {VISITOR} --regid {VISITOR} --clear-groups /usr/sbin/libvirtd; exit $?"
    )
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(run),
    }
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside]
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"qemu+unix:///session?socket={run}/libvirt/libvirt-sock"

    def answers():
        words = ["virsh", "-c", address, "domcapabilities", "--virttype", "qemu"]
        return subprocess.run(words, capture_output=True, timeout=60, check=False).returncode == 0

    try:
        until(answers, "the user's own libvirt answers", seconds=120)
        yield address, home
    finally:
        for pid in _children(daemon.pid):  # the first process of his: all others end with it
            os.kill(int(pid), signal.SIGKILL)
        daemon.wait(60)
        until(lambda: not _processes_of(VISITOR), "the user's processes are gone")
        shutil.rmtree(home)


def _children(pid):
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()


def _processes_of(user):
    return subprocess.run(["pgrep", "-u", str(user)], capture_output=True, text=True, check=False).stdout.split()


def _emulators():
    """How many processes of the visitor run the machine."""
    lines = [Path(f"/proc/{pid}/cmdline") for pid in _processes_of(VISITOR)]
    return sum(b"guest=mine-dev-box" in line.read_bytes() for line in lines if line.exists())


def test_an_ordinary_user_runs_a_machine_and_is_told_what_he_cannot_have(deploy, visitor):
    address, home = visitor
    mine = deploy("mine", MINE)
    del mine.env["PROVISION_OUTSIDE_SOCKET"]  # of another hypervisor
    mine.configure("provision-libvirt:uri", address)
    mine.configure("provision-libvirt:poolPath", f"{home}/pools")
    mine.fine("provision", "up")
    assert _emulators() == 1
    assert mine.changes() == {}
    (machine,) = json.loads(mine.fine("provision", "status", "--format", "json").out)["machines"]
    assert (machine["name"], machine["state"]) == ("box", "running")
    until(lambda: "/ #" in mine.fine("provision", "console", "box", "--log").out, "the console of box speaks", pause=1)
    found = json.loads(mine.fine("provision", "verify", "--format", "json").out)
    assert found["counts"]["differ"] == 0
    assert {row["service"] for row in found["rows"] if row["passed"]} >= {"tcp/47111", "icmp"}

    mine.env["LIBVIRT_DEFAULT_URI"] = address
    assert "session: a user's own hypervisor" in mine.end(mine.begin("provision", "doctor")).text

    policy = "  policies:\n    quiet: {kind: no_internet, machines: [machine.box]}\n"
    mine.write(mine.file.read_text() + policy)
    refused = mine.refused("provision", "preview")
    assert refused.code == 3
    assert (
        "policy 'quiet' cannot be enforced on 'libvirt': a user's own hypervisor (qemu:///session) has no packet"
        in (refused.text)
    )
    mine.edit(policy, "")
    mine.edit("  box:\n", "  guest: {image: micro, memory: 96MiB, nics: [{network: out}]}\n  box:\n")
    assert "are both on the network 'out'" in mine.refused("provision", "preview").text
    mine.edit("  guest: {image: micro, memory: 96MiB, nics: [{network: out}]}\n", "")

    mine.fine("provision", "down")
    assert list((home / "pools").iterdir()) == []
    assert _emulators() == 0
