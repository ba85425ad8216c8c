"""Install the engine once, whole or not at all.

All work happens in a staging folder inside the cache, under a lock; one rename at the end makes the result
visible. What a killed run leaves behind is a staging folder, which the next run removes; it never counts as
an engine.
"""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provision.errors import EnvironmentProblem
from provision.host.engine.build import FREE_BYTES, BuildUnavailable, build_engine, elapsed, find_go
from provision.host.engine.download import DownloadUnavailable, download_engine
from provision.host.engine.find import Engine, find_engine, probe
from provision.host.engine.places import engine_cache, installed_path
from provision.host.engine.release import ENGINE_VERSION, MINIMUM_VERSION

Progress = Callable[[str], None]

WAIT_REPORT_SECONDS = 15.0
_STAGING = "staging-"


@dataclass(frozen=True)
class _Recipe:
    """One way to get an engine: makes an executable in a folder, or raises why it cannot."""

    name: str
    make: Callable[[Path, Progress, Mapping[str, str], int], Path]


def _download(into: Path, progress: Progress, env: Mapping[str, str], lock: int) -> Path:
    return download_engine(into, progress)


def _build(into: Path, progress: Progress, env: Mapping[str, str], lock: int) -> Path:
    return build_engine(find_go(env), into, progress, env, lock)


RECIPES = (_Recipe("official download", _download), _Recipe("build from Go modules", _build))


def ensure_engine(
    progress: Progress = lambda line: None,
    env: Mapping[str, str] = os.environ,
    recipes: tuple[_Recipe, ...] = RECIPES,
) -> Engine:
    """Find the engine, or install the pinned release into the cache.

    Args:
        progress: gets one line at a time, for a person.
        env: the environment that says where to look and install.
        recipes: the ways to get an engine, in order.

    Raises:
        EnvironmentProblem: there is no engine and none can be had; the fix lists the ways out.
    """
    found = find_engine(env)
    if found is not None:
        return found
    cache = engine_cache(env)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / "install.lock", progress) as lock:
            found = find_engine(env)
            if found is not None:
                return found
            for leftover in cache.glob(f"{_STAGING}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            return _install(cache, progress, env, recipes, lock)
    except OSError as error:
        raise _disk_problem(error, cache) from error


def _install(
    cache: Path, progress: Progress, env: Mapping[str, str], recipes: tuple[_Recipe, ...], lock: int
) -> Engine:
    """Try each recipe; the first engine that runs is put in place."""
    started, reasons = time.monotonic(), list[str]()
    for recipe in recipes:
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=cache))
        try:
            made = recipe.make(staging, progress, env, lock)
            version, problem = probe(made, env)
            if problem is None and version != ENGINE_VERSION:
                problem = f"it reports version {version} instead of {ENGINE_VERSION}"
            if problem is not None:
                raise BuildUnavailable(f"the result does not serve: {problem}")
            _put_in_place(made, staging, installed_path(env))
        except (DownloadUnavailable, BuildUnavailable) as error:
            reasons.append(f"{recipe.name}: {error}")
            progress(f"{recipe.name} is not possible: {error}")
        else:
            progress(f"the Pulumi engine {ENGINE_VERSION} is installed ({elapsed(time.monotonic() - started)})")
            return Engine(installed_path(env), ENGINE_VERSION, "cache")
        finally:
            # Also on Ctrl-C and on a full disk: nothing half done stays.
            shutil.rmtree(staging, ignore_errors=True)
    raise EnvironmentProblem(
        f"the Pulumi engine is not installed and cannot be installed here ({'; '.join(reasons)})",
        _ways_out(env),
    )


def _put_in_place(made: Path, staging: Path, target: Path) -> None:
    """Move an engine to where it is looked for, in one step; a broken one that lies there goes first."""
    whole = staging / "whole"
    (whole / "bin").mkdir(parents=True)
    made.rename(whole / "bin" / "pulumi")
    with (whole / "bin" / "pulumi").open("rb") as file:
        os.fsync(file.fileno())
    release = target.parent.parent
    if release.exists():
        release.rename(staging / "replaced")
    whole.rename(release)


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[int]:
    """Hold the lock file; while another run holds it, wait and say so."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        started, reported = time.monotonic(), float("-inf")
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                now = time.monotonic()
                if now - reported >= WAIT_REPORT_SECONDS:
                    reported = now
                    progress(f"another run is installing the Pulumi engine: waiting ({elapsed(now - started)})")
                time.sleep(0.25)
        yield descriptor
    finally:
        os.close(descriptor)


def _ways_out(env: Mapping[str, str]) -> str:
    """What a person can do when neither recipe works."""
    return (
        f"do one of these and run again: install Pulumi {MINIMUM_VERSION} or newer"
        " (https://www.pulumi.com/docs/install/) so that `pulumi` is on PATH; or, without a network, copy the"
        f" `pulumi` executable of release {ENGINE_VERSION}"
        f" (https://get.pulumi.com/releases/sdk/) to {installed_path(env)}; or install a current Go"
        " (https://go.dev/dl/; a distribution's `golang` package may be too old) to have it built from source"
    )


def _disk_problem(error: OSError, cache: Path) -> EnvironmentProblem:
    """A failure of the local disk, in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentProblem(
            f"the disk is full: the Pulumi engine could not be installed into {cache}",
            f"free {FREE_BYTES >> 30} GiB (a build from source needs them; the engine itself takes 0.2),"
            " or set XDG_CACHE_HOME to a folder on another disk",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EnvironmentProblem(
            f"the Pulumi engine cannot be installed: {cache} is not writable ({error.strerror})",
            "make it writable for this user, or set XDG_CACHE_HOME to a folder that is",
        )
    return EnvironmentProblem(
        f"the Pulumi engine could not be installed into {cache}: {error}", "mend this and run again"
    )
