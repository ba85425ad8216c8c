"""A `preview` that changes nothing, of many machines, beside what the engine takes for as many trivial resources.

    python benchmarks/preview.py [--rounds R] [--processes] [N ...]

Machines are those of the in-memory platform, which forgets them with the process that made them: a preview does not
look for them. They are held against three twins (`trivial.py`), each the least that a program can be, with as many
components and as many other resources:

* `engine`: of `pulumi:index:Stash`, with one property, which the engine serves itself: nothing is sent to be checked or
  compared. No resource of a platform can be had for that.
* `plugin`: of a plugin that finds everything right and unchanged without looking, with two properties each: what the
  engine takes for any resource that is not its own.

The twins wait in processes of their own when the engine starts. All run in turns. Seconds of the processors are those
of the command and whatever it starts, and for the twins those of the engine, the registering and the plugin: a busy
machine changes them least. `--processes` says which process has how many of them, once, by looking while they run.

Targets: `provision preview` takes at most 1.5 times as long as the engine with each twin, and with `--format markdown`,
which prints the comment for a pull request, at most one second more.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from trivial import PLUGIN, SAME, SERVED, STASH

from provision.host.engine import engine_environment, find_engine
from provision.host.setup import install_shims, plugin_executables

HOST = "language host"
MOST_TIMES, MOST_MORE_S = 1.5, 1.0
TWINS = {
    "engine": "resources of the engine's own",
    "plugin": "resources of a plugin",
    "same": "resources of a plugin with the same properties",
}
PROGRAM = str(Path(sysconfig.get_path("scripts"), "provision"))
STACK = """\
version: 1
platform: memory
networks:
  lan: {{cidr: 10.0.0.0/16}}
machines:
  web: {{image: micro, memory: 64MiB, count: {count}, nics: [{{network: lan}}]}}
isolation:
  policies:
    in: {{kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}}
"""


class Taken(NamedTuple):
    """Seconds by the clock, and of the processors."""

    clock: float
    busy: float


@contextmanager
def twin(*words: str) -> Iterator[tuple[int, Callable[[], float]]]:
    """The port of a twin's process, and what asks for its seconds of the processors."""
    command = [sys.executable, str(Path(__file__).with_name("trivial.py")), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), lambda: busy(process.pid)
        finally:
            process.kill()


def busy(pid: int) -> float:
    """Seconds of the processors that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def taken(words: list[str], folder: Path, watch: Callable[[int], None] | None = None) -> Taken:
    """What a command takes; `watch` is called with its process a few times a second."""
    with tempfile.TemporaryFile() as said:
        begun = time.monotonic()
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        ended = threading.Event()

        def look() -> None:
            while watch is not None and not ended.wait(0.05):
                watch(process.pid)

        looking = threading.Thread(target=look)
        looking.start()
        _, status, usage = os.wait4(process.pid, 0)
        clock = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        looking.join()
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{words} ended with {process.returncode}:\n{said.read()[-4000:].decode()}")
    return Taken(clock, usage.ru_utime + usage.ru_stime)


class Processes:
    """What each process below a command has had of the processors when it was last seen."""

    def __init__(self) -> None:
        """Nothing was seen."""
        self._seen: dict[int, tuple[str, float]] = {}

    def look(self, top: int) -> None:
        """See the command and all that it has started."""
        below: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                except OSError:
                    continue
                below.setdefault(int(parent), []).append(int(entry.name))
        found = [top]
        for pid in found:
            found += below.get(pid, [])
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                before = self._seen.get(pid, ("", 0.0))[0]
                # One that has ended has no words any more; the one that stands by outlives the plugin it has forked.
                lasts = before == HOST or not words[0]
                self._seen[pid] = before if lasts else _role(words, pid == top, bool(below.get(pid))), busy(pid)
            except OSError:
                continue

    def add(self, role: str, seconds: float) -> None:
        """Count a process that is not below the command."""
        self._seen[-len(self._seen)] = role, seconds

    def __str__(self) -> str:
        """The seconds by role."""
        total: dict[str, float] = {}
        for role, seconds in self._seen.values():
            total[role] = total.get(role, 0) + seconds
        return ", ".join(f"{role} {seconds:.2f}" for role, seconds in total.items() if seconds >= 0.05)


def _role(words: list[str], is_top: bool, is_parent: bool) -> str:
    if Path(words[0]).name == "pulumi":
        return "engine"
    if is_top:
        return "command"
    if "provision.host.early" in words:  # the one that stands by is the language host, and forks the plugin
        return HOST if is_parent else "plugin"
    return "others"


class Stack:
    """Many machines, and their twins."""

    def __init__(self, place: Path, count: int, pulumi: str) -> None:
        """Make all, with the state written once: that is not what is measured."""
        self._pulumi, self._count = pulumi, count
        self._ours = place / f"many{count}"
        self._others = {
            kind: place / f"{name}{count}" for kind, name in ((STASH, "stashed"), (SERVED, "served"), (SAME, "same"))
        }
        self._write(self._ours, "provision")
        (self._ours / "stack.yaml").write_text(STACK.format(count=count))
        once = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
        os.environ.update(once)
        taken([PROGRAM, "up", "--yes"], self._ours)
        export = subprocess.check_output([pulumi, "stack", "export", "--stack", "dev"], cwd=self._ours)
        made = [one for one in json.loads(export)["deployment"]["resources"] if one["type"] != "pulumi:pulumi:Stack"]
        components = len([one for one in made if not one["custom"]])
        self._parts = components, len(made) - components
        self._made = place / f"made{count}.json"
        self._made.write_text(json.dumps(made))
        for kind, folder in self._others.items():
            self._write(folder, "nodejs")  # of any name: with `--client` no other language host is looked for
            taken([pulumi, "stack", "init", "dev"], folder)
            self._engine(kind, "up", "--yes", "--skip-preview")
        for name in once:
            del os.environ[name]

    def __str__(self) -> str:
        """How many of what."""
        return f"{self._count} machines, {self._parts[0]} components and {self._parts[1]} other resources"

    @property
    def ways(self) -> dict[str, Callable[[Processes | None], Taken]]:
        """What is compared."""
        return {
            "engine": partial(self._engine, STASH, "preview"),
            "plugin": partial(self._engine, SERVED, "preview"),
            "same": partial(self._engine, SAME, "preview"),
            "preview": partial(self._preview),
            "markdown": partial(self._preview, "--format", "markdown"),
        }

    def _preview(self, *words: str | Processes | None) -> Taken:
        *options, seen = words
        return taken([PROGRAM, "preview", *map(str, options)], self._ours, _watch(seen))

    def _engine(self, kind: str, *words: str | Processes | None) -> Taken:
        seen = words[-1] if isinstance(words[-1], Processes) else None
        asked = [word for word in words if isinstance(word, str)]
        program = twin("program", str(self._made), kind)
        with program as (port, used), twin("plugin", str(self._made)) as (other, answered):
            before, idle = used(), answered()
            os.environ["PULUMI_DEBUG_PROVIDERS"] = f"{PLUGIN}:{other}"
            client = ["--stack", "dev", "--client", f"127.0.0.1:{port}"]
            found = taken([self._pulumi, *asked, *client], self._others[kind], _watch(seen))
            del os.environ["PULUMI_DEBUG_PROVIDERS"]
            registering, serving = used() - before, answered() - idle
            if seen is not None:
                seen.add("program", registering)
                seen.add("plugin", serving)
            return Taken(found.clock, found.busy + registering + serving)

    def _write(self, folder: Path, runtime: str) -> None:
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(f"name: {folder.name}\nruntime: {runtime}\n")


def _watch(seen: object) -> Callable[[int], None] | None:
    return seen.look if isinstance(seen, Processes) else None


def compare(stack: Stack, rounds: int, processes: bool) -> bool:
    """Print the medians; whether the targets are met."""
    times: dict[str, list[Taken]] = {}
    for number in range(rounds + 1):
        for name, way in stack.ways.items():
            found = way(None)
            if number:  # once for the caches
                times.setdefault(name, []).append(found)
    print(f"{stack}; {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    clock = {name: statistics.median(one.clock for one in found) for name, found in times.items()}
    used = {name: statistics.median(one.busy for one in found) for name, found in times.items()}
    least = {name: min(one.busy for one in found) for name, found in times.items()}
    for name, way in stack.ways.items():
        print(f"  {name:<10} {clock[name]:6.2f} s, of the processors {used[name]:6.2f} s, at least {least[name]:.2f} s")
        if processes:
            seen = Processes()
            way(seen)
            print(f"  {'':<10} {seen}")
    for name, what in TWINS.items():
        print(
            f"  preview: {clock['preview'] / clock[name]:.2f} times {what}, of the processors "
            f"{used['preview'] / used[name]:.2f} times (target <= {MOST_TIMES})"
        )
    more = clock["markdown"] - clock["preview"]
    print(
        f"  its comment: {more:.2f} s more, of the processors {used['markdown'] - used['preview']:.2f} s "
        f"(target <= {MOST_MORE_S})"
    )
    return max(clock["preview"] / clock[name] for name in TWINS) <= MOST_TIMES and more <= MOST_MORE_S


def main() -> int:
    """Measure; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1000], metavar="N", help="How many machines.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", action="store_true", help="Say what each process takes.")
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what an installer compiles is not to be compiled at each start
    engine = find_engine()
    assert engine is not None
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as made:
        place = Path(made)
        (place / "state").mkdir()
        install_shims(place / "home", plugin_executables())
        os.environ |= {
            **engine_environment(os.environ, engine.path),
            "PULUMI_HOME": str(place / "home"),
            "PULUMI_BACKEND_URL": f"file://{place}/state",
            "PULUMI_CONFIG_PASSPHRASE": "",
        }
        met = [compare(Stack(place, count, str(engine.path)), given.rounds, given.processes) for count in given.counts]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
