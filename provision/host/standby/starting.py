"""The command's side: the process that waits is started with a run of the engine, and ends with it at the latest."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provision.host.engine import pulumi_home
from provision.host.standby import GIVEN, LANGUAGE, VARIABLE, resource

_END_S = 10.0
"""How long the process may take to end after the engine has: that allows each plugin five seconds."""


@dataclass(frozen=True)
class Expected:
    """What a run of the engine will ask for.

    Attributes:
        runs: whether it has the language host run the stack file.
        platforms: whose resource plugins it uses.
    """

    runs: bool
    platforms: tuple[str, ...] = ()


@contextmanager
def standing_by(expected: Expected | None, directory: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Start those whose shims would hand over to them; gives what the engine's environment must have for it.

    Args:
        expected: what the run will ask for.
        directory: in which the engine runs.
        environment: of the engine.
    """
    with ExitStack() as stack:
        # What stands by for a run around this one is not for this one.
        known = {VARIABLE: "no" if environment.get(VARIABLE) == "no" else ""}
        if expected is not None and _can_wait(environment):
            # Without another process or file descriptor the engine fails too, if that matters to it, and says so.
            with suppress(OSError):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="provision-standby-"))
                stack.enter_context(_started(expected, directory, environment, Path(folder)))
                known = {VARIABLE: folder}
        yield known


def _can_wait(environment: Mapping[str, str]) -> bool:
    return (
        environment.get(VARIABLE) != "no"
        and os.path.isdir("/proc/self/fd")
        and _hands_over(LANGUAGE, "provision.host.language", environment)
    )


@contextmanager
def _started(expected: Expected, directory: Path, environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    life, held = os.pipe()  # nobody else gets the second end: when this process is gone, the first one is at its end
    process = None
    try:
        try:
            process = _start(expected, directory, environment, folder, life)
        finally:
            os.close(life)
        yield
    finally:
        os.close(held)
        if process is not None:
            _end(process)


def _start(
    expected: Expected, directory: Path, environment: Mapping[str, str], folder: Path, life: int
) -> "subprocess.Popen[bytes]":
    platforms = [
        name for name in expected.platforms if _hands_over(resource(name), f"provision.host.plugin {name}", environment)
    ]
    with ExitStack() as given:

        def pipe() -> tuple[int, int]:
            both = os.pipe()
            for end in both:
                given.callback(os.close, end)
            return both

        ends: dict[str, list[int]] = {}
        for name in (LANGUAGE, *map(resource, platforms)):
            asked, hold = pipe()
            _, answer = pipe()
            ends[name] = [asked, hold, answer]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "provision.host.early", *(["--run"] if expected.runs else []), *platforms],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            env={**environment, GIVEN: json.dumps({"life": life, "folder": str(folder), "ends": ends})},
            pass_fds=[life, *(end for each in ends.values() for end in each)],
            process_group=0,  # a terminal's Ctrl-C is for the command alone, as with what the engine starts
        )
    for name, (asked, _, answer) in ends.items():
        (folder / name).write_text(f"{process.pid} {asked} {answer}\n")
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()  # while it still imports, it does not look at whether the command is there
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _hands_over(name: str, module: str, environment: Mapping[str, str]) -> bool:
    """Whether a shim of that name starts that module with this very interpreter, and knows of processes that wait."""
    call = f'exec "$python" -P -m {module} "$@"'
    for shim in (pulumi_home(environment) / "plugins").glob(f"{name}-v*/pulumi-{name}"):
        with suppress(OSError, ValueError):
            lines = shim.read_text(encoding="utf-8").splitlines()
            if call in lines and any(VARIABLE in line for line in lines) and any(map(_is_this_python, lines)):
                return True
    return False


def _is_this_python(line: str) -> bool:
    """Whether a line of a shim names the interpreter of this environment, which has several names there.

    Raises:
        OSError: the interpreter is gone.
        ValueError: the line is no shell.
    """
    if not line.startswith("python="):
        return False
    (python,) = shlex.split(line.removeprefix("python="))
    return os.path.dirname(python) == os.path.dirname(os.path.abspath(sys.executable)) and os.path.samefile(
        python, sys.executable
    )
