"""Files of which one process at a time has a lock, which goes with it whatever becomes of it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(file: Path) -> Iterator[int]:
    """The file, made when it is missing, for its owner alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def taken(handle: int) -> bool:
    """Whether nobody else has a lock of an open file; the lock is then this one's alone."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def one_at_a_time(file: Path) -> Iterator[None]:
    """Wait for whoever has the lock of a file, then have it while the block runs."""
    with opened(file) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
