"""Calls take turns: never too many at a time, and none is forgotten."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from provision_openstack.turns import Turns


def test_no_more_calls_than_turns_at_a_time_and_all_get_theirs():
    turns, lock = Turns(3), threading.Lock()
    now, most, done = 0, 0, 0

    def call(number):
        nonlocal now, most, done
        with turns.turn("compute" if number % 2 else "network"):
            with lock:
                now += 1
                most = max(most, now)
            pause.wait(0.001)
            with lock:
                now -= 1
                done += 1

    pause = threading.Event()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(call, range(200)))

    assert most <= 3
    assert done == 200
    with turns.turn("network"), turns.turn("network"), turns.turn("network"):
        assert most <= 3  # all turns are free again


def test_what_makes_machines_goes_before_what_waits_longer():
    turns, order, held = Turns(1), [], threading.Event()

    def call(service, number):
        with turns.turn(service):
            order.append((service, number))

    with ThreadPoolExecutor(4) as pool, turns.turn("network"):
        for count, service in enumerate(["network", "network", "compute", "block-storage"]):
            pool.submit(call, service, count)
            while len(turns._waiting) <= count:
                held.wait(0.001)

    assert order == [("compute", 2), ("block-storage", 3), ("network", 0), ("network", 1)]


def test_a_call_that_fails_gives_its_turn_away():
    turns = Turns(1)
    with pytest.raises(LookupError), turns.turn("network"):
        raise LookupError

    with turns.turn("network"):
        pass
