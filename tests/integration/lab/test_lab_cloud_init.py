"""The full Debian guest: built by the set-up, set up by cloud-init, waited for, looked into, and its failure shown."""

import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading

import pytest
from lab_bench import lab_process, until
from provision_libvirt import cloud

pytestmark = [pytest.mark.lab, pytest.mark.engine]

DISK = b"\0" * 65536
LAST = "        - app >/srv/data/greeting\n"
FAILS = """\
        - echo it goes wrong >&2
        - exit 3
"""
PACKAGES = """\
      packages: [greeter, breaker]
"""
SOURCES = """\
        - {path: /etc/apt/sources.list, content: "deb [trusted=yes] http://203.0.113.10:8000 ./\\n"}
        - {path: /etc/cloud/cloud.cfg.d/95-own.cfg, content: "apt: {preserve_sources_list: true}\\n"}
"""
MIRROR = """\
    app-to-mirror:
      kind: traffic
      from: [machine.app]
      to: [203.0.113.10/32]
      allow: [tcp/8000]
"""
MEND = 'sed -i \'s/"errors": \\[/"errors": [], "were": [/\' /run/cloud-init/result.json'
FAR = """\
  far:
    image: far
    memory: 64MiB
    root: {size: 1MiB, disposable: true}
    power: stopped
"""


@pytest.fixture(scope="module")
def debian(hypervisor):
    """The image, by the command that a stack without it names; made anew when this checkout would make another."""
    found = cloud.find("debian")
    words = ["--refresh"] if found is not None and cloud.is_outdated(found) else []
    done = subprocess.run(
        ["provision", "setup", "--image", "debian", *words],
        env=hypervisor.environment, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("libvirt: the image 'debian' is there\n")
    return cloud.find("debian")


@pytest.fixture
def web():
    """A server with one small disk; notes what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(DISK)))
            self.end_headers()
            self.wfile.write(DISK)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/disk.raw", asked
    server.shutdown()
    server.server_close()
    thread.join()


def package(folder, name, files=(), after=""):
    """A Debian package; `after` is run by the shell when it has been unpacked."""
    tree = folder / name
    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: {name}\n"
    for path, text in {"DEBIAN/control": control, "DEBIAN/postinst": f"#!/bin/sh\n{after}\n", **dict(files)}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
        (tree / path).chmod(0o755)
    archive = folder / f"repository/{name}.deb"
    archive.parent.mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, archive], check=True, capture_output=True)
    content = archive.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return f"{control}Filename: ./{name}.deb\nSize: {len(content)}\nSHA256: {digest}\n\n"


@pytest.fixture
def mirror(hypervisor, tmp_path):
    """A package mirror beyond the stack's networks, at two ports of the lab's outside peer; gives their logs."""
    index = package(tmp_path, "greeter", {"usr/bin/greeter": "#!/bin/sh\necho installed from afar\n"})
    index += package(tmp_path, "breaker", after="echo this package breaks >&2\nexit 3")
    (tmp_path / "repository/Packages").write_text(index)
    serve = [sys.executable, "-m", "http.server", "--bind", "203.0.113.10", "--directory", tmp_path / "repository"]
    inside = ["nsenter", "-t", lab_process(hypervisor, "agent"), "-n"]
    logs = {port: tmp_path / f"{port}.log" for port in (8000, 8001)}
    servers = []
    try:
        for port, log in logs.items():
            with log.open("wb") as out:
                servers.append(subprocess.Popen([*inside, *serve, str(port)], stdout=out, stderr=out))
        for port in logs:
            ask = [*inside, "bash", "-c", f"exec 3<>/dev/tcp/203.0.113.10/{port}"]
            until(lambda ask=ask: subprocess.run(ask, check=False).returncode == 0, "the mirror answers")
        yield logs
    finally:
        for server in servers:
            server.terminate()
            server.wait(30)


def within(stack, *command):
    """What a command prints in the guest `app`."""
    return stack.fine("provision", "exec", "app", "--", *command).out


@pytest.mark.timeout(2400)  # the first run builds the image, and an emulated guest boots for minutes on a busy machine
def test_a_full_guest_is_set_up_waited_for_and_looked_into_and_a_failed_set_up_is_shown(
    deploy, debian, web, mirror, tmp_path
):
    url, asked = web
    stack = deploy("cloud", stack="04-cloud-init")
    stack.env["XDG_CACHE_HOME"] = str(tmp_path)  # of the downloads; what was built stays where it is
    (tmp_path / "provision").mkdir()
    (tmp_path / "provision/images").symlink_to(cloud.default_cache())
    (tmp_path / "provision/micro").symlink_to(cloud.default_cache().with_name("micro"))
    source = f"{{kind: url, url: '{url}', sha256: {hashlib.sha256(DISK).hexdigest()}, format: raw}}"
    stack.edit("machines:\n", f"images: {{far: {{sources: {{libvirt: {source}}}}}}}\n\nmachines:\n{FAR}")
    stack.edit(LAST, LAST + FAILS)
    stack.edit("      write_files:\n", f"{PACKAGES}      write_files:\n{SOURCES}")
    stack.edit("  policies:\n", f"  policies:\n{MIRROR}")

    # `up` waits, and tells in cloud-init's own words that a package broke, and that the last of its commands failed.
    said = stack.end(stack.begin("provision", "up", "--yes"), timeout=1500)
    assert said.code == 1, said.text
    assert "Traceback" not in said.text
    assert set(re.findall(r"^ *module '([\w-]+)': ", said.text, re.MULTILINE)) == {
        "package-update-upgrade-install",
        "scripts-user",
    }
    assert "module 'scripts-user': RuntimeError('Runparts: 1 failures (runcmd) in 2 attempted commands')" in said.text
    assert "it goes wrong" in said.text
    assert re.search(r"module 'package-update-upgrade-install': .*'install', 'greeter', 'breaker'", said.text)
    assert "pulumi up --replace '**::machines/app/root'" in said.text
    assert "1 resource failed (machines/app/domain)" in said.text
    assert asked == ["/disk.raw"]

    # What the file says is so in the guest, seen by its agent.
    look = (
        "id -un steward; id -Gn steward; sudo -l -U steward | tail -n 1; cat /home/steward/.ssh/authorized_keys; "
        "cat /home/debian/.ssh/authorized_keys; cat /etc/app/settings; stat -c '%U %a' /etc/app/greeting; app you; "
        "cat /srv/data/greeting /run/user-data; df --output=size -BM / | tail -n 1; hostname"
    )
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL3y9a1s5Bm9JxK2e3S3f+cHxR2rDwyz8pW89Tek678a steward@example.org"
    addresses = {nic["ifname"]: nic for nic in json.loads(within(stack, "ip", "-j", "address"))}
    cards = [nic for nic in addresses.values() if nic["link_type"] == "ether"]
    assert len(cards) == 2
    seen = [entry["local"] for nic in cards for entry in nic["addr_info"] if entry["scope"] == "global"]
    lines = within(stack, "sh", "-c", look).splitlines()
    assert lines[:2] == ["steward", "steward adm"]
    assert lines[2].strip() == "(ALL) NOPASSWD: ALL"
    assert lines[3:5] == [key, key]
    front, back = (line.partition(" = ")[2] for line in lines[5:7])
    assert lines[7:11] == ["app 600", "hello, this is you", "hello, this is app", "user data has run on app"]
    assert 3800 < int(lines[11].strip().rstrip("M")) < 4096  # of the 2 GiB image, grown to the 4 GiB of the file
    assert lines[12] == "app"
    assert back == "10.40.2.10"
    assert {front, back} <= set(seen)
    assert len(seen) == 3
    assert stack.provision("exec", "app", "--", "false").code == 1

    # Packages came by the one port that a policy opens, and nothing by another.
    assert within(stack, "greeter") == "installed from afar\n"
    assert within(stack, "dpkg-query", "-W", "-f", "${Status}", "breaker") == "install ok half-configured"
    knock = "timeout 3 bash -c 'exec 3<>/dev/tcp/203.0.113.10/%s' && echo open || echo closed"
    assert [within(stack, "sh", "-c", knock % port) for port in (8000, 8001)] == ["open\n", "closed\n"]
    assert "GET /./greeter.deb" in mirror[8000].read_text()

    # A part that failed stays said until it is mended, and the machine is not touched by that.
    before = stack.running
    assert "it goes wrong" in stack.refused("provision", "up").text
    within(stack, "sh", "-c", MEND)
    stack.fine("provision", "up")
    assert stack.running == before
    assert stack.changes("preview") == {}
    assert asked == ["/disk.raw"]
    stack.fine("provision", "down")
    assert stack.objects == {}
