"""What the kernel's traffic control tells of a card, as iproute2 writes it."""

import pytest
from provision_libvirt.evidence.shaping import rate, spoken

CLASS = """\
class htb 1:1 root leaf 2: prio 0 rate {0} ceil {0} burst 1600b cburst 1600b
"""
FILTER = """\
filter protocol all pref 49152 u32 chain 0
filter protocol all pref 49152 u32 chain 0 fh 800: ht divisor 1
filter protocol all pref 49152 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid :1 not_in_hw
  match 00000000/00000000 at 0
 police 0x1 rate {0} burst 100Kb mtu 64Kb action drop overhead 0b
\tref 1 bind 1
"""


@pytest.mark.parametrize(
    ("written", "bits"), [("800Kbit", 8e5), ("10Mbit", 1e7), ("12345Kbit", 12345e3), ("8bit", 8), ("2Gbit", 2e9)]
)
def test_limits_are_read(written, bits):
    assert rate("inbound", CLASS.format(written)) == bits
    assert rate("outbound", FILTER.format(written)) == bits


@pytest.mark.parametrize(
    "said", ["", "class htb 1:2 root prio 0 rate 8bit ceil 8bit", "qdisc noqueue 0: dev vnet0 root"]
)
def test_what_libvirt_did_not_make_is_no_limit(said):
    assert rate("inbound", said) is None
    assert rate("outbound", said) is None


def test_rates_are_spoken_in_the_unit_that_fits():
    assert [spoken(bits) for bits in (1e7, 8000, 1.5e9, 7, 0)] == [
        "10 Mbit/s", "8 kbit/s", "1.5 Gbit/s", "7 bit/s", "0 bit/s",
    ]  # fmt: skip
