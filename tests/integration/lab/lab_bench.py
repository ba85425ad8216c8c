"""A stack's folder on the private hypervisor, as a person has it: driven by both commands, looked at from outside."""

import json
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import libvirt
from documented import documented_output
from provision_libvirt.resources.filter_list import all_filters

ROOT = Path(__file__).resolve().parents[3]
STACK = "dev"

STALE_LOCK = "warning: removed the lock of an earlier run that was killed on this machine"

TINY = "images: {tiny: {sources: {libvirt: {kind: file, path: tiny.img, format: raw}}}}\n"
"""Top-level lines for an image without a system: its machines count as up once they run, which takes no time."""


@dataclass(frozen=True)
class Done:
    """A command that ended; `text` is all that it printed."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self):
        return self.out + self.err


class Hypervisor:
    """The private hypervisor, seen by its own tools and not by the product."""

    def __init__(self, directory, environment):
        libvirt.registerErrorHandler(lambda context, error: None, None)
        self.directory = directory
        self.environment = environment
        self.uri = environment["LIBVIRT_DEFAULT_URI"]

    @cached_property
    def connection(self):
        return libvirt.open(self.uri)

    def reconnect(self):
        """Wait for the answer of a daemon that was started anew."""

        def answers():
            self.__dict__.pop("connection", None)
            try:
                return self.connection.getLibVersion()
            except libvirt.libvirtError:
                return None

        until(answers, "an answer of libvirtd")

    def virsh(self, *words, text=None):
        """What a person does by hand; `text` is given as the file that the command asks for."""
        file = self.directory.with_name(f"{self.directory.name}.xml")
        if text is not None:
            file.write_text(text)
            words = (*words, str(file))
        try:
            done = subprocess.run(
                ["virsh", "-q", "-c", self.uri, *words], capture_output=True, text=True, timeout=240, check=False
            )
        finally:
            file.unlink(missing_ok=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, *words):
        """Run a command in the hypervisor's own network, as root of its host does."""
        pid = json.loads((self.directory / "lab.json").read_text())["pid"]
        return subprocess.run(
            ["nsenter", "-t", str(pid), "-n", *words], capture_output=True, text=True, timeout=60, check=True
        ).stdout

    def rules_of_a_change(self):
        """Packet rules that are there while filters change or machines start, and not afterwards."""
        saved = self.inside("iptables-save") + self.inside("ip6tables-save")
        return [line for line in saved.splitlines() if re.match(r":(hold|provision-way)", line)]

    def _all(self):
        c = self.connection
        return {
            "domain": c.listAllDomains(),
            "network": c.listAllNetworks(),
            "filter": all_filters(c),
            "pool": c.listAllStoragePools(),
        }

    def objects(self, prefix):
        """Kind -> names of everything whose name begins with `prefix`."""
        found = {
            kind: sorted(item.name() for item in items if item.name().startswith(prefix))
            for kind, items in self._all().items()
        }
        return {kind: names for kind, names in found.items() if names}

    def uuids(self, prefix):
        """(kind, name) -> UUID of everything whose name begins with `prefix`."""
        return {
            (kind, item.name()): item.UUIDString()
            for kind, items in self._all().items()
            for item in items
            if item.name().startswith(prefix)
        }

    def running(self, prefix):
        """Name -> number of the start of every running domain; a restart gives another number."""
        return {
            d.name(): d.ID() for d in self.connection.listAllDomains() if d.name().startswith(prefix) and d.ID() > 0
        }

    def files(self, name, place="lib/images"):
        """Names of the files of a pool, also when libvirt no longer knows it."""
        folder = self.directory / place / name
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else None

    def wipe(self, prefix):
        """Remove all that a failed test left, so that the next begins with nothing."""
        c = self.connection
        for domain in c.listAllDomains():
            if domain.name().startswith(prefix):
                if domain.isActive():
                    domain.destroy()
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
        for thing in [*c.listAllNetworks(), *c.listAllStoragePools()]:
            if thing.name().startswith(prefix):
                if thing.isActive():
                    thing.destroy()
                thing.undefine()
        for _ in range(4):
            for item in all_filters(c):
                if item.name().startswith(prefix):
                    try:
                        item.undefine()
                    except libvirt.libvirtError:
                        continue


@dataclass
class Deployment:
    """One stack: its folder, its state, its objects."""

    project: str
    folder: Path
    env: dict
    engine: Path
    hypervisor: Hypervisor
    leaves: bool = False
    """Set by a test that says what it leaves behind."""
    started: list = field(default_factory=list)

    @property
    def prefix(self):
        return f"{self.project}-{STACK}"

    # ---- the folder

    @property
    def file(self):
        return self.folder / "stack.yaml"

    def write(self, text):
        self.file.write_text(text)

    def edit(self, old, new):
        text = self.file.read_text()
        assert old in text, f"the file has no {old!r}"
        self.file.write_text(text.replace(old, new))

    def configure(self, key, value):
        self.fine("pulumi", "config", "set", key, value)

    # ---- the commands

    def begin(self, *words):
        """Start a command in a session of its own, as a terminal does."""
        words = [str(self.engine) if words[0] == "pulumi" else words[0], *map(str, words[1:])]
        process = subprocess.Popen(
            words, cwd=self.folder, env=self.env | {"PYTHONFAULTHANDLER": "1"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def until(self, condition, what, process):
        """Wait for what a command brings about; where it does not, what it said, or where it hangs, is told."""
        try:
            until(lambda: condition() or process.poll() is not None, what)
        except AssertionError:
            process.send_signal(signal.SIGABRT)  # Python's fault handler prints what all threads do
            self.end(process)
            raise
        if process.poll() is not None:
            done = self.end(process)
            raise AssertionError(f"{what} did not come: exit {done.code}, {' / '.join(done.text.splitlines())}")

    def end(self, process, timeout=480):
        began = time.monotonic()
        out, err = process.communicate(timeout=timeout)
        done = Done(process.returncode, out, err, time.monotonic() - began)
        if done.code >= 0:
            documented_output(process.args, out)
        print(f"$ {' '.join(map(str, process.args))}\n{done.text}-- exit {done.code} after {done.seconds:.1f} s")
        return done

    def pulumi(self, *words):
        if words[0] in ("up", "destroy", "refresh"):
            words = (*words, "--yes", *(() if words[0] == "refresh" else ("--skip-preview",)))
        return self.end(self.begin("pulumi", *words, "--non-interactive", "--color", "never", "--stack", STACK))

    def provision(self, *words):
        yes = ("--yes",) if words[0] in ("up", "down") else ()
        return self.end(self.begin("provision", *words, *yes))

    def fine(self, *words):
        """Run `pulumi …` or `provision …`, which must succeed without a word of warning or a traceback."""
        done = (self.pulumi if words[0] == "pulumi" else self.provision)(*words[1:])
        assert done.code == 0, done.text
        assert "Traceback" not in done.text
        assert "warning:" not in done.text.replace(STALE_LOCK, ""), done.text
        return done

    def changes(self, command="preview"):
        """What `up` would change: name -> operation."""
        answer = json.loads(self.fine("provision", command, "--format", "json").out)
        return {step["name"]: step["op"] for step in answer["steps"] if not step["type"].startswith("pulumi:")}

    def refused(self, *words):
        """Run a command that must fail with a message and no traceback."""
        done = (self.pulumi if words[0] == "pulumi" else self.provision)(*words[1:])
        assert done.code != 0, done.text
        assert "Traceback" not in done.text, done.text
        return done

    # ---- the state

    @property
    def _state(self):
        return self.folder.parent / f"state/.pulumi/stacks/{self.project}/{STACK}.json"

    def resources(self):
        """Pulumi name -> recorded resource."""
        if not self._state.exists():
            return {}
        return {item["urn"].split("::")[3]: item for item in self._latest().get("resources", [])}

    def pending(self):
        """URNs of operations that the state says were begun and not ended."""
        return [item["resource"]["urn"] for item in self._latest().get("pending_operations", [])]

    def recorded(self):
        """How many resources the state holds, also in the middle of a run."""
        try:
            return len(self._latest().get("resources", []))
        except ValueError:  # it is just being written
            return 0

    def _latest(self):
        return json.loads(self._state.read_text())["checkpoint"]["latest"] or {}

    def urn(self, name):
        return self.resources()[name]["urn"]

    # ---- the objects

    @property
    def objects(self):
        return self.hypervisor.objects(self.prefix)

    @property
    def uuids(self):
        return self.hypervisor.uuids(self.prefix)

    @property
    def running(self):
        return self.hypervisor.running(self.prefix)

    def recorded_uuids(self):
        """Identities of all domains, networks, filters and pools of the state."""
        kinds = ("domain:Domain", "network:Network", "nwfilter:Filter", "storage:Pool")
        return sorted(
            r["id"] for r in self.resources().values() if r["type"].endswith(kinds) and r["type"][:9] != "provision:"
        )

    def assert_exact(self):
        """The hypervisor holds what the state says: nothing missing, twice or left over."""
        recorded = set(self.recorded_uuids())
        unknown = {name: uuid for name, uuid in self.uuids.items() if uuid not in recorded}
        assert unknown == {}, f"on no record: {unknown}"
        assert recorded - set(self.uuids.values()) == set(), "recorded, but not there"
        pending = self.pending()
        assert pending == [], f"still noted as pending: {pending}"

    def domain(self, machine):
        return self.hypervisor.connection.lookupByName(f"{self.prefix}-{machine}")

    def memory_mib(self, machine):
        return self.domain(machine).info()[1] // 1024

    def console(self, machine):
        return self.fine("provision", "console", machine, "--log").out

    def printed(self, machine, text, times=1):
        """What a guest has printed, once `text` is there so often: it is ready a moment before it prints so."""
        said = f"'{text}' on the console of {machine}"
        return until(lambda: (log := self.console(machine)).count(text) >= times and log, said, pause=0.5)

    def kill(self, process):
        """kill -9 the command, the engine, its plugins: everything of the session, and every plugin's own group."""
        pids = [process.pid, *descendants(process.pid)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                continue
        for pid in {*pids, *descendants(process.pid)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.communicate(timeout=30)


def descendants(pid):
    """Process ids of all children of a process, and of theirs."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found, look = [], [pid]
    while look:
        parent = look.pop()
        children = [child for child, its in parents.items() if its == parent]
        found += children
        look += children
    return found


def until(condition, what, seconds=240.0, pause=0.05):
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(pause)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def filter_that_accepts_all(text):
    """The XML of a packet filter with every rule and reference replaced by one that lets everything pass."""
    root = ET.fromstring(text)
    for child in list(root):
        if child.tag != "uuid":
            root.remove(child)
    rule = ET.SubElement(root, "rule", {"action": "accept", "direction": "inout", "priority": "-1000"})
    ET.SubElement(rule, "all")
    return ET.tostring(root, encoding="unicode")


def first_process(hypervisor):
    """The id, as this machine sees it, of the lab's first process."""
    return json.loads((hypervisor.directory / "lab.json").read_text())["pid"]


def lab_process(hypervisor, name):
    """The id, as this machine sees it, of a daemon of the lab; None when it does not run."""
    found = subprocess.run(["pgrep", "-x", name, "--ns", str(first_process(hypervisor)), "--nslist", "pid"],
                           capture_output=True, text=True, check=False)  # fmt: skip
    return found.stdout.split()[0] if found.stdout.split() else None
