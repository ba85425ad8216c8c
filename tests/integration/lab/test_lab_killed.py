"""Killed at any instant and run again: no orphan, no duplicate, no lost state."""

import random
import signal
import time

import pytest
from lab_bench import TINY, until

pytestmark = [pytest.mark.lab, pytest.mark.engine]

STACK = f"""\
version: 1
platform: libvirt
{TINY}
networks:
  lan: {{cidr: 10.40.1.0/24}}
machines:
  box:
    image: tiny
    count: 3
    memory: 64MiB
    disks: {{data: {{size: 4MiB, keep_on_delete: false}}}}
    nics: [{{network: lan}}]
isolation:
  policies:
    talk: {{kind: traffic, from: [outside], to: [machine.box], allow: [tcp/80]}}
"""


@pytest.fixture
def boxes(deploy):
    return deploy("boxes", STACK)


def killed(boxes, *words, when):
    """Run a command and kill -9 all of it at an instant: after some seconds, or when something has become true."""
    process = boxes.begin(*words)
    if callable(when):
        until(lambda: when() or process.poll() is not None, "the instant to kill at")
    else:
        time.sleep(when)
    cut_off = process.poll() is None
    boxes.kill(process)
    return cut_off


def assert_whole(boxes):
    boxes.assert_exact()
    assert boxes.running.keys() == {f"boxes-dev-box-{n}" for n in range(3)}
    assert boxes.changes() == {}


def test_an_up_killed_at_any_instant_is_finished_by_the_next(boxes):
    began = time.monotonic()
    boxes.fine("provision", "up")
    whole = time.monotonic() - began
    assert_whole(boxes)
    boxes.fine("provision", "down")
    chance = random.Random(20260101)
    instants = sorted(chance.uniform(0.3, 0.95) * whole for _ in range(4))
    for when in [*instants, lambda: "domain" in boxes.objects, lambda: len(boxes.running) == 2]:
        assert killed(boxes, "provision", "up", "--yes", when=when)
        boxes.fine("provision", "up")
        assert_whole(boxes)
        boxes.fine("provision", "down")
        assert boxes.objects == {}
