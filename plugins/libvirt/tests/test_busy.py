"""What the use of a busy machine shows of its limits: held only when it wanted more, broken only beyond doubt."""

import pytest
from provision_libvirt.evidence.busy import _size, judged_cpu, judged_disk


@pytest.mark.parametrize(
    ("used", "stopped", "holds"),
    [
        (0.50, 20, True),
        (0.55, 20, True),  # one piece of time more than its share: rounding, no hole
        (0.20, 1, True),  # a host that is busy with others gave it less, but its cap stopped it once
        (0.20, 0, None),  # nobody knows whether it could have had more
        (0.0, 0, None),
        (0.58, 20, False),
        (1.0, 0, False),
    ],
)
def test_cpu_time_of_a_machine_that_may_have_half_a_cpu(used: float, stopped: int, holds: bool | None) -> None:
    shown = judged_cpu(used, stopped, 0.5)
    assert shown.holds is holds
    assert f"{used:.2f} CPUs used while busy, of at most 0.5" in shown.text


@pytest.mark.parametrize(
    ("rate", "able", "holds"),
    [
        (210.0, 900.0, True),
        (120.0, 301.0, True),  # on a loaded host less, but the limit alone held up what could be quicker
        (190.0, 250.0, None),  # as quick as it can be: no limit need be there
        (240.0, 900.0, False),
        (240.0, 240.0, False),
    ],
)
def test_reads_of_a_machine_that_may_make_two_hundred_in_a_second(rate: float, able: float, holds: bool | None) -> None:
    assert judged_disk(rate, able, 200, "operations/s").holds is holds


def test_the_first_reads_of_a_slow_disk_are_not_taken_for_more_than_its_limit() -> None:
    assert judged_disk(3.0, 900.0, 2, "operations/s", free=1.0).holds is True
    assert judged_disk(3.5, 900.0, 2, "operations/s", free=1.0).holds is False


@pytest.mark.parametrize(
    ("rate", "iops", "size"), [(4 << 20, 200, 1 << 16), (100 << 20, 200, 1 << 20), (1 << 20, None, 1 << 20)]
)
def test_one_read_is_large_enough_for_the_limit_of_bytes_to_be_the_narrower(
    rate: int, iops: int | None, size: int
) -> None:
    assert _size(rate, iops) == size
    if iops is not None:
        assert size * iops > rate
