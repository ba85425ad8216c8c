"""The second way into libvirt's packet rules, on a model of the kernel's chains: whatever libvirt is just at."""

from itertools import product

import pytest
from provision_libvirt.resources.filter_guard import changed

BASE = ("libvirt-in", "libvirt-out", "libvirt-in-post", "libvirt-host-in")
REBUILD = (
    "-D FORWARD -j libvirt-in", "-D FORWARD -j libvirt-out", "-D FORWARD -j libvirt-in-post",
    "-D INPUT -j libvirt-host-in", "-I FORWARD 1 -j libvirt-in", "-I FORWARD 2 -j libvirt-out",
    "-I FORWARD 3 -j libvirt-in-post", "-I INPUT 1 -j libvirt-host-in",
)  # fmt: skip
"""What libvirt 9.0 does whenever it applies a filter (`iptablesCreateBaseChainsFW`, seen with `nft monitor`)."""
PACKETS = tuple(product((True, False), ("may reach", "may not reach", "is no machine")))
"""Whether the sender may send it, and what its receiver says: forwarded packets, and of the first also to the host."""


class Kernel:
    """Chains of the table `filter`; what libvirt's own chains decide is by the packet, not by rules."""

    def __init__(self):
        self.chains = {"FORWARD": [], "INPUT": [], **{chain: [] for chain in BASE}}
        for command in REBUILD[4:]:
            self.do(command)

    def do(self, command):
        verb, chain, *words = command.split()
        match verb:
            case "-N":
                assert chain not in self.chains
                self.chains[chain] = []
            case "-X":
                assert not self.chains[chain], "it is not empty"
                assert not any(chain in rules for rules in self.chains.values()), "something leads to it"
                del self.chains[chain]
            case "-D":
                self.chains[chain].remove(words[-1])
            case "-I":
                self.chains[chain].insert(int(words[0]) - 1 if words[0].isdigit() else 0, words[-1])

    def give(self, text):
        """A transaction."""
        table, *commands, commit, last = text.split("\n")
        assert (table, commit, last) == ("*filter", "COMMIT", "")
        for command in commands:
            self.do(command)

    def verdict(self, chain, packet):
        for target in self.chains[chain]:
            if (found := self.verdict(target, packet)) is not None:
                return found
        may_send, receiver = packet
        if chain in ("libvirt-in", "libvirt-host-in") and not may_send:
            return "dropped"
        if chain == "libvirt-out" and receiver != "is no machine":
            return "accepted" if receiver == "may reach" else "dropped"
        return "accepted" if chain == "libvirt-in-post" else None

    def passing(self):
        return {(hook, packet) for hook in ("FORWARD", "INPUT") for packet in PACKETS
                if self.verdict(hook, packet) != "dropped"}  # fmt: skip


USUAL = Kernel().passing()


def rebuilding(kernel):
    """What passes at some moment while libvirt applies a filter."""
    seen = set()
    for command in REBUILD:
        kernel.do(command)
        seen |= kernel.passing()
    return seen


def test_without_it_packets_pass_that_no_rule_allows():
    assert ("FORWARD", (True, "may reach")) in USUAL
    assert not {("FORWARD", (False, "may reach")), ("FORWARD", (True, "may not reach"))} & USUAL
    assert {(hook, packet) for hook in ("FORWARD", "INPUT") for packet in PACKETS} - rebuilding(Kernel()) == set()


def test_with_it_nothing_else_passes_whatever_libvirt_is_at_and_however_often():
    kernel = Kernel()
    kernel.give(changed(BASE, (), wanted=True))
    assert kernel.passing() == USUAL
    for _ in range(3):
        assert rebuilding(kernel) == USUAL


@pytest.mark.parametrize("done", range(len(REBUILD)))
def test_it_comes_and_goes_at_any_moment(done):
    kernel = Kernel()
    for command in REBUILD[:done]:
        kernel.do(command)
    kernel.give(changed(BASE, (), wanted=True))
    assert kernel.passing() == USUAL
    for command in REBUILD[done:]:
        kernel.do(command)
        assert kernel.passing() == USUAL, command
    assert rebuilding(kernel) == USUAL
    rules = [f"{chain} -j {target}" for chain, targets in kernel.chains.items() for target in targets]
    kernel.give(changed(kernel.chains, rules, wanted=False))
    assert kernel.chains == Kernel().chains


def test_where_libvirt_has_no_chains_yet_they_are_made_and_what_is_there_is_not_made_twice():
    bare = Kernel()
    bare.chains = {"FORWARD": [], "INPUT": []}
    bare.give(changed(bare.chains, (), wanted=True))
    rules = [f"{chain} -j {target}" for chain, targets in bare.chains.items() for target in targets]
    assert changed(bare.chains, rules, wanted=True) == ""
    assert changed(BASE, (), wanted=False) == ""
