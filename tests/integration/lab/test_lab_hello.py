"""One machine by plain `pulumi`, from the first preview to nothing left."""

import json
import re
import subprocess
from ipaddress import ip_address, ip_network

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.engine]


def test_a_lab_that_runs_is_shown_and_not_started_twice(deploy):
    hello = deploy("idle", stack="01-hello")
    shown = hello.fine("provision", "lab", "status").out
    assert f"provision-libvirt:uri '{hello.hypervisor.uri}'" in shown
    first = re.search(r"process \d+", shown).group()
    assert first in hello.fine("provision", "lab", "start").out
    found = json.loads(hello.fine("provision", "doctor", "--format", "json").out)
    assert found["succeeded"] is True
    assert {"Pulumi engine", "plugin libvirt"} <= {item["subject"] for item in found["findings"]}
    elsewhere = hello.env | {"PROVISION_LAB_DIR": str(hello.folder / "no-lab")}
    for word, code, said in (("status", 1, "no lab is running"), ("stop", 0, "no lab was running")):
        done = subprocess.run(["provision", "lab", word], env=elsewhere, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (code, said)
    assert first in hello.fine("provision", "lab", "status").out


def test_hello_by_plain_pulumi(deploy):
    hello = deploy("hello", stack="01-hello")
    first = hello.fine("pulumi", "preview").text
    assert "machines/hello/domain" in first
    assert "Stash" in first
    assert "[unknown]" in hello.fine("pulumi", "preview", "--diff").text
    assert hello.objects == {}

    hello.fine("pulumi", "up")
    address = ip_address(hello.fine("pulumi", "stack", "output", "address").out.strip())
    assert address in ip_network("10.10.1.0/24")
    assert hello.running.keys() == {"hello-dev-hello"}
    hello.assert_exact()
    hello.printed("hello", "PROVISION-GUEST-READY hello")
    before = hello.uuids, hello.running

    again = hello.fine("pulumi", "up").text
    assert "unchanged" in again
    assert not any(word in again for word in ("created", "updated", "replaced", "deleted"))
    assert "Nothing to change" in hello.fine("provision", "up").text
    refreshed = hello.fine("pulumi", "refresh").text
    assert "unchanged" in refreshed
    assert "updated" not in refreshed
    assert (hello.uuids, hello.running) == before

    hello.fine("pulumi", "destroy")
    assert hello.objects == {}
    assert hello.resources() == {}
