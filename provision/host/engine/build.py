"""The engine built from Pulumi's published Go modules, where a module proxy is reached but not Pulumi's site.

`module/go.mod` and `module/go.sum` beside this file pin every module of the build by its hash; what they do
not list is never used (`-mod=readonly`), whatever a proxy answers.
"""

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from provision.host.engine.environment import tool_environment
from provision.host.engine.release import ENGINE_VERSION, parse_version

Progress = Callable[[str], None]

PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
LINKER_FLAGS = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{ENGINE_VERSION}"
PACKAGES_IN_ALL = 1690
"""Packages that a build without any cache compiles, the standard library's included; for progress only."""

BUILD_SECONDS = 3600.0
REPORT_SECONDS = 5.0
FREE_BYTES = 3 << 30
"""Room that a first build takes: about 1.4 GB of modules and 1.6 GB of compiled packages, in Go's caches."""

_GO_VARIABLES = re.compile(
    r"GO(PROXY|NOPROXY|PRIVATE|SUMDB|NOSUMDB|NOSUMCHECK|INSECURE|TOOLCHAIN|CACHE|MODCACHE|PATH|ROOT|ENV|AUTH|VCS|MAXPROCS)"
)
_AUTOMATIC_TOOLCHAINS = (1, 21, 0)


class BuildUnavailable(Exception):
    """The engine cannot be built here; the message says why."""


@dataclass(frozen=True)
class Go:
    """A Go tool that can build the engine."""

    path: Path
    version: str


def needed_go() -> str:
    """The Go release that the pinned modules ask for."""
    match = re.search(r"^go (\S+)$", _module_file("go.mod"), re.MULTILINE)
    assert match is not None
    return match[1]


def find_go(env: Mapping[str, str] = os.environ) -> Go:
    """The first Go that is new enough, on PATH or where distributions and the official archive put it.

    Raises:
        BuildUnavailable: there is none, or only ones that are too old and may not fetch a newer one.
    """
    needed = parse_version(_three(needed_go()))
    too_old: list[str] = []
    for path in _go_candidates(env):
        version, toolchain = _ask_go(path, env)
        found = parse_version(_three(version))
        if found is None or needed is None:
            continue
        fetches_newer = found >= _AUTOMATIC_TOOLCHAINS and (toolchain == "auto" or toolchain.endswith("+auto"))
        if found >= needed or fetches_newer:
            return Go(path, version)
        too_old.append(f"{path} is Go {version}")
    if too_old:
        raise BuildUnavailable(f"Go {needed_go()} or newer is needed to build it, but {', '.join(too_old)}")
    raise BuildUnavailable(f"there is no Go to build it with ({needed_go()} or newer is needed)")


def build_engine(go: Go, into: Path, progress: Progress, env: Mapping[str, str] = os.environ, lock: int = -1) -> Path:
    """Build the engine; the result is an executable file inside `into`, with all that is temporary beside it.

    Args:
        go: the tool to build with.
        into: an empty directory of ours.
        progress: gets a line every few seconds.
        env: the user's environment, of which only what Go needs is passed on.
        lock: a file descriptor that the build inherits, so that a lock on it lasts as long as the build, even
            when this process is killed.

    Raises:
        BuildUnavailable: Go failed; the message holds the end of what it said.
        OSError: the local disk refused.
    """
    module, temporary, target = into / "module", into / "tmp", into / "pulumi"
    module.mkdir()
    temporary.mkdir()
    for name in ("go.mod", "go.sum"):
        (module / name).write_text(_module_file(name))
    command = [
        str(go.path),
        "build",
        "-v",
        "-trimpath",
        "-mod=readonly",
        "-buildvcs=false",
        "-ldflags",
        LINKER_FLAGS,
    ]
    progress(
        f"building the Pulumi engine {ENGINE_VERSION} from its Go modules with Go {go.version} (about 10 CPU-minutes)"
    )
    with subprocess.Popen(
        [*command, "-o", str(target), PACKAGE],
        cwd=module,
        env=_go_environment(env) | {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "", "GOTMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(lock,) if lock >= 0 else (),
        start_new_session=True,
    ) as process:
        try:
            tail = _follow(process, progress)
        finally:
            _end(process)
    if process.returncode != 0 or not target.is_file():
        if any("no space left on device" in line for line in tail):
            raise OSError(28, "No space left on device")
        raise BuildUnavailable("`go build` failed: " + _without_credentials(" | ".join(tail) or "it said nothing"))
    return target


def _follow(process: subprocess.Popen[bytes], progress: Progress) -> list[str]:
    """Report how far the build is until it ends; give its last lines that are not progress."""
    assert process.stderr is not None
    started = reported = time.monotonic()
    downloaded = compiled = 0
    pending, tail = b"", list[str]()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=1.0):
                block = os.read(process.stderr.fileno(), 1 << 16)
                *lines, pending = (pending + block).split(b"\n")
                for line in [*lines, *([pending] if not block and pending else [])]:
                    text = line.decode(errors="replace").strip()
                    if text.startswith("go: downloading "):
                        downloaded += 1
                    elif re.fullmatch(r"[\w.~/+-]+", text):
                        compiled += 1
                    elif text:
                        tail = [*tail, text][-8:]
                if not block:
                    return tail
            now = time.monotonic()
            if now - started > BUILD_SECONDS:
                raise BuildUnavailable(f"`go build` did not end within {BUILD_SECONDS / 60:.0f} minutes")
            if now - reported >= REPORT_SECONDS:
                reported = now
                done = (
                    f"{compiled} of at most {PACKAGES_IN_ALL} packages" if compiled else f"{downloaded} modules fetched"
                )
                progress(f"building the Pulumi engine: {done}, {elapsed(now - started)}")


def elapsed(seconds: float) -> str:
    """A duration as a person reads it: `2 min 05 s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _end(process: subprocess.Popen[bytes]) -> None:
    """See to it that neither Go nor a compiler of it is left running; an ended build is only waited for."""
    if process.poll() is None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(timeout=5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
    process.wait()


def _go_candidates(env: Mapping[str, str]) -> list[Path]:
    """Files that may be Go, in the order in which they are tried."""
    found = shutil.which("go", path=env.get("PATH", os.defpath))
    versioned = sorted(Path("/usr/lib").glob("go-*/bin/go"), key=lambda path: _three(path.parts[3][3:]), reverse=True)
    places = [Path(found)] if found else []
    places += [Path("/usr/local/go/bin/go"), Path("/usr/lib/go/bin/go"), *versioned]
    return list(dict.fromkeys(path for path in places if path.is_file()))


def _ask_go(path: Path, env: Mapping[str, str]) -> tuple[str, str]:
    """The version and the toolchain setting of a Go tool; empty strings when it does not answer."""
    try:
        answer = subprocess.run(
            [path, "env", "GOVERSION", "GOTOOLCHAIN"],
            cwd="/",
            env=_go_environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    version, _, toolchain = answer.stdout.partition("\n")
    return version.strip().removeprefix("go").split("-")[0].split(" ")[0], toolchain.strip()


def _go_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What Go may see: its own settings as the user made them, and no credentials of anything else."""
    return tool_environment(env) | {name: value for name, value in env.items() if _GO_VARIABLES.fullmatch(name)}


def _three(version: str) -> str:
    """`1.26` as `1.26.0`, and `1.26rc1` as `1.26.0`, to be compared as numbers."""
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return f"{numbers[1]}.{numbers[2]}.{numbers[3] or 0}" if numbers else ""


def _module_file(name: str) -> str:
    """The text of a file that pins the build."""
    return (resources.files("provision.host.engine") / "module" / name).read_text(encoding="utf-8")


def _without_credentials(text: str) -> str:
    """A module proxy's address may hold a password; Go repeats it in its messages."""
    return re.sub(r"://[^/@\s]+@", "://…@", text)
