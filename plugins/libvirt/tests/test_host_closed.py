"""What closes the hypervisor's further addresses to a network, as text for the kernel."""

import pytest
from provision_libvirt.resources import host_closed
from provision_libvirt.resources.host_closed import changed, close, is_closed
from provision_libvirt.resources.network_model import NetworkInputs

from provision.errors import PlatformError

BRIDGE = "pv0123456789"
EMPTY = "*mangle\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


def network(*known, **more):
    prefixes = {"ipv4": {"address": "10.1.0.1", "prefix": 24}, "ipv6": {"address": "fd01::1", "prefix": 64}}
    made = {"stack_id": "s", "pool": "p", "name": "n", "bridge": BRIDGE, "host_addresses": list(known), **prefixes}
    return NetworkInputs.model_validate(made | more)


NONE = network().model_copy(update={"host_addresses": None})


def kernel(saved, given):
    """What `iptables-restore --noflush` would make of it, and `iptables-save` then print."""
    chains, rules = {}, []
    for line in (saved + given).splitlines():
        words = line.split()
        if line.startswith(":"):
            chains[words[0][1:]] = words[1]
            rules = [rule for rule in rules if not (words[1] == "-" and rule.split()[1] == words[0][1:])]
        elif line.startswith("-A"):
            rules.append(line)
        elif line.startswith("-I"):
            rules.insert(0, line.replace("-I", "-A", 1))
        elif line.startswith("-D"):
            rules.remove(line.replace("-D", "-A", 1))
        elif line.startswith("-X"):
            assert not any(rule.split()[-1] == words[1] for rule in rules)
            del chains[words[1]]
    rules.sort(key=lambda rule: rule.split()[1])
    return "\n".join(["*mangle", *(f":{name} {policy} [0:0]" for name, policy in chains.items()), *rules, "COMMIT", ""])


@pytest.mark.parametrize(("family", "known"), [(4, "192.0.2.1"), (6, "2001:db8::1")])
def test_only_what_filters_know_comes_through_to_the_host_and_from_it(family, known):
    wanted = network("192.0.2.1", "2001:db8::1")
    text = changed(EMPTY, family, wanted)
    length = 32 if family == 4 else 128
    for way, side in (("in", "-d"), ("out", "-s")):
        chain = [line for line in text.splitlines() if line.startswith(f"-A provision-{BRIDGE}-{way} ")]
        assert chain[0].endswith(f"{side} {'10.1.0.0/24' if family == 4 else 'fd01::/64'} -j RETURN")
        assert f"-A provision-{BRIDGE}-{way} {side} {known}/{length} -j RETURN" in chain
        assert chain[-1] == f"-A provision-{BRIDGE}-{way} -j DROP"
    assert f"-I INPUT -i {BRIDGE} -j provision-{BRIDGE}-in" in text
    assert f"-I OUTPUT -o {BRIDGE} -j provision-{BRIDGE}-out" in text


def test_it_is_there_as_written_until_something_of_it_is_not():
    there = kernel(EMPTY, changed(EMPTY, 4, network("192.0.2.1")))
    assert is_closed(there, 4, network("192.0.2.1"))
    assert not is_closed(there, 4, network("192.0.2.2"))
    for line in there.splitlines():
        if line.startswith("-A"):
            assert not is_closed(there.replace(line + "\n", "", 1), 4, network("192.0.2.1")), line
    drop, first = f"-A provision-{BRIDGE}-in -j DROP\n", f"-A provision-{BRIDGE}-in -d 10.1.0.0/24 -j RETURN\n"
    assert not is_closed(there.replace(drop, "").replace(first, drop + first), 4, network("192.0.2.1"))


def test_a_change_makes_what_a_new_network_would_have_and_twice_is_once():
    there = kernel(EMPTY, changed(EMPTY, 4, network("192.0.2.1")))
    later = kernel(there, changed(there, 4, network("192.0.2.2", "192.0.2.3")))
    assert is_closed(later, 4, network("192.0.2.2", "192.0.2.3"))
    assert kernel(later, changed(later, 4, network("192.0.2.2", "192.0.2.3"))) == later
    assert kernel(later, changed(later, 4, NONE)) == EMPTY


def test_jumps_come_before_what_others_put_there():
    copy = "-A INPUT -j hold-libvirt-host-in\n"
    saved = EMPTY.replace("COMMIT", f":hold-libvirt-host-in - [0:0]\n{copy}COMMIT")
    made = kernel(saved, changed(saved, 4, network()))
    assert made.index(f"-A INPUT -i {BRIDGE}") < made.index(copy)
    assert kernel(made, changed(made, 4, NONE)) == saved


def test_what_killed_runs_left_of_bridges_that_are_gone_goes_too_and_nothing_of_others():
    other, by_hand = network(bridge="pvaaaaaaaaaa"), network(bridge="br0")
    saved = EMPTY
    for one in (other, by_hand):
        saved = kernel(saved, changed(saved, 4, one))
    made = kernel(saved, changed(saved, 4, network(), {BRIDGE}))
    assert "pvaaaaaaaaaa" not in made
    assert is_closed(made, 4, by_hand)
    assert is_closed(kernel(saved, changed(saved, 4, network(), {BRIDGE, "pvaaaaaaaaaa"})), 4, other)
    assert is_closed(kernel(saved, changed(saved, 4, network(), None)), 4, other)


class Busy:
    """A host on which somebody else changes the table between each reading and the first few writes."""

    def __init__(self, root, refused):
        self.root, self.saved, self.refused = root, {"iptables": EMPTY, "ip6tables": EMPTY}, refused

    def may_change_rules(self):
        return True

    def run(self, command, *words, given=""):
        tool, _, action = command.rpartition("-")
        if action == "save":
            return self.saved[tool]
        if self.refused:
            self.refused -= 1
            return None
        self.saved[tool] = kernel(self.saved[tool], given)
        return ""


def test_a_table_that_somebody_else_changed_meanwhile_is_read_again(monkeypatch, tmp_path):
    busy = Busy(tmp_path, refused=3)
    monkeypatch.setattr(host_closed, "host_view", lambda uri: busy)
    close("qemu:///system", network("192.0.2.1"))
    assert is_closed(busy.saved["iptables"], 4, network("192.0.2.1"))
    assert is_closed(busy.saved["ip6tables"], 6, network("192.0.2.1"))
    busy.refused = 100
    with pytest.raises(PlatformError, match="could not be closed to the network 'n'"):
        close("qemu:///system", network("192.0.2.2"))
