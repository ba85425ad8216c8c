"""Many machines: how the time of `provision up` grows with them, and which part of it is the engine's writing of state.

    python benchmarks/thousand.py [--rounds R] [--once] [N ...]

Machines are those of libvirt's test driver, which keeps them in the memory of a daemon and runs nothing, so that what
is left is ours, the engine's and libvirt's bookkeeping. The daemon is a private one, started before and stopped after,
and a connection is held all the time: with the last one the driver forgets everything.

The engine writes the whole state after every step. How long that takes is what a run takes longer than one that writes
it once, at its end (PULUMI_EXPERIMENTAL and PULUMI_SKIP_CHECKPOINTS; benchmarks only: a run that is killed then leaves
no record of what it made). Target: without that part a further machine takes at most 1.25 times as long among the most
machines as among few; counted in seconds of the processors, as a busy machine slows the clock.
"""

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import libvirt

from provision.spi import registry

TARGET = 1.25
ONCE = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
STEPS = ("up", "again", "refresh", "down")

STACK = """\
version: 1
platform: libvirt
networks:
  lan: {{cidr: 10.0.0.0/16}}
machines:
  web: {{image: micro, memory: 96MiB, count: {count}, nics: [{{network: lan}}]}}
isolation: {{default: allow}}
"""


class Taken(NamedTuple):
    """Seconds by the clock, and of the processors: of the command and whatever it starts, the hypervisor left out."""

    clock: float
    busy: float


class Project:
    """A stack of some machines, made and removed as often as is wanted."""

    def __init__(self, directory: Path, count: int) -> None:
        """Write its files."""
        self._directory = directory / f"many{count}"
        self._directory.mkdir()
        (self._directory / "Pulumi.yaml").write_text(f"name: many{count}\nruntime: provision\n")
        (self._directory / "stack.yaml").write_text(STACK.format(count=count))

    def run(self, verb: str, extra: dict[str, str]) -> Taken:
        """What one command takes."""
        words = {"again": ["up", "--yes"], "up": ["up", "--yes"], "down": ["down", "--yes"]}.get(verb, [verb])
        program = str(Path(sysconfig.get_path("scripts"), "provision"))
        with tempfile.TemporaryFile() as said:
            started = time.monotonic()
            process = subprocess.Popen(
                [program, *words, str(self._directory)],
                env=os.environ | extra, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            taken = Taken(time.monotonic() - started, usage.ru_utime + usage.ru_stime)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{verb} ended with {process.returncode}:\n{said.read()[-4000:].decode()}")
        return taken


def measure(projects: Mapping[int, Project], rounds: int, *, once: bool) -> dict[tuple[int, str], tuple[Taken, ...]]:
    """Medians by number of machines and step: with the state written always (unless `once`), and once.

    Sizes take turns, so that what else the machine does slows all alike.
    """
    kinds = (ONCE,) if once else ({}, ONCE)
    times: dict[tuple[int, str], tuple[list[Taken], ...]] = {}
    for project in projects.values():
        project.run("up", ONCE)  # what only a first run does, such as making the Pulumi stack
        project.run("down", ONCE)
    for _ in range(rounds):
        for size, project in projects.items():
            for kind, extra in enumerate(kinds):
                for step in STEPS:
                    taken = project.run(step, extra)
                    times.setdefault((size, step), tuple([] for _ in kinds))[kind].append(taken)
                    said = f"{size} machines, state {'once' if extra else 'always'}, {step}"
                    print(f"  {said}: {taken.clock:.1f} s ({taken.busy:.1f}), load {os.getloadavg()[0]:.1f}",
                          file=sys.stderr, flush=True)  # fmt: skip
    return {key: tuple(map(_median, found)) for key, found in times.items()}


def _median(found: list[Taken]) -> Taken:
    return Taken(statistics.median(one.clock for one in found), statistics.median(one.busy for one in found))


@contextmanager
def daemon() -> Iterator[Path]:
    """The daemon, running and in the environment of commands; gives a directory for projects."""
    provider: Any = registry.load("libvirt")
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as made:
        directory = Path(made)
        (directory / "state").mkdir()
        lab = provider.lab_start(directory / "lab", lambda text: print(text, file=sys.stderr))
        try:
            os.environ["LIBVIRT_DEFAULT_URI"] = lab.config["uri"].replace("qemu+unix:///system", "test+unix:///default")
            os.environ["PULUMI_BACKEND_URL"] = f"file://{directory / 'state'}"
            os.environ["PULUMI_CONFIG_PASSPHRASE"] = ""
            os.environ["PULUMI_HOME"] = str(directory / "home")
            setup = [str(Path(sysconfig.get_path("scripts"), "provision")), "setup"]
            subprocess.run(setup, check=True, stdout=sys.stderr)
            held = libvirt.open(os.environ["LIBVIRT_DEFAULT_URI"])
            yield directory
            held.close()
        finally:
            provider.lab_stop(directory / "lab", lambda text: print(text, file=sys.stderr))


def main() -> int:
    """Print the table; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[100, 300, 1000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--once", action="store_true", help="only runs that write the state once: much quicker")
    arguments = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what an installer compiles is not to be compiled at each start
    sizes = sorted({1, *arguments.sizes})
    with daemon() as directory:
        projects = {size: Project(directory, size) for size in sizes}
        found = measure(projects, arguments.rounds, once=arguments.once)
    print("seconds by the clock (of the processors); each more: what a further machine takes of the processors, in ms,")
    print("beyond the size before, with the state written once")
    print(f"machines step     {'as it is':>16} {'state once':>16} {'writing state':>16} {'each more':>10}")
    more: dict[int, float] = {}
    for (size, step), taken in found.items():
        columns = (
            [*taken, Taken(taken[0].clock - taken[1].clock, taken[0].busy - taken[1].busy)] if taken[1:] else taken
        )
        row = " ".join(f"{one.clock:>7.1f} ({one.busy:>6.1f})" for one in columns).rjust(50)
        before = max((other for other in sizes if other < size), default=0)
        apiece = (taken[-1].busy - found[before, step][-1].busy) / (size - before) * 1000 if before else 0.0
        if step == "up" and before > 1:
            more[size] = apiece
        print(f"{size:>8} {step:<8} {row} {apiece:>10.1f}" if before else f"{size:>8} {step:<8} {row}")
    ratio = more[max(more)] / more[min(more)] if len(more) > 1 else 1.0
    print(
        f"up, a further machine: {max(sizes)} beside {min(more, default=1)} machines {ratio:.2f} (target <= {TARGET})"
    )
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
