"""Names that are taken, guests that do not boot, a hypervisor that is away, a disk that is full."""

import re
import subprocess

import pytest
from lab_bench import TINY, first_process, lab_process, until

pytestmark = [pytest.mark.lab, pytest.mark.engine]

ONE = f"""\
version: 1
platform: libvirt
{TINY}
networks:
  lan: {{cidr: 10.50.1.0/24}}
machines:
  box:
    image: tiny
    memory: 64MiB
    shutdown_timeout: 0s
    nics: [{{network: lan}}]
"""

SLOW = """\
version: 1
platform: libvirt
networks:
  lan: {cidr: 10.51.1.0/24}
machines:
  box:
    image: micro
    memory: 96MiB
    ready_timeout: 1s
    nics: [{network: lan}]
"""

FOREIGN = {
    "domain": ("define", "undefine", "one-dev-box",
               "<domain type='qemu'><name>one-dev-box</name><memory>65536</memory><os><type>hvm</type></os></domain>"),
    "network": ("net-define", "net-undefine", "one-dev-lan",
                "<network><name>one-dev-lan</name><bridge name='vbforeign'/></network>"),
    "pool": ("pool-define", "pool-undefine", "one-dev",
             "<pool type='dir'><name>one-dev</name><target><path>/var/lib/libvirt/elsewhere</path></target></pool>"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_name_that_is_taken_is_refused_and_its_owner_untouched(deploy, kind):
    one = deploy("one", ONE)
    define, undefine, name, text = FOREIGN[kind]
    virsh = one.hypervisor.virsh
    virsh(define, text=text)
    dump = {"domain": "dumpxml", "network": "net-dumpxml", "pool": "pool-dumpxml"}[kind]
    before = virsh(dump, name)

    refused = one.refused("provision", "up")
    assert refused.code == 1
    assert f"'{name}' exists on the hypervisor and does not belong to this stack" in refused.text
    assert "by hand, or give this stack, machine or network another name" in refused.text
    assert virsh(dump, name) == before
    one.fine("provision", "refresh")
    assert virsh(dump, name) == before

    virsh(undefine, name)
    one.fine("pulumi", "up")
    one.assert_exact()
    one.fine("provision", "down")


def test_a_guest_that_is_late_is_kept_as_unhealthy_and_healed_by_the_next_run(deploy):
    slow = deploy("slow", SLOW)
    failed = slow.refused("provision", "up")
    assert failed.code == 1
    assert re.search(r"not ready after [1-4] s \(`ready_timeout`\): .*agent", failed.text)
    assert "console" in failed.text
    slow.assert_exact()
    (number,) = slow.running.values()
    slow.edit("1s", "2m")
    slow.fine("pulumi", "up")
    assert list(slow.running.values()) == [number], "the same start of the same machine"
    slow.printed("box", "PROVISION-GUEST-READY box")
    assert slow.changes() == {}
    slow.fine("provision", "down")


def test_a_hypervisor_that_is_not_there_is_one_clear_message(deploy):
    one = deploy("gone", ONE)
    one.env = one.env | {"LIBVIRT_DEFAULT_URI": "qemu+unix:///system?socket=/tmp/no-such-socket"}
    for command in ("preview", "up"):
        refused = one.refused("provision", command)
        assert refused.code == 1
        assert refused.seconds < 60
        assert refused.text.count("cannot be reached") == 1, refused.text
        assert "provision lab start" in refused.text
    assert not any(item["type"].startswith("provision-libvirt") for item in one.resources().values())


def test_a_hypervisor_that_dies_in_mid_run_is_a_clear_message_and_the_next_run_goes_on(deploy):
    one = deploy("dying", ONE.replace("memory: 64MiB", "memory: 64MiB\n    count: 3"))
    process = one.begin("provision", "up", "--yes")
    until(lambda: "network" in one.objects, "the network")
    daemon = lab_process(one.hypervisor, "libvirtd")
    subprocess.run(["kill", "-9", daemon], check=True)
    done = one.end(process)
    assert "Traceback" not in done.text
    if done.code:
        assert "the connection to the hypervisor broke" in done.text or "cannot be reached" in done.text
    until(lambda: lab_process(one.hypervisor, "libvirtd") not in (None, daemon), "a new libvirtd")
    one.hypervisor.reconnect()
    one.fine("provision", "up")
    one.assert_exact()
    one.fine("provision", "down")


def test_a_full_disk_is_said_and_leaves_no_half_volume(deploy):
    one = deploy("full", ONE)
    first = first_process(one.hypervisor)
    inside = "/var/lib/libvirt/boot/small"
    enter = ["nsenter", "--target", str(first), "--mount", "--pid", "--"]
    (one.folder / "tiny.img").write_bytes(b"x" * (3 << 20))
    subprocess.run([*enter, "mkdir", "-p", inside], check=True)
    subprocess.run([*enter, "mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", inside], check=True)
    try:
        one.configure("provision-libvirt:poolPath", inside)
        refused = one.refused("provision", "up")
        assert refused.code == 1
        assert "the hypervisor's disk is full" in refused.text
        assert "free space in the pool's directory, then run again" in refused.text
        left = subprocess.run([*enter, "ls", f"{inside}/full-dev"], capture_output=True, text=True, check=True).stdout
        assert "image-tiny" not in left
        subprocess.run([*enter, "mount", "-o", "remount,size=16m", inside], check=True)
        one.fine("provision", "up")
        one.assert_exact()
        one.fine("provision", "down")
    finally:
        subprocess.run([*enter, "umount", "--lazy", inside], check=True)
