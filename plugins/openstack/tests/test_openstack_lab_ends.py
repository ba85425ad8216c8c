"""Nothing of a lab outlives it: not when its keeper is killed, not when what started it is."""

import os
import signal
import subprocess
import sys
import time

from openstack_lab.layout import HERE, Settings, load, new
from openstack_lab.processes import begun, pids, sweep

KEEPER = """
import sys, time
from pathlib import Path
from openstack_lab.processes import Processes
place = Path(sys.argv[1])
kept = Processes(place, place)
kept.start("one", ["sleep", "600"], {"PATH": "/usr/bin:/bin"})
kept.start("other", ["sleep", "600"], {"PATH": "/usr/bin:/bin"})
print("ready", flush=True)
time.sleep(600)
"""


def kept(place):
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(place)], env={**os.environ, "PYTHONPATH": str(HERE)}, stdout=subprocess.PIPE
    )
    assert keeper.stdout.readline() == b"ready\n"
    return keeper


def gone(numbers):
    """Whether all of these processes come to an end, or are ended and not yet waited for."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not any(runs(number) for number in numbers):
            return True
        time.sleep(0.05)
    return False


def runs(number):
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_processes_end_with_a_keeper_that_is_killed(tmp_path):
    keeper = kept(tmp_path)
    started = pids(tmp_path)

    keeper.send_signal(signal.SIGKILL)
    keeper.wait()

    assert set(started) == {"one", "other"}
    assert gone(started.values())


def test_what_an_earlier_keeper_left_is_ended_by_the_next(tmp_path):
    keeper = kept(tmp_path)
    started = pids(tmp_path)

    sweep(tmp_path)

    assert gone(started.values())
    assert pids(tmp_path) == {}
    keeper.kill()
    keeper.wait()


def test_a_process_that_only_has_the_number_of_an_earlier_one_is_left_alone(tmp_path):
    number = os.getpid()
    (tmp_path / "processes.json").write_text(f'{{"one": [{number}, "{begun(number)}0"]}}')

    assert pids(tmp_path) == {}


def test_every_service_of_a_lab_has_a_port_of_its_own(tmp_path):
    layout = new(tmp_path, Settings(mode="full"))
    layout.save()

    assert len(set(layout.ports.values())) == len(layout.ports) == 9
    assert load(tmp_path) == layout
