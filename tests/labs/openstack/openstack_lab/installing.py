"""The virtual environment of the services, made once for each list of packages."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from openstack_lab.layout import HERE, cache

REQUIREMENTS = HERE / "requirements.lock"
PROGRAMS = ("mariadbd", "mariadb", "mariadb-install-db")


class InstallError(Exception):
    """Something that the lab needs cannot be had here."""


def installed(say: Callable[[str], None]) -> Path:
    """Folder of the virtual environment; made when it is not there.

    Raises:
        InstallError: a program is missing, or the packages cannot be installed.
    """
    missing = [name for name in PROGRAMS if not program(name)]
    if missing:
        raise InstallError(f"{', '.join(missing)} not found: apt-get install mariadb-server-core mariadb-client-core")
    chosen = place()
    with locked(chosen.with_suffix(".lock")):
        if not (chosen / "ready").exists():
            say("installing OpenStack from PyPI: a few minutes, once")
            _make(chosen)
    return chosen


def place() -> Path:
    """Where the virtual environment is, or will be: another one for other packages and another Python."""
    content = REQUIREMENTS.read_bytes() + sys.version.encode()
    return cache() / f"venv-{hashlib.sha256(content).hexdigest()[:16]}"


def program(name: str) -> str | None:
    """Path of a program; those of the system are found without /usr/sbin in PATH too."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/usr/lib/rabbitmq/bin")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(chosen: Path) -> None:
    shutil.rmtree(chosen, ignore_errors=True)
    log = chosen.with_suffix(".log")
    steps = (
        [sys.executable, "-m", "venv", str(chosen)],
        # Compiled when they are imported: most modules never are.
        [str(chosen / "bin/pip"), "-q", "--disable-pip-version-check", "install", "--no-compile", "--no-deps",
         "--require-hashes", "-r", str(REQUIREMENTS)],
    )  # fmt: skip
    with log.open("wb") as out:
        for step in steps:
            if subprocess.run(step, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode:
                raise InstallError(f"{' '.join(step[:4])} failed: {log.read_text(errors='replace')[-2000:]}")
    _answer_quickly(chosen)
    (chosen / "ready").touch()


def _answer_quickly(chosen: Path) -> None:
    """Have oslo.messaging look for answers over RabbitMQ every 20 ms, not every 0.5 s (Launchpad 2035113)."""
    (driver,) = chosen.glob("lib/python3*/site-packages/oslo_messaging/_drivers/amqpdriver.py")
    text = driver.read_text()
    quick = text.replace("time.sleep(0.5)\n", "time.sleep(0.02)\n")
    if quick == text:
        raise InstallError("oslo.messaging is another version: look again at how it waits for answers")
    partial = driver.with_suffix(f".{os.getpid()}")
    partial.write_text(quick)
    partial.replace(driver)
