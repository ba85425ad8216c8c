"""Every policy and limit of one hypervisor: enforced or said not to be, shown by evidence, and broken by hand."""

import json
import re

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.engine]

DEPENDS_ON_THE_HOST = {
    "own-cores", "own-corner", "nobody-else", "huge-pages", "locked-memory", "encrypted-memory", "sealed-off",
    "signed-boot", "unseen",
}  # fmt: skip

HOLE = '<rule action="accept" direction="in" priority="-900"><tcp dstportstart="23456"/></rule></filter>'


def succeeds(stack, *words):
    """Like `fine`, but downgrades are warned of."""
    done = stack.provision(*words)
    assert done.code == 0, done.text
    assert "Traceback" not in done.text
    return done


def evidence(done):
    """Name of policy or share -> what is held, by kind."""
    report = json.loads(done.out)
    return {item["name"]: item for item in (*report["policies"], *report["shares"])}


def test_every_policy_is_shown_or_said_not_to_be_and_what_is_broken_by_hand_is_found(deploy):
    isolation = deploy("isolation", stack="03-isolation")
    proof = json.loads(succeeds(isolation, "verify", "--static", "--format", "json").out)
    assert (proof["proven"], proof["machines"]) == (True, 4)
    assert isolation.objects == {}
    said = succeeds(isolation, "up").text
    isolation.assert_exact()
    assert len(isolation.running) == 4
    before = isolation.running

    verified = succeeds(isolation, "verify", "--measure", "--format", "json")
    report = json.loads(verified.out)
    found = evidence(verified)
    assert report["counts"]["agreed"] == report["counts"]["probed"] > 200
    assert report["translated"]["proven"] is True
    downgraded = {item["name"] for item in report["downgraded"]}
    assert downgraded <= DEPENDS_ON_THE_HOST
    assert all(f"policy '{name}' is not enforced: " in said for name in downgraded)
    for name, item in found.items():
        if name in downgraded:
            assert item["standing"] == "downgraded"
            assert not any(item["holds"].values())
            continue
        assert item["standing"] == "proven", item
        holds = item["holds"]
        if item["kind"] == "traffic":
            assert holds["translated"] is holds["probed"] is True
        elif item["name"] in {"sandboxed", "nobody-else"}:  # no setting of a machine carries these
            assert (holds["translated"], holds["effective"]) == (None, True)
        else:
            assert holds["translated"] is True, item
        assert all(item["evidence"][kind] for kind, seen in holds.items() if seen is None)
    pinned = found["own-cores"]["evidence"]
    assert "vCPU 0 pinned to 1, emulator to 1" in pinned["accepted"]
    assert "seen on 1 vCPU thread and the emulator's, no other machine runs there" in pinned["effective"]
    assert "LUKS in the header of 1 disk" in found["sealed-disks"]["evidence"]["effective"]
    assert "at most 0.5 CPUs in its control group" in found["background"]["evidence"]["effective"]
    # A host that is busy with others may give machines too little for their limits to show, but never more.
    assert found["background"]["holds"]["probed"] is not False
    assert found["own-identity"]["evidence"]["probed"] == "11 probes agree"
    false = {(row["source"], row["service"]) for row in report["rows"] if row["service"].startswith("false ")}
    assert {("batch-0", f"false {what}") for what in ("mac", "ip", "arp")} <= false
    left = [item["count"] for item in report["left_out"] if item["what"].startswith("false sender")]
    assert sum(left) == 5  # the gate is alone on one network, and what the vault may send no neighbour may

    assert "Nothing to change" in succeeds(isolation, "up").text
    assert isolation.running == before

    # By hand: a neighbour is let onto the vault's core, a limit is lifted, a port opened that no probe asks for, and a
    # machine let send as whoever it likes.
    virsh = isolation.hypervisor.virsh
    (name,) = [name for name in isolation.objects["filter"] if name.startswith("isolation-dev-vault-nic-0-")]
    virsh("nwfilter-define", text=virsh("nwfilter-dumpxml", name).replace("</filter>", HOLE))
    (own,) = [name for name in isolation.objects["filter"] if name.startswith("isolation-dev-batch-0-nic-0-")]
    virsh("nwfilter-define", text=re.sub(r" (arp)?src(mac|ip)addr='[^']*'", "", virsh("nwfilter-dumpxml", own)))
    virsh("vcpupin", "isolation-dev-batch-0", "0", "0-1", "--live")
    virsh("schedinfo", "isolation-dev-batch-1", "--live", "--set", "global_quota=-1")
    short = isolation.refused("provision", "verify", "--format", "json")
    assert short.code == 3
    broken = {name: item for name, item in evidence(short).items() if item["standing"] == "differs"}
    assert {"own-cores", "background", "gate-to-vault", "monitoring"} <= broken.keys()
    assert not {"sandboxed", "sealed-disks"} & broken.keys()
    assert broken["world-to-gate"]["holds"]["accepted"] is True  # only the kernel as a whole differs
    assert broken["world-to-gate"]["holds"]["effective"] is False
    assert broken["gate-to-vault"]["evidence"]["accepted"] == f"vault: the filter '{name}' was changed by hand"
    differing = [row for row in json.loads(short.out)["rows"] if row["outcome"] == "differs"]
    assert [(row["source"], row["service"]) for row in differing] == [
        ("batch-0", "false mac"), ("batch-0", "false ip"), ("batch-0", "false arp"),
    ], differing  # fmt: skip
    assert broken["own-identity"]["evidence"]["probed"] == "3 of 11 probes differ"
    assert "sent as 02:00:5e:00:53:00, but policy 'own-identity' in stack.yaml denies it" in short.out
    assert broken["own-cores"]["holds"] == {"translated": True, "accepted": True, "effective": False, "probed": None}
    assert "and isolation-dev-batch-0 may run there too" in broken["own-cores"]["evidence"]["effective"]
    assert "batch-1: no CPU cap instead of 0.5" in broken["background"]["evidence"]["accepted"]
    drift = isolation.refused("provision", "drift", "--format", "json")
    found = {(item["kind"], item["name"]) for item in json.loads(drift.out)["findings"] if item["isolates"]}
    assert drift.code == 3
    assert {
        ("isolation-rules", "isolation"),
        ("isolation-policy", "isolation/own-cores"),
        ("isolation-policy", "sharing/background"),
        ("resource-changed", "machines/vault/nic-0/filter"),
    } <= found, drift.out
    succeeds(isolation, "refresh")
    succeeds(isolation, "up")
    assert isolation.running == before
    assert succeeds(isolation, "drift").out.startswith("No drift")
    assert virsh("vcpupin", "isolation-dev-batch-0").split() == ["0", "0"]

    succeeds(isolation, "down")
    assert isolation.objects == {}
    assert isolation.hypervisor.files("isolation-dev") is None
    assert isolation.hypervisor.connection.listAllSecrets() == []
