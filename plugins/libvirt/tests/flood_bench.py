"""A flood of datagrams across edits of policies: which of those that are forbidden before and after reach a machine.

Datagrams are sent at native speed from two places: from beyond the networks (what reaches a machine from there passes
the filter of frames), and from a foreign port on the machine's own bridge (what passes both layers). What the machine
is given is counted on the host's end of its NIC, behind every filter, whatever the emulated guest keeps up with.
"""

import json
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any
from xml.etree import ElementTree

from flood_probe import _COUNTS, _RECORD
from flood_states import FIRST, LAST, PORTS, SEGMENT, SEGMENT6, STATES, State
from provision_libvirt.resources import Domain, Filter
from stack_requests import addresses, request
from test_nwfilter_live import Deployment

from provision.errors import RetriableError
from provision.spi import DeleteRequest, PowerAction, PowerRequest, UpdateRequest

ENOUGH = 20 * (LAST - FIRST + 1)
_NAMES = ("outside", "the segment")
_PROBE = Path(__file__).with_name("flood_probe.py")


class Edited(Deployment):
    """Does what the engine does, with replacements: new filters, then what refers to them, then the old ones go."""

    def edit(self, document: Mapping[str, Any]) -> list[str]:
        done, gone = [], []
        wanted = {node.name: node for node in self.graph_of(document).nodes}
        for name, node in wanted.items():
            if name not in self.made:
                self.make(node)
                done.append(f"create {name}")
                continue
            kind, old, created = self.made[name]
            inputs = kind.Inputs(stack_id="5eed" * 8, **self.resolve(node.inputs))
            if inputs == old:
                continue
            if kind is Filter and inputs.content != old.content:
                gone.append(self.made[name])
                self.order.remove(name)
                self.make(node)
                done.append(f"replace {name}")
            else:
                asked = UpdateRequest(self.operation(name, kind), created.id, inputs, old, created.outputs)
                self.made[name] = (kind, inputs, type(created)(created.id, kind().update(asked).outputs))
                done.append(f"update {name}")
        for name in [name for name in reversed(self.order) if name not in wanted]:
            gone.append(self.made.pop(name))
            self.order.remove(name)
            done.append(f"delete {name}")
        for kind, inputs, created in gone:
            self._delete(kind, inputs, created)
        return done

    def _delete(self, kind: Any, inputs: Any, created: Any) -> None:
        for _ in range(40):
            try:
                return kind().delete(DeleteRequest(self.operation("gone", kind), created.id, inputs, created.outputs))
            except RetriableError:
                time.sleep(0.25)
        raise AssertionError(f"{inputs.name} is still in use")

    def down(self) -> None:
        """Remove everything; what is in use yet is left to the next round."""
        for _ in range(20):
            for name in list(reversed(self.order)):
                kind, inputs, created = self.made[name]
                request = DeleteRequest(self.operation(name, kind), created.id, inputs, created.outputs)
                with suppress(RetriableError):
                    kind().delete(request)
                    self.order.remove(name)
        assert self.order == []

    def graph_of(self, document: Mapping[str, Any]) -> Any:
        return self.provider.translate(request(dict(document), **self.facts))

    def start(self, document: Mapping[str, Any]) -> None:
        for node in self.graph_of(document).nodes:
            self.make(node)


@dataclass
class Flood:
    """What a flood showed.

    Attributes:
        forbidden: datagrams sent that no file allowed when they were sent: neither that before nor that after an edit.
        leaks: those of them that the machine was given: the edit, and the port.
        allowed: datagrams that the machine was given although it may get them: shows that the flood flows.
        silent: ports that a file allows and of which nothing came while nothing changed; there must be none.
        seconds: how long each edit took.
        uncounted: frames that the counter had no room for; it must be 0.
    """

    forbidden: int = 0
    leaks: Counter[tuple[str, int]] = field(default_factory=Counter)
    allowed: int = 0
    silent: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    uncounted: int = 0
    edits: int = 0


@dataclass(frozen=True)
class _Phase:
    """A span of time in which some ports may be reached, and what was sent at its start."""

    name: str
    begun: float
    sent: tuple[int, ...]
    allowed: tuple[frozenset[int], frozenset[int]]
    steady: bool


def flood(
    lab: Any, device: str, bridge: str, targets: Sequence[str], first: State, edits: Sequence[State],
    apply: Callable[[State], object], scratch: Path, *, rate: int, settle: float = 1.0,
) -> Flood:  # fmt: skip
    """Send while each edit is applied, and a while between them."""
    records = scratch / "records"
    phases: list[_Phase] = []
    found = Flood()
    with ExitStack() as stack:
        counter = stack.enter_context(process(lab.pid, "count", {
            "outgoing": True, "device": device, "first": FIRST, "last": LAST, "records": str(records),
        }))  # fmt: skip
        assert counter.stdout.readline().strip() == "ready"
        senders = [
            stack.enter_context(_sender(pid, number, source, source6, targets, scratch, rate // 2))
            for number, (pid, source, source6) in enumerate((
                (_outside(lab.pid), lab.outside_address, lab.outside_address6),
                (stack.enter_context(segment(lab.pid, bridge)), SEGMENT, SEGMENT6),
            ))
        ]  # fmt: skip

        def mark(name: str, allowed: tuple[frozenset[int], frozenset[int]], *, steady: bool) -> None:
            sent = tuple(counts() for _, counts in senders)
            phases.append(_Phase(name, time.time(), sent, allowed, steady))

        def rest() -> None:
            """Go on sending until every port was tried from everywhere, however slow this machine is."""
            begun, end = [counts() for _, counts in senders], time.monotonic() + 120
            time.sleep(settle)
            while any(counts() - at < ENOUGH for at, (_, counts) in zip(begun, senders, strict=True)):
                assert time.monotonic() < end, "the senders do not send"
                time.sleep(0.05)

        mark("before", first.allowed, steady=True)
        rest()
        before = first
        for after in edits:
            either = (before.allowed[0] | after.allowed[0], before.allowed[1] | after.allowed[1])
            mark(after.name, either, steady=False)
            apply(after)
            found.seconds.append(time.time() - phases[-1].begun)
            mark(f"{after.name}: done", after.allowed, steady=True)
            rest()
            before = after
        mark("end", before.allowed, steady=False)
        for sender, _ in senders:
            sender.send_signal(signal.SIGTERM)
            sender.wait(30)
        counter.send_signal(signal.SIGTERM)
        found.uncounted = json.loads(counter.communicate(timeout=60)[0].strip().splitlines()[-1])["lost"]
    _judge(found, phases, records)
    found.edits = len(edits)
    return found


def flooded(
    edited: Edited, lab: Any, edits: Sequence[State], scratch: Path, *, rate: int, settle: float,
    told: Callable[[str, float, list[str]], None] = lambda *_: None,
) -> Flood:  # fmt: skip
    """The flood of a deployment that is in the first state, with guests that are ready."""
    device, bridge, targets = _target(edited)

    def apply(after: State) -> None:
        begun = time.monotonic()
        done = edited.edit(after.document)
        told(after.name, time.monotonic() - begun, done)

    return flood(lab, device, bridge, targets, STATES[0], edits, apply, scratch, rate=rate, settle=settle)


def _target(edited: Edited) -> tuple[str, str, list[str]]:
    """Device, bridge and addresses of the machine that is flooded, once all guests are ready."""
    for machine in ("a", "b"):
        edited.provider.probe_channel(edited.session, edited.machine(machine)).close()
    (nic,) = addresses(request(dict(STATES[0].document)).stack)["a"]
    return *port_of(edited, "a"), [nic.ipv4, nic.ipv6]


def switched(
    edited: Edited, lab: Any, times: int, scratch: Path, *, rate: int, settle: float,
    told: Callable[[str, float], None] = lambda *_: None,
) -> Flood:  # fmt: skip
    """The flood of a deployment in its first state, while the other machine is stopped and started some times."""
    device, bridge, targets = _target(edited)
    steps = [replace(STATES[0], name=f"{turn} {action}") for turn in range(times) for action in ("off", "on")]

    def apply(step: State) -> None:
        begun, action = time.monotonic(), PowerAction(step.name.partition(" ")[2])
        asked = PowerRequest(action, force=action is PowerAction.OFF)
        assert edited.provider.switch_power(edited.session, edited.machine("b"), asked)
        told(step.name, time.monotonic() - begun)

    return flood(lab, device, bridge, targets, STATES[0], steps, apply, scratch, rate=rate, settle=settle)


def flooding(
    edited: Edited, lab: Any, first: State, edits: Sequence[State], scratch: Path, *, rate: int, settle: float
) -> Flood:
    """The other way: the machine itself sends to the port on its bridge, at the speed of an emulated guest."""
    device, bridge = port_of(edited, "a")
    files = {name: scratch / name for name in ("tried", "left")}
    phases: list[_Phase] = []
    found = Flood(edits=len(edits))
    with ExitStack() as stack:
        far = stack.enter_context(segment(lab.pid, bridge))
        devices = {"tried": (device, False), "left": (f"f{far}", True)}
        counters = [
            stack.enter_context(process(lab.pid, "count", {
                "outgoing": outgoing, "device": name, "first": FIRST, "last": LAST, "records": str(files[role]),
            }))
            for role, (name, outgoing) in devices.items()
        ]  # fmt: skip
        assert [counter.stdout.readline().strip() for counter in counters] == ["ready", "ready"]
        channel = edited.provider.probe_channel(edited.session, edited.machine("a"))
        stopped = Event()
        sender = Thread(target=_until, args=(stopped, channel._client, SEGMENT, rate), daemon=True)
        sender.start()

        def rest() -> None:
            begun, end = files["tried"].stat().st_size, time.monotonic() + 120
            time.sleep(settle)
            while files["tried"].stat().st_size - begun < ENOUGH * _RECORD.size:
                assert time.monotonic() < end, "the guest does not send"
                time.sleep(0.05)

        phases.append(_Phase("before", time.time(), (), first.allowed, True))
        rest()
        before = first
        for after in edits:
            either = (before.allowed[0] | after.allowed[0], frozenset[int]())
            phases.append(_Phase(after.name, time.time(), (), either, False))
            edited.edit(after.document)
            phases.append(_Phase(f"{after.name}: done", time.time(), (), after.allowed, True))
            rest()
            before = after
        phases.append(_Phase("end", time.time(), (), before.allowed, False))
        stopped.set()
        sender.join(120)
        for counter in counters:
            counter.send_signal(signal.SIGTERM)
            found.uncounted += json.loads(counter.communicate(timeout=60)[0].strip().splitlines()[-1])["lost"]
        channel.close()
    for role, file in files.items():
        for phase, counts in zip(phases[:-1], _by_phase(phases, file), strict=False):
            for (_, port), number in counts.items():
                if role == "tried":
                    found.forbidden += number if port not in phase.allowed[0] else 0
                elif port in phase.allowed[0]:
                    found.allowed += number
                else:
                    found.leaks[f"{phase.name}, from the machine", port] += number
    return found


def _until(stopped: Event, client: Any, address: str, rate: int) -> None:
    while not stopped.is_set():
        client.flood(address, (FIRST, LAST), rate=rate, seconds=1.0)


def _by_phase(phases: Sequence[_Phase], records: Path) -> list[Counter[tuple[int, int]]]:
    """How many datagrams from and to which port were seen in each phase."""
    seen: list[Counter[tuple[int, int]]] = [Counter() for _ in phases]
    at = 0
    for moment, source_port, port in _RECORD.iter_unpack(records.read_bytes()):
        while at + 1 < len(phases) and moment >= phases[at + 1].begun:
            at += 1
        seen[at][source_port, port] += 1
    return seen


def _judge(found: Flood, phases: Sequence[_Phase], records: Path) -> None:
    for phase, following in pairwise(phases):
        for sender, allowed in enumerate(phase.allowed):
            share = len(PORTS - allowed) / len(PORTS)  # senders go through all ports in turn
            found.forbidden += int((following.sent[sender] - phase.sent[sender]) * share)
    for phase, raw in zip(phases[:-1], _by_phase(phases, records), strict=False):
        counts: Counter[tuple[int, int]] = Counter()
        for (source_port, port), number in raw.items():
            counts[source_port // 1000 - 40, port] += number
        for (sender, port), number in counts.items():
            if port in phase.allowed[sender]:
                found.allowed += number
            else:
                found.leaks[f"{phase.name}, from {_NAMES[sender]}", port] += number
        found.silent += [
            f"{phase.name}: {port} from {_NAMES[sender]}"
            for sender, allowed in enumerate(phase.allowed)
            for port in allowed
            if phase.steady and not counts[sender, port]
        ]


@contextmanager
def process(pid: int, role: str, order: Mapping[str, Any]) -> Iterator[Any]:
    """A role of `flood_probe` in the network namespace of another process."""
    command = ["nsenter", "-t", str(pid), "-n", sys.executable, str(_PROBE), role, json.dumps(order)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def _sender(
    pid: int, number: int, source: str, source6: str, targets: Sequence[str], scratch: Path, rate: int
) -> Iterator[tuple[Any, Callable[[], int]]]:
    counts = scratch / f"sent-{number}"
    counts.write_bytes(bytes(8 * len(targets)))
    order = {
        "source": source, "source6": source6, "targets": list(targets), "first": FIRST, "last": LAST, "rate": rate,
        "sockets": 4, "source_port": 40000 + 1000 * number, "counts": str(counts),
    }  # fmt: skip
    with process(pid, "send", order) as sender:
        yield sender, lambda: sum(number for (number,) in struct.iter_unpack(_COUNTS.format, counts.read_bytes()))


def _outside(pid: int) -> int:
    """The peer beyond the networks, a child of the lab's first process."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if parent == str(pid) and (process / "cmdline").read_bytes().startswith(b"provision-outside"):
                    return int(process.name)
            except OSError:
                continue
    raise AssertionError("the lab has no outside peer")


@contextmanager
def segment(pid: int, bridge: str) -> Iterator[int]:
    """A port on the bridge that belongs to nobody of the stack, with a network namespace of its own behind it."""
    with subprocess.Popen(["unshare", "-n", "sleep", "infinity"]) as process:
        try:
            own = Path(f"/proc/{process.pid}/ns/net")
            end = time.monotonic() + 30
            while own.readlink() == Path("/proc/self/ns/net").readlink():
                assert time.monotonic() < end
                time.sleep(0.02)
            name = f"f{process.pid}"  # that of an earlier one is given up some time after its namespace
            _in(pid, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
            _in(pid, "ip", "link", "set", name, "master", bridge, "up")
            _in(process.pid, "ip", "link", "set", "eth0", "address", "02:00:5e:00:53:c8")
            _in(process.pid, "ip", "addr", "add", f"{SEGMENT}/24", "dev", "eth0")
            _in(process.pid, "ip", "addr", "add", f"{SEGMENT6}/64", "dev", "eth0", "nodad")
            _in(process.pid, "ip", "link", "set", "eth0", "up")
            yield process.pid
        finally:
            process.kill()


def _in(pid: int, *command: str) -> None:
    subprocess.run(["nsenter", "-t", str(pid), "-n", *command], check=True, capture_output=True)


def port_of(edited: Edited, machine: str) -> tuple[str, str]:
    """The host's end of a machine's only NIC, and its bridge."""
    kind, _, created = edited.made[f"machines/{machine}/domain"]
    assert kind is Domain
    root = ElementTree.fromstring(edited.session.connection().lookupByUUIDString(created.id).XMLDesc())
    card = root.find("devices/interface")
    return card.find("target").get("dev"), card.find("source").get("bridge")
