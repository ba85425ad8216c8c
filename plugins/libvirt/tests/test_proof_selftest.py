"""The self-test of the proof on packet filters: what an edit of a rule opens is noticed."""

from provision_libvirt import readers
from provision_libvirt.translate import translate
from stack_requests import addresses, request

from provision.verify.proof import Part
from provision.verify.selftest import score

TWO = {
    "version": 1,
    "platform": "libvirt",
    "networks": {"lan": {"cidr": "10.9.0.0/24"}},
    "machines": {
        name: {"image": "micro", "memory": "96MiB", "nics": [{"network": "lan"}]} for name in ("web", "db", "other")
    },
    "isolation": {
        "policies": {
            "store": {"kind": "traffic", "from": ["machine.web"], "to": ["machine.db"], "allow": ["tcp/5432", "udp/53"]}
        }
    },
}


def part() -> Part:
    asked = request(TWO)
    return Part(asked.stack, addresses(asked.stack), translate(asked), asked.capabilities, readers)


def test_a_policy_that_says_more_than_the_file_is_noticed_whatever_it_is():
    found = score(part(), most=100_000)

    assert found.tried == found.possible > 300
    assert [text for text in found.missed if text.startswith("isolation/")] == []
    assert found.caught > 100


def test_fewer_breaks_are_spread_over_all_of_them():
    found = score(part(), most=40)

    assert found.tried == 40
    assert found.possible > 300
