"""What is made of what Nova tells, without any Nova."""

import pytest
from provision_openstack.daytwo.consoles import piece
from provision_openstack.daytwo.status import _state

from provision.spi import RunState


def test_a_log_is_read_on_where_reading_stopped():
    first = piece(b"one\ntwo\n", None)
    second = piece(b"one\ntwo\nthree\n", first.position)
    third = piece(b"one\ntwo\nthree\n", second.position)

    assert [(one.data, one.lost) for one in (first, second, third)] == [
        (b"one\ntwo\n", False),
        (b"three\n", False),
        (b"", False),
    ]


def test_a_log_whose_beginning_is_forgotten_goes_on_in_the_middle():
    text = b"".join(b"line %d\n" % number for number in range(2000))
    first = piece(text[:10000], None)

    assert piece(text[5000:12000], first.position).data == text[10000:12000]
    later = piece(text[11000:12000], first.position)
    assert (later.data, later.lost) == (text[11000:12000], True)


def test_a_machine_that_had_said_nothing_has_lost_nothing():
    assert piece(b"hello", piece(b"", None).position).data == b"hello"
    assert not piece(b"hello", piece(b"", None).position).lost


@pytest.mark.parametrize(
    ("live", "state", "why"),
    [
        ({"status": "ACTIVE", "OS-EXT-STS:power_state": 1}, RunState.RUNNING, ""),
        ({"status": "SHUTOFF", "OS-EXT-STS:power_state": 4}, RunState.STOPPED, ""),
        ({"status": "PAUSED", "OS-EXT-STS:power_state": 3}, RunState.PAUSED, "somebody paused it"),
        ({"status": "SUSPENDED", "OS-EXT-STS:power_state": 4}, RunState.PAUSED, "somebody suspended it"),
        ({"status": "BUILD", "OS-EXT-STS:power_state": 0}, RunState.STOPPED, "it is being made"),
        ({"status": "VERIFY_RESIZE", "OS-EXT-STS:power_state": 1}, RunState.RUNNING, "provision up"),
        ({"status": "ERROR", "fault": {"message": "No valid host was found."}}, RunState.STOPPED, "No valid host"),
        ({"status": "SOMETHING_NEW"}, RunState.STOPPED, ""),
    ],
)
def test_a_state_of_nova_is_one_of_ours_with_its_reason(live, state, why):
    found, said = _state(live)
    assert found is state
    assert why in said
    assert bool(said) is bool(why)
