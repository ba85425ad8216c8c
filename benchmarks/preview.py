"""A `preview` that changes nothing, of many machines, beside what the engine takes for as many trivial resources.

    python benchmarks/preview.py [--rounds R] [N ...]

Machines are those of the in-memory platform, which forgets them with the process that made them: a preview does not
look for them. Their twin is the least that a program can be: it registers as many components, and for each native
resource a `pulumi:index:Stash`, which the engine serves itself, by raw calls, as many at once as the engine handles,
with nothing read, worked out or checked. It waits in a process of its own when the engine starts. All run in turns.
Seconds of the processors are those of the command and whatever it starts, and for the twin those of the engine and of
the registering: a busy machine changes them least.

Targets: `provision preview` takes at most 1.5 times as long as the engine with the twin, and with `--format markdown`,
which prints the comment for a pull request, at most one second more.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from provision.host.deploying.monitor import Monitor, Options
from provision.host.engine import engine_environment, find_engine
from provision.host.language.server import LanguageHost
from provision.host.protocol import language_pb2, language_pb2_grpc
from provision.host.setup import install_shims, plugin_executables

MOST_TIMES, MOST_MORE_S = 1.5, 1.0
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


class Twin(LanguageHost):
    """Serves a program that registers trivial resources."""

    def __init__(self, components: int, natives: int) -> None:
        """As many of each."""
        super().__init__("", asyncio.Event())
        self._kinds = {"bench:index:Part": components, "pulumi:index:Stash": natives}

    async def Run(self, request: Any, context: Any) -> Any:
        """Register all, as many at once as the engine handles."""
        monitor = Monitor(request.monitor_address, request.monitor_address, preview=request.dryRun)
        name = f"{request.project}-{request.stack}"
        root = await monitor.register("pulumi:pulumi:Stack", name, {}, Options(custom=False))
        wanted = iter([(kind, f"one-{number}") for kind, count in self._kinds.items() for number in range(count)])

        async def work() -> None:
            for kind, name in wanted:
                is_stash = kind.startswith("pulumi:")
                inputs = {"input": name} if is_stash else {}
                await monitor.register(kind, name, inputs, Options(custom=is_stash, parent=root.urn))

        await asyncio.gather(*(work() for _ in range(max(1, request.parallel))))
        await monitor.close()
        return language_pb2.RunResponse()


async def serve_twin(components: int, natives: int) -> None:
    """Print a port, and serve there until this process is ended."""
    server = grpc.aio.server()
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Twin(components, natives), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


@contextmanager
def twin(components: int, natives: int) -> Iterator[tuple[str, Callable[[], float]]]:
    """The address of a twin, and what asks for its seconds of the processors."""
    command = [sys.executable, __file__, "--twin", str(components), str(natives)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}", lambda: busy(process.pid)
        finally:
            process.kill()


def busy(pid: int) -> float:
    """Seconds of the processors that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def taken(words: list[str], folder: Path) -> Taken:
    """What a command takes."""
    with tempfile.TemporaryFile() as said:
        begun = time.monotonic()
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        clock = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{words} ended with {process.returncode}:\n{said.read()[-4000:].decode()}")
    return Taken(clock, usage.ru_utime + usage.ru_stime)


class Stack:
    """Many machines, and their twin."""

    def __init__(self, place: Path, count: int, pulumi: str) -> None:
        """Make both, with the state written once: that is not what is measured."""
        self._pulumi, self._count = pulumi, count
        self._ours, self._other = place / f"many{count}", place / f"twin{count}"
        self._write(self._ours, "provision")
        (self._ours / "stack.yaml").write_text(STACK.format(count=count))
        once = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
        os.environ.update(once)
        taken([PROGRAM, "up", "--yes"], self._ours)
        export = subprocess.check_output([pulumi, "stack", "export", "--stack", "dev"], cwd=self._ours)
        made = json.loads(export)["deployment"]["resources"]
        kinds = [one["type"] for one in made if one["type"] != "pulumi:pulumi:Stack"]
        self._parts = len([kind for kind in kinds if kind.startswith("provision:")]), 0
        self._parts = self._parts[0], len(kinds) - self._parts[0]
        self._write(self._other, "nodejs")  # of any name: with `--client` no other language host is looked for
        taken([pulumi, "stack", "init", "dev"], self._other)
        self._engine("up", "--yes", "--skip-preview")
        for name in once:
            del os.environ[name]

    def __str__(self) -> str:
        """How many of what."""
        return f"{self._count} machines, {self._parts[0]} components and {self._parts[1]} other resources"

    @property
    def ways(self) -> dict[str, Callable[[], Taken]]:
        """What is compared."""
        return {
            "engine": partial(self._engine, "preview"),
            "preview": lambda: taken([PROGRAM, "preview"], self._ours),
            "markdown": lambda: taken([PROGRAM, "preview", "--format", "markdown"], self._ours),
        }

    def _engine(self, *words: str) -> Taken:
        with twin(*self._parts) as (address, used):
            before = used()
            found = taken([self._pulumi, *words, "--stack", "dev", "--client", address], self._other)
            return Taken(found.clock, found.busy + used() - before)

    def _write(self, folder: Path, runtime: str) -> None:
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(f"name: {folder.name}\nruntime: {runtime}\n")


def compare(stack: Stack, rounds: int) -> bool:
    """Print the medians; whether the targets are met."""
    times: dict[str, list[Taken]] = {}
    for number in range(rounds + 1):
        for name, way in stack.ways.items():
            found = way()
            if number:  # once for the caches
                times.setdefault(name, []).append(found)
    print(f"{stack}; {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    clock = {name: statistics.median(one.clock for one in found) for name, found in times.items()}
    used = {name: statistics.median(one.busy for one in found) for name, found in times.items()}
    for name in times:
        print(f"  {name:<10} {clock[name]:6.2f} s, of the processors {used[name]:6.2f} s")
    ratio, more = clock["preview"] / clock["engine"], clock["markdown"] - clock["preview"]
    print(
        f"  preview {ratio:.2f} times the engine (of the processors {used['preview'] / used['engine']:.2f}, target <= "
        f"{MOST_TIMES}); its comment {more:.2f} s more ({used['markdown'] - used['preview']:.2f}, <= {MOST_MORE_S})"
    )
    return ratio <= MOST_TIMES and more <= MOST_MORE_S


def main() -> int:
    """Measure; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1000], metavar="N", help="How many machines.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--twin", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what an installer compiles is not to be compiled at each start
    if given.twin:
        asyncio.run(serve_twin(*given.counts))
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
        met = [compare(Stack(place, count, str(engine.path)), given.rounds) for count in given.counts]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
