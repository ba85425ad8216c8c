"""Policies are edited while packets are sent: none passes that neither file allows, and what revoking cuts."""

import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import libvirt
import pytest
from flood_bench import Edited, flood, flooded, flooding, port_of, process, segment, switched
from flood_states import OUTWARD, STATES, ports, state, to_a
from provision_libvirt import lab
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.resources import Filter
from provision_libvirt.resources.filter_guard import rules_kept
from provision_libvirt.resources.filter_hold import drop_left_copy, old_rules_held
from rebooting import reboot
from resource_bench import Bench, Thing, network
from stack_requests import addresses, request
from test_nwfilter_live import traffic

from provision.errors import ProvisionError
from provision.packets import Protocol
from provision.packets.sets import PacketSpace
from provision.spi import DeleteRequest, LiveRulesRequest, Probe, ReadRequest, Seen
from provision.verify.proof.compare import Way, differences
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet

pytestmark = pytest.mark.lab
EDITS = [STATES[number] for number in (1, 3, 5, 7, 8)]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    started = lab.start(tmp_path_factory.mktemp("fc") / "lab")
    provider = LibvirtProvider()
    session = provider.connect(LibvirtConfig(uri=started.uri, outside_socket=str(started.outside_socket)))
    edited = Edited(provider, session)
    try:
        edited.start(STATES[0].document)
        yield SimpleNamespace(lab=started, edited=edited, session=session)
    finally:
        provider.disconnect(session)
        lab.stop(started.directory)


def test_no_forbidden_packet_passes_while_policies_are_edited(running, tmp_path):
    found = flooded(running.edited, running.lab, EDITS, tmp_path, rate=4000, settle=0.5)
    assert found.forbidden >= 20_000
    assert found.leaks == {}
    assert (found.uncounted, found.silent) == (0, [])
    running.edited.edit(STATES[0].document)


def test_nor_does_one_that_the_machine_itself_sends(running, tmp_path):
    running.edited.edit(OUTWARD[0].document)
    edits = [OUTWARD[1], OUTWARD[2], OUTWARD[0]]
    found = flooding(running.edited, running.lab, OUTWARD[0], edits, tmp_path, rate=2000, settle=0.5)
    assert found.forbidden >= 5_000
    assert found.allowed >= 200
    assert found.leaks == {}
    assert found.uncounted == 0
    running.edited.edit(STATES[0].document)


def test_none_passes_either_while_another_machine_stops_and_starts(running, tmp_path):
    found = switched(running.edited, running.lab, 3, tmp_path, rate=4000, settle=0.2)
    assert found.forbidden >= 10_000
    assert found.leaks == {}
    assert (found.uncounted, found.silent) == (0, [])
    assert "provision-way" not in saved(running)


def kernel(running, *command):
    subprocess.run(["nsenter", "-t", str(running.lab.pid), "-n", *command], check=True, capture_output=True)


def test_the_flood_sees_what_a_hole_lets_through(running, tmp_path):
    device, bridge = port_of(running.edited, "a")
    (nic,) = addresses(request(dict(STATES[0].document)).stack)["a"]
    hole = ["FORWARD", "-p", "udp", "--dport", "7005", "-j", "ACCEPT"]
    try:
        found = flood(
            running.lab, device, bridge, [nic.ipv4, nic.ipv6], STATES[0], [STATES[0]],
            lambda _: kernel(running, "iptables", "-I", *hole), tmp_path, rate=4000, settle=0.5,
        )  # fmt: skip
    finally:
        kernel(running, "iptables", "-D", *hole)
    assert {port for _, port in found.leaks} == {7005}


def differing(running, document):
    made = request(dict(document), **running.edited.facts).stack
    space, given = PacketSpace(), addresses(made)
    asked = LiveRulesRequest(space, [running.edited.machine(name) for name in given], given)
    readout = running.edited.provider.read_live_rules(running.session, asked)
    assert not isinstance(readout, str), readout
    assert readout.unmodelled == ()
    return list(differences(IntentSet(space, Ends(made, given, readout.host_addresses)), readout))


def test_the_kernel_holds_what_the_file_says_after_each_edit_and_nothing_is_left(running):
    for after in (STATES[4], STATES[9], STATES[0]):
        running.edited.edit(after.document)
        assert differing(running, after.document) == []
    assert "hold-" not in saved(running)


def saved(running):
    command = ["nsenter", "-t", str(running.lab.pid), "-n"]
    return "".join(
        subprocess.run([*command, tool], capture_output=True, text=True, check=True).stdout
        for tool in ("iptables-save", "ip6tables-save")
    )


THEIRS, NEW = ["10.77.0.1", "fd77::1"], "198.51.100.77"


def test_all_addresses_of_the_hypervisor_are_its_own_those_on_networks_of_other_stacks_too(running):
    """No rule of this stack could know them before they are there, and what is beyond the hypervisor is in reach."""
    made = state("to outside", ports(7000, 7000), out=traffic("machine.a", "outside", "tcp/80"))
    running.edited.edit(made.document)
    bench = Bench(running.session)
    inside = running.edited.provider.probe_channel(running.session, running.edited.machine("a"))
    beyond = [running.lab.outside_address, running.lab.outside_address6]

    def reached():
        """Where a connection to tcp/80 is opened or refused by whoever has the address."""
        places = [*beyond, *THEIRS, NEW]
        answers = inside.run([Probe(Protocol.TCP, address, 80) for address in places])
        assert Seen.FAILED not in {answer.seen for answer in answers}
        return [place for place, answer in zip(places, answers, strict=True) if answer.seen.passed]

    def leaks():
        return {(one.way, one.source, one.destination) for one in differing(running, made.document)}

    kind, inputs, created = running.edited.made["networks/near/network"]
    ours = Thing(kind, running.edited.operation("networks/near/network", kind), inputs, created.id, created.outputs)
    try:
        network(bench, stack="another stack", name="theirs-front", bridge="pv-theirs", host_addresses=["192.0.2.7"])
        assert "provision-pv-theirs-in" in saved(running)
        kernel(running, "ip", "address", "add", f"{NEW}/32", "dev", "lo")
        assert reached() == beyond
        assert (leaks(), ours.drift()) == (set(), set())
        for tool in ("iptables", "ip6tables"):  # as after a new start of the hypervisor
            kernel(running, tool, "-t", "mangle", "-F")
        assert reached() == [*beyond, *THEIRS, NEW]
        assert (Way.LEAK, "a", "host") in leaks()
        assert ours.drift() == {"host_addresses"}
        ours.update()
        assert reached() == beyond
        assert (leaks(), ours.drift()) == (set(), set())
    finally:
        inside.close()
        kernel(running, "ip", "address", "flush", "dev", "lo", "to", f"{NEW}/32")
        bench.remove()
    assert "provision-pv-theirs" not in saved(running)
    running.edited.edit(STATES[0].document)


def test_a_kernel_rule_that_is_deleted_by_hand_is_found(running):
    device, _ = port_of(running.edited, "a")
    kernel(running, "iptables", "-D", f"FO-{device}", "-j", "DROP")
    try:
        found = differing(running, STATES[0].document)
    finally:
        kernel(running, "iptables", "-A", f"FO-{device}", "-j", "DROP")
    assert {item.way for item in found} <= {Way.LEAK, Way.HALF}
    assert {item.destination for item in found} == {"a"}
    assert differing(running, STATES[0].document) == []


@contextmanager
def connection(pid, address, patience=90):
    """A TCP connection that is held; `say` gives what became of a line."""
    with process(pid, "talk", {"address": address, "port": 9000, "patience": patience, "wait": 5}) as talker:
        said = talker.stdout.readline().strip()

        def say():
            talker.stdin.write("still there?\n")
            talker.stdin.flush()
            return talker.stdout.readline().strip()

        yield said, say


OPEN = to_a("tcp/9000")


def test_revoking_cuts_established_connections_and_other_edits_do_not(running):
    _, bridge = port_of(running.edited, "a")
    (nic,) = addresses(request(dict(STATES[0].document)).stack)["a"]
    edit = running.edited.edit
    edit(state("open", frozenset(), open=OPEN).document)
    with segment(running.lab.pid, bridge) as pid, connection(pid, nic.ipv4) as (said, say):
        assert (said, say()) == ("connected", "heard")
        edit(state("another", frozenset(), open=OPEN, more=to_a("udp/7000")).document)
        assert say() == "heard"
        edit(state("revoked", frozenset(), more=to_a("udp/7000")).document)
        assert say() == "silence"
    edit(STATES[0].document)


def test_a_deny_that_is_new_ends_connections_to_the_machine_too(running):
    _, bridge = port_of(running.edited, "a")
    (nic,) = addresses(request(dict(STATES[0].document)).stack)["a"]
    edit = running.edited.edit
    edit(state("open", frozenset(), open=OPEN | {"order": 5}).document)
    with segment(running.lab.pid, bridge) as pid, connection(pid, nic.ipv4) as (said, say):
        assert (said, say()) == ("connected", "heard")
        edit(state("denied", frozenset(), open=OPEN | {"order": 5}, shut=to_a(deny=["tcp/9000"], order=1)).document)
        assert say() == "silence"
        with connection(pid, nic.ipv4, patience=3) as (said, _):
            assert said.startswith("not connected")
    edit(STATES[0].document)


def held(running):
    return "-A FORWARD -j hold-libvirt-in" in saved(running)


def test_a_copy_that_a_killed_run_left_goes_with_the_next_look(running):
    script = (
        "import os, signal, sys\n"
        "from provision_libvirt.resources.filter_hold import old_rules_held\n"
        "with old_rules_held(sys.argv[1]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, running.lab.uri], check=False)
    assert held(running)
    name = next(name for name, (kind, _, _) in running.edited.made.items() if kind is Filter)
    kind, inputs, created = running.edited.made[name]
    operation = running.edited.operation(name, kind)
    assert kind().read(ReadRequest(operation, created.id, inputs, created.outputs)) is not None
    assert not held(running)


def test_what_a_killed_run_left_goes_with_what_is_removed(running):
    script = (
        "import os, signal, sys\n"
        "from provision_libvirt.resources.filter_guard import rules_kept\n"
        "from provision_libvirt.resources.filter_hold import old_rules_held\n"
        "with old_rules_held(sys.argv[1]), rules_kept(sys.argv[1]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, running.lab.uri], check=False)
    assert held(running)
    assert WAY in saved(running)
    name = next(name for name, (kind, _, _) in running.edited.made.items() if kind is Filter)
    kind, inputs, created = running.edited.made[name]
    gone = DeleteRequest(running.edited.operation(name, kind), str(uuid.uuid4()), inputs, created.outputs)
    kind().delete(gone)
    assert not held(running)
    assert WAY not in saved(running)


WAY = "-A FORWARD -j provision-way\n"


def test_rules_are_kept_by_a_second_way_that_many_share_and_that_reads_as_the_first(running):
    with rules_kept(running.lab.uri, lambda: False) as alone:
        assert alone is False, "where no machine runs there is nothing to keep"
        with rules_kept(running.lab.uri, lambda: False) as together:
            assert together is True, "but one is just starting"
            assert saved(running).count(WAY) == 2
            assert differing(running, STATES[0].document) == []
            for rule in ("FORWARD -j libvirt-in", "FORWARD -j libvirt-out", "INPUT -j libvirt-host-in"):
                kernel(running, "iptables", "-D", *rule.split())  # as libvirt does, one command each
                assert differing(running, STATES[0].document) == [], rule
            for rule in ("FORWARD -j libvirt-out", "FORWARD -j libvirt-in", "INPUT -j libvirt-host-in"):
                kernel(running, "iptables", "-I", *rule.split())
        assert saved(running).count(WAY) == 2
    assert "provision-way" not in saved(running)


def test_a_second_way_that_a_killed_run_left_goes_with_the_next_one(running):
    script = (
        "import os, signal, sys\n"
        "from provision_libvirt.resources.filter_guard import rules_kept\n"
        "with rules_kept(sys.argv[1]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, running.lab.uri], check=False)
    assert saved(running).count(WAY) == 2
    kernel(running, "iptables", "-D", "libvirt-out", "-j", "libvirt-in")  # and somebody took a part of it away
    with rules_kept(running.lab.uri, lambda: False) as kept:
        assert kept is True
        assert saved(running).count("-A libvirt-out -j libvirt-in\n") == 2
    assert "provision-way" not in saved(running)


def test_two_hold_at_once_and_the_last_one_lets_go(running):
    with old_rules_held(running.lab.uri) as one:
        with old_rules_held(running.lab.uri) as other:
            assert one is other is True
        assert held(running)
    assert not held(running)


def test_many_that_begin_and_end_together_leave_nothing(running):
    together = threading.Barrier(6, timeout=60)

    def hold(_):
        together.wait()
        with old_rules_held(running.lab.uri) as there:
            assert there
            together.wait()
            found = saved(running)
            together.wait()
        return found

    for _ in range(5):
        with ThreadPoolExecutor(together.parties) as pool:
            for text in pool.map(hold, range(together.parties)):
                assert text.count("-A FORWARD -j hold-libvirt-in\n") == 2  # one for each IP version
        assert "hold-" not in saved(running)


def test_a_copy_that_cannot_be_taken_away_is_not_forgotten(running):
    def jump(verb):
        kernel(running, "iptables", "-t", "mangle", verb, "POSTROUTING", "-j", "hold-libvirt-in")

    with old_rules_held(running.lab.uri):
        jump("-A")  # somebody else's, so that the chain cannot go
    assert held(running)
    jump("-D")
    drop_left_copy(running.lab.uri)
    assert not held(running)


UNBOOTED = """<domain type='qemu'><name>shut-out</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>
<interface type='network'><source network='theirs-front'/></interface></devices></domain>"""


def started(running, machine, seconds=120):
    """Wait until libvirt, which has just begun, has started a machine by itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(ProvisionError, libvirt.libvirtError):
            connection = running.session.connection()
            if connection.lookupByUUIDString(running.edited.machine(machine).natives[0].id).isActive():
                return
        time.sleep(0.1)
    raise AssertionError(f"'{machine}' does not start by itself")


def test_after_a_new_start_of_the_host_nothing_runs_before_its_addresses_are_closed(running):
    """The last one: it ends everything else."""
    made = state("to outside", ports(7000, 7000), out=traffic("machine.a", "outside", "tcp/80"))
    running.edited.edit(made.document)
    connection = running.session.connection()
    bench = Bench(running.session)
    kind, inputs, created = running.edited.made["networks/near/network"]
    ours = Thing(kind, running.edited.operation("networks/near/network", kind), inputs, created.id, created.outputs)
    network(bench, stack="another stack", name="theirs-front", bridge="pv-theirs", host_addresses=["192.0.2.7"])
    assert [note for note in bench.notes if "/etc/libvirt/hooks/network.d/provision-pv-theirs" in note]
    hook = running.lab.directory / "etc/hooks/network.d/provision-pv-theirs"
    hook.write_text(hook.read_text().replace("set -e\n", "exit 1\n"))  # as when the rules cannot be made
    assert bench.made[0].drift() == {"host_addresses"}
    connection.lookupByUUIDString(running.edited.made["machines/a/domain"][2].id).setAutostart(1)
    connection.defineXML(UNBOOTED).setAutostart(1)

    reboot(running.lab.directory, running.lab.pid)
    kernel(running, "ip", "address", "add", f"{NEW}/32", "dev", "lo")
    started(running, "a")
    inside = running.edited.provider.probe_channel(running.session, running.edited.machine("a"))
    places = [running.lab.outside_address, running.lab.outside_address6, NEW]
    try:
        answers = inside.run([Probe(Protocol.TCP, address, 80) for address in places])
    finally:
        inside.close()
    assert [answer.seen.passed for answer in answers] == [True, True, False]
    assert ours.drift() == set()
    text = saved(running)
    assert all(text.count(f"-j provision-{inputs.bridge}-{way}\n") == 2 for way in ("in", "out"))
    connection = running.session.connection()
    assert connection.networkLookupByName("theirs-front").isActive() == 0
    assert connection.lookupByName("shut-out").isActive() == 0
    bench.remove()
    assert not hook.exists()
