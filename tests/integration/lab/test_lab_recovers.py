"""Bad days of a host: whatever is done to it by hand or by accident, `refresh` and `up` bring everything back."""

import subprocess

import pytest
from lab_bench import TINY, first_process, until
from provision_libvirt.micro import build
from rebooting import reboot

pytestmark = [pytest.mark.lab, pytest.mark.engine]

PAIR = f"""\
version: 1
platform: libvirt
{TINY}
networks:
  lan: {{cidr: 10.60.1.0/24}}
machines:
  box:
    image: tiny
    count: 2
    memory: 64MiB
    shutdown_timeout: 0s
    nics: [{{network: lan}}]
    disks: {{data: {{size: 4MiB}}}}
"""

WRITER = """\
version: 1
platform: libvirt
networks:
  lan: {cidr: 10.61.1.0/24}
machines:
  box:
    image: micro
    memory: 96MiB
    shutdown_timeout: 0s
    nics: [{network: lan}]
    disks: {data: {size: 64MiB, keep_on_delete: false}}
    user_data: |
      #!/bin/sh
      dd if=/dev/zero of=/dev/vda bs=1M count=60 && sync && echo "ALL WRITTEN"
"""


def inodes(pair):
    """Name -> inode of every disk: the same one has the same data."""
    folder = pair.hypervisor.directory / "lib/images" / pair.prefix
    return {entry.name: entry.stat().st_ino for entry in folder.iterdir() if entry.suffix in (".data", ".root")}


def test_what_is_done_by_hand_to_guests_filters_and_the_pool_is_seen_and_healed(deploy):
    pair = deploy("hands", PAIR)
    pair.fine("provision", "up")
    pair.assert_exact()
    disks, virsh = inodes(pair), pair.hypervisor.virsh

    # One guest paused, another whose process has crashed, and a filter that lets everything pass.
    virsh("suspend", "hands-dev-box-0")
    qemu = until(lambda: guest_process(pair, "box-1"), "the process of box-1")
    subprocess.run(["kill", "-9", qemu], check=True)
    until(lambda: "hands-dev-box-1" not in pair.running, "the end of box-1")
    (edited,) = [name for name in pair.objects["filter"] if name.startswith("hands-dev-box-0-nic-0-")]
    hole = "<rule action='accept' direction='inout' priority='-990'><all/></rule></filter>"
    virsh("nwfilter-define", text=virsh("nwfilter-dumpxml", edited).replace("</filter>", hole))
    said = pair.fine("provision", "refresh").text
    assert "power: running → paused" in said
    assert "power: running → stopped" in said
    assert "rules[" in said
    pair.fine("provision", "up")
    assert pair.running.keys() == {"hands-dev-box-0", "hands-dev-box-1"}
    assert pair.domain("box-0").state()[0] == 1, "no longer paused"
    assert "-990" not in virsh("nwfilter-dumpxml", edited)
    pair.assert_exact()

    # The pool is gone from libvirt, with what it knew of all disks; the disks themselves are taken over again.
    virsh("pool-destroy", "hands-dev")
    virsh("pool-undefine", "hands-dev")
    gone = pair.changes("refresh")
    assert gone["pool"] == gone["machines/box-0/root"] == gone["machines/box-1/disk-data"] == "delete"
    pair.fine("provision", "up")
    assert inodes(pair) == disks
    assert pair.changes() == {}
    pair.assert_exact()

    pair.fine("provision", "down")
    assert pair.hypervisor.files("hands-dev") is None, "nobody has written to the disks"


def guest_process(pair, machine):
    """The id, as this machine sees it, of a guest's process."""
    inside = ["--ns", str(first_process(pair.hypervisor)), "--nslist", "pid"]
    guest = ["pgrep", "-f", f"guest={pair.prefix}-{machine},"]
    found = subprocess.run([*guest, *inside], capture_output=True, text=True, check=False)
    return found.stdout.split()[0] if found.stdout.split() else None


def test_a_host_that_was_rebooted_gets_everything_back(deploy):
    pair = deploy("boot", PAIR.replace("10.60", "10.62"))
    pair.fine("provision", "up")
    disks = inodes(pair)
    reboot(pair.hypervisor.directory, first_process(pair.hypervisor))
    pair.hypervisor.reconnect()
    assert pair.running == {}

    said = pair.fine("provision", "refresh").text
    assert said.count("power: running → stopped") == 2
    pair.fine("provision", "up")
    assert pair.running.keys() == {"boot-dev-box-0", "boot-dev-box-1"}
    assert inodes(pair) == disks
    assert pair.changes() == {}
    pair.assert_exact()
    pair.fine("provision", "down")


def test_a_guest_that_ran_out_of_the_hosts_disk_goes_on_once_there_is_room(deploy):
    box = deploy("brim", WRITER)
    inside = "/var/lib/libvirt/boot/brim"
    enter = ["nsenter", "--target", str(first_process(box.hypervisor)), "--mount", "--pid", "--"]
    subprocess.run([*enter, "mkdir", "-p", inside], check=True)
    image = build()  # there is room for it, and for a part of what the guest writes
    room = f"size={image.kernel.stat().st_size + image.initrd.stat().st_size + (24 << 20)}"
    subprocess.run([*enter, "mount", "-t", "tmpfs", "-o", f"{room},mode=755", "tmpfs", inside], check=True)
    try:
        box.configure("provision-libvirt:poolPath", inside)
        done = box.provision("up")  # the guest may have said that it is ready before it stood still
        assert "Traceback" not in done.text
        if done.code:
            assert "the hypervisor's disk may be full" in done.text
        until(lambda: box.domain("box").state() == [3, 5], "the guest paused for an I/O error")
        box.assert_exact()
        status = box.refused("provision", "status")
        assert "disk error: the hypervisor's disk may be full" in " ".join(status.text.split())

        subprocess.run([*enter, "mount", "-o", "remount,size=512m", inside], check=True)
        assert box.changes("refresh") == {"machines/box/domain": "update"}
        number = box.domain("box").ID()
        box.fine("provision", "up")
        assert box.domain("box").ID() == number, "it goes on where it stood"
        box.printed("box", "ALL WRITTEN")
        assert box.changes() == {}
        box.fine("provision", "down")
    finally:
        subprocess.run([*enter, "umount", "--lazy", inside], check=True)


def test_two_runs_at_once_on_one_host_never_meet_and_on_one_stack_one_is_told(deploy):
    one, other = deploy("left", PAIR.replace("10.60", "10.63")), deploy("right", PAIR.replace("10.60", "10.64"))
    runs = [stack.begin("provision", "up", "--yes") for stack in (one, other)]
    until(lambda: "pool" in one.objects or runs[0].poll() is not None, "the first object")
    second = one.provision("up")
    ended = [stack.end(run) for stack, run in zip((one, other), runs, strict=True)]
    assert [done.code for done in ended] == [0, 0], [done.text for done in ended]
    if second.code:  # else it came when the first had ended
        assert "the stack is locked by" in second.text
        assert "wait for that run to end" in second.text
        assert "Traceback" not in second.text
    for stack in (one, other):
        stack.assert_exact()
        assert stack.changes() == {}
    runs = [stack.begin("provision", "down", "--yes") for stack in (one, other)]
    ended = [stack.end(run) for stack, run in zip((one, other), runs, strict=True)]
    assert [done.code for done in ended] == [0, 0], [done.text for done in ended]
