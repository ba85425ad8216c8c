"""Three tiers with policies: shown with packets, edited in place, weakened by hand, healed."""

import json
import os
import re
import signal

import pytest
from lab_bench import STACK, filter_that_accepts_all, until

from provision.cli.broken import BrokenNote

pytestmark = [pytest.mark.lab, pytest.mark.engine]


def rows(done):
    return json.loads(done.out)["rows"]


def broken_on_purpose(web):
    """Rules broken on the live platform are noticed by every layer, and mended, whoever is killed meanwhile."""
    tested = json.loads(web.fine("provision", "verify", "--self-test", "--breaks", "3", "--format", "json").out)
    score = tested["self_test"]
    assert (score["total"], score["caught"], score["refused"], score["late"]) == (3, 3, [], [])
    assert {layer: found["looked"] for layer, found in score["layers"].items() if layer != "probed"} == {
        "static": 3, "accepted": 3, "effective": 3,
    }  # fmt: skip
    assert score["layers"]["probed"]["noticed"] >= 1
    assert [(one["policy"], one["ended"], one["right"]) for one in score["revoked"]] == [("app-to-db", True, True)], (
        score
    )
    note = BrokenNote.of(web.folder, STACK, web.env)
    assert not note

    running = web.begin("provision", "verify", "--self-test", "--breaks", "3")
    web.until(lambda: bool(note), "a broken rule", running)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    until(lambda: not note, "the guardian to mend it")
    assert web.changes("refresh") == {}

    (name,) = [name for name in web.objects["filter"] if name.startswith("web-dev-db-nic-0-")]
    virsh = web.hypervisor.virsh
    virsh("nwfilter-define", text=filter_that_accepts_all(virsh("nwfilter-dumpxml", name)))
    note.write(["machines/db/nic-0/filter"])  # as after a power failure, when no guardian was left either
    healed = web.provision("up")
    assert healed.code == 0
    assert "'machines/db/nic-0/filter' was left broken by a self-test" in healed.text
    assert not note
    assert web.changes("refresh") == {}


def test_isolation_is_shown_edited_in_place_weakened_by_hand_and_healed(deploy):
    web = deploy("web", stack="02-web")
    web.edit("allow: [tcp/5432]", "allow: [tcp/5432]\n      revoke: cut")  # which clouds cannot promise
    proof = json.loads(web.fine("provision", "verify", "--static", "--format", "json").out)
    assert (proof["proven"], proof["machines"], proof["policies"]) == (True, 4, 3)
    assert web.objects == {}
    web.fine("provision", "up")
    web.assert_exact()
    assert len(web.running) == 4
    before = web.running

    verified = web.fine("provision", "verify", "--format", "json")
    found = rows(verified)
    asked = {(row["source"], row["destination"], row["service"]): row["passed"] for row in found if row["family"] == 4}
    assert asked["outside", "web-0", "tcp/80"] is True
    assert asked["web-0", "app", "tcp/8080"] is True
    assert asked["app", "db", "tcp/5432"] is True
    assert asked["outside", "db", "tcp/5432"] is False
    assert asked["web-0", "db", "tcp/5432"] is False

    broken_on_purpose(web)

    # An edit of the policy changes filters alone; no machine notices.
    web.edit("allow: [tcp/8080]", "allow: [tcp/8080, tcp/9100]")
    planned = web.changes()
    assert planned
    assert all(name.rpartition("/")[2].startswith("filter") or "filter" in name or name.startswith("isolation/")
               for name in planned), planned  # fmt: skip
    web.fine("pulumi", "up")
    assert web.running == before
    web.assert_exact()
    found = rows(web.fine("provision", "verify", "--format", "json"))
    asked = {(row["source"], row["destination"], row["service"]): row["passed"] for row in found if row["family"] == 4}
    assert asked["web-1", "app", "tcp/9100"] is True
    assert asked["web-1", "db", "tcp/9100"] is False

    # Somebody opens the database to everyone by hand.
    virsh = web.hypervisor.virsh
    (name,) = [name for name in web.objects["filter"] if name.startswith("web-dev-db-nic-0-")]
    virsh("nwfilter-define", text=filter_that_accepts_all(virsh("nwfilter-dumpxml", name)))
    short = web.refused("provision", "verify", "--self-test")
    assert short.code == 3
    assert "5432" in short.out
    assert "db" in short.out
    assert "no self-test: a stack that differs from its file already is not broken further" in short.err
    assert web.changes("refresh") == {"machines/db/nic-0/filter": "update"}
    assert web.changes() == {"machines/db/nic-0/filter": "update"}
    web.fine("provision", "up")
    assert web.running == before
    web.fine("provision", "verify")

    # Behind libvirt's back one rule goes from the kernel: libvirt sees nothing, and the other end still stops packets.
    (device,) = re.findall("<target dev='(vnet[0-9]+)'", web.domain("db").XMLDesc())
    rule = [f"FO-{device}", "-j", "DROP"]
    web.hypervisor.inside("iptables", "-D", *rule)
    short = web.refused("provision", "verify")
    web.hypervisor.inside("iptables", "-A", *rule)
    assert short.code == 3
    found = re.search(r"difference: effective: \S+ from \S+ \(app\) to 10.20.2.10 \(db\) passes", short.text)
    assert found, short.text

    web.fine("provision", "down")
    assert web.objects == {}
    assert web.hypervisor.files("web-dev") is None
