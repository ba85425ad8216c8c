"""The reader of the kernel's tables, on what a real kernel held of a stack: `kernel/` was recorded on a hypervisor."""

import json
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from filter_semantics import Packet as OnePacket
from filter_semantics import forward_passes, frame_passes, nic_of
from hypothesis import given, settings
from hypothesis import strategies as st
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.readers.kernel.host import KernelState
from provision_libvirt.readers.kernel.live import KernelReader
from provision_libvirt.readers.kernel.match import Gate
from provision_libvirt.readers.kernel.ports import Port
from provision_libvirt.readers.kernel.tables import tables
from provision_libvirt.resources.filter_hold import changed
from stack_requests import addresses, request
from test_nwfilter_live import POLICIES, document, traffic

from provision.packets.sets import Packet, PacketSpace
from provision.spi import Capabilities, RulesRequest
from provision.verify.proof.compare import Way, differences
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet

HERE = Path(__file__).parent / "kernel"
FILES = {4: "iptables.txt", 6: "ip6tables.txt", 0: "ebtables.txt"}
HOST = json.loads((HERE / "host.json").read_text())
RECORDED = POLICIES | {
    "web": traffic(["203.0.113.10/32", "2001:db8:ffff::10/128"], "machine.a", "tcp/8080"),
    "never": traffic("machine.b", "machine.a", "tcp/1") | {"allow": [], "deny": ["tcp/22", "udp/53"], "order": 1},
    "range": traffic("machine.c", "machine.b", "tcp/1-1024", "udp/500-600", "icmp/8") | {"order": 5},
    "host": traffic("machine.c", "host", "tcp/9999"),
}
NEAR = ("a", "b")


@cache
def asked():
    return request(document(RECORDED), **HOST["facts"])


@cache
def graph():
    return LibvirtProvider().translate(asked())


@cache
def dumps():
    return {family: (HERE / name).read_text() for family, name in FILES.items()}


def state(dumped=None, **other):
    found = {family: tables(text) for family, text in (dumped or dumps()).items()}
    routes = {int(family): shown for family, shown in HOST["routes"].items()}
    made = KernelState(found, frozenset({4, 6}), HOST["addresses"], routes, HOST["masters"], frozenset())
    return replace(made, **other)


def reader(space, seen=None):
    seen = state() if seen is None else seen
    given = addresses(asked().stack)
    ports = []
    for name, (device, mac) in HOST["ports"].items():
        (nic,) = given[name]
        own = tuple(ip_network(text) for text in (nic.ipv4, nic.ipv6))
        ports.append(Port(device, name, mac, own, seen.masters[device], device in seen.isolated))
    return KernelReader(space, ports, seen)


def found(seen=None):
    """The differences between the file and the kernel, and what was not understood."""
    space = PacketSpace()
    readout = reader(space, seen).read()
    ends = Ends(asked().stack, addresses(asked().stack), readout.host_addresses)
    return list(differences(IntentSet(space, ends), readout)), readout.unmodelled


def edited(family, old, new, count=1):
    text = dumps()[family]
    assert text.count(old) >= 1, old
    return state({**dumps(), family: text.replace(old, new, count)})


def test_the_kernel_applies_what_the_file_says_and_nothing_else():
    assert found() == ([], ())


def test_the_kernel_and_the_filters_mean_the_same_sets():
    space = PacketSpace()
    kernel = reader(space).read()
    asked_of = RulesRequest(space, graph(), addresses(asked().stack), Capabilities("libvirt", HOST["facts"]))
    native = LibvirtProvider().read_rules(asked_of)
    judged = IntentSet(space, Ends(asked().stack, addresses(asked().stack), kernel.host_addresses)).judged
    assert judged & kernel.connected == judged & native.connected
    assert judged & (kernel.delivered ^ native.delivered) <= space.protocol(1) | space.protocol(58) | space.all - judged
    assert not kernel.forged


def _ends():
    given = addresses(asked().stack)
    found = {(name, family): getattr(nic, f"ipv{family}") for name, (nic,) in given.items() for family in (4, 6)}
    found |= {("outside", 4): "203.0.113.10", ("outside", 6): "2001:db8:ffff::10"}
    return found


def passes(source, destination, family, protocol, sport, dport, kind):
    """By what libvirt's format means: a packet and its answer meet the filters of both ends."""
    where = _ends()
    nics = {name: nic_of(graph(), f"machines/{name}/domain", 0) for name in ("a", "b", "c")}
    asked_packet = OnePacket(family, where[source, family], where[destination, family], protocol, sport, dport, kind)
    same = {source, destination} <= set(NEAR)
    for packet, sender, receiver in (
        (asked_packet, source, destination),
        (asked_packet.answer(), destination, source),
    ):
        if sender in nics:
            nic = nics[sender]
            packet = replace(packet, mac=nic.mac)
            if not frame_passes(nic, packet, "out") or not forward_passes(nic, packet, "out"):
                return False
        if receiver in nics:
            nic = nics[receiver]
            if not frame_passes(nic, packet, "in") or (same and not forward_passes(nic, packet, "in")):
                return False
    return True


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([(s, d) for s in ("a", "b", "c", "outside") for d in ("a", "b", "c", "outside") if s != d]),
    st.sampled_from([4, 6]),
    st.sampled_from([6, 17, 1]),
    st.sampled_from([1, 22, 53, 500, 600, 601, 1024, 1025, 5353, 5354, 8079, 8080, 8081, 9999, 40000]),
    st.sampled_from([22, 53, 5353, 8080, 40000]),
)
def test_a_packet_passes_the_kernel_when_it_passes_the_filters(ends, family, protocol, dport, sport):
    source, destination = ends
    protocol = 58 if (protocol, family) == (1, 6) else protocol
    kind = {1: 8, 58: 128}.get(protocol, 0)
    where = _ends()
    if kind:
        sport, dport = 0, kind << 8
    packet = Packet(family, protocol, ip_address(where[source, family]), ip_address(where[destination, family]),
                    sport, dport)  # fmt: skip
    space, connected = _connected()
    expected = passes(source, destination, family, protocol, 0 if kind else sport, 0 if kind else dport, kind)
    assert (space.only(packet) <= connected) is expected


@cache
def _connected():
    space = PacketSpace()
    return space, reader(space).read().connected


@pytest.mark.parametrize("machine", ["a", "b", "c"])
@pytest.mark.parametrize("chain", ["FI", "FO", "HI", "libvirt-I", "libvirt-O"])
def test_a_chain_without_its_last_rule_is_found_with_a_packet(machine, chain):
    device = HOST["ports"][machine][0]
    family = 0 if chain.startswith("libvirt") else 4
    wrong, _ = found(edited(family, f"-A {chain}-{device} -j DROP\n", ""))
    if (machine, chain) == ("c", "FO"):  # alone on its bridge: nothing is ever forwarded to it there
        assert wrong == []
        return
    assert wrong, (machine, chain)
    if chain == "libvirt-I":
        assert Way.FORGERY in {item.way for item in wrong}
        return
    assert wrong[0].way in (Way.LEAK, Way.HALF)
    own = {getattr(addresses(asked().stack)[machine][0], f"ipv{version}") for version in (4, 6)}
    assert {str(wrong[0].packet.source), str(wrong[0].packet.destination)} & own


def test_a_rule_that_was_added_by_hand_is_named_with_the_packet_that_it_lets_pass():
    wrong, _ = found(edited(4, "-A FORWARD", "-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT\n-A FORWARD"))
    told = str(next(item for item in wrong if item.way is Way.LEAK))
    assert told.startswith("tcp/22 from ")
    assert "passes, and no policy allows it" in told
    assert "iptables -A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT" in told


def test_a_rule_that_stops_what_is_allowed_is_a_gap():
    wrong, _ = found(edited(4, "-A FORWARD", "-A FORWARD -p tcp -m tcp --dport 8080 -j REJECT\n-A FORWARD"))
    assert {item.way for item in wrong} == {Way.GAP}


def test_jumps_that_are_gone_are_found():
    gone = dumps()[4].replace("-A FORWARD -j libvirt-in\n", "").replace("-A FORWARD -j libvirt-out\n", "")
    wrong, _ = found(state({**dumps(), 4: gone}))
    assert Way.LEAK in {item.way for item in wrong}


def test_bridged_packets_that_are_kept_from_the_tables_are_found():
    wrong, _ = found(state(calls=frozenset({6})))
    assert Way.LEAK in {item.way for item in wrong}
    assert {item.packet.family for item in wrong if item.way is Way.LEAK} == {4}


def test_ports_that_are_isolated_by_hand_are_a_gap():
    isolated = frozenset(HOST["ports"][name][0] for name in NEAR)
    wrong, _ = found(state(isolated=isolated))
    assert {item.way for item in wrong} == {Way.GAP}


def test_another_address_that_a_machine_may_send_from_is_found():
    own = addresses(asked().stack)["a"][0].ipv4
    wrong, _ = found(edited(0, f"--ip-src {own} -j ACCEPT", "-j ACCEPT"))
    assert Way.FORGERY in {item.way for item in wrong}


@pytest.mark.parametrize(
    "without",
    [" --arp-ip-src 10.60.1.10", " --arp-mac-src 02:00:00:00:00:0a", " -s 02:00:00:00:00:0a", " --arp-ip-src 10.60.1.10"
     " --arp-mac-src 02:00:00:00:00:0a"],
)  # fmt: skip
def test_what_a_machine_may_claim_in_arp_is_found(without):
    rule = next(line for line in dumps()[0].splitlines() if "-p ARP" in line and "10.60.1.10 " in line)
    wrong, odd = found(edited(0, rule, rule.replace(without, "")))
    assert odd == ()
    assert {item.way for item in wrong} == {Way.CLAIM}
    assert {item.source for item in wrong} == {"a"}


def test_another_s_address_that_a_machine_may_claim_is_named():
    wrong, _ = found(edited(0, "--arp-ip-src 10.60.1.10", "--arp-ip-src 10.60.1.11"))
    assert [(item.way, item.source, item.destination) for item in wrong] == [(Way.CLAIM, "a", "b")]


@pytest.mark.parametrize("family", [4, 6])
def test_what_a_machine_hears_that_is_for_others_is_found(family):
    device = HOST["ports"]["b"][0]
    own = getattr(addresses(asked().stack)["b"][0], f"ipv{family}")
    field = "--ip-dst" if family == 4 else "--ip6-dst"
    protocol = "IPv4" if family == 4 else "IPv6"
    wrong, _ = found(edited(0, f"-A libvirt-O-{device} -p {protocol} {field} ! {own} -j DROP\n", ""))
    overheard = [item for item in wrong if item.way is Way.OVERHEARD]
    assert overheard
    assert {item.packet.family for item in overheard} == {family}


@pytest.mark.parametrize(
    ("family", "before", "rule", "odd"),
    [
        (4, "-A FORWARD", "-A FORWARD -p tcp -m string --string x --algo bm -j ACCEPT", "-m string"),
        (4, "-A FORWARD", "-A FORWARD -p tcp -j TPROXY --on-port 1", "the target 'TPROXY'"),
        (0, "-A POSTROUTING", "-A POSTROUTING -p IPv4 --ip-tos 0x8 -j ACCEPT", "--ip-tos 0x8"),
    ],
)
def test_what_is_not_understood_is_named_and_taken_for_nothing(family, before, rule, odd):
    wrong, unmodelled = found(edited(family, before, f"{rule}\n{before}"))
    assert wrong == []
    assert len(unmodelled) == 1
    assert odd in unmodelled[0]


def test_a_rule_that_no_packet_of_the_stack_meets_need_not_be_understood():
    rule = "-A FORWARD -s 172.16.9.0/24 -m string --string x --algo bm -j ACCEPT"
    wrong, unmodelled = found(edited(4, "-A FORWARD", f"{rule}\n-A FORWARD"))
    assert wrong == []
    assert unmodelled == () or "172.16.9.0/24" in unmodelled[0]  # beyond the stack there may be such an address


@pytest.mark.parametrize("position", range(4))
def test_a_rule_that_lets_something_pass_is_missed_when_it_is_gone(position):
    device = HOST["ports"]["a"][0]
    opening = [
        line
        for line in dumps()[4].splitlines()
        if line.startswith(f"-A FI-{device} ") and "NEW" in line and "DROP" not in line
    ]
    line = opening[position % len(opening)]
    assert Way.GAP in {item.way for item in found(edited(4, f"{line}\n", ""))[0]}


HELD = changed(dumps()[4], held=True)


def test_a_copy_of_the_rules_is_one_transaction_before_the_rules_proper():
    lines = HELD.splitlines()
    assert (lines[0], lines[-1]) == ("*mangle", "COMMIT")
    assert "-A FORWARD -j hold-libvirt-in" in lines
    assert "-A FORWARD -j hold-libvirt-out" in lines
    assert "-A INPUT -j hold-libvirt-host-in" in lines
    copied = [line.split("hold-", 1)[1] for line in lines if line.startswith("-A hold-FO-")]
    own = [line.removeprefix("-A ") for line in dumps()[4].splitlines() if line.startswith("-A FO-")]
    assert sorted(copied) == sorted(own)
    device = HOST["ports"]["a"][0]
    assert [line for line in copied if device in line] == [line for line in own if device in line]
    jump = f"-A hold-libvirt-in -m physdev --physdev-in {HOST['ports']['a'][0]} -g hold-FI-{HOST['ports']['a'][0]}"
    assert jump in lines


def with_copy():
    made = "\n".join(line for line in HELD.splitlines() if line.startswith("-A"))
    chains = "\n".join(line for line in HELD.splitlines() if line.startswith(":"))
    text = dumps()[4]
    assert "*mangle\n" in text
    head, _, rest = text.partition("*mangle\n")
    body, _, tail = rest.partition("COMMIT\n")
    return f"{head}*mangle\n{chains}\n{body}{made}\nCOMMIT\n{tail}"


def test_the_copy_holds_the_old_rules_while_the_jumps_are_gone():
    gone = with_copy().replace("-A FORWARD -j libvirt-", "# ").replace("-A INPUT -j libvirt-host-in", "# ")
    wrong, unmodelled = found(state({**dumps(), 4: gone}))
    assert (wrong, unmodelled) == ([], ())


def test_the_copy_goes_in_one_transaction_and_leaves_nothing():
    lines = changed(with_copy(), held=False).splitlines()
    assert {line for line in lines if line.startswith("-D")} == {
        "-D FORWARD -j hold-libvirt-in", "-D FORWARD -j hold-libvirt-out", "-D INPUT -j hold-libvirt-host-in",
    }  # fmt: skip
    chains = {line.split()[0][1:] for line in HELD.splitlines() if line.startswith(":")}
    assert {line.split()[1] for line in lines if line.startswith("-X")} == chains
    assert changed(dumps()[4], held=False) == ""


def test_a_copy_is_replaced_by_a_newer_one_without_a_second_jump():
    again = changed(with_copy(), held=True)
    assert [line for line in again.splitlines() if line.startswith(("-A FORWARD", "-A INPUT", "-D"))] == []
    assert sorted(line for line in again.splitlines() if line.startswith(("-A hold", ":"))) == sorted(
        line for line in HELD.splitlines() if line.startswith(("-A hold", ":"))
    )


@pytest.mark.parametrize("wanted", [True, False])
def test_jumps_to_a_copy_that_are_there_twice_go(wanted):
    jump = "-A INPUT -j hold-libvirt-host-in"
    twice = with_copy().replace(f"{jump}\n", f"{jump}\n{jump}\n")
    lines = changed(twice, held=wanted).splitlines()
    assert lines.count("-D INPUT -j hold-libvirt-host-in") == (1 if wanted else 2)
    assert jump not in lines


def test_answers_of_a_connection_are_told_by_its_first_packet():
    gate = Gate(4, answer=True)
    assert gate.state == "ESTABLISHED"
    assert gate.field("source") is Gate(4).field("destination")
