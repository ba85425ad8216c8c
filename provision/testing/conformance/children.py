"""The plugin in processes of its own, which the kit may kill."""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.spi import Capabilities
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.verdicts import Unmet
from provision.testing.faults import Effect

MODULE = "provision.testing.served"
_START_S = 60
_OTHER_HASHES = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"


def where(suite: SuiteDescription) -> str:
    """How another process finds the suite.

    Raises:
        Unmet: it cannot: the class is not at the top of a module.
    """
    kind = type(suite)
    if "<locals>" in kind.__qualname__:
        raise Unmet(
            "the suite can be imported by a process of its own",
            f"{kind.__qualname__} is made inside of a function",
            "put the class at the top of its module",
        )
    return json.dumps(
        {
            "file": inspect.getfile(kind),
            "module": kind.__module__,
            "class": kind.__qualname__,
            "path": [str(Path(part or ".").absolute()) for part in sys.path],
        }
    )


def graph(suite: SuiteDescription, name: str, told: Capabilities, directory: Path) -> str:
    """The graph of a stack as a process with another hash seed makes it, in canonical JSON."""
    result = subprocess.run(
        [sys.executable, "-m", MODULE, where(suite), "graph", str(directory)],
        input=json.dumps(dict(told.facts)),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": _OTHER_HASHES},
        check=False,
        timeout=_START_S,
        start_new_session=True,
    )
    if result.returncode != 0:
        raise Unmet(f"the stack '{name}' is translated in another process", result.stderr.strip()[-2000:])
    return result.stdout


@dataclass
class Child:
    """One plugin process: `port` of its service."""

    pid: int
    port: int


class Nursery:
    """Starts plugin processes quickly: one process has everything imported, and forks for each."""

    def __init__(self, suite: SuiteDescription) -> None:
        """Nothing is started before the first question."""
        self._suite = suite
        self._process: subprocess.Popen[str] | None = None

    def born(self) -> Child:
        """A new plugin process, not configured yet."""
        answer = self._asked({"do": "fork"})
        return Child(answer["pid"], answer["port"])

    def arm(self, child: Child, index: int, effect: Effect) -> None:
        """Let the process kill itself at the call number `index` from now on."""
        self._asked({"do": "arm", "pid": child.pid, "index": index, "effect": effect.value})

    def end(self, child: Child) -> None:
        """End a process, if it still lives."""
        self._asked({"do": "end", "pid": child.pid})

    def close(self) -> None:
        """End all of them."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()

    def _asked(self, question: Mapping[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self._process = self._started()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer(self._process)

    def _started(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, where(self._suite), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "NONE"},
            start_new_session=True,  # a Ctrl-C is for this process, which then ends that one
        )
        self._answer(process)
        return process

    def _answer(self, process: "subprocess.Popen[str]") -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Unmet(
                "the plugin is served in a process of its own",
                "that process ended; what it said is on standard error",
                "let the suite's module be importable by itself",
            )
        return dict(json.loads(line))
