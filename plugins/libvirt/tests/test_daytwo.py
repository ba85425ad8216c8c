"""Day two without a hypervisor: what is asked of libvirt, and what its answers mean."""

import base64
import json
from contextlib import nullcontext
from types import SimpleNamespace

import libvirt
import pytest
from provision_libvirt.daytwo import execute, logs, power, snapshots, status
from provision_libvirt.daytwo.machines import domain_of
from provision_libvirt.ownership import Owner
from provision_libvirt.resources import agent as agent_calls

from provision.errors import ForeignObject, NotFound, PlatformError
from provision.spi import DeployedMachine, NativeState, PowerAction, PowerRequest, RunState

ID = Owner("stack-1", "urn:web").uuid()


def failure(code, text="it failed"):
    error = libvirt.libvirtError(text)
    error.args = (text,)  # else it would be the last error of this thread
    error.err = (code, libvirt.VIR_FROM_QEMU, text, 2, "", None, None, -1, -1)
    return error


def machine(uuid=ID, *, adopted=False, **inputs):
    outputs = {"name": "shop-dev-web", "pool": "shop-dev", "console_path": "/p/web.console.log", "adopted": adopted}
    native = NativeState("domain:Domain", "machines/web/domain", uuid, outputs, {"stack_id": "stack-1", **inputs})
    return DeployedMachine("web", (native,))


def session(connection):
    return SimpleNamespace(own=lambda: nullcontext(connection), config=SimpleNamespace(uri="qemu+ssh://far/system"))


def looked_up(domain):
    return SimpleNamespace(lookupByUUIDString=lambda uuid: domain)


# ---- whose it is


def test_a_machine_is_the_stacks_by_its_marker_or_by_an_import():
    domain = SimpleNamespace(name=lambda: "shop-dev-web")
    connection = looked_up(domain)
    foreign = Owner("stack-2", "urn:web").uuid()
    assert domain_of(connection, machine()) is domain
    assert domain_of(connection, machine(foreign, adopted=True)) is domain
    with pytest.raises(ForeignObject, match="was not touched"):
        domain_of(connection, machine(foreign))


def test_a_machine_that_is_gone_says_how_to_get_it_back():
    def lookup(uuid):
        raise failure(libvirt.VIR_ERR_NO_DOMAIN)

    with pytest.raises(NotFound, match="is gone from the hypervisor") as told:
        domain_of(SimpleNamespace(lookupByUUIDString=lookup), machine())
    assert "provision refresh" in told.value.fix


# ---- status


def told(stats, **inputs):
    domain = SimpleNamespace(UUIDString=lambda: ID, name=lambda: "shop-dev-web")
    other = SimpleNamespace(UUIDString=lambda: "1" * 32, name=lambda: "other")
    asked = []

    def ask(domains, wanted, flags):
        asked.extend(domains)
        return [] if stats is None else [(domain, stats)]

    connection = SimpleNamespace(listAllDomains=lambda: [other, domain], domainListGetStats=ask)
    found = status.machine_status(session(connection), [machine(**inputs)])["web"]
    assert asked == [domain], "only machines of the stack are asked about"
    return found


def test_status_reads_use_and_what_was_granted():
    found = told(
        {"state.state": libvirt.VIR_DOMAIN_RUNNING, "cpu.time": 2_500_000_000, "balloon.rss": 204_800},
        vcpus=2, memory_mib=96, cpu_quota_us=50_000, memory_limit_mib=256,
    )  # fmt: skip
    assert (found.state, found.wanted, found.why) == (RunState.RUNNING, RunState.RUNNING, "")
    assert (found.cpu_seconds, found.memory_mib) == (2.5, 200)
    assert (found.granted_cpus, found.granted_memory_mib, found.cpu_cap, found.memory_cap_mib) == (2, 96, 0.5, 256)


@pytest.mark.parametrize(
    ("state", "reason", "seen", "why"),
    [
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, RunState.STOPPED, "its emulator crashed"),
        (libvirt.VIR_DOMAIN_CRASHED, 0, RunState.STOPPED, "it crashed"),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, RunState.PAUSED, "disk error"),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, 0, RunState.PAUSED, "to sleep"),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 0, RunState.RUNNING, "it is shutting down"),
        (libvirt.VIR_DOMAIN_SHUTOFF, 99, RunState.STOPPED, ""),
    ],
)
def test_status_says_why(state, reason, seen, why):
    found = told({"state.state": state, "state.reason": reason})
    assert found.state is seen
    assert why in found.why


def test_a_machine_that_was_to_be_stopped_needs_no_reason():
    found = told(
        {"state.state": libvirt.VIR_DOMAIN_SHUTOFF, "state.reason": libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED},
        power="stopped",
    )
    assert (found.state, found.wanted, found.why) == (RunState.STOPPED, RunState.STOPPED, "")


def test_a_machine_that_the_hypervisor_does_not_know_is_gone():
    assert told(None).state is RunState.GONE


# ---- power


class Guest:
    """A domain whose guest shuts down at the `hears`-th request, None: never."""

    def __init__(self, state=libvirt.VIR_DOMAIN_RUNNING, hears=1):
        self.now, self.hears, self.calls = state, hears, []

    def state(self):
        return [self.now, 0]

    def isActive(self):
        return self.now != libvirt.VIR_DOMAIN_SHUTOFF

    def shutdown(self):
        self.calls.append("shutdown")
        if self.hears is not None and self.calls.count("shutdown") >= self.hears:
            self.now = libvirt.VIR_DOMAIN_SHUTOFF

    def destroy(self):
        self.calls.append("destroy")
        self.now = libvirt.VIR_DOMAIN_SHUTOFF

    def create(self):
        self.calls.append("create")
        self.now = libvirt.VIR_DOMAIN_RUNNING

    def resume(self):
        self.calls.append("resume")
        self.now = libvirt.VIR_DOMAIN_RUNNING


def switch(guest, action, **more):
    return power.switch_power(session(looked_up(guest)), machine(), PowerRequest(PowerAction(action), **more))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(power, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(power, "_ASK_AGAIN_SECONDS", 0.01)


@pytest.mark.parametrize(
    ("state", "action", "force", "done", "calls"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, "on", False, False, []),
        (libvirt.VIR_DOMAIN_SHUTOFF, "on", False, True, ["create"]),
        (libvirt.VIR_DOMAIN_PAUSED, "on", False, True, ["resume"]),
        (libvirt.VIR_DOMAIN_SHUTOFF, "off", False, False, []),
        (libvirt.VIR_DOMAIN_RUNNING, "off", False, True, ["shutdown"]),
        (libvirt.VIR_DOMAIN_RUNNING, "off", True, True, ["destroy"]),
        (libvirt.VIR_DOMAIN_PAUSED, "off", True, True, ["destroy"]),
        (libvirt.VIR_DOMAIN_RUNNING, "reboot", False, True, ["shutdown", "create"]),
        (libvirt.VIR_DOMAIN_SHUTOFF, "reboot", False, True, ["create"]),
        (libvirt.VIR_DOMAIN_RUNNING, "reboot", True, True, ["destroy", "create"]),
    ],
)
def test_power_asks_the_guest_and_cuts_only_when_forced(quick, state, action, force, done, calls):
    guest = Guest(state)
    assert switch(guest, action, force=force) is done
    assert guest.calls == calls


def test_a_guest_that_hears_nothing_at_first_is_asked_again(quick):
    guest = Guest(hears=3)
    assert switch(guest, "off", timeout=5.0)
    assert guest.calls == ["shutdown"] * 3


@pytest.mark.parametrize("action", ["off", "reboot"])
def test_a_guest_that_never_shuts_down_is_left_as_it_is(quick, action):
    guest = Guest(hears=None)
    with pytest.raises(PlatformError, match=r"within 0\.05 s; it is left as it is") as told:
        switch(guest, action, timeout=0.05)
    assert "--force to cut its power" in told.value.fix
    assert guest.isActive()
    assert set(guest.calls) == {"shutdown"}


def test_a_paused_guest_cannot_be_asked(quick):
    guest = Guest(libvirt.VIR_DOMAIN_PAUSED)
    with pytest.raises(PlatformError, match="is paused"):
        switch(guest, "off")
    assert guest.calls == []


# ---- logs


class Logged:
    """The files of a console log, as virtlogd rotates them."""

    def __init__(self):
        self.files = {}

    def write(self, data):
        self.files["shop-dev-web.console.log"] = self.files.get("shop-dev-web.console.log", b"") + data

    def rotate(self, keep=3):
        base = "shop-dev-web.console.log"
        for number in range(keep - 1, 0, -1):
            if f"{base}.{number - 1}" in self.files:
                self.files[f"{base}.{number}"] = self.files[f"{base}.{number - 1}"]
        self.files[f"{base}.0"] = self.files.pop(base)
        self.files[base] = b""

    # libvirt's pool

    def refresh(self, flags):
        pass

    def storageVolLookupByName(self, name):
        if name not in self.files:
            raise failure(libvirt.VIR_ERR_NO_STORAGE_VOL)
        return self._volume(name)

    def listAllVolumes(self):
        return [self._volume(name) for name in [*self.files, "shop-dev-web-2.console.log", "data"]]

    def _volume(self, name):
        return SimpleNamespace(name=lambda: name, infoFlags=lambda flags: [0, 0, len(self.files[name])])


@pytest.fixture
def logged(monkeypatch):
    logged = Logged()
    monkeypatch.setattr(
        logs, "download", lambda connection, volume, start, length: logged.files[volume.name()][start : start + length]
    )
    return logged


def read(logged, position=None):
    connection = SimpleNamespace(storagePoolLookupByName=lambda name: logged)
    return logs.read_log(session(connection), machine(), position)


def test_a_log_is_read_piece_by_piece_across_rotations_and_nothing_is_lost_or_twice(logged):
    whole, seen, position = b"", b"", None
    for step in range(60):
        data = f"line {step} {'x' * (step * 7 % 300)}\n".encode()
        logged.write(data)
        whole += data
        if step % 7 == 3:
            logged.rotate()
        if step % 3 != 1:  # now and then a look comes only after more was written, or after a rotation
            piece = read(logged, position)
            assert not piece.lost
            seen, position = seen + piece.data, piece.position
    seen += read(logged, position).data
    assert seen == whole


def test_the_first_look_gives_all_that_is_kept(logged):
    for part in (b"a\n", b"b\n", b"c\n"):
        logged.write(part)
        logged.rotate()
    logged.write(b"d\n")
    assert read(logged).data == b"a\nb\nc\nd\n"


def test_a_log_that_was_cut_meanwhile_is_told_as_lost(logged):
    logged.write(b"before\n")
    position = read(logged).position
    logged.files.clear()
    logged.write(b"after a new start\n")
    piece = read(logged, position)
    assert (piece.data, piece.lost) == (b"after a new start\n", True)
    again = read(logged, piece.position)
    assert (again.data, again.lost) == (b"", False)


def test_a_machine_that_was_never_started_has_printed_nothing(logged):
    piece = read(logged)
    assert (piece.data, piece.lost) == (b"", False)
    logged.write(b"now\n")
    assert read(logged, piece.position).data == b"now\n"


def test_a_console_that_is_not_kept_is_said(logged):
    native = machine().natives[0]
    without = DeployedMachine("web", (NativeState(native.token, native.name, native.id, {"name": "x", "pool": "y"}),))
    with pytest.raises(PlatformError, match="is not kept") as told:
        logs.read_log(session(None), without)
    assert "console_log: true" in told.value.fix


# ---- exec


def channels(*names, state="connected"):
    inside = "".join(f"<channel><target type='virtio' name='{name}' state='{state}'/></channel>" for name in names)
    return f"<domain><devices>{inside}</devices></domain>"


class Agent:
    """A domain with a guest agent that answers as qemu-ga does: `ends` looks until the command has ended."""

    def __init__(self, text, ends=1, **answer):
        self.text, self.ends, self.answer, self.asked = text, ends, answer, []

    def state(self):
        return [libvirt.VIR_DOMAIN_RUNNING, 0]

    def isActive(self):
        return True

    def XMLDesc(self, flags):
        return self.text

    def command(self, request, timeout):
        call = json.loads(request)
        self.asked.append(call)
        if call["execute"] == "guest-exec":
            return json.dumps({"return": {"pid": 100 + len(self.asked)}})
        self.ends -= 1
        return json.dumps({"return": {"exited": True, **self.answer} if self.ends <= 0 else {"exited": False}})


@pytest.fixture
def agent(monkeypatch):
    monkeypatch.setattr(
        agent_calls.libvirt_qemu,
        "qemuAgentCommand",
        lambda domain, request, timeout, flags: domain.command(request, timeout),
    )

    def run(domain, *words, timeout=5.0):
        return execute.execute(session(looked_up(domain)), machine(), words, timeout)

    return run


def test_a_command_is_run_without_a_shell_and_its_output_decoded(agent):
    domain = Agent(
        channels("org.qemu.guest_agent.0"), 3, exitcode=3,
        **{"out-data": base64.b64encode(b"\x00out").decode(), "err-data": base64.b64encode(b"err").decode()},
    )  # fmt: skip
    result = agent(domain, "ls", "-l", "a b")
    assert (result.exit_code, result.out, result.err, result.truncated) == (3, b"\x00out", b"err", False)
    first, *looks = domain.asked
    assert first["arguments"] == {"path": "ls", "arg": ["-l", "a b"], "capture-output": True}
    assert [look["arguments"] for look in looks] == [{"pid": 101}] * 3


def test_a_signal_and_a_cut_output_are_passed_on(agent):
    result = agent(Agent(channels("org.qemu.guest_agent.0"), signal=9, **{"out-truncated": True}), "yes")
    assert (result.exit_code, result.out, result.truncated) == (137, b"", True)


def test_a_command_that_does_not_end_in_time_is_ended(agent):
    domain = Agent(channels("org.qemu.guest_agent.0"), ends=1000)
    with pytest.raises(PlatformError, match=r"did not end in 'web' within 0\.2 s and was ended"):
        agent(domain, "sleep", "100", timeout=0.2)
    assert domain.asked[-1]["arguments"] == {"path": "kill", "arg": ["-TERM", "101"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (channels("org.provision.probe.0"), "of the built-in image `micro`"),
        (channels(), "has no channel to a guest agent"),
        (channels("org.qemu.guest_agent.0", state="disconnected"), "no guest agent runs in 'web', or not yet"),
    ],
)
def test_a_guest_without_an_agent_is_told_apart(agent, text, message):
    domain = Agent(text)
    with pytest.raises(PlatformError, match=message):
        agent(domain, "true")
    assert domain.asked == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (failure(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent is not responding"), "does not answer"),
        (
            failure(libvirt.VIR_ERR_INTERNAL_ERROR, "Failed to execute child process “x” (No such file)'"),
            "cannot run “x”",
        ),
        (failure(libvirt.VIR_ERR_INTERNAL_ERROR, "Command guest-exec has been disabled"), "may not run commands"),
        (failure(libvirt.VIR_ERR_INTERNAL_ERROR, "odd"), "failed: odd"),
    ],
)
def test_what_the_agent_refuses_is_explained(agent, error, message):
    domain = Agent(channels("org.qemu.guest_agent.0"))

    def refuse(request, timeout):
        raise error

    domain.command = refuse
    with pytest.raises(PlatformError, match=message) as told:
        agent(domain, "x")
    assert told.value.fix


# ---- snapshots

DOMAIN = """<domain type='qemu'><name>shop-dev-web</name><memory unit='MiB'>{memory}</memory>
<currentMemory unit='MiB'>{memory}</currentMemory><vcpu>1</vcpu>{tune}<os><type machine='pc-q35-7.2'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='/p/data'/>
<target dev='vda' bus='virtio'/></disk><interface type='network'><mac address='02:00:00:00:00:01'/>
<source network='lan'/><filterref filter='{filter}'/></interface></devices></domain>"""


def definition(memory=96, filter="old", tune="", format="qcow2"):
    return DOMAIN.format(memory=memory, filter=filter, tune=tune, format=format)


class Kept:
    """A domain that has one snapshot, of the definition `then`."""

    def __init__(self, then, now):
        self.now, self.calls = now, []
        self.text = f"<domainsnapshot><name>clean</name><state>running</state>{then}</domainsnapshot>"
        self.snapshot = SimpleNamespace(
            getName=lambda: "clean", getXMLDesc=lambda flags: self.text, isCurrent=lambda: 1
        )

    def state(self):
        return [libvirt.VIR_DOMAIN_RUNNING, 0]

    def isActive(self):
        return True

    def XMLDesc(self, flags):
        return self.now

    def listAllSnapshots(self):
        return [self.snapshot]

    def snapshotCreateXML(self, text, flags):
        self.calls.append(("redefine", flags))
        self.text = text

    def revertToSnapshot(self, snapshot, flags):
        self.calls.append(("revert", snapshot.getXMLDesc(0)))


def revert(kept):
    connection = SimpleNamespace(
        lookupByUUIDString=lambda uuid: kept, defineXML=lambda text: kept.calls.append(("define", text))
    )
    snapshots.revert_snapshot(session(connection), machine(), "clean")


def test_a_revert_keeps_the_definition_of_the_last_up():
    kept = Kept(definition(), definition())
    revert(kept)
    assert [name for name, _ in kept.calls] == ["revert", "define"]
    assert kept.calls[-1][1] == definition()


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (definition(filter="old"), definition(filter="new")),
        (definition(), definition().replace("<filterref filter='old'/>", "")),
        (definition(), definition(tune="<cputune><quota>50000</quota></cputune>")),
        (definition(tune="<memtune><hard_limit>9</hard_limit></memtune>"), definition()),
    ],
)
def test_a_revert_never_brings_old_filters_or_limits_back(then, now):
    kept = Kept(then, now)
    revert(kept)
    (first, flags), (second, text), _ = kept.calls
    assert (first, second) == ("redefine", "revert")
    assert flags == libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
    for part in ("filterref", "quota", "hard_limit", "new"):
        assert (part in text) is (part in now)


def test_a_machine_with_other_hardware_is_not_reverted():
    kept = Kept(definition(memory=96), definition(memory=128))
    with pytest.raises(PlatformError, match=r"was changed since .* Memory in MiB.* \(then 96, now 128\)"):
        revert(kept)
    assert kept.calls == []


ENCRYPTED = (
    "<domain><devices><disk type='file'><driver type='qcow2'/><target dev='vda'/>"
    "<source file='/p/web.qcow2'><encryption format='luks'/></source></disk></devices></domain>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (definition(format="raw"), "vda is no qcow2 volume"),
        ("<domain><devices/></domain>", "has no disk that could hold a snapshot"),
        (ENCRYPTED, "vda is encrypted, and QEMU makes no snapshots in encrypted volumes"),
    ],
)
def test_a_machine_that_cannot_be_kept_as_a_whole_is_refused(text, message):
    kept = Kept(definition(), text)
    with pytest.raises(PlatformError, match=message):
        snapshots.create_snapshot(session(looked_up(kept)), machine(), "new")
    assert kept.calls == []


def test_an_unknown_snapshot_names_those_that_there_are():
    kept = Kept(definition(), definition())
    with pytest.raises(NotFound, match="has no snapshot 'other'") as told:
        snapshots.delete_snapshot(session(looked_up(kept)), machine(), "other")
    assert told.value.fix == "there are: clean"
