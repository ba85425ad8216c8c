"""What closes the hypervisor's further addresses to a network, as text for the kernel."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from provision_libvirt.ownership import Owner
from provision_libvirt.resources import host_closed, host_hook
from provision_libvirt.resources.host_closed import changed, close, is_closed, keep, open_again, seen
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


# ---- after a new start of the hypervisor


URI = "qemu:///system"


class Host(Busy):
    def __init__(self, root):
        super().__init__(root, refused=0)


@pytest.fixture
def host(monkeypatch, tmp_path):
    (tmp_path / "sys/class/net").mkdir(parents=True)
    made = Host(tmp_path)
    monkeypatch.setattr(host_closed, "host_view", lambda uri: made)
    return made


def hypervisor(*bridges, version=9_000_000):
    def network(bridge):
        uuid = Owner("another", f"urn:{bridge}").uuid()
        return SimpleNamespace(UUIDString=lambda: uuid, bridgeName=lambda: bridge)

    return SimpleNamespace(getLibVersion=lambda: version, listAllNetworks=lambda flags: list(map(network, bridges)))


def hook(host, bridge=BRIDGE) -> Path:
    return host.root / "etc/libvirt/hooks/network.d" / f"provision-{bridge}"


@pytest.mark.parametrize("saved", [EMPTY, kernel(EMPTY, changed(EMPTY, 4, network("192.0.2.9")))])
def test_libvirt_finds_a_file_that_makes_the_chains_as_they_were(host, saved):
    wanted = network("192.0.2.1", "2001:db8::1", name="shop's front")
    assert keep(URI, hypervisor(), wanted) is True
    assert keep(URI, hypervisor(), wanted) is False, "it is there already"
    text = hook(host).read_text()
    assert hook(host).stat().st_mode & 0o777 == 0o755
    assert """[ "$1" = 'shop'"'"'s front' ] && [ "$2" = start ] || exit 0""" in text
    for family, tool in ((4, "iptables"), (6, "ip6tables")):
        rules = re.search(rf"^{tool}-restore --wait --noflush <<'END'\n(.*?)^END$", text, re.MULTILINE | re.DOTALL)[1]
        jumps = re.findall(rf"^{tool} --wait -t mangle -C (.*) 2>/dev/null \|\| (.*) -I \1$", text, re.MULTILINE)
        assert {call for _, call in jumps} == {f"{tool} --wait -t mangle"}
        rules += "".join(f"-I {rule}\n" for rule, _ in jumps if f"-A {rule}" not in saved)
        assert is_closed(kernel(saved, rules), family, wanted)


def test_the_file_follows_the_network_and_goes_with_it(host):
    keep(URI, hypervisor(), network("192.0.2.1"))
    assert keep(URI, hypervisor(), network("192.0.2.2")) is True
    assert "192.0.2.2/32" in hook(host).read_text()
    assert "192.0.2.1/32" not in hook(host).read_text()
    open_again(URI, network("192.0.2.2"))
    assert list(hook(host).parent.iterdir()) == []


def test_files_of_networks_that_are_gone_go_and_others_stay(host):
    kept, gone, there, theirs = "pvaaaaaaaaaa", "pvbbbbbbbbbb", "pvcccccccccc", "mine"
    for bridge in (kept, gone, there, theirs):
        keep(URI, hypervisor(kept, gone, there), network(bridge=bridge))
    (host.root / "sys/class/net" / there).mkdir()
    keep(URI, hypervisor(kept), network())
    assert {file.name for file in hook(host).parent.iterdir()} == {
        f"provision-{bridge}" for bridge in (kept, there, theirs, BRIDGE)
    }


def test_chains_of_a_bridge_that_libvirt_is_about_to_make_stay(host):
    soon = network(bridge="pvaaaaaaaaaa")
    keep(URI, hypervisor(), soon)
    close(URI, soon)
    close(URI, network())
    assert is_closed(host.saved["iptables"], 4, soon)
    host_hook.forget(host, soon.bridge)
    close(URI, network("192.0.2.1"))
    assert "pvaaaaaaaaaa" not in host.saved["iptables"]


@pytest.mark.parametrize("why", ["too old", "no folder"])
def test_where_there_can_be_no_file_nothing_says_that_there_is(host, why):
    if why == "no folder":
        (host.root / "etc").write_text("")
    assert keep(URI, hypervisor(version=6_004_000 if why == "too old" else 9_000_000), network()) is None


def test_a_network_that_would_start_without_its_chains_differs_from_what_was_made(host):
    wanted = network("192.0.2.1")
    close(URI, wanted)
    assert seen(URI, wanted, autostart=False) == ["192.0.2.1"]
    assert seen(URI, wanted, autostart=True) is None
    keep(URI, hypervisor(), wanted)
    assert seen(URI, wanted, autostart=True) == ["192.0.2.1"]
    hook(host).chmod(0o644)
    assert seen(URI, wanted, autostart=True) is None
    host.saved["iptables"] = EMPTY
    assert seen(URI, wanted, autostart=False) is None
