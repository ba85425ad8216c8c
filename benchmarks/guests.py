"""N guests up and down again: `provision`, plain `pulumi`, a plain libvirt-python script, and virsh, in turns.

    python benchmarks/guests.py [--rounds R] [--arms provision,pulumi,script,virsh] [N ...]

Everything runs on a private hypervisor of its own that is started before and stopped after. What `provision up` made is
read back from libvirt once (pool, volumes with their content, filters, networks, domains) and given to the other arms
as a directory of definitions, so that all make the same. Every arm is a process, timed from its start to its end, and
its guests are ready at its end. Targets: `provision up` takes at most 1.15 times as long as the script, whose guests
start at the same time in threads, and `provision down` less than the script that removes one guest after the other. The
ratio is that of the medians; with few rounds on a busy machine look at that of the fastest ones too, and at the seconds
of the processors (user and system, of the arm's own processes: not of libvirt and the guests), which it changes least.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import libvirt
from provision_libvirt.resources.filter_list import all_filters

from provision.host.engine import find_engine
from provision.spi import registry

UP, DOWN = 1.15, 1.0
HERE = Path(__file__).parent
_FLAGS = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE

STACK = """\
version: 1
platform: libvirt
networks:
  lan: {{cidr: 10.99.0.0/24, cidr6: "fd00:99::/64", internet: routed}}
machines:
  guest:
    image: micro
    count: {count}
    memory: 96MiB
    ready_timeout: 10m
    nics: [{{network: lan}}]
isolation:
  policies:
    echo: {{kind: traffic, from: [machine.guest], to: [machine.guest], allow: [tcp/7, icmp]}}
"""


def record(uri: str, foreign: set[str], directory: Path) -> None:
    """Write everything on a hypervisor into `directory` but the filters that are `foreign`."""
    connection = libvirt.open(uri)
    number = 0

    def write(kind: str, name: str, text: str, **beside: bytes) -> None:
        nonlocal number
        number += 1
        base = directory / f"{number:03}-{kind}-{name}"
        for ending, content in {"xml": text.encode(), **beside}.items():
            base.with_name(f"{base.name}.{ending}").write_bytes(content)

    for pool in connection.listAllStoragePools():
        write("pool", pool.name(), pool.XMLDesc())
        for volume in pool.listAllVolumes():
            write(
                "volume", volume.name(), volume.XMLDesc(), img=_content(connection, volume), pool=pool.name().encode()
            )
    for name, text in _in_order({one.name(): one.XMLDesc() for one in all_filters(connection)}, foreign):
        write("filter", name, text)
    for network in connection.listAllNetworks():
        write("network", network.name(), network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
    for domain in connection.listAllDomains():
        write("domain", domain.name(), domain.XMLDesc(_FLAGS))
    connection.close()


def _in_order(filters: dict[str, str], foreign: set[str]) -> Iterator[tuple[str, str]]:
    """Each filter after those that it refers to."""
    done = set(foreign)

    def give(name: str) -> Iterator[tuple[str, str]]:
        if name not in done:
            done.add(name)
            for reference in ElementTree.fromstring(filters[name]).iterfind("filterref"):
                yield from give(reference.get("filter", ""))
            yield name, filters[name]

    for name in filters:
        yield from give(name)


def _content(connection: Any, volume: Any) -> bytes:
    parts: list[bytes] = []
    stream = connection.newStream()
    volume.download(stream, 0, 0)
    stream.recvAll(lambda _, data, kept: kept.append(data), parts)
    stream.finish()
    return b"".join(parts)


class Arms:
    """Ways to make and remove the same guests."""

    def __init__(self, directory: Path, uri: str, count: int) -> None:
        """A project of `count` guests in `directory`, and what it makes as definitions."""
        self._uri = uri
        self.project = directory / f"bench{count}"
        self.project.mkdir()
        (self.project / "Pulumi.yaml").write_text(f"name: bench{count}\nruntime: provision\n")
        (self.project / "stack.yaml").write_text(STACK.format(count=count))
        self.definitions = directory / f"definitions{count}"
        self.definitions.mkdir()
        self._provision = str(Path(sysconfig.get_path("scripts"), "provision"))
        engine = find_engine()
        assert engine is not None
        self._pulumi = str(engine.path)
        self.ways: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "provision": (lambda: self._cli("up"), lambda: self._cli("down")),
            "pulumi": (lambda: self._engine("up"), lambda: self._engine("destroy")),
            "script": (lambda: self._script("up"), lambda: self._script("down")),
            "threads": (lambda: self._script("up"), lambda: self._script("down-threads")),
            "virsh": (lambda: self._virsh("up"), lambda: self._virsh("down")),
        }

    def prepare(self) -> None:
        """Make everything once, and read it back."""
        connection = libvirt.open(self._uri)
        foreign = {one.name() for one in all_filters(connection)}
        connection.close()
        self._cli("up")
        record(self._uri, foreign, self.definitions)
        self._cli("down")

    def _cli(self, verb: str) -> None:
        self._run([self._provision, verb, str(self.project), "--yes"])

    def _engine(self, verb: str) -> None:
        self._run([self._pulumi, verb, "--cwd", str(self.project), "--stack", "dev", "--yes", "--skip-preview"])

    def _script(self, verb: str) -> None:
        self._run([sys.executable, str(HERE / "plain.py"), verb, str(self.definitions), self._uri])

    def _virsh(self, verb: str) -> None:
        self._run(["sh", str(HERE / "plain.sh"), verb, str(self.definitions), self._uri])

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}")


@dataclass
class Taken:
    """What one way of one arm took, all rounds: seconds, and seconds of the processors."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def time(self, step: Callable[[], None]) -> None:
        """One round."""
        started, used = time.monotonic(), _cpu()
        step()
        self.wall.append(time.monotonic() - started)
        self.cpu.append(_cpu() - used)


def _cpu() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def compare(arms: Arms, wanted: list[str], rounds: int) -> dict[str, tuple[Taken, Taken]]:
    """What each arm takes up and down, all rounds; each begins with another arm."""
    found = {arm: (Taken(), Taken()) for arm in wanted}
    for number in range(rounds):
        shift = number % len(wanted)
        for arm in wanted[shift:] + wanted[:shift]:
            for taken, step in zip(found[arm], arms.ways[arm], strict=True):
                taken.time(step)
            up, down = found[arm]
            print(f"  {arm:<9} up {up.wall[-1]:6.1f} s (cpu {up.cpu[-1]:.2f}), down {down.wall[-1]:6.1f} s"
                  f" (cpu {down.cpu[-1]:.2f}), load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)  # fmt: skip
    return found


def show(count: int, found: dict[str, tuple[Taken, Taken]]) -> bool:
    """Print the medians, and what they are of the script's; whether the targets are met."""
    fine = True
    for direction, verb, target in ((0, "up", UP), (1, "down", DOWN)):
        base = found["script"][direction].wall if "script" in found else None
        for arm, both in found.items():
            wall, cpu = both[direction].wall, statistics.median(both[direction].cpu)
            median, least = statistics.median(wall), min(wall)
            line = (
                f"{count:>3} guests {verb:<4} {arm:<9} median {median:6.2f} s, least {least:6.2f} s, cpu {cpu:5.2f} s"
            )
            if base is not None and arm != "script":
                ratio = median / statistics.median(base)
                line += f"; of the script's {ratio:5.2f}, {least / min(base):5.2f}"
                if arm == "provision":
                    line += f" (target <= {target})"
                    fine &= ratio <= target
            print(line, flush=True)
    return fine


@contextmanager
def laboratory() -> Iterator[tuple[Path, str]]:
    """A private hypervisor: a directory for projects, with the environment set for commands, and its URI."""
    provider: Any = registry.load("libvirt")
    provider.prepare(lambda text: print(text, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as name:
        directory = Path(name)
        (directory / "state").mkdir()
        lab = provider.lab_start(directory / "lab", lambda text: print(text, file=sys.stderr))
        try:
            os.environ.update(lab.environment)
            os.environ["PULUMI_BACKEND_URL"] = f"file://{directory / 'state'}"
            os.environ["PULUMI_CONFIG_PASSPHRASE"] = ""
            os.environ["PULUMI_HOME"] = str(directory / "home")
            os.environ["PULUMI_SKIP_UPDATE_CHECK"] = "true"
            os.environ["PYTHON"] = sys.executable
            command = [str(Path(sysconfig.get_path("scripts"), "provision")), "setup"]
            subprocess.run(command, check=True, stdout=sys.stderr)
            yield directory, lab.config["uri"]
        finally:
            provider.lab_stop(directory / "lab", lambda text: print(text, file=sys.stderr))


def main() -> int:
    """Print the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1, 10, 20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--arms", default="provision,pulumi,script,threads" + (",virsh" if shutil.which("virsh") else "")
    )
    arguments = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what an installer compiles is not to be compiled at each start
    fine = True
    with laboratory() as (directory, uri):
        for count in arguments.counts:
            arms = Arms(directory, uri, count)
            arms.prepare()
            fine &= show(count, compare(arms, arguments.arms.split(","), arguments.rounds))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
