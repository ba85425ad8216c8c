"""A proof in each of its forms."""

from ipaddress import ip_address

from provision.packets.sets import Packet
from provision.verify.proof import Difference, Proof, Way, as_data, lines, markdown, summary

PACKET = Packet(4, 6, ip_address("10.0.1.5"), ip_address("10.0.2.9"), 0, 22)
LEAK = Difference(Way.LEAK, PACKET, "web-0", "db", "isolation/ssh/in: accept in tcp")
LEAK_TEXT = (
    "tcp/22 from 10.0.1.5 (web-0) to 10.0.2.9 (db) passes, and no policy allows it: isolation/ssh/in: accept in tcp"
)


def test_a_proof_that_holds_is_one_line():
    proof = Proof((), (), 1, 2)
    assert proof.holds
    assert lines(proof) == []
    said = "proven for 1 machine, 2 policies: the native rules let pass what the file allows, and nothing else"
    assert summary(proof) == said
    assert markdown(proof) == f"**{said}**\n"


def test_every_difference_is_a_packet_in_words():
    proof = Proof((LEAK,), (), 2, 1)
    assert not proof.holds
    assert lines(proof) == [f"difference: {LEAK_TEXT}"]
    assert summary(proof) == "1 difference between the native rules and the file (2 machines, 1 policy)"
    assert markdown(proof) == f"**{summary(proof)}**\n\n- difference: {LEAK_TEXT}\n"
    assert as_data(proof) == {
        "schema": 1,
        "proven": False,
        "machines": 2,
        "policies": 1,
        "differences": [
            {
                "way": "leak",
                "service": "tcp/22",
                "source": "10.0.1.5",
                "source_name": "web-0",
                "source_port": 0,
                "destination": "10.0.2.9",
                "destination_name": "db",
                "rules": "isolation/ssh/in: accept in tcp",
                "text": LEAK_TEXT,
            }
        ],
        "unmodelled": [],
    }


def test_what_was_not_understood_is_no_proof():
    proof = Proof((), ("filter-base: the element 'stp' is not understood",), 2, 0)
    assert not proof.holds
    assert lines(proof) == ["not understood: filter-base: the element 'stp' is not understood"]
    assert summary(proof) == "not proven (2 machines, 0 policies)"
