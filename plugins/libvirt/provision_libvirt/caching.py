"""Files that are made once and kept in the user's cache: whole or not there, and by one process at a time."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provision_libvirt.lock_files import taken

_LOOK_SECONDS = 0.1


def cache_home(name: str) -> Path:
    """Where `name` is kept: under `$XDG_CACHE_HOME/provision`, by default `~/.cache/provision`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "provision" / name


@contextmanager
def atomic_directory(home: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `home` when all went well, and is gone otherwise."""
    scratch = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{home.name}-"))
    try:
        scratch.chmod(0o755)
        yield scratch
        shutil.rmtree(home, ignore_errors=True)
        os.replace(scratch, home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def locked(
    file: Path, waiting: Callable[[], None] = lambda: None, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold the lock `file`, made when it is missing; `waiting` is told when another process has it.

    The lock goes with its holder, whatever becomes of it.

    Raises:
        InterruptedError: `cancelled` said so while another process had it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        if not taken(lock.fileno()):
            waiting()
            while not taken(lock.fileno()):
                if cancelled():
                    raise InterruptedError
                time.sleep(_LOOK_SECONDS)
        yield
