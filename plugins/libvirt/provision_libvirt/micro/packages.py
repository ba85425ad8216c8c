"""Files out of Debian packages, without installing them and without root."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from provision.errors import EnvironmentProblem

Progress = Callable[[str], None]
_APT_SECONDS = 600


def require_tools(tools: dict[str, str], purpose: str) -> None:
    """Check that programs are there; `tools` maps each program to its Debian package.

    Raises:
        EnvironmentProblem: some are missing; the fix is the apt line.
    """
    missing = sorted(tool for tool in tools if not _which(tool))
    if missing:
        packages = " ".join(sorted({tools[tool] for tool in missing}))
        raise EnvironmentProblem(
            f"{purpose} needs programs that are missing here: {', '.join(missing)}",
            f"apt-get install --no-install-recommends {packages}",
        )


def _which(tool: str) -> str | None:
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def dependency(package: str, pattern: str) -> str:
    """The name of the first dependency of `package` (a meta package) that matches `pattern`.

    Raises:
        EnvironmentProblem: apt does not know the package, also after an update.
    """
    for attempt in (1, 2):
        listing = _apt(["apt-cache", "depends", "--no-recommends", "--no-suggests", package], check=False)
        found = re.search(rf"Depends: ({pattern})$", listing, re.MULTILINE)
        if found:
            return found.group(1)
        if attempt == 1 and os.geteuid() == 0:
            _apt(["apt-get", "-qq", "update"], check=False)
    raise EnvironmentProblem(
        f"apt does not know the package {package}", "run `apt-get update` (as root) on a Debian machine and try again"
    )


@contextmanager
def unpacked(package: str, progress: Progress) -> Iterator[tuple[Path, str]]:
    """Download `package` and unpack it; gives the root of its files and its version; both are gone afterwards.

    Raises:
        EnvironmentProblem: it cannot be downloaded or unpacked.
    """
    require_tools({"apt-get": "apt", "dpkg-deb": "dpkg"}, "the micro image")
    with tempfile.TemporaryDirectory(prefix="provision-deb-") as name:
        here = Path(name)
        progress(f"downloading the package {package}")
        user = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        _apt(["apt-get", *user, "-q", "download", package], cwd=here)
        archives = list(here.glob("*.deb"))
        if len(archives) != 1:
            raise EnvironmentProblem(f"apt-get download {package} left {len(archives)} packages", "run apt-get update")
        version = _apt(["dpkg-deb", "-f", str(archives[0]), "Version"]).strip()
        _apt(["dpkg-deb", "-x", str(archives[0]), str(here / "root")])
        yield here / "root", version


def _apt(command: Sequence[str], *, cwd: Path | None = None, check: bool = True) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=_APT_SECONDS, stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise EnvironmentProblem(f"{command[0]} is not here: the micro image is made from Debian packages") from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(f"{' '.join(command)} took over {_APT_SECONDS} s", "check the network") from error
    if check and done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise EnvironmentProblem(
            f"{' '.join(command)} failed: {tail}", "check the network and the disk, run `apt-get update`, try again"
        )
    return done.stdout
