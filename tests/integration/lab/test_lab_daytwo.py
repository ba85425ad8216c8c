"""Day two on one deployed stack: looked at, switched, read, kept and brought back; and nothing of it is drift."""

import json
import os
import signal
import time

import pytest
from lab_bench import until

pytestmark = [pytest.mark.lab, pytest.mark.engine]

STACK = """\
version: 1
platform: libvirt
networks:
  lan: {cidr: 10.61.1.0/24}
machines:
  web:
    image: micro
    memory: 96MiB
    disks: {data: {size: 64MiB, keep_on_delete: false}}
    nics: [{network: lan}]
  bare:
    image: micro
    memory: 96MiB
    nics: [{network: lan}]
sharing: {shares: {half: {machines: [machine.bare], cpu: {cap: 0.5}}}}
"""


def machines(stack, code=0):
    said = stack.provision("status", "--format", "json")
    assert said.code == code, said.text
    return {item["name"]: item for item in json.loads(said.out)["machines"]}


def test_a_deployed_machine_is_looked_at_switched_read_kept_and_brought_back(deploy):
    lab = deploy("daytwo", STACK)
    lab.fine("provision", "up")
    began = lab.running

    seen = machines(lab)
    web, bare = seen["web"], seen["bare"]
    assert [item["state"] for item in seen.values()] == ["running", "running"]
    assert (web["cpu"]["granted"], web["cpu"]["cap"], bare["cpu"]["cap"]) == (1, None, 0.5)
    assert web["memory_mib"]["granted"] == 96
    assert web["memory_mib"]["used"] > 40
    assert 0 < web["uptime_seconds"] < 3600
    assert 0 <= web["cpu"]["used"] < 1.5
    assert web["addresses"][0].startswith("10.61.1.")

    # The guest has no agent that runs commands, and says so; neither has a machine without disks a place to be kept.
    said = lab.refused("provision", "exec", "web", "--", "true")
    assert said.code == 255
    assert "whose agent sends probes and runs no commands" in said.err
    said = lab.refused("provision", "snapshot", "create", "bare")
    assert "has no disk that could hold a snapshot" in said.err

    # Kept while it runs, brought back with its memory; nothing of it is drift.
    assert lab.fine("provision", "snapshot", "create", "web", "clean").out == "web is kept as 'clean' (running).\n"

    # What the last `up` gave the machine since is not taken away by going back.
    lab.edit("machines: [machine.bare]", "machines: [machine.bare, machine.web]")
    lab.fine("provision", "up")
    lab.fine("provision", "snapshot", "revert", "web", "clean", "-y")
    assert lab.domain("web").schedulerParameters()["global_quota"] == 50_000
    assert lab.running["daytwo-dev-bare"] == began["daytwo-dev-bare"]
    kept = json.loads(lab.fine("provision", "snapshot", "list", "web", "--format", "json").out)
    assert [(item["name"], item["state"], item["current"]) for item in kept] == [("clean", "running", True)]
    assert lab.changes("refresh") == {}

    # A guest that shuts down when it is asked, and one that is cut off; status and exit code tell of both.
    follower = lab.begin("provision", "logs", "web", "--follow")
    first = _until_ready(follower.stdout)  # of the first start; from here on it follows
    lab.fine("provision", "power", "bare", "off", "--force")
    said = lab.fine("provision", "power", "web", "off")
    assert said.out.startswith("web is off.\nThe stack file has `power: running`")
    assert lab.running == {}
    seen = machines(lab, code=1)
    assert (seen["web"]["why"], seen["bare"]["why"]) == ("the guest shut down", "it was switched off")
    said = lab.refused("provision", "exec", "web", "--", "true")
    assert "the machine 'web' is stopped" in said.err
    assert lab.fine("provision", "power", "web", "on").out == "web runs.\n"
    # What was followed is what was written, from the shutdown into the next start.
    followed = _until_ready(follower.stdout)
    os.killpg(follower.pid, signal.SIGINT)
    followed += follower.stdout.read()
    assert (follower.wait(timeout=120), follower.stderr.read()) == (0, "")
    whole = until(lambda: _settled(lab, "web"), "the guest starts", seconds=240)
    assert len(followed) > 100
    assert "PROVISION-GUEST-READY" in followed
    assert first + followed in whole
    assert lab.fine("provision", "logs", "web", "--tail", "2").out == "".join(whole.splitlines(keepends=True)[-2:])

    # The file stays the truth: what runs no more is brought back by `up` after a refresh.
    assert lab.changes("refresh") == {"machines/bare/domain": "update"}
    lab.fine("provision", "up")
    assert len(lab.running) == 2

    # Gone by hand: told, and no command falls over it.
    lab.hypervisor.virsh("destroy", "daytwo-dev-bare")
    lab.hypervisor.virsh("undefine", "daytwo-dev-bare")
    assert machines(lab, code=1)["bare"]["state"] == "gone"
    assert "the machine 'bare' is gone from the hypervisor" in lab.refused("provision", "power", "bare", "on").err

    # The machine goes with its snapshots, and the command says so.
    down = lab.fine("provision", "down")
    assert "its snapshots went with it: clean" in down.text
    assert lab.objects == {}
    assert "nothing of stack 'dev' is deployed" in lab.refused("provision", "status").err


def _until_ready(stream):
    """What is read up to the line with which a guest says that it is ready; all of it when the stream ends before."""
    read, line = "", "\n"
    while line and "PROVISION-GUEST-READY" not in line:
        line = stream.readline()
        read += line
    return read


def _settled(lab, machine):
    """The log, once the second start has ended and it grows no more."""
    before = lab.fine("provision", "logs", machine).out
    time.sleep(1.5)
    after = lab.fine("provision", "logs", machine).out
    return after if before == after and after.count("PROVISION-GUEST-READY") == 2 else None
