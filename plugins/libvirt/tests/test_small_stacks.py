"""Proofs of random small stacks against an oracle: no false alarm, and every difference that it finds is noticed."""

import random

import pytest
from provision_libvirt import readers
from provision_libvirt.translate import translate
from small_stacks import World, broken, document, tried
from stack_requests import addresses, request

from provision.errors import PolicyRefused
from provision.packets.sets import PacketSpace
from provision.spi import RulesRequest
from provision.verify.proof.compare import differences
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet


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


def test_a_reading_after_others_finds_what_one_by_itself_does():
    """What is kept of earlier readings, by content, is never taken for something else."""

    def differing(space, asked, graph):
        places = addresses(asked.stack)
        readout = readers.read_rules(RulesRequest(space, graph, places, asked.capabilities))
        intent = IntentSet(space, Ends(asked.stack, places, readout.host_addresses))
        return [(str(one.way), str(one.packet), one.rules) for one in differences(intent, readout)], readout.unmodelled

    used, wrong = PacketSpace(3), 0
    for seed in range(24):
        chance = random.Random(seed)
        asked = request(document(chance))
        try:
            graph = translate(asked)
        except PolicyRefused:
            continue
        for made in (graph, broken(chance, graph)[0], graph):
            found = differing(used, asked, made)
            assert found == differing(PacketSpace(3), asked, made)
            wrong += bool(found[0])
    assert wrong >= 3
