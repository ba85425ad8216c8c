"""Proofs of random small stacks against an oracle: no false alarm, and every difference that it finds is noticed."""

import pytest
from small_stacks import World, tried


@pytest.mark.parametrize("first", [0, 40, 80])
def test_no_stack_raises_a_false_alarm_and_every_seeded_difference_is_noticed(first):
    found = [one for seed in range(first, first + 40) if (one := tried(seed)) is not None]

    assert [one.alarm for one in found if one.alarm] == []
    differing = [one for one in found if one.differs is not None]
    assert [one.broken for one in differing if not one.noticed] == []
    assert len(differing) >= 3


def test_the_oracle_finds_what_is_broken_by_itself(monkeypatch):
    """It can fail: with policies that it takes for others, it differs from filters that are right."""
    monkeypatch.setattr(World, "allowed", lambda world, source, target, packet: packet.dport == 22)
    assert any(one is not None and one.alarm for one in map(tried, range(3)))
