"""What the plugin host costs, measured from outside over gRPC as the engine would: time, concurrency, memory, start.

    python benchmarks/overhead.py [latency] [concurrency] [memory] [ready]

The plugin does next to nothing, so what is left is the framework's. Each measurement runs in a process of its own.
Targets: 2 ms at the median for every call; 1,000 creates of one second each at a time, in less than five; resident
memory that grows by less than 5 % over 10,000 operations after a warm-up; a plugin process that is ready within twice
the time of importing its SDK.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar

import grpc
from pydantic import Field, SecretStr

from provision.host.protocol import provider_pb2, provider_pb2_grpc
from provision.host.values import decode_struct, encode_struct
from provision.spi import (
    Computed,
    Created,
    CreateRequest,
    DeleteRequest,
    Properties,
    Provider,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
    registry,
)

MEDIAN_MS = 2.0
CONCURRENT, CONCURRENT_S = 1000, 5.0
OPERATIONS, GROWTH = 10_000, 0.05
READY = 2.0

URN = "urn:pulumi:bench::bench::provision-bench:bench:Item::item"
TYPE = "provision-bench:bench:Item"


class Part(Properties):
    """A nested object."""

    name: str
    size: int = 1


class ItemInputs(Properties):
    """Inputs of a middling resource type."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    wait: float = 0.0
    password: SecretStr | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    parts: list[Part] = Field(default_factory=list)


class ItemOutputs(Properties):
    """Outputs of a middling resource type."""

    name: str
    uuid: Annotated[str, Computed()]


class Item(ResourceType[ItemInputs, ItemOutputs, None]):
    """Does nothing but wait."""

    token: ClassVar[str] = "bench:Item"
    Inputs: ClassVar[type[Properties]] = ItemInputs
    Outputs: ClassVar[type[Properties]] = ItemOutputs

    def create(self, request: CreateRequest[ItemInputs]) -> Created[ItemOutputs]:
        """Wait as long as was asked."""
        if request.inputs.wait:
            request.operation.wait(request.inputs.wait)
        return Created(request.inputs.name, ItemOutputs(name=request.inputs.name, uuid="0"))

    def read(self, request: ReadRequest[ItemInputs, ItemOutputs]) -> Read[ItemInputs, ItemOutputs] | None:
        """It is as it was."""
        assert request.inputs is not None
        return Read(request.id, request.inputs, ItemOutputs(name=request.inputs.name, uuid="0"))

    def update(self, request: UpdateRequest[ItemInputs, ItemOutputs]) -> Updated[ItemOutputs]:
        """Nothing to do."""
        return Updated(ItemOutputs(name=request.inputs.name, uuid="0"))

    def delete(self, request: DeleteRequest[ItemInputs, ItemOutputs]) -> None:
        """Nothing to do."""


class BenchProvider(Provider[Properties, None]):
    """Serves one type."""

    name: ClassVar[str] = "bench"
    version: ClassVar[str] = "0.0.0"
    Config: ClassVar[type[Properties]] = Properties
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (Item,)

    def connect(self, config: Properties) -> None:
        """Nothing is behind it."""

    def capabilities(self, session: None) -> Any:
        """Never asked."""
        raise NotImplementedError

    def supports(self, use: Any, capabilities: Any) -> Any:
        """Never asked."""
        raise NotImplementedError

    def translate(self, request: Any) -> Any:
        """Never asked."""
        raise NotImplementedError


@contextmanager
def plugin() -> Iterator[tuple[Any, int]]:
    """A plugin process: its stub and its process id."""
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")
            stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
            stub.Configure(provider_pb2.ConfigureRequest())
            yield stub, process.pid
        finally:
            process.kill()


def inputs(number: int, wait: float = 0.0) -> dict[str, Any]:
    """Inputs as a program might give them."""
    return {
        "name": f"item-{number}",
        "wait": wait,
        "password": "correct-horse",
        "labels": {"tier": "web", "owner": "somebody", "number": str(number)},
        "parts": [{"name": "a"}, {"name": "b", "size": 3}],
    }


class Driver:
    """Makes the calls of one object's life, and times each."""

    def __init__(self, stub: Any) -> None:
        """Call `stub`."""
        self._stub = stub
        self.times: dict[str, list[float]] = {}

    def call(self, method: str, request: Any) -> Any:
        """One timed call."""
        started = time.perf_counter()
        answer = getattr(self._stub, method)(request)
        self.times.setdefault(method, []).append(time.perf_counter() - started)
        return answer

    def life(self, number: int) -> int:
        """Everything that happens to an object; the number of calls."""
        named = {"urn": URN, "type": TYPE, "name": "item"}
        checked = self.call("Check", provider_pb2.CheckRequest(**named, news=encode_struct(inputs(number)))).inputs
        made = self.call("Create", provider_pb2.CreateRequest(**named, properties=checked))
        state = {"id": made.id}
        self.call("Read", provider_pb2.ReadRequest(**named, **state, properties=made.properties, inputs=checked))
        changed = encode_struct({**inputs(number), "labels": {"tier": "db"}})
        news = self.call("Check", provider_pb2.CheckRequest(**named, news=changed, olds=checked)).inputs
        old = {"olds": made.properties, "old_inputs": checked}
        self.call("Diff", provider_pb2.DiffRequest(**named, **state, **old, news=news))
        self.call("Update", provider_pb2.UpdateRequest(**named, **state, **old, news=news))
        self.call("Delete", provider_pb2.DeleteRequest(**named, **state, properties=made.properties, old_inputs=news))
        return 7


def latency() -> bool:
    """Time of each call, one after the other."""
    with plugin() as (stub, _):
        for number in range(100):
            Driver(stub).life(number)
        driver = Driver(stub)
        for number in range(500):
            driver.life(number)
    fine = True
    for method, times in driver.times.items():
        ordered = sorted(times)
        median, p99 = statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000
        fine &= median <= MEDIAN_MS
        print(f"{method:<10} median {median:6.2f} ms (target <= {MEDIAN_MS}), 99 % {p99:6.2f} ms")
    return fine


def concurrency() -> bool:
    """Many creates at a time, each of which waits for one second; and a check in the midst of them."""
    with plugin() as (stub, _):
        checked = stub.Check(provider_pb2.CheckRequest(urn=URN, type=TYPE, news=encode_struct(inputs(1, 1.0)))).inputs
        request = provider_pb2.CreateRequest(urn=URN, type=TYPE, properties=checked)
        started = time.perf_counter()
        answers = [stub.Create.future(request) for _ in range(CONCURRENT)]
        time.sleep(0.5)
        asked = time.perf_counter()
        stub.Check(provider_pb2.CheckRequest(urn=URN, type=TYPE, news=encode_struct(inputs(2))))
        check = time.perf_counter() - asked
        assert all(decode_struct(answer.result().properties)["uuid"] == "0" for answer in answers)
        seconds = time.perf_counter() - started
    print(
        f"{CONCURRENT} creates of 1 s each at a time: {seconds:.2f} s (target <= {CONCURRENT_S}), "
        f"a check meanwhile {check * 1000:.0f} ms"
    )
    return seconds <= CONCURRENT_S


def memory() -> bool:
    """Resident memory over many operations."""
    with plugin() as (stub, pid):
        driver = Driver(stub)
        done = 0
        while done < OPERATIONS // 5:
            done += driver.life(done)
        before, done, lock = resident(pid), 0, threading.Lock()

        def one(number: int) -> int:
            with lock:
                driver.times.clear()
            return driver.life(number)

        with ThreadPoolExecutor(8) as threads:
            for count in threads.map(one, range(OPERATIONS // 7 + 1)):
                done += count
        after = resident(pid)
    growth = after / before - 1
    sizes = f"{before / 1024:.1f} MiB, after {done} operations {after / 1024:.1f} MiB"
    print(f"memory {sizes}: {growth:+.1%} (target < {GROWTH:.0%})")
    return growth < GROWTH


def resident(pid: int) -> int:
    """Resident memory of a process in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


def ready() -> bool:
    """From the start of the process to its port, beside imports alone.

    What a plugin imports at the least is its platform's SDK, gRPC and pydantic, which does its work only when the first
    model is made. All run in turns, and the time of the processors is measured, as a busy machine slows all alike.
    """
    least = "import grpc.aio\nfrom pydantic import BaseModel\nclass One(BaseModel):\n    text: str = ''\n"
    port = [sys.executable, "-m", "provision.host.plugin"]
    rows: list[tuple[str, list[str], bool]] = [
        ("plugin libvirt, to its port", [*port, "libvirt"], True),
        ("plugin memory, to its port", [*port, "memory"], True),
        ("libvirt, grpc, one model", [sys.executable, "-c", f"import libvirt\n{least}"], False),
        ("grpc, one model", [sys.executable, "-c", least], False),
        ("import libvirt", [sys.executable, "-c", "import libvirt"], False),
        ("import pulumi", [sys.executable, "-c", "import pulumi"], False),
        ("python alone", [sys.executable, "-c", "pass"], False),
    ]
    for _, command, serves in rows:
        start(command, serves)  # once for the caches
    times: list[list[tuple[float, float]]] = [[] for _ in rows]
    for _ in range(10):
        for found, (_, command, serves) in zip(times, rows, strict=True):
            found.append(start(command, serves))
    busy = [statistics.median(one[1] for one in found) for found in times]
    for (name, _, _), found, median in zip(rows, times, busy, strict=True):
        clock = statistics.median(one[0] for one in found)
        print(
            f"{name:<28} {clock * 1000:6.0f} ms, of the processors {median * 1000:6.0f} ms; "
            f"plugin libvirt takes {busy[0] / median:5.2f} times that, memory {busy[1] / median:5.2f}"
        )
    print(f"targets: libvirt {busy[0] / busy[2]:.2f}, memory {busy[1] / busy[3]:.2f} (<= {READY})")
    print(f"against `import libvirt` alone, which loads next to nothing: {busy[0] / busy[4]:.2f}")
    return busy[0] <= READY * busy[2] and busy[1] <= READY * busy[3]


def start(command: list[str], serves: bool) -> tuple[float, float]:
    """Seconds, and seconds of the processors, until a plugin has said its port or a process has ended."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
    if serves:
        process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return seconds, usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print what was measured; 1 when a target is missed."""
    wanted = sys.argv[1:] or ["latency", "concurrency", "memory", "ready"]
    if wanted == ["serve"]:
        from provision.host.plugin.process import serve

        serve(registry.check("bench", BenchProvider))
    measurements = {"latency": latency, "concurrency": concurrency, "memory": memory, "ready": ready}
    results = [measurements[one]() for one in wanted]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
