"""Denied before allowed, the hypervisor closed for good, machines apart on one bridge: shown with packets."""

import json
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.engine]

SHUT = """\
version: 1
platform: libvirt
networks:
  front: {cidr: 10.45.1.0/24, cidr6: "fd00:45:1::/64", internet: routed}
machines:
  a: {image: micro, memory: 96MiB, nics: [{network: front}]}
  b: {image: micro, memory: 96MiB, nics: [{network: front}]}
  c: {image: micro, memory: 96MiB, nics: [{network: front}]}
isolation:
  policies:
    shut: {kind: traffic, from: [outside], to: [machine.a], deny: [tcp/8080], order: 10}
    quiet: {kind: traffic, from: [machine.b], to: [host], deny: [icmp], order: 10}
    open: {kind: traffic, from: [outside], to: [machine.a], allow: [tcp], order: 20}
    asks: {kind: traffic, from: [machine.a], to: [outside], allow: [tcp, icmp], order: 20}
    near: {kind: traffic, from: ["machine.*"], to: ["machine.*"], allow: [tcp/5000]}
    host: {kind: traffic, from: ["machine.*"], to: [host], allow: [icmp, icmpv6]}
    no-host: {kind: no_host_access, machines: [machine.a]}
    apart: {kind: peer_isolation, machines: [machine.b, machine.c]}
"""


def seen(done):
    return {
        (row["source"], row["destination"], row["service"]): row["passed"]
        for row in json.loads(done.out)["rows"]
        if row["family"] == 4
    }


def kernel(pid, *command):
    inside = ["nsenter", "-t", str(pid), "-n", *command]
    return subprocess.run(inside, check=True, capture_output=True, text=True).stdout


def test_what_is_closed_stays_closed_whatever_else_is_allowed(deploy):
    shut = deploy("shut", SHUT)
    proof = json.loads(shut.fine("provision", "verify", "--static", "--format", "json").out)
    assert (proof["proven"], proof["machines"], proof["policies"]) == (True, 3, 8)
    shut.fine("provision", "up")
    shut.assert_exact()

    found = seen(shut.fine("provision", "verify", "--format", "json"))
    assert found["outside", "a", "tcp/8080"] is False
    assert found["outside", "a", "tcp/4999"] is True
    assert found["a", "outside", "tcp/8080"] is True
    assert found["a", "host (front)", "icmp"] is False
    assert found["b", "host (front)", "icmp"] is False
    assert found["c", "host (front)", "icmp"] is True
    assert found["a", "b", "tcp/5000"] is True
    assert found["b", "c", "tcp/5000"] is False
    virsh = shut.hypervisor.virsh
    isolated = {name: "<port isolated='yes'/>" in virsh("dumpxml", f"shut-dev-{name}") for name in "abc"}
    assert isolated == {"a": False, "b": True, "c": True}

    # Somebody joins the isolated ports of the bridge by hand, of which libvirt knows nothing, and takes the denial out.
    pid = json.loads((shut.hypervisor.directory / "lab.json").read_text())["pid"]
    ports = Path(f"/proc/{pid}/root/sys/class/net").glob("vnet*/brport/isolated")
    flags = [port for port in ports if port.read_text() == "1\n"]
    assert len(flags) == 2
    for flag in flags:
        flag.write_text("0")
    (name,) = [name for name in shut.objects["filter"] if name.startswith("shut-dev-isolation-shut-deny-in")]
    text = virsh("nwfilter-dumpxml", name)
    virsh("nwfilter-define", text=re.sub(r"<rule action='drop'.*?</rule>", "", text, flags=re.DOTALL))
    kernel(pid, "iptables", "-t", "mangle", "-F")  # and what closes the hypervisor's further addresses
    short = shut.refused("provision", "verify", "--format", "json")
    assert short.code == 3
    passing = {key for key, passed in seen(short).items() if passed}
    assert {("b", "c", "tcp/5000"), ("c", "b", "tcp/5000"), ("outside", "a", "tcp/8080")} <= passing
    assert "is not isolated on its bridge" in short.out
    assert "to 'shut-dev-front' are not there as written" in short.out
    for flag in flags:
        flag.write_text("1")
    assert shut.changes("refresh") == {"isolation/shut/deny-in": "update", "networks/front/network": "update"}
    shut.fine("provision", "up")
    shut.fine("provision", "verify")

    shut.fine("provision", "down")
    assert shut.objects == {}
    assert "provision-" not in kernel(pid, "iptables-save") + kernel(pid, "ip6tables-save")
