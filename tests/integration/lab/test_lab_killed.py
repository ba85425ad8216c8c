"""Killed at any instant and run again: no orphan, no duplicate, no lost state."""

import random
import signal
import time
from functools import partial

import pytest
from lab_bench import TINY, until

pytestmark = [pytest.mark.lab, pytest.mark.engine]

STACK = f"""\
version: 1
platform: libvirt
{TINY}
networks:
  lan: {{cidr: 10.40.1.0/24, internet: routed}}
machines:
  box:
    image: tiny
    count: 3
    memory: 64MiB
    shutdown_timeout: 0s
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
        until(lambda: when() or process.poll() is not None, "the instant to kill at", pause=0.005)
    else:
        time.sleep(when)
    if process.poll() is not None:
        boxes.end(process)
        return False
    boxes.kill(process)
    return True


def assert_whole(boxes, *, preview=True):
    boxes.assert_exact()
    assert boxes.running.keys() == {f"boxes-dev-box-{n}" for n in range(3)}
    assert len(boxes.hypervisor.files("boxes-dev")) == 1 + 3 * len(("root", "data", "seed", "console"))
    if preview:
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
    assert_whole(boxes, preview=seed == 0)
    boxes.fine("pulumi", "destroy")
    assert_nothing(boxes)


@pytest.mark.parametrize("running", [0, 2])
def test_an_up_killed_while_machines_are_made_can_be_taken_down_at_once(boxes, running):
    assert killed(boxes, "provision", "up", "--yes",
                  when=lambda: "domain" in boxes.objects and len(boxes.running) >= running)  # fmt: skip
    boxes.fine("provision", "down")
    assert_nothing(boxes)


def test_an_up_killed_while_the_rules_of_cards_are_made_can_be_taken_down_at_once(boxes):
    """Rules that are on no record refer to others, which could not go before them."""
    assert killed(boxes, "provision", "up", "--yes",
                  when=lambda: any("-nic-" in name for name in boxes.objects.get("filter", ())))  # fmt: skip
    boxes.fine("provision", "down")
    assert_nothing(boxes)


def test_an_up_killed_before_its_first_object_is_recorded_can_be_taken_down_at_once(boxes):
    """The pool is what everything else of a stack is found by, so it matters most when it is in no record."""
    process = boxes.begin("provision", "up", "--yes")
    until(lambda: "pool" in boxes.objects, "the pool")
    boxes.kill(process)
    boxes.fine("provision", "down")
    assert_nothing(boxes)


def changed_for(boxes, name, number, moment):
    """Whether a machine no longer runs as it did, for some seconds now."""
    if boxes.running.get(name) == number:
        return False
    time.sleep(moment)
    return True


def test_replacements_killed_midway_and_a_destroy_killed_midway(boxes):
    boxes.fine("provision", "up")
    domain, filter = boxes.urn("machines/box-1/domain"), boxes.urn("machines/box-1/nic-0/filter")
    born = boxes.domain("box-1").UUIDString()
    others = {name: number for name, number in boxes.running.items() if name != "boxes-dev-box-1"}

    def replacing(urn, when):
        return killed(boxes, "pulumi", "up", "--yes", "--skip-preview", "--stack", "dev", "--replace", urn, when=when)

    for moment in (0, 0.4):  # just gone, and while the new one is being started
        number = boxes.domain("box-1").ID()
        assert replacing(domain, partial(changed_for, boxes, "boxes-dev-box-1", number, moment))
        boxes.fine("provision", "up")
        assert_whole(boxes)
    assert boxes.domain("box-1").UUIDString() == born

    # The second filter of a name is there, and the first still in use.
    count = len(boxes.objects["filter"])
    running = boxes.running
    assert replacing(filter, lambda: len(boxes.objects["filter"]) > count)
    boxes.fine("provision", "up")
    assert_whole(boxes)
    assert boxes.running == running, "a filter is replaced under a running machine"
    assert {name: number for name, number in boxes.running.items() if name in others} == others

    assert killed(boxes, "provision", "down", "--yes", when=lambda: len(boxes.running) < 3)
    boxes.fine("provision", "up")
    assert_whole(boxes)
    assert killed(boxes, "provision", "down", "--yes", when=lambda: len(boxes.running) < 2)
    boxes.fine("provision", "down")
    assert_nothing(boxes)


def test_one_interrupt_ends_in_order_and_two_abandon(boxes):
    process = boxes.begin("provision", "up", "--yes")
    until(lambda: "domain" in boxes.objects, "the first machine")
    process.send_signal(signal.SIGINT)
    done = boxes.end(process)
    assert done.code == 130, done.text
    assert "Traceback" not in done.text
    assert boxes.pending() == []
    boxes.assert_exact()
    boxes.fine("provision", "up")
    assert_whole(boxes)
    boxes.fine("provision", "down")

    process = boxes.begin("provision", "up", "--yes")
    until(lambda: "domain" in boxes.objects, "the first machine")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    done = boxes.end(process)
    assert done.code != 0
    assert "Traceback" not in done.text
    boxes.fine("provision", "up")
    assert_whole(boxes)
    boxes.fine("pulumi", "destroy")
    assert_nothing(boxes)
