"""Calls to a cloud and seconds for many servers: ours beside a plain openstacksdk script, and the calls of a refresh.

    python benchmarks/openstack_calls.py [--engine] [--lab DIRECTORY] [N ...]

The cloud is the plugin's tests' own: real keystone, nova, neutron, glance and cinder, and hosts that run nothing. It is
started before and stopped after; `--lab` takes one that runs. Each measurement has a project of its own, with nothing
in it. Every HTTP request is counted, of logging in and of asking services for their versions too.

Ours is the plugin without the engine: the same objects are made, each by its own type with marker, looking for what
was left, and waiting. `--engine` also measures `provision up`, with state written always and once at its end
(PULUMI_SKIP_CHECKPOINTS; benchmarks only): the difference is the engine's writing of state. Of what is left, the part
before the first change is the command's own start and the questions to the cloud, and is named. Beside seconds of the
clock stand those of the processors, of the cloud's services and of whoever asks them: on a busy machine these alone
say something, and where the services share its processors with what is measured, they are what the clock's come from.

Targets: from 10 servers on at most 1.1 times the calls of the plain script, and 1.15 times its seconds; `provision up`
at most 1.15 times, the engine's writing of state left out. A smaller stack has a further look at each kind of object,
whatever their number, for what interrupted runs left.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/labs/openstack"))

import openstack_plain
import requests
from direct import Direct
from openstack_lab import Lab, start
from openstack_lab.layout import load
from provision_openstack.config import OpenStackConfig
from provision_openstack.resources import Network, Port, SecurityGroup, SecurityGroupRule, Server, Subnet
from provision_openstack.services import ID
from provision_openstack.session import Session

PARALLEL = 16
"""Servers at a time, of both: as many as `provision` makes by itself on few processors."""

MOST_CALLS, MOST_SECONDS, FEWEST = 1.1, 1.15, 10
FIXED_OBJECTS = 5

STACK_FILE = """\
version: 1
platform: openstack
networks:
  lan: {{cidr: 10.0.0.0/16}}
images:
  tiny: {{sources: {{openstack: {{kind: named, name: tiny}}}}}}
machines:
  web: {{image: tiny, memory: 64MiB, count: {count}, nics: [{{network: lan}}], root: {{disposable: true}}}}
isolation:
  policies:
    web: {{kind: traffic, from: [network.lan], to: [machine.web], allow: [tcp/80]}}
"""
_ONCE = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}


class Busy(NamedTuple):
    """Seconds of processors."""

    services: float
    ours: float

    def since(self, before: "Busy") -> "Busy":
        """What came after `before`."""
        return Busy(self.services - before.services, self.ours - before.ours)

    def __str__(self) -> str:
        """For people."""
        return f"{self.services + self.ours:.1f} s of processors ({self.services:.1f} the cloud's)"


class Taken(NamedTuple):
    """What a piece of work took."""

    calls: Counter[str]
    seconds: float
    busy: Busy


def taken(lab: Lab, work: Callable[[], Any]) -> Taken:
    """What `work` takes in requests and seconds."""
    with counted() as calls:
        before, begun = busy(lab), time.monotonic()
        work()
        return Taken(calls, time.monotonic() - begun, busy(lab).since(before))


def busy(lab: Lab) -> Busy:
    """What the processors did until now for the services, and for this process and those that it has waited for."""
    services, heads = 0, set(lab.processes().values())
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()  # proc(5), from the third on
            if int(fields[3]) in heads:  # each service has a session of its own
                services += sum(int(ticks) for ticks in fields[11:15])
    return Busy(services / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4]))


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Every HTTP request that is made meanwhile."""
    calls: Counter[str] = Counter()
    lock, usual = threading.Lock(), requests.Session.send

    def count(session: Any, request: Any, **more: Any) -> Any:
        path = ID.sub("ID", request.url.partition("://")[2].partition("/")[2].partition("?")[0])
        with lock:
            calls[f"{request.method} /{path}"] += 1
        return usual(session, request, **more)

    requests.Session.send = count  # type: ignore[method-assign, assignment]
    try:
        yield calls
    finally:
        requests.Session.send = usual  # type: ignore[method-assign]


class Ours:
    """The resource types, used as the engine uses them."""

    def __init__(self, image: str, flavor: str) -> None:
        """In the project that the environment names."""
        self._image, self._flavor = image, flavor
        self._session: Session
        self._types = Direct("openstack", PARALLEL)

    def _make(self, kind: Any, word: str, /, **inputs: Any) -> str:
        return self._types.make(self._session, kind, word, **inputs)

    def make(self, addresses: list[str]) -> None:
        """The same as the plain script."""
        self._session = Session(OpenStackConfig())
        network = self._make(Network, "network", name="bench")
        subnet = self._make(Subnet, "subnet", name="bench", network_id=network, cidr="10.0.0.0/16")
        group = self._make(SecurityGroup, "group", name="bench", exclusive=True)
        for direction in ("ingress", "egress"):
            rule = {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80, "remote_ip_prefix": "10.0.0.0/8"}
            said = {"direction": direction, "ethertype": "IPv4", **rule}
            self._make(SecurityGroupRule, direction, security_group_id=group, **said)

        def one(address: str) -> None:
            fixed = [{"subnet_id": subnet, "ip_address": address}]
            port = self._make(
                Port, f"port-{address}",
                network_id=network, name=address, fixed_ips=fixed, security_group_ids=[group],
            )  # fmt: skip
            nics = [{"port_id": port}]
            self._make(Server, address, name=address, image_id=self._image, flavor_id=self._flavor, nics=nics)

        self._types.together(one, addresses)

    def refresh(self) -> None:
        """Look at everything, as another process."""
        self._session.close()
        session = Session(OpenStackConfig())
        self._types.read(session)
        session.close()


class Deployed:
    """A stack file, deployed by the command."""

    def __init__(self, folder: Path, count: int) -> None:
        """Write its files."""
        folder.mkdir(exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        (self._folder / "Pulumi.yaml").write_text(f"name: many{count}{self._folder.name}\nruntime: provision\n")
        (self._folder / "stack.yaml").write_text(STACK_FILE.format(count=count))

    def run(self, verb: str, **more: str) -> float:
        """Seconds of a command."""
        program = str(Path(sysconfig.get_path("scripts"), "provision"))
        words = [program, verb, *(["--yes"] if verb in ("up", "down") else []), str(self._folder)]
        begun = time.monotonic()
        done = subprocess.run(words, env=os.environ | more, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{verb} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        return time.monotonic() - begun


def measure(lab: Lab, count: int, folder: Path | None) -> bool:
    """Both, one after the other; whether the targets are met."""
    import openstack

    addresses = [str(IPv4Address("10.0.1.0") + number) for number in range(count)]
    image, flavor = lab.image(), lab.flavor()
    os.environ.update(lab.project("bench").environment)
    ours = Ours(image, flavor)
    plain = taken(lab, lambda: openstack_plain.make(openstack.connect(), image, flavor, addresses, PARALLEL))
    openstack_plain.clean(openstack.connect())
    own = taken(lab, lambda: ours.make(addresses))
    looked = taken(lab, ours.refresh)
    openstack_plain.clean(openstack.connect())
    calls, seconds = own.calls.total() / plain.calls.total(), own.seconds / plain.seconds
    print(
        f"{count:5} servers: plain {plain.calls.total()} calls in {plain.seconds:.1f} s; ours {own.calls.total()} "
        f"calls in {own.seconds:.1f} s: {calls:.2f} times the calls, {seconds:.2f} times the seconds; refresh of "
        f"{2 * count + FIXED_OBJECTS} objects {looked.calls.total()} calls in {looked.seconds:.1f} s"
    )
    print(f"        plain {plain.busy}; ours {own.busy}")
    difference = Counter(own.calls)
    difference.subtract(plain.calls)
    for name, number in sorted(difference.items(), key=lambda item: -item[1]):
        if number:
            print(f"        {number:+} {name}")
    met = count < FEWEST or (calls <= MOST_CALLS and seconds <= MOST_SECONDS)
    return (folder is None or _with_engine(lab, Deployed(folder, count), plain.seconds)) and met


def _with_engine(lab: Lab, stack: Deployed, plain: float) -> bool:
    """Whether the target is met: against the script as somebody starts it, who waits for Python and openstacksdk."""
    seconds, spent = {}, {}
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import openstack"], check=True)
    starting = time.monotonic() - begun
    plain += starting
    for name, more in (("always", {}), ("once", _ONCE)):
        stack.run("preview")
        before = stack.run("preview")
        begun = busy(lab)
        seconds[name] = stack.run("up", **more)
        spent[name] = busy(lab).since(begun)
        stack.run("down", **_ONCE)
    print(
        f"        the script {plain:.1f} s with its own start of {starting:.1f} s; "
        f"`provision up` {seconds['always']:.1f} s ({seconds['always'] / plain:.2f} times), of which the "
        f"engine writes state {seconds['always'] - seconds['once']:.1f} s; without that {seconds['once']:.1f} s "
        f"({seconds['once'] / plain:.2f} times); a preview, which makes nothing, takes {before:.1f} s\n"
        f"        {spent['always']}; state written once: {spent['once']}"
    )
    return seconds["once"] / plain <= MOST_SECONDS


def main() -> int:
    """Measure; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1, 10, 50], metavar="N", help="How many servers.")
    parser.add_argument("--engine", action="store_true", help="Also `provision up`.")
    parser.add_argument("--lab", type=Path, help="Folder of a lab that runs.")
    chosen = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what an installer compiles is not to be compiled at each start
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        known = load(chosen.lab.resolve()) if chosen.lab is not None else None
        lab = Lab(known) if known is not None else start(folder / "lab", say=print)
        os.environ |= {
            "PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_HOME": str(folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "",
        }  # fmt: skip
        try:
            if chosen.engine:
                setup = [str(Path(sysconfig.get_path("scripts"), "provision")), "setup"]
                subprocess.run(setup, check=True, stdout=subprocess.DEVNULL)
            met = [measure(lab, count, folder / "stacks" if chosen.engine else None) for count in chosen.counts]
        finally:
            if known is None:
                lab.stop()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
