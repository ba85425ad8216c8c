"""A plugin under the conformance kit in processes of its own: `python -m provision.testing.served WHERE serve`.

`WHERE` says in JSON how to find the suite. With `serve` each line on standard input asks for something, in JSON, and
has one line as its answer: `fork` gives a new plugin process, `arm` lays a fault in it, `end` kills it. With
`graph DIRECTORY` the stack file there is translated, with the platform's capabilities from standard input.
"""

import asyncio
import importlib
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc.aio

from provision.host import guarding
from provision.host.permission import Permission
from provision.host.plugin.process import framework_types
from provision.host.plugin.servicer import PluginServicer
from provision.host.protocol import CHANNEL_OPTIONS
from provision.spi import registry
from provision.testing.conformance.bench import instrumented
from provision.testing.conformance.suite import ConformanceSuite
from provision.testing.faults import Effect, Faults

_LARGE = (*CHANNEL_OPTIONS, ("grpc.max_metadata_size", 16 << 20))


def main(arguments: list[str]) -> None:
    """Serve, or translate."""
    where, task, *rest = arguments
    logging.getLogger().addHandler(logging.NullHandler())  # it may hold secrets; where it is looked at is elsewhere
    suite = found(json.loads(where))
    if task == "graph":
        from provision.testing.conformance.translation import loaded_graph  # plugin processes need no stack files

        sys.stdout.write(loaded_graph(Path(rest[0]), suite.provider(), json.load(sys.stdin)))
        return
    forks = _Forks(suite)
    _say({"ready": True})
    for line in sys.stdin:
        _say(forks.do(json.loads(line)))
    forks.end_all()


def found(where: Mapping[str, Any]) -> ConformanceSuite:
    """The suite, imported as the kit's own process did, or from its file."""
    sys.path[:] = where["path"]
    name = where["module"] if where["module"] != "__main__" else "conformance_main"
    try:
        kind: Any = importlib.import_module(name)
    except ImportError:
        kind = _from_file(name, where["file"])
    for part in where["class"].split("."):
        kind = getattr(kind, part)
    suite: ConformanceSuite = kind()
    return suite


def _from_file(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _say(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


class _Forks:
    """The plugin processes, with a pipe to and from each."""

    def __init__(self, suite: ConformanceSuite) -> None:
        self._suite = suite
        self._pipes: dict[int, tuple[Any, Any]] = {}

    def do(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        if question["do"] == "fork":
            return self._fork()
        to, answers = self._pipes[question["pid"]]
        if question["do"] == "arm":
            to.write(json.dumps(question) + "\n")
            to.flush()
            return dict(json.loads(answers.readline()))
        self._end(question["pid"])
        return {"ended": question["pid"]}

    def _fork(self) -> Mapping[str, Any]:
        inward, outward = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(inward[1])
                os.close(outward[0])
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(2, 1)
                asyncio.run(_serve(self._suite, inward[0], os.fdopen(outward[1], "w")))
            finally:
                os._exit(0)
        os.close(inward[0])
        os.close(outward[1])
        self._pipes[pid] = os.fdopen(inward[1], "w"), os.fdopen(outward[0])
        return {"pid": pid, **json.loads(self._pipes[pid][1].readline())}

    def _end(self, pid: int) -> None:
        for pipe in self._pipes.pop(pid, ()):
            try:
                pipe.close()
            except BrokenPipeError:  # it was killed
                continue
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def end_all(self) -> None:
        for pid in list(self._pipes):
            self._end(pid)


async def _serve(suite: ConformanceSuite, commands: int, answers: Any) -> None:
    faults = Faults(suite.errors)
    provider = instrumented(suite, faults)
    servicer = PluginServicer(registry.check(provider.name, provider), framework_types)
    servicer.permission = Permission(("*",))
    server = grpc.aio.server(options=_LARGE)
    guarding.serve(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"port": port}), file=answers, flush=True)
    ended = asyncio.Event()

    def command() -> None:
        text = os.read(commands, 1 << 16)
        if not text:  # whoever commands is gone
            ended.set()
            return
        question = json.loads(text)
        faults.arm(question["index"], Effect(question["effect"]))
        print(json.dumps({"armed": True}), file=answers, flush=True)

    asyncio.get_running_loop().add_reader(commands, command)
    await ended.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
