"""Edits, drift and power on one machine with a disk: the machine stays the same one, and so does its data."""

import json
import re

import pytest
from lab_bench import TINY

pytestmark = [pytest.mark.lab, pytest.mark.engine]

BOX = """\
version: 1
platform: libvirt
networks:
  lan: {cidr: 10.30.1.0/24, internet: nat}
machines:
  box:
    image: micro
    memory: 96MiB
    nics: [{network: lan}]
    disks: {data: {size: 8MiB}}
    user_data: |
      #!/bin/sh
      echo "DISK SAYS :$(head -c 4 /dev/vda | tr -d '\\0'):"
      echo kept >/dev/vda
      sync
      echo "DISK WRITTEN"
"""

MANY = f"""\
version: 1
platform: libvirt
{TINY}
networks:
  lan: {{cidr: 10.31.1.0/24}}
machines:
  box:
    image: tiny
    count: 2
    memory: 64MiB
    shutdown_timeout: 0s
    nics: [{{network: lan}}]
"""


def disk_says(box, starts, machine="box"):
    """What was on the disk at each of so many starts, once the guest has written to it again."""
    return re.findall(r"DISK SAYS :(.*):", box.printed(machine, "DISK WRITTEN", starts))


def test_a_machine_and_its_disk_live_through_edits_drift_and_power(deploy):
    box = deploy("box", BOX)
    volume = box.hypervisor.directory / "lib/images/box-dev/box-dev-box.data"
    box.fine("provision", "up")
    box.assert_exact()
    born, inode = box.domain("box").UUIDString(), volume.stat().st_ino
    assert disk_says(box, 1) == [""]

    # More memory: a restart of the same machine.
    box.edit("96MiB", "112MiB")
    assert box.changes() == {"machines/box/domain": "update"}
    box.fine("pulumi", "up")
    assert box.memory_mib("box") == 112
    assert disk_says(box, 2)[-1] == "kept"

    # Stopped, and a change while it is.
    box.edit("image: micro", "image: micro\n    power: stopped")
    assert box.changes() == {"machines/box/domain": "update"}
    box.fine("provision", "up")
    assert box.running == {}
    assert "unchanged" in box.fine("pulumi", "refresh").text
    assert box.changes() == {}
    box.assert_exact()

    # Back on, under a new name: the machine, its disk and its identity stay.
    box.edit("    power: stopped\n", "")
    box.edit("  box:\n", "  crate:\n    renamed_from: box\n")
    planned = box.changes()
    assert planned["machines/crate/domain"] == "update"
    assert "machines/crate/disk-data" not in planned
    box.fine("provision", "up")
    assert box.domain("box").UUIDString() == born
    assert disk_says(box, 3, "crate")[-1] == "kept"
    box.printed("crate", "PROVISION-GUEST-READY crate")
    box.assert_exact()
    box.edit("    renamed_from: box\n", "")
    assert box.changes() == {}

    # Another address range: the network is another one, the machine moves over, the disk is untouched.
    before = box.resources()["networks/lan/network"]["outputs"]["generation"]
    box.edit("10.30.1.0/24", "10.30.2.0/24")
    planned = box.changes()
    assert "replace" in planned["networks/lan/network"]
    assert planned["machines/crate/domain"] == "update"
    assert "machines/crate/disk-data" not in planned
    # At the same time drift by hand: switched off, its filter gone.
    box.hypervisor.virsh("destroy", "box-dev-box")
    box.fine("provision", "up")
    assert box.resources()["networks/lan/network"]["outputs"]["generation"] != before
    assert box.domain("box").UUIDString() == born
    assert disk_says(box, 4, "crate")[-1] == "kept"
    assert (volume.stat().st_ino, box.memory_mib("box")) == (inode, 112)
    box.assert_exact()

    # Down: the disk that is to be kept is kept, and said to be.
    box.leaves = True
    said = box.fine("provision", "down").text
    assert box.objects == {}
    assert box.hypervisor.files("box-dev") == ["box-dev-box.data"]
    assert re.search(r"machines/crate/disk-data .*\n *the object itself is kept", said)
    volume.unlink()


def test_what_was_changed_by_hand_is_seen_and_healed(deploy):
    box = deploy(
        "drift", BOX.replace("micro", "tiny").replace("version: 1\n", f"version: 1\n{TINY}").replace("10.30", "10.32")
    )
    box.fine("provision", "up")
    box.assert_exact()
    born = box.domain("box").UUIDString()
    virsh = box.hypervisor.virsh

    virsh("destroy", "drift-dev-box")
    assert box.changes("refresh") == {"machines/box/domain": "update"}
    assert box.changes() == {"machines/box/domain": "update"}
    box.fine("pulumi", "up")
    assert box.running.keys() == {"drift-dev-box"}

    # What the file says of drift: power is left to others, memory is taken over, and what is not named is put back.
    box.edit("networks:\n", "drift:\n  machines: {power: ignore, memory: adopt}\nnetworks:\n")
    box.fine("provision", "up")
    virsh("destroy", "drift-dev-box")
    virsh("setmaxmem", "drift-dev-box", "128M", "--config")
    virsh("setmem", "drift-dev-box", "128M", "--config")
    virsh("setvcpus", "drift-dev-box", "2", "--config", "--maximum")
    virsh("setvcpus", "drift-dev-box", "2", "--config")
    box.provision("drift", "--adopt", "--yes")  # nothing can be looked at in a machine that is off
    assert "    memory: 128MiB\n" in box.file.read_text()
    box.fine("provision", "refresh")
    said = json.loads(box.fine("provision", "preview", "--format", "json").out)
    (step,) = (step for step in said["steps"] if step["name"] == "machines/box/domain")
    assert [(item["path"], item["values"]) for item in step["properties"]] == [("vcpus", "2 → 1")]
    box.fine("provision", "up", "--events", "events")
    assert box.running == {}
    assert (box.memory_mib("box"), box.domain("box").info()[3]) == (128, 1)
    calls = {line.get("call") for line in map(json.loads, (box.folder / "events").read_text().splitlines())}
    assert {"virConnectOpen", "virDomainDefineXMLFlags"} & calls
    box.edit("drift:\n  machines: {power: ignore, memory: adopt}\n", "")
    box.fine("provision", "up")
    assert box.running.keys() == {"drift-dev-box"}

    # The machine, its network and its filter removed by hand, with whatever is plugged in cut off.
    virsh("destroy", "drift-dev-box")
    virsh("undefine", "drift-dev-box")
    virsh("net-destroy", "drift-dev-lan")
    virsh("net-undefine", "drift-dev-lan")
    (filter,) = [name for name in box.objects["filter"] if name.startswith("drift-dev-box-nic-0-")]
    virsh("nwfilter-undefine", filter)
    assert box.changes("refresh") == {
        "machines/box/domain": "delete",
        "networks/lan/network": "delete",
        "machines/box/nic-0/filter": "delete",
    }
    box.fine("pulumi", "up")
    box.assert_exact()
    assert box.running.keys() == {"drift-dev-box"}
    assert box.domain("box").UUIDString() == born

    # The network alone, under a running machine.
    virsh("net-destroy", "drift-dev-lan")
    box.fine("provision", "refresh")
    box.fine("provision", "up")
    box.assert_exact()
    assert box.changes() == {}
    bridge = box.hypervisor.connection.networkLookupByName("drift-dev-lan").bridgeName()
    plugged = virsh("domiflist", "drift-dev-box")
    assert "drift-dev-lan" in plugged
    assert bridge
    box.fine("provision", "down")


def test_more_machines_and_fewer(deploy):
    many = deploy("many", MANY)
    many.fine("provision", "up")
    first = many.running
    many.edit("count: 2", "count: 3")
    planned = many.changes()
    assert planned["machines/box-2/domain"] == "create"
    assert not any(name.startswith(("machines/box-0/", "machines/box-1/")) for name in planned)
    many.fine("pulumi", "up")
    assert {name: many.running[name] for name in first} == first
    assert many.running.keys() == {*first, "many-dev-box-2"}
    many.assert_exact()

    # What is on the boot disk of a machine that leaves is lost: only with permission.
    many.edit("count: 3", "count: 2")
    before = many.running, many.uuids, many.recorded()
    for command in (("provision", "preview"), ("provision", "up"), ("pulumi", "up")):
        refused = many.refused(*command)
        assert re.search(r"stack.yaml:\d+:1: error: machine 'box-2' would leave the stack, and the data", refused.text)
        allowing = "pulumi config set --path 'provision:allowDestroy[0]' box-2"
        assert allowing in " ".join(refused.text.split())
    assert (many.running, many.uuids, many.recorded()) == before
    many.fine("pulumi", "config", "set", "--path", "provision:allowDestroy[0]", "box-2")
    many.fine("pulumi", "up")
    assert many.running == first
    many.assert_exact()
    assert not any("box-2" in name for name in many.hypervisor.files("many-dev"))

    # Another image makes boot disks anew; another platform, whole machines.
    (many.folder / "tiny.img").write_bytes(b"\1" * 65536)
    before = many.running, many.uuids
    for command in (("provision", "up"), ("pulumi", "up")):
        refused = many.refused(*command)
        assert "would replace the machine 'box-" in " ".join(refused.text.split())
        assert "--allow-destroy box-" in refused.text
    assert (many.running, many.uuids) == before
    many.fine("provision", "up", "--allow-destroy", "box-0", "--allow-destroy", "box-1")
    assert many.running.keys() == first.keys()
    assert many.changes() == {}
    before = many.running, many.uuids
    refused = many.refused("pulumi", "up", "--replace", "**::machines/box-0/root")
    assert "and destroy its data (its replacement was asked for)" in " ".join(refused.text.split())
    assert (many.running, many.uuids) == before
    many.configure("provision:platform", "memory")
    refused = many.refused("provision", "up")
    assert "machines 'box-0', 'box-1' would go from platform 'libvirt' to 'memory'" in " ".join(refused.text.split())
    assert (many.running, many.uuids) == before
    many.fine("pulumi", "config", "rm", "provision:platform")
    many.fine("pulumi", "destroy")
    assert many.objects == {}
