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
    assert boxes.hypervisor.connection.storagePoolLookupByName("boxes-dev").numOfVolumes() == len(
        boxes.hypervisor.files("boxes-dev")
    )
    assert boxes.changes() == {}


def assert_nothing(boxes):
    assert boxes.objects == {}
    assert boxes.hypervisor.files("boxes-dev") is None
    assert boxes.resources() == {}


def after_some_steps(boxes, seed):
    """An instant within a run: so many resources are recorded, and a moment more has passed."""
    chance = random.Random(seed)
    before, steps, moment = boxes.recorded(), chance.randint(4, 28), chance.uniform(0, 0.3)

    def reached():
        if abs(boxes.recorded() - before) < steps:
            return False
        time.sleep(moment)
        return True

    return reached


@pytest.mark.parametrize("seed", range(6))
def test_an_up_killed_at_any_instant_is_finished_by_the_next(boxes, seed):
    assert killed(boxes, "provision", "up", "--yes", when=after_some_steps(boxes, seed))
    if seed % 3 == 0:  # and the one that is to finish it as well
        killed(boxes, "provision", "up", "--yes", when=after_some_steps(boxes, seed + 100))
    boxes.fine("provision", "up")
    assert_whole(boxes)
    boxes.fine("pulumi", "destroy")
    assert_nothing(boxes)


@pytest.mark.parametrize("running", [0, 2])
def test_an_up_killed_while_machines_are_made_can_be_taken_down_at_once(boxes, running):
    assert killed(boxes, "provision", "up", "--yes",
                  when=lambda: "domain" in boxes.objects and len(boxes.running) >= running)  # fmt: skip
    boxes.fine("provision", "down")
    assert_nothing(boxes)
